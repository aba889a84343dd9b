"""What somebody did by hand after the cut-over to what points at the workout tables, found before a rollback begins.

A table that was renamed is followed, what is missing is made again with the rights it had, what was altered comes back
as v1 had it (and its text of today is kept in the archive); what has lost what it stood on is left out, by name. Where
only the operator can say what shall be, the rollback is refused with the SQL for either way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vagus_tui.errors import RefusedError
from vagus_tui.migration.surroundings import Described, Thing
from vagus_tui.migration.survey import Survey
from vagus_tui.rollback.findings import NO_NOTE, Prevents


@dataclass(frozen=True, slots=True)
class Around:
    """What a rollback binds to v1 again, as far as it can.

    Args:
        survey: the record of the migration, of what is there or is made again, under the names that tables have now.
        missing: what is made again, since it is not there.
        aside: views whose columns are others now: they go into the archive before v1's come back.
        altered: views whose query is another now, with the same columns.
        noted: everything as the cut-over left it, as far as that was noted.
        unpublished: publications that do not carry v2's table, by name and table.
        without_kept: materialized views whose old ones are not kept, or read what goes into the archive: made again.
        gone: tables, quoted, that the record names and that are not there.
        texts: what is altered, in words, with its text of today.
        back, left: what comes back though it was changed, and what does not, in words.
        doubtful: what does not come back by what was tried beforehand, and why.
        prevents: what only the operator can decide.
        unknown: there is no note of how the cut-over left all this, so nobody can tell what is otherwise.
    """

    survey: Survey
    missing: frozenset[Thing] = frozenset()
    aside: frozenset[Thing] = frozenset()
    altered: frozenset[Thing] = frozenset()
    noted: Mapping[Thing, Described] = field(default_factory=dict)
    unpublished: frozenset[Thing] = frozenset()
    without_kept: frozenset[Thing] = frozenset()
    gone: frozenset[str] = frozenset()
    texts: tuple[tuple[str, str], ...] = ()
    back: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()
    prevents: tuple[Prevents, ...] = ()
    unknown: bool = False

    def told(self) -> list[str]:
        """What is worth knowing beforehand, a sentence for each thing."""
        left = (*self.left, *self.doubtful)
        return [
            *([NO_NOTE.format(what="what points at v2", kept="was")] if self.unknown else []),
            *(f"Changed by hand since the cut-over, and put back as v1 had it: {words}." for words in self.back),
            *(f"Changed by hand since the cut-over, and not bound to v1 again: {words}." for words in left),
        ]

    def refuse(self) -> None:
        """Stop where only the operator can say what shall be.

        Raises:
            RefusedError: says what it is, with the SQL that settles it.
        """
        if self.prevents:
            raise RefusedError(
                f"Changed by hand since the cut-over: {'; '.join(one.words for one in self.prevents)}.",
                state="Nothing was changed: v2 is in place and in use.",
                next_step=f"Decide: {'; '.join(one.advice for one in self.prevents)}. Or roll back from a backup.",
            )
