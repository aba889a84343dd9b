"""What is found to be otherwise than the cut-over left it: put back, left as it is, or in a rollback's way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mend:
    """What is put back.

    Args:
        relation: the quoted name of the table.
        name: what is made again, by its name; "" where it has none.
        what: the same in words.
        then: statements for a transaction of their own afterwards.
    """

    relation: str
    name: str
    what: str
    statements: tuple[str, ...]
    then: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stays:
    """What is left as it is, in a sentence without its full stop."""

    words: str


@dataclass(frozen=True, slots=True)
class Prevents:
    """What a quick rollback cannot go past, and what to do about it; both sentences without their full stop."""

    words: str
    advice: str


_RELATION_KINDS = {
    "i": "index",
    "I": "index",
    "S": "sequence",
    "v": "view",
    "m": "materialized view",
    "c": "type",
    "f": "foreign table",
}


def relation_kind(relkind: str) -> str:
    """What a relation of this `pg_class.relkind` is called, in sentences and in ALTER statements."""
    return _RELATION_KINDS.get(relkind, "table")


Finding = Mend | Stays | Prevents

NO_NOTE = (
    "No note says how {what} {kept} left by the cut-over (an earlier version made none, or its last steps were not "
    "done): what was altered about it by hand since cannot be told, only what is gone."
)
"""What is told where there is nothing to compare with."""
