"""Where the quick rollback keeps what it can work out before anybody has to wait for it.

What v2 said at the cut-over of a row that was written since follows from the kept v1 tables, which nobody writes to.
For all rows noted by now it is worked out beforehand, so that under the locks only the last ones are left.
"""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import quote

STEP = "look-ahead"


@dataclass(frozen=True, slots=True)
class Ahead:
    """The relations, by v1 table.

    Args:
        schema: where they are, quoted.
        kind: what they are, as CREATE has it.
    """

    schema: str
    kind: str

    def before(self, base: str) -> str:
        """What v2 said at the cut-over, in v1's columns."""
        return self._named("before", base)

    def known(self, base: str) -> str:
        """Of which rows that was worked out (id), and whether v1 had them (had)."""
        return self._named("known", base)

    def _named(self, what: str, base: str) -> str:
        return f"{self.schema}.{quote(f'ahead_{what}_{base}')}"

    @property
    def dropped(self) -> str:
        """The statement that takes them away."""
        relations = (named(base) for named in (self.before, self.known) for base in v1.TABLES)
        return f"drop table if exists {', '.join(relations)}"


LASTING = Ahead("vagus_migration", "unlogged table")
"""For the rollback itself: after a crash of the server they are empty, and everything is worked out under the locks."""
TEMPORARY = Ahead("pg_temp", "temporary table")
"""For a preview."""
