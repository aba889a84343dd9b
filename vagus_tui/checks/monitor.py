"""Checks that run again and again: the watch over a database after the cut-over (guide, T+31 min to T+2 h).

One round at a time, each with a connection of its own, so that a lost one costs a round and not the watch. Both faces
consume the same events: the checks' own, every change, and a summary per round.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import asyncpg

from vagus_tui.checks.base import Check, Context, blocking, run_checks
from vagus_tui.checks.history import History
from vagus_tui.checks.overrides import overridden
from vagus_tui.control import Control
from vagus_tui.errors import VagusError, server_words
from vagus_tui.events import CheckEvent, Event, RoundEvent, Status
from vagus_tui.journal import decisions, store
from vagus_tui.journal.schema import journal_exists

REST = 1.0
"""A round is followed by at least this many times its own length of rest: the server is there for the app."""
RETRY_SECONDS = 15.0
"""After a round without a connection the next is tried this soon, or after the interval where that is shorter."""

Opened = Callable[[], AbstractAsyncContextManager[Context]]


async def watch(
    checks: Sequence[Check],
    opened: Opened,
    *,
    every: float,
    control: Control,
    history: History,
    until: datetime | None = None,
) -> AsyncGenerator[Event, None]:
    """Run checks every so many seconds until the control is cancelled, or the moment has come.

    A round begins when the one before is over and has had its rest, however short the interval. Outcomes are kept in
    the journal, where there is one.

    Args:
        opened: gives the context of one round.
        history: is added to, and first filled from the journal.
        until: no round begins after this moment.
    """
    number = 0
    while not control.cancelled:
        number += 1
        began, started = time.monotonic(), datetime.now(UTC)
        outcomes: list[CheckEvent] = []
        problem: str | None = None
        try:
            async with opened() as context:
                # Waiting for one's turn is not part of the round.
                began, started = time.monotonic(), datetime.now(UTC)
                async for event in _round(checks, context, history):
                    if isinstance(event, CheckEvent) and event.status not in (Status.PENDING, Status.RUNNING):
                        outcomes.append(event)
                    yield event
        except VagusError as error:
            problem = str(error)
        except asyncpg.PostgresError as error:
            problem = f"The server said: {server_words(error)}"
        took = time.monotonic() - began
        pause = max(every - took, REST * took) if problem is None else min(every, RETRY_SECONDS)
        next_at = datetime.now(UTC) + timedelta(seconds=pause)
        yield RoundEvent(
            number=number,
            checks=len(outcomes),
            failing=len(blocking(outcomes)),
            seconds=took,
            at=started,
            next_at=next_at,
            problem=problem,
        )
        if until is not None and next_at >= until:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await control.wait_cancelled()


async def _round(checks: Sequence[Check], context: Context, history: History) -> AsyncIterator[Event]:
    await history.load(context.connection, [check.id for check in checks])
    allowed = await decisions.overrides(context.connection)
    outcomes: list[CheckEvent] = []
    async for event in run_checks(checks, context):
        event = overridden(event, allowed)
        yield event
        if event.status in (Status.PENDING, Status.RUNNING):
            continue
        outcomes.append(event)
        if (change := history.take(event)) is not None:
            yield change
    if await journal_exists(context.connection):
        await store.record_checks(context.connection, outcomes, operator=context.settings.operator)
