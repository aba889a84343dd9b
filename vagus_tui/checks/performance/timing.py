"""Timing one statement as a user: first run, then several more, v1 and v2 in turn, by the server's own clock."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import asyncpg

from vagus_tui.checks.performance.pages import Page
from vagus_tui.checks.performance.subjects import Subject
from vagus_tui.checks.performance.tables import Tables
from vagus_tui.database.connection import Connection, execute_all
from vagus_tui.database.identifiers import literal
from vagus_tui.database.impersonation import act_as, undone

RUNS = 5
"""Runs after the first; an odd number, so that the median is one of them."""
SLOW_SECONDS = 1.0
"""A statement that takes longer is run fewer times: the app's users share the server with the measurement."""
SLOW_RUNS = 1
PATIENCE = 3.0
"""How many times its limit a statement may take before it is broken off."""
ROLE = "authenticated"


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one version of a page took one person in the server, in seconds.

    Attributes:
        first: the first run: what it takes when nobody has asked for it lately.
        warm: the median of the runs after it.
        runs: how many those were.
        stopped: it was broken off, so that both figures are only how long was waited.
    """

    first: float
    warm: float
    runs: int
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """What one person's page took in each version that is there."""

    subject: Subject
    v1: Timing | None
    v2: Timing | None

    @property
    def now(self) -> Timing:
        """The version that the app uses."""
        timing = self.v2 or self.v1
        assert timing is not None
        return timing

    @property
    def ratio(self) -> float | None:
        """How many times v1's time v2 takes; None where there is nothing to compare."""
        if self.v1 is None or self.v2 is None or self.v1.stopped:
            return None
        # Below a tenth of a millisecond what disturbs the server is larger than the figure.
        return self.v2.warm / max(self.v1.warm, 0.0001)


@dataclass(frozen=True, slots=True)
class _Statement:
    """One version of the page for one person, prepared; run by what it is executed with."""

    subject: Subject
    version: int
    run: str


async def measure(
    connection: Connection, page: Page, people: Sequence[Subject], versions: Mapping[int, Tables], limit: float
) -> list[Measured]:
    """Time a page for everybody whose page it is, in a transaction that is rolled back.

    Args:
        versions: the tables of each version that is there, by 1 and 2.
        limit: seconds that the page may take; patience is a multiple of it.
    """
    pages = {
        number: sql
        for number, tables in versions.items()
        if (sql := page.v1(tables) if number == 1 else page.v2(tables))
    }
    statements = [
        _Statement(subject, number, f"execute {_name(number)} ({', '.join(map(_argument, arguments))})")
        for subject in people
        if (arguments := page.arguments(subject)) is not None
        for number in pages
    ]
    if not statements:
        return []
    patience = max(limit * PATIENCE, 0.1)
    # Parsed beforehand, as the app's own pooled connections have done: an error is an error.
    prepared = [f"prepare {_name(number)} as {sql}" for number, sql in pages.items()]
    async with undone(
        connection,
        _FORGET,
        act_as(ROLE, statements[0].subject.actor),
        *prepared,
        "prepare vagus_nothing as select 1",
        timeout_ms=max(1, round(patience * 1000)),
    ):
        times = await _all_times(connection, statements)
        await connection.execute(f"reset role; {_FORGET}")
    timings = {(statement.subject, statement.version): _timing(found, patience) for statement, found in times.items()}
    return [
        Measured(subject, timings.get((subject, 1)), timings.get((subject, 2)))
        for subject in dict.fromkeys(statement.subject for statement in statements)
    ]


def _name(version: int) -> str:
    return f"vagus_page_{version}"


def _argument(value: Any) -> str:
    return "null" if value is None else literal(str(value))


_FORGET = """
do $$ declare name text; begin
  for name in select p.name from pg_prepared_statements p where p.name ~ '^vagus_(page_[12]|nothing)$' loop
    execute pg_catalog.format('deallocate %I', name);
  end loop;
end $$
"""
"""A statement that was prepared outlives its transaction; and what broke off may have left some."""


async def _all_times(connection: Connection, statements: Sequence[_Statement]) -> dict[_Statement, list[float] | None]:
    """Seconds of every run, the first one first; None where one was broken off."""
    times = await _times(connection, statements, 1)
    slow = {statement.subject for statement, found in times.items() if found is None or max(found) > SLOW_SECONDS}
    for those, runs in ((False, RUNS), (True, SLOW_RUNS)):
        left = [one for one in statements if (one.subject in slow) is those and times[one] is not None]
        if left:
            for statement, more in (await _times(connection, left, runs)).items():
                found = times[statement]
                times[statement] = None if found is None or more is None else [*found, *more]
    return times


_MARK = (
    "select set_config('vagus.marks', pg_catalog.concat_ws(' ', nullif(current_setting('vagus.marks', true), ''), "
    "extract(epoch from clock_timestamp())), true)"
)
_MARKS = "select current_setting('vagus.marks')"
_IDLE_RUNS = 3


def _marked(run: str) -> str:
    """A run between two marks. What is found is not sent: over a long line that would be most of the time."""
    return (
        f"{_MARK}; savepoint vagus_run; explain (analyze, timing off, costs off) {run}; "
        "rollback to savepoint vagus_run; release savepoint vagus_run"
    )


async def _times(
    connection: Connection, statements: Sequence[_Statement], runs: int
) -> dict[_Statement, list[float] | None]:
    """Run statements so many times and take the server's own time; None where one was broken off.

    All of it is one message, so that the way to the server has no share in the figures. Everybody's versions run in
    turn, so that whatever else the server does meanwhile falls on both alike.
    """
    script = ["select set_config('vagus.marks', '', true)", *[_marked("execute vagus_nothing")] * _IDLE_RUNS]
    order: list[_Statement] = []
    for subject in dict.fromkeys(statement.subject for statement in statements):
        theirs = [statement for statement in statements if statement.subject == subject]
        order += theirs * runs
        script += [act_as(ROLE, subject.actor), *[_marked(one.run) for one in theirs] * runs]
    try:
        await execute_all(connection, (*script, _MARK))
    except asyncpg.QueryCanceledError:
        await connection.execute("rollback to savepoint vagus_run")
        if len(statements) == 1:
            return {statements[0]: None}
        # Which of them it was shows when each is run alone.
        return {one: (await _times(connection, [one], runs))[one] for one in statements}
    marks = [float(mark) for mark in (await connection.fetchval(_MARKS)).split()]
    taken = [end - start for start, end in pairwise(marks)]
    idle = statistics.median(taken[:_IDLE_RUNS])
    times: dict[_Statement, list[float] | None] = {one: [] for one in statements}
    for one, seconds in zip(order, taken[_IDLE_RUNS:], strict=True):
        found = times[one]
        assert found is not None
        found.append(max(0.0, seconds - idle))
    return times


def _timing(times: list[float] | None, patience: float) -> Timing:
    if times is None:
        return Timing(patience, patience, 0, stopped=True)
    return Timing(times[0], statistics.median(times[1:] or times), len(times) - 1)
