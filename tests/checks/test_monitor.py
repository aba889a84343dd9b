"""Checks that run again and again: history, changes, the journal, lost connections, and the command for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.checks.support import looking_at, settings_for
from tests.cli.program import vagus
from tests.databases import TestDatabase
from vagus_tui.checks.base import Context, Group
from vagus_tui.checks.history import LENGTH, History
from vagus_tui.checks.monitor import watch
from vagus_tui.checks.registry import checks_for
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import ChangeEvent, CheckEvent, Event, RoundEvent, Status
from vagus_tui.journal import store
from vagus_tui.journal.schema import ensure_journal
from vagus_tui.journal.state import read_state

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORPHAN = "update exercises set plan_id = gen_random_uuid() where id = (select id from exercises order by id limit 1)"
MEND = (
    "update exercises set plan_id = (select id from workout_plans limit 1) "
    "where plan_id not in (select id from workout_plans)"
)


def event(status: Status, value: float | None = None) -> CheckEvent:
    """One outcome of one check."""
    return CheckEvent(id="x", group="performance", title="X", status=status, value=value)


def test_a_change_is_told_with_what_it_was() -> None:
    history = History()
    assert history.take(event(Status.RUNNING)) is None
    assert history.take(event(Status.PASS), NOON) is None
    assert history.take(event(Status.PASS), NOON + timedelta(minutes=1)) is None
    assert history.changed_at("x") is None
    change = history.take(event(Status.FAIL), NOON + timedelta(minutes=2))
    assert change is not None and change.broke and not change.recovered
    assert (change.was, change.now) == (Status.PASS, Status.FAIL)
    change = history.take(event(Status.ERROR), NOON + timedelta(minutes=3))
    assert change is not None and not change.broke and not change.recovered
    change = history.take(event(Status.WARN), NOON + timedelta(minutes=4))
    assert change is not None and change.recovered
    assert history.changed_at("x") == NOON + timedelta(minutes=4)
    assert len(history.changes("x")) == 3


def test_memory_is_bounded() -> None:
    history = History()
    for number in range(10 * LENGTH):
        history.take(event(Status.PASS if number % 2 else Status.FAIL, number), NOON + timedelta(seconds=number))
    assert len(history.samples("x")) == LENGTH
    assert history.samples("x")[-1].value == 10 * LENGTH - 1
    assert len(history.changes("x")) <= 10


async def test_the_journal_remembers_figures_and_reads_no_more_than_asked(clean_conn: Connection) -> None:
    assert await store.recent_checks(clean_conn, ["x"], each=5) == []
    for number in range(8):
        await store.record_checks(clean_conn, [event(Status.PASS, number)], operator="ada")
    found = await store.recent_checks(clean_conn, ["x", "y"], each=5)
    assert [one.value for one in found] == [3, 4, 5, 6, 7]
    history = History()
    await history.load(clean_conn, ["x", "y"])
    assert [sample.value for sample in history.samples("x")] == list(range(8))
    await history.load(clean_conn, ["x", "y"])
    assert len(history.samples("x")) == 8
    beside = History()
    beside.take(event(Status.PASS, 9))
    await beside.load(clean_conn, ["x"])
    assert [sample.value for sample in beside.samples("x")] == [9]
    # What was passed before the wizard was started, and fails now, has changed.
    change = history.take(event(Status.FAIL))
    assert change is not None and change.broke


async def test_a_journal_of_before_is_completed(clean_conn: Connection) -> None:
    await ensure_journal(clean_conn)
    await clean_conn.execute("alter table vagus_migration.checks drop column value")
    await clean_conn.execute(
        "insert into vagus_migration.checks (check_id, check_group, status, operator) values ('x', 'g', 'pass', 'ada')"
    )
    assert [one.value for one in await store.recent_checks(clean_conn, ["x"], each=5)] == [None]
    await store.record_checks(clean_conn, [event(Status.PASS, 7)], operator="ada")
    assert [one.value for one in await store.recent_checks(clean_conn, ["x"], each=5)] == [None, 7]


# Rounds


class Rounds:
    """A watch over the data quality of a database, round by round."""

    def __init__(self, database: TestDatabase) -> None:
        self.database = database
        self.control = Control()
        self.history = History()
        self.at_work = self.most_at_work = 0

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Context]:
        settings = settings_for(self.database.url)
        opened = Database(settings)
        async with opened.connection("watch") as connection:
            self.at_work += 1
            self.most_at_work = max(self.most_at_work, self.at_work)
            try:
                yield Context(opened, connection, settings, await read_state(connection))
            finally:
                self.at_work -= 1

    async def rounds(self) -> AsyncIterator[list[Event]]:
        """The events of each round, its summary last."""
        found: list[Event] = []
        stream = watch(
            checks_for(Group.DATA_QUALITY), self.opened, every=0.01, control=self.control, history=self.history
        )
        async with contextlib.aclosing(stream) as events:
            async for one in events:
                found.append(one)
                if isinstance(one, RoundEvent):
                    yield found
                    found = []


def summary(events: list[Event]) -> RoundEvent:
    """A round's summary."""
    last = events[-1]
    assert isinstance(last, RoundEvent)
    return last


def changes(events: list[Event]) -> dict[str, ChangeEvent]:
    """A round's changes by check."""
    return {one.id: one for one in events if isinstance(one, ChangeEvent)}


async def test_a_fault_and_its_mending_are_told_once_each(clean_database: TestDatabase, clean_conn: Connection) -> None:
    await ensure_journal(clean_conn)
    watched = Rounds(clean_database)
    rounds = watched.rounds()
    assert summary(await anext(rounds)).failing == 0
    async with clean_database.planting() as admin:
        await admin.execute(ORPHAN)
    broken = await anext(rounds)
    assert changes(broken)["orphaned-exercises"].broke
    assert summary(broken).failing >= 1 and summary(broken).checks == len(checks_for(Group.DATA_QUALITY))
    # A round is followed by as much rest, for the app.
    told = summary(broken)
    assert (told.next_at - told.at).total_seconds() >= 2 * told.seconds - 0.01
    still = await anext(rounds)
    assert changes(still) == {} and summary(still).failing >= 1
    async with clean_database.planting() as admin:
        await admin.execute(MEND)
    mended = await anext(rounds)
    assert changes(mended)["orphaned-exercises"].recovered
    assert summary(mended).number == 4 and summary(mended).failing == 0
    watched.control.cancel()
    assert [one async for one in rounds] == []
    recorded = await store.recent_checks(clean_conn, ["orphaned-exercises"], each=10)
    assert [one.status for one in recorded] == [Status.PASS, Status.FAIL, Status.FAIL, Status.PASS]
    # Each outcome is known once, though every round begins with what the journal has.
    known = watched.history.samples("orphaned-exercises")
    assert [one.status for one in known] == [one.status for one in recorded]
    assert watched.most_at_work == 1


async def test_a_lost_connection_costs_a_round_and_not_the_watch(clean_database: TestDatabase) -> None:
    watched = Rounds(clean_database)
    rounds = watched.rounds()
    assert summary(await anext(rounds)).problem is None
    name = clean_database.name
    async with clean_database.server_connection() as admin:
        await admin.execute(f'alter database "{name}" allow_connections false')
        lost = await anext(rounds)
        assert summary(lost).problem and summary(lost).checks == 0
        assert changes(lost) == {}
        await admin.execute(f'alter database "{name}" allow_connections true')
    assert summary(await anext(rounds)).problem is None
    watched.control.cancel()
    assert [one async for one in rounds] == []


async def test_no_round_begins_after_its_time(clean_database: TestDatabase) -> None:
    watched = Rounds(clean_database)
    stream = watch(
        checks_for(Group.DATA_QUALITY),
        watched.opened,
        every=1000,
        control=watched.control,
        history=watched.history,
        until=datetime.now(UTC),
    )
    assert sum(isinstance(one, RoundEvent) for one in [one async for one in stream]) == 1


# The command


async def test_the_command_tells_changes_and_ends_on_ctrl_c(
    clean_database: TestDatabase, clean_conn: Connection
) -> None:
    await ensure_journal(clean_conn)
    run = asyncio.create_task(
        vagus(
            "check", "data-quality", "--every", "1", "--json", url=clean_database.url, interrupt_at='"event": "change"'
        )
    )
    while not await clean_conn.fetchval("select count(*) from vagus_migration.checks"):
        assert not run.done(), run.result()
        await asyncio.sleep(0.05)
    async with clean_database.planting() as admin:
        await admin.execute(ORPHAN)
    ran = await run
    assert ran.status == 1
    (change,) = [line for line in ran.of("change") if line["id"] == "orphaned-exercises"]
    assert (change["was"], change["now"]) == ("pass", "fail")
    assert len(ran.of("round")) >= 2
    assert "orphaned-exercises" in ran.result["message"]


async def test_the_command_for_a_while(clean_database: TestDatabase) -> None:
    ran = await vagus("check", "data-quality", "--every", "1", "--for", "1s", url=clean_database.url, COLUMNS="160")
    assert ran.status == 0
    assert "round 1: none of" in ran.out and "none failed" in ran.out


@pytest.mark.parametrize("arguments", [("--every", "soon"), ("--every", "0"), ("--for", "2h"), ("--every", "-5")])
async def test_what_is_no_interval_is_refused(arguments: tuple[str, ...], clean_database: TestDatabase) -> None:
    assert (await vagus("check", "data-quality", *arguments, url=clean_database.url)).status == 2


async def test_lengths_of_time_as_they_are_typed() -> None:
    from vagus_tui.commands.options import seconds_of

    assert [seconds_of(text) for text in ("60", "30s", "1.5m", "5 min", "2h")] == [60, 30, 90, 300, 7200]


async def test_looking_again_and_again_leaves_no_journal_where_there_is_none(clean_database: TestDatabase) -> None:
    await vagus("check", "data-quality", "--every", "1", "--for", "1s", url=clean_database.url)
    async with looking_at(clean_database) as context:
        assert await context.connection.fetchval("select to_regnamespace('vagus_migration')") is None
