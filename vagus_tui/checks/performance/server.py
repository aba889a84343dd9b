"""Processor and memory of the database's machine, where the server lets them be seen (guide, Performance).

PostgreSQL has no figure for either. Where this role may read the machine's own files they are taken from there; on
Supabase it may not, and then that is what is said.
"""

from __future__ import annotations

import asyncio
import re

import asyncpg

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.performance.statements import NOT_VISIBLE
from vagus_tui.events import Status
from vagus_tui.format import plural

CHECKLIST = "Post-Migration Verification · Performance"
CPU_PERCENT, MEMORY_PERCENT = 50.0, 80.0
SAMPLE_SECONDS = 0.5
WHERE = "Supabase shows it under Reports, Database."

_ACTIVITY = """
select count(*) filter (where state = 'active' and pid <> pg_backend_pid()) as active,
  count(*) filter (where state = 'active' and wait_event_type = 'Lock') as waiting
from pg_stat_activity where backend_type = 'client backend'
"""

_CACHE = """
select blks_hit, blks_read, current_setting('shared_buffers') as buffers
from pg_stat_database where datname = current_database()
"""


async def _machine_file(context: Context, path: str) -> str | None:
    """A file of the database's machine, or None where it is not there or not for us to read."""
    if not await context.connection.fetchval("select has_function_privilege('pg_read_file(text)', 'execute')"):
        return None
    try:
        text: str = await context.connection.fetchval("select pg_read_file($1)", path)
    except asyncpg.PostgresError:
        return None
    return text


def busy_share(before: str, after: str) -> float | None:
    """The share of processor time that was not idle between two readings of /proc/stat, in percent."""
    readings = []
    for text in (before, after):
        found = re.match(r"cpu\s+([\d ]+)", text)
        if found is None:
            return None
        readings.append([int(part) for part in found.group(1).split()])
    spent = [late - early for early, late in zip(*readings, strict=False)]
    whole = sum(spent[:8])
    # Fields 3 and 4 are idle and waiting for the disk.
    return None if whole <= 0 else 100.0 * (whole - sum(spent[3:5])) / whole


def used_share(meminfo: str) -> float | None:
    """The share of memory that is neither free nor to be freed at once, in percent, from /proc/meminfo."""
    figures = {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)", meminfo, re.MULTILINE)}
    total, available = figures.get("MemTotal"), figures.get("MemAvailable")
    return None if not total or available is None else 100.0 * (total - available) / total


async def _cpu(context: Context) -> Outcome:
    row = await context.connection.fetchrow(_ACTIVITY)
    assert row is not None
    active = plural(row["active"], "session is", "sessions are")
    activity = f"{active} active now, {row['waiting']} of them waiting for a lock."
    before = await _machine_file(context, "/proc/stat")
    share = None
    if before is not None:
        await asyncio.sleep(SAMPLE_SECONDS)
        share = busy_share(before, await _machine_file(context, "/proc/stat") or "")
    if share is None:
        return Outcome(Status.SKIP, NOT_VISIBLE, f"Not visible from here: the server does not tell. {WHERE} {activity}")
    status = Status.FAIL if share >= CPU_PERCENT else Status.PASS
    return Outcome(status, f"{share:.0f} %", f"Over {SAMPLE_SECONDS:g} s. {activity}", value=round(share, 1))


async def _memory(context: Context) -> Outcome:
    row = await context.connection.fetchrow(_CACHE)
    assert row is not None
    asked = row["blks_hit"] + row["blks_read"]
    hits = f"{100 * row['blks_hit'] / asked:.1f} % of the pages asked for were in memory" if asked else "No page yet"
    cache = f"{hits}; PostgreSQL's own cache is {row['buffers']}."
    text = await _machine_file(context, "/proc/meminfo")
    share = None if text is None else used_share(text)
    if share is None:
        return Outcome(Status.SKIP, NOT_VISIBLE, f"Not visible from here: the server does not tell. {WHERE} {cache}")
    status = Status.FAIL if share >= MEMORY_PERCENT else Status.PASS
    return Outcome(status, f"{share:.0f} %", cache, value=round(share, 1))


CHECKS = (
    Check(
        id="database-cpu",
        group=Group.PERFORMANCE,
        title="Database processor",
        why="A processor that is busy all the time has nothing left for the evening, when everybody trains.",
        expected=f"under {CPU_PERCENT:g} %",
        probe=_cpu,
        guide=CHECKLIST,
        sql=lambda _: _ACTIVITY.strip(),
    ),
    Check(
        id="database-memory",
        group=Group.PERFORMANCE,
        title="Database memory",
        why="Out of memory, the system ends the server's processes, and everybody's connection with them.",
        expected=f"under {MEMORY_PERCENT:g} %",
        probe=_memory,
        guide=CHECKLIST,
        sql=lambda _: _CACHE.strip(),
    ),
)
