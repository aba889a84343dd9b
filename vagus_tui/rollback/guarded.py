"""Statements that must not keep v1 from coming back: where one fails, it is undone alone, and noted."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from vagus_tui.schema.identifiers import literal

LEFT = "pg_temp.vagus_left_out"
"""Within the transaction: what could not be done, why in the server's words, and the statements by hand."""

MADE = "create temporary table vagus_left_out (what text, why text, by_hand text) on commit drop"
READ = f"select what, why, by_hand from {LEFT}"


def in_words(row: asyncpg.Record) -> str:
    """One of those rows, for people."""
    return f"{row['what']}: {row['why']}. By hand, once that is settled: {row['by_hand']}"


def guarded(what: str, statements: Sequence[str]) -> str:
    """One statement that does all of these or none; where they fail, the rest of the transaction goes on.

    A lock that is not to be had, or a server at its limits, goes through to whoever tries again.

    Args:
        what: what is not so if they fail, in words.
    """
    done = "\n".join(f"  execute {literal(statement)};" for statement in statements)
    by_hand = "; ".join(("begin", *statements, "commit"))
    body = (
        f"begin\n{done}\n"
        "exception\n  when lock_not_available or deadlock_detected or insufficient_resources then raise;\n"
        f"  when others then insert into {LEFT} values ({literal(what)}, sqlerrm, {literal(by_hand + ';')});\nend"
    )
    return f"do {literal(body)}"
