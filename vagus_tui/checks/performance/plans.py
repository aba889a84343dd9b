"""How the server goes about a page: its plan as the user gets it, indexes that are missing, and whole tables read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from vagus_tui.checks.base import Context
from vagus_tui.checks.performance.pages import Page
from vagus_tui.checks.performance.subjects import Subject
from vagus_tui.checks.performance.tables import Tables
from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import acting_as, undone

ROLE = "authenticated"
EXPLAIN_TIMEOUT_MS = 15_000


@dataclass(frozen=True, slots=True)
class WholeScan:
    """A table that a page reads from end to end to find some of its rows."""

    table: str
    rows: int
    filter: str


async def account_of(page: Page, people: Sequence[Subject], versions: Mapping[int, Tables], context: Context) -> str:
    """The plans of a page, as run by each person, v2 first: EXPLAIN (ANALYZE, BUFFERS) in rolled-back transactions."""
    parts: list[str] = []
    for subject in people:
        arguments = page.arguments(subject)
        if arguments is None:
            continue
        for number in sorted(versions, reverse=True):
            sql = page.explained(versions[number])
            if not sql:
                continue
            parts.append(f"v{number} as {ROLE}, {subject.words}\n\n{sql}\n")
            async with undone(context.connection, timeout_ms=EXPLAIN_TIMEOUT_MS):
                try:
                    async with acting_as(context.connection, ROLE, subject.actor):
                        rows = await context.connection.fetch(f"explain (analyze, buffers) {sql}", *arguments)
                    parts.append("\n".join(row[0] for row in rows) + "\n")
                except asyncpg.QueryCanceledError:
                    parts.append(f"Broken off after {EXPLAIN_TIMEOUT_MS // 1000} s.\n")
    return "\n".join(parts) or "Nobody has the data that this page shows."


async def whole_scans(
    connection: Connection, page: Page, subject: Subject, tables: Tables, sizes: Mapping[str, int], large: int
) -> list[WholeScan]:
    """Tables of `large` rows or more that the page's plan reads from end to end with a filter.

    Args:
        sizes: the estimated rows of each table, by name.
    """
    arguments = page.arguments(subject)
    sql = page.explained(tables)
    if arguments is None or not sql:
        return []
    async with undone(connection, timeout_ms=EXPLAIN_TIMEOUT_MS), acting_as(connection, ROLE, subject.actor):
        text = await connection.fetchval(f"explain (format json) {sql}", *arguments)
    found = []
    for node in nodes(json.loads(text)[0]["Plan"]):
        table = node.get("Relation Name", "")
        if node["Node Type"] == "Seq Scan" and node.get("Filter") and sizes.get(table, 0) >= large:
            found.append(WholeScan(table, sizes[table], node["Filter"]))
    return found


def nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every node of a plan in JSON."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
