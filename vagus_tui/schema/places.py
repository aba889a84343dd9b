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


def strips(relation: str, length: str) -> str:
    """The SELECT of a relation's strips: `first`, and `behind` the last row of each. Together they hold every row.

    Args:
        relation: its quoted name.
        length: blocks per strip, an expression; it may use `blocks`, how many there are.
    """
    return (
        f"  select {block('n')} as first,\n"
        f"    case when n + length < blocks then {block('n + length')} else {BEHIND} end as behind\n"
        f"  from (select blocks, {length} as length from (select {blocks(relation)} as blocks) size) cut,\n"
        "  generate_series(0, greatest(blocks - 1, 0), length) n"
    )
