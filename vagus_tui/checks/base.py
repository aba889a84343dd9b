"""What a check is, and the one runner that streams the outcomes of any group of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import asyncpg

from vagus_tui.checks.fault import Fault
from vagus_tui.checks.waiting import LockedError, Patience
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.identifiers import quote
from vagus_tui.errors import VagusError, beyond_a_limit, sentences, server_words
from vagus_tui.events import CheckEvent, Status
from vagus_tui.journal.state import DatabaseState
from vagus_tui.schema import v2
from vagus_tui.schema.v1 import V1Shape
from vagus_tui.settings import Settings

UNMEASURED = "not measured"
"""What stands for the figure of a check that could not measure."""
LOCKED = "locked"
"""The same where somebody's lock was in the way."""
CELL_CHARACTERS = 500
"""How much of one value a page of rows holds."""


class Group(StrEnum):
    """The groups that checks come in; the first three are also the command line's words."""

    PREREQUISITES = "prerequisites"
    DATA_QUALITY = "data-quality"
    VERIFICATION = "verification"
    ACCESS = "access"
    PERFORMANCE = "performance"
    ROLLOUT = "rollout"


@dataclass(frozen=True, slots=True)
class Context:
    """What a check may look at. `connection` is the check runner's own and idle between checks.

    `cache` holds what several checks of one run share (one scan of a table answers many of them); it is emptied
    before every run, so nothing in it is older than the run.

    `focus` is the one table of v2 that a check is to look at, where it is shown a fault in that and time is short; a
    check that looks at all tables at once, or cheaply, need not heed it. `noted` says, where faults are shown, that
    what was written to v2 since the cut-over is on record.
    """

    database: Database
    connection: Connection
    settings: Settings
    state: DatabaseState
    cache: dict[str, Any] = field(default_factory=dict)
    focus: str | None = None
    noted: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables of v2 to look at."""
        return v2.TABLES if self.focus is None else (self.focus,)

    @property
    def shape(self) -> V1Shape:
        """v1 as found.

        Raises:
            VagusError: no v1 tables were recognised, so a check of them cannot run.
        """
        if self.state.shape is None:
            raise VagusError("No v1 tables were recognised.", next_step="See the overview for what was found.")
        return self.state.shape


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found. `rows` counts offending rows; `detail` is further lines for the detail view.

    `value` is the figure to be drawn over time where `measured` is words: milliseconds, a factor, a percentage.
    `overridable` is for a finding that may not be let pass though the check could be, and the other way round.
    """

    status: Status
    measured: str | int | float
    message: str = ""
    rows: int | None = None
    detail: tuple[str, ...] = ()
    expected: str | int | None = None
    value: float | None = None
    overridable: bool | None = None


@dataclass(frozen=True, slots=True)
class RowPage:
    """One page of offending rows, as the server writes them, for people to look at. NULL is None."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | None, ...], ...]
    offset: int
    more: bool


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is measured against what is expected.

    Args:
        id: kebab-case, unique over all groups; overrides and scripts name it.
        why: why it matters, in one or two sentences for the detail view.
        guide: the guide's section that asks for it, or "" where the guide forgot it.
        expected: what is expected, in a word or two.
        probe: measures; raises nothing for a bad finding, only when it cannot measure.
        sql: the statement behind it, to be read and copied, if there is one.
        rows_sql: a query for the offending rows (no ORDER BY/LIMIT; it is paged from outside), if there are such.
        account: a longer text about what lies behind the figure, such as the server's plan, made when it is asked for.
        overridable: whether an operator may let it pass, by name and with a reason.
        needs_v1: it looks at v1's tables, so it is skipped where there are none.
        faults: ways to see it fail, for the test of the checks themselves.
    """

    id: str
    group: Group
    title: str
    why: str
    expected: str
    probe: Callable[[Context], Awaitable[Outcome]]
    guide: str = ""
    sql: Callable[[Context], str] | None = None
    rows_sql: Callable[[Context], str] | None = None
    account: Callable[[Context], Awaitable[str]] | None = None
    overridable: bool = True
    needs_v1: bool = False
    faults: tuple[Fault, ...] = ()

    def event(self, status: Status, **values: Any) -> CheckEvent:
        """An event about this check."""
        return CheckEvent(
            id=self.id,
            group=self.group.value,
            title=self.title,
            status=status,
            **{"expected": self.expected, "overridable": self.overridable, **values},
        )

    def outcome(self, outcome: Outcome, seconds: float | None = None) -> CheckEvent:
        """The event that an outcome is."""
        return self.event(
            outcome.status,
            measured=outcome.measured,
            expected=self.expected if outcome.expected is None else outcome.expected,
            overridable=self.overridable if outcome.overridable is None else outcome.overridable,
            rows=outcome.rows,
            value=outcome.value,
            seconds=seconds,
            message="\n".join((outcome.message, *outcome.detail)).strip() or None,
        )


@contextlib.asynccontextmanager
async def reading(connection: Connection, *settings: str, one_moment: bool = False) -> AsyncIterator[None]:
    """A transaction for what reads whole tables: it cannot write, and takes what it takes.

    A role's timeout is meant for the app's statements. It is lifted until the transaction's end, since a session may be
    somebody else's next.

    Args:
        settings: further ones, such as "set local work_mem = '96MB'".
        one_moment: all of it sees the rows as they were at one moment.
    """
    isolation = "repeatable read" if one_moment else "read committed"
    begin = f"begin isolation level {isolation} read only", "set local statement_timeout = 0"
    try:
        # One message, so that the way to the server is gone but once.
        await connection.execute("; ".join((*begin, *settings)))
        yield
    finally:
        if not connection.is_closed():
            await connection.execute("rollback")


async def run_check(check: Check, context: Context) -> CheckEvent:
    """Run one check. Whatever stops it from measuring becomes an `error` outcome, which counts as failing.

    Raises:
        ConnectionLostError: by way of the caller's connection block; a lost connection is no finding.
    """
    context.cache.clear()
    return await _run(check, context)


async def _run(check: Check, context: Context) -> CheckEvent:
    if check.needs_v1 and context.state.shape is None:
        return check.event(Status.SKIP, measured="–", message="There are no v1 tables to look at.")
    started = time.perf_counter()
    try:
        outcome = await check.probe(context)
    except asyncpg.PostgresError as error:
        if context.connection.is_closed():
            raise
        return check.event(
            Status.ERROR,
            measured=UNMEASURED,
            seconds=time.perf_counter() - started,
            message=sentences(f"The server said: {server_words(error)}", beyond_a_limit(error)),
        )
    except VagusError as error:
        return check.event(
            Status.ERROR,
            measured=UNMEASURED,
            seconds=time.perf_counter() - started,
            message=str(error),
        )
    return check.outcome(outcome, time.perf_counter() - started)


async def run_checks(checks: Sequence[Check], context: Context) -> AsyncGenerator[CheckEvent, None]:
    """Run checks in order: first all as pending, then each as running and with its outcome.

    One that waits for somebody's lock is told as running once more, with for whom it waits; after a while it is given
    up, which is an error like any other that stops it from measuring.
    """
    context.cache.clear()
    for check in checks:
        yield check.event(Status.PENDING)
    timezone = context.settings.timezone
    async with Patience.with_(context.database, context.connection, timezone) as patience:
        for check in checks:
            yield check.event(Status.RUNNING)
            work = asyncio.ensure_future(_run(check, context))
            try:
                async with contextlib.aclosing(patience.over(work)) as waits:
                    async for waiting in waits:
                        words = waiting.words(timezone)
                        yield check.event(Status.RUNNING, message=words, waiting=waiting.to_dict())
            except LockedError as error:
                yield check.event(Status.ERROR, measured=LOCKED, message=str(error), seconds=error.seconds)
            else:
                yield work.result()


async def offending_rows(check: Check, context: Context, *, offset: int = 0, limit: int = 200) -> RowPage:
    """One page of the rows that a check objects to, in the order of their first column.

    Empty for a check that has none to show. Values are the server's own text, as long as `CELL_CHARACTERS` at most:
    a date that Python cannot hold or a name of some megabytes is shown like any other.
    """
    if check.rows_sql is None:
        return RowPage((), (), offset, more=False)
    return await read_page(context.connection, check.rows_sql(context), offset=offset, limit=limit)


async def read_page(connection: Connection, query: str, *, offset: int = 0, limit: int = 200) -> RowPage:
    """One page of a query's rows as text, in the order of its first column."""
    columns = tuple(attribute.name for attribute in (await connection.prepare(query)).get_attributes())
    cells = ", ".join(f"left(offending.{quote(name)}::text, {CELL_CHARACTERS})" for name in columns)
    records = await connection.fetch(
        # Materialized: with so few rows wanted, the planner would rather walk a whole index in the order of the ids.
        f"with offending as materialized (\n{query}\n) "
        f"select {cells} from offending order by offending.{quote(columns[0])} offset $1 limit $2",
        offset,
        limit + 1,
    )
    return RowPage(columns, tuple(tuple(record) for record in records[:limit]), offset, more=len(records) > limit)


def blocking(events: Iterable[CheckEvent]) -> list[CheckEvent]:
    """The outcomes that hold up what depends on them: failed or in error, and not overridden."""
    return [event for event in events if event.status.blocks and not event.overridden]
