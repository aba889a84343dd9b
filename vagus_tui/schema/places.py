"""Places in a table's file, as SQL: for working through it strip by strip, a range of blocks at a time."""

from __future__ import annotations

from vagus_tui.schema.identifiers import literal

BEHIND = "'(4294967295,0)'::tid"
"""Behind every block that a table can have."""


def block(number: str) -> str:
    """Where a block begins; `number` is an expression."""
    return f"('(' || {number} || ',0)')::tid"


def blocks(relation: str) -> str:
    """How many blocks a relation has now, by its quoted name."""
    return f"pg_relation_size({literal(relation)}) / current_setting('block_size')::integer"
