"""Indexes that are missing, and tables that a page reads from end to end (guide, Performance Degradation)."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.performance import speed
from vagus_tui.checks.performance.pages import PAGES
from vagus_tui.checks.performance.plans import whole_scans
from vagus_tui.checks.performance.speed import timings, versions
from vagus_tui.checks.performance.tables import Tables
from vagus_tui.checks.verification.catalog import index_gaps
from vagus_tui.events import Status
from vagus_tui.format import plural

LARGE = 10_000
"""Rows from which reading a whole table for a few of them is worth a word; a small one is read faster whole."""

_SIZES = """
select c.relname::text as name, greatest(c.reltuples, 0)::bigint as rows
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relkind in ('r', 'p')
"""


async def _scans(context: Context, tables: Tables) -> list[str]:
    """What the pages read from end to end, a line each, where it costs enough time for somebody to notice."""
    sizes = {row["name"]: row["rows"] for row in await context.connection.fetch(_SIZES)}
    lines: dict[tuple[str, str], str] = {}
    for page in PAGES:
        for one in await timings(page, context):
            if one.now.warm < speed.NOTICEABLE_SECONDS:
                continue
            for scan in await whole_scans(context.connection, page, one.subject, tables, sizes, LARGE):
                lines.setdefault(
                    (scan.table, scan.filter),
                    f"{page.title} reads all {scan.rows:,} rows of {scan.table}, for those where {scan.filter}",
                )
    return list(lines.values())


async def _indexes(context: Context) -> Outcome:
    tables = (await versions(context)).v2
    if tables is None:
        return Outcome(Status.SKIP, "–", "v2 is not in place yet.")
    gaps = await index_gaps(context.connection)
    lines = await _scans(context, tables)
    number = len(gaps.missing) + len(gaps.broken)
    if number:
        wanted = (f"Missing: {statement};" for statement in gaps.statements)
        broken = (f"Not usable, to be built again: {name}" for name in gaps.broken)
        return Outcome(
            Status.FAIL,
            f"{number} missing",
            "Troubleshooting has the repair, which builds them without stopping anybody.",
            detail=(*wanted, *broken, *lines),
            value=number,
        )
    if lines:
        return Outcome(
            Status.WARN,
            plural(len(lines), "whole table"),
            "No index that v2 should have is missing, yet the server reads whole tables. Its statistics may be old: "
            "Troubleshooting has ANALYZE as a repair.",
            detail=tuple(lines),
            value=len(lines),
        )
    return Outcome(Status.PASS, "none", f"The plans of {len(PAGES)} pages were looked at.", value=0)


CHECKS = (
    Check(
        id="missing-indexes",
        group=Group.PERFORMANCE,
        title="Missing indexes",
        why="A missing index makes the server read whole tables for a few rows: fine today, slow in a year.",
        expected="none",
        probe=_indexes,
        guide="Troubleshooting · Performance Degradation",
    ),
)
