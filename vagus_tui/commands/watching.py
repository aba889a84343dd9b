"""`check GROUP --every …`: a group of checks again and again, for scripts and for a terminal that is left open."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime, timedelta

from vagus_tui.checks.base import Context, Group
from vagus_tui.checks.history import History
from vagus_tui.checks.monitor import watch
from vagus_tui.checks.registry import checks_for, default_group
from vagus_tui.commands.outcome import DONE, REFUSED
from vagus_tui.commands.session import opened
from vagus_tui.control import Control
from vagus_tui.events import ChangeEvent, CheckEvent, Event, ResultEvent, RoundEvent, Status
from vagus_tui.format import plural


async def watching(
    name: str | None, every: float, lasting: float | None, control: Control, *, as_json: bool
) -> AsyncGenerator[Event, None]:
    """Watch a group until Ctrl-C or the end of the time.

    People see the first round whole, then a line per round and every change; scripts see every outcome. A database
    that cannot be reached at the start is an error; one that is lost later is tried again.

    Raises:
        ConfigurationError, ConnectionFailedError: at the start.
    """
    async with opened("check") as context:
        group = Group(name) if name else default_group(context.state)

    @contextlib.asynccontextmanager
    async def turn() -> AsyncIterator[Context]:
        async with opened("watch") as context:
            yield context

    until = None if lasting is None else datetime.now(UTC) + timedelta(seconds=lasting)
    rounds = missed = 0
    latest: RoundEvent | None = None
    ever: Counter[str] = Counter()
    broke: list[str] = []
    first = True
    stream = watch(checks_for(group), turn, every=every, control=control, history=History(), until=until)
    async with contextlib.aclosing(stream) as events:
        async for event in events:
            if isinstance(event, CheckEvent):
                if event.status.blocks and not event.overridden:
                    ever[event.id] += 1
                if as_json or first or event.waiting is not None:
                    yield event
                continue
            if isinstance(event, ChangeEvent) and event.broke:
                broke.append(event.id)
            if isinstance(event, RoundEvent):
                rounds += 1
                missed += event.problem is not None
                latest = event
                first = first and event.problem is not None
            yield event
    yield _result(group, rounds, missed, latest, ever, broke)


def _result(
    group: Group, rounds: int, missed: int, latest: RoundEvent | None, ever: Counter[str], broke: list[str]
) -> ResultEvent:
    """Refused when anything failed in any round, or when no round could be measured."""
    measured = rounds - missed
    words = f"{group.value}: {plural(measured, 'round')}"
    if missed:
        words += f", {missed:,} more without a connection"
    if ever:
        names = ", ".join(f"{check} (in {times:,})" for check, times in ever.most_common())
        now = "" if latest is None or latest.failing else "; in the last one none fails"
        words += f"; failed: {names}{now}."
    else:
        words += "; none failed." if measured else "; nothing was measured."
    ok = not ever and measured > 0
    return ResultEvent(
        ok=ok,
        message=words,
        state=None if ok else "Nothing was changed.",
        figures={
            "rounds": measured,
            "missed": missed,
            "failed": dict(ever),
            "changes_to_fail": len(broke),
            Status.FAIL.value: 0 if latest is None else latest.failing,
        },
        exit_status=DONE if ok else REFUSED,
    )
