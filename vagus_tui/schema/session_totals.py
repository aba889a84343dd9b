"""What a session's logs add up to: its sets, its volume and the day it used most, in one pass over the logs.

A day counts only where it is one of the session's own plan; ties go to the lowest day number.
"""

from __future__ import annotations

from vagus_tui.schema.identifiers import literal
from vagus_tui.schema.places import strips

BLOCKS = 200
"""Blocks of logs per strip: their sums then fit the second level of a processor's cache."""

SIZE_IN_MEMORY = 2
"""A hash table of exercises takes so many times the room that they take on disk."""


def session_totals(logs: str, sessions: str, condition: str = "", *, placed: str | None = None) -> str:
    """CTEs that end in `totals` (session_id, total_sets, total_volume, day_number), one row per session with logs.

    They read `placed` (id, plan_id, day_number of every exercise), a relation or a CTE.

    Args:
        logs, sessions: quoted names of v1's tables.
        condition: only logs `l` for which it holds.
        placed: the table that `placed` is, if it is one: then all logs are added up, strip by strip of their file.
    """
    if placed is None:
        logged = f"logged as (\n{_sums(logs, 'placed', condition)})"
    else:
        # A session's logs mostly lie side by side: the sums of a strip are few, and those of all logs at once need not
        # be held in memory or in temporary files. OFFSET keeps a strip in one piece, and other joins out of it.
        within = "l.ctid >= strip.first and l.ctid < strip.behind"
        logged = (
            f"{_strips(logs, placed)},\nlogged as (\n  select part.* from strips strip cross join lateral (\n"
            f"{_sums(logs, placed, within)} offset 0) part offset 0)"
        )
    # Of what is sorted by session, sums are made one after the other, however many there are. That one number can be
    # compared, which is quicker than an array, sets are the upper half of it and the day is taken off.
    return (
        f"{logged},\n"
        "own as (\n"
        "  select g.session_id, case when g.plan_id = s.plan_id then g.day_number end as day_number, g.sets, g.volume\n"
        f"  from logged g join {sessions} s on s.id = g.session_id order by 1, 2),\n"
        "merged as (\n"
        "  select session_id, day_number, sum(sets)::bigint as sets, sum(volume) as volume\n"
        "  from own group by session_id, day_number),\n"
        "totals as materialized (\n"
        "  select session_id, sum(sets)::integer as total_sets, sum(volume) as total_volume,\n"
        "    4294967296 - (max((sets << 32) - day_number) & 4294967295) as day_number\n"
        "  from merged group by session_id)"
    )


def _sums(logs: str, placed: str, condition: str) -> str:
    """Sets and volume of each session's logs on each day, of the logs `l` for which a condition holds."""
    # GREATEST of one value is that value, but nothing is known of its distribution. So the planner does not hash a
    # strip of logs, for which it would read the exercises anew each time: it hashes these, once for all strips.
    where = f" where {condition}" if condition else ""
    return (
        "  select l.session_id, k.plan_id, k.day_number, count(*)::integer as sets,\n"
        "    sum(l.reps::numeric * l.weight::numeric) as volume\n"
        f"  from {logs} l left join {placed} k on k.id = greatest(l.exercise_id){where}\n"
        "  group by l.session_id, k.plan_id, k.day_number"
    )


def _strips(logs: str, placed: str) -> str:
    """CTE `strips`: from which block to which, to the end of whatever the table holds.

    The exercises are looked up in memory. Where they do not fit, each strip would read them anew: one strip it is then.
    """
    fits = (
        f"{SIZE_IN_MEMORY} * pg_relation_size({literal(placed)}) < pg_size_bytes(current_setting('work_mem'))\n"
        "      * current_setting('hash_mem_multiplier')::numeric"
    )
    return f"strips as materialized (\n{strips(logs, f'case when {fits} then {BLOCKS} else greatest(blocks, 1) end')})"
