"""Timing one statement as a user: first run, then several more, v1 and v2 in turn, without the network's share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from vagus_tui.checks.performance.pages import Page
from vagus_tui.checks.performance.subjects import Subject
from vagus_tui.checks.performance.tables import Tables
from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import acting_as, undone

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
    """How long one version of a page took one person, in seconds without the network's round trip.

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
        # Below a tenth of a millisecond the network's jitter is larger than the figure.
        return self.v2.warm / max(self.v1.warm, 0.0001)


async def measure(
    connection: Connection, page: Page, subject: Subject, versions: Mapping[int, Tables], limit: float
) -> Measured | None:
    """Time a page for one person in a transaction that is rolled back; None where the page is not theirs.

    Args:
        versions: the tables of each version that is there, by 1 and 2.
        limit: seconds that the page may take; patience is a multiple of it.
    """
    arguments = page.arguments(subject)
    if arguments is None:
        return None
    statements = {
        number: sql
        for number, tables in versions.items()
        if (sql := page.v1(tables) if number == 1 else page.v2(tables))
    }
    if not statements:
        return None
    patience = max(limit * PATIENCE, 0.1)
    async with (
        undone(connection, timeout_ms=max(1, round(patience * 1000))),
        acting_as(connection, ROLE, subject.actor),
    ):
        trip = await _round_trip(connection)
        times = await _alternating(connection, statements, arguments, trip)
    timings = {number: _timing(found, patience) for number, found in times.items()}
    return Measured(subject, timings.get(1), timings.get(2))


async def _round_trip(connection: Connection) -> float:
    """What the network and the driver cost when the server has nothing to do."""
    return statistics.median([await _once(connection, "select 1", ()) for _ in range(3)])


async def _once(connection: Connection, sql: str, arguments: tuple[Any, ...]) -> float:
    started = time.perf_counter()
    await connection.fetch(sql, *arguments)
    return time.perf_counter() - started


async def _alternating(
    connection: Connection, statements: Mapping[int, str], arguments: tuple[Any, ...], trip: float
) -> dict[int, list[float] | None]:
    """Seconds of every run by version, the first run first; None where a statement was broken off.

    In turn, so that whatever else the server does meanwhile falls on both alike.
    """
    times: dict[int, list[float] | None] = {}
    runs = RUNS
    for number, sql in statements.items():
        # Parsed and planned beforehand, as the app's own pooled connections have done: an error is an error, and the
        # first run measures the reading alone.
        await connection.prepare(sql)
        taken = await _guarded(connection, sql, arguments)
        times[number] = None if taken is None else [max(0.0, taken - trip)]
        if taken is None or taken > SLOW_SECONDS:
            runs = SLOW_RUNS
    for _ in range(runs):
        for number, sql in statements.items():
            found = times[number]
            if found is None:
                continue
            taken = await _guarded(connection, sql, arguments)
            if taken is None:
                times[number] = None
            else:
                found.append(max(0.0, taken - trip))
    return times


async def _guarded(connection: Connection, sql: str, arguments: tuple[Any, ...]) -> float | None:
    """Seconds of one run, or None when the statement was broken off for taking too long."""
    savepoint = connection.transaction()
    await savepoint.start()
    try:
        return await _once(connection, sql, arguments)
    except asyncpg.QueryCanceledError:
        return None
    finally:
        if not connection.is_closed():
            await savepoint.rollback()


def _timing(times: list[float] | None, patience: float) -> Timing:
    if times is None:
        return Timing(patience, patience, 0, stopped=True)
    return Timing(times[0], statistics.median(times[1:] or times), len(times) - 1)
