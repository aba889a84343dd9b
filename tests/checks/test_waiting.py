"""Checks behind somebody's lock: who holds it is told, by the command too, and the wait has an end."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from tests.checks.support import looking_at
from tests.cli.program import vagus
from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.checks import waiting
from vagus_tui.checks.base import LOCKED, Group, run_checks
from vagus_tui.checks.registry import check_by_id, checks_for
from vagus_tui.checks.waiting import LockedError, Patience, Waiting
from vagus_tui.database.connection import Connection
from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import clock_time
from vagus_tui.migration.blockers import Blocker

LOOKED = (
    "select count(*) > 0 from pg_stat_activity where application_name = 'vagus-tui who is in the way' "
    "and datname = current_database() and query like '%pg_stat_activity%' and state = 'idle'"
)
NOT_GRANTED = """
from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())
"""
"""Other tests wait for locks on the same server."""

LOCK = "begin; lock table exercise_logs in access exclusive mode"
HOSTILE = "select '[/foo] \x1b[31mred' as \"held for a while\""


async def until(connection: Connection, question: str) -> None:
    """Wait until the server answers yes."""
    for _ in range(2000):
        if await connection.fetchval(question):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(question)


def test_who_is_in_the_way_in_words() -> None:
    now = datetime.now(UTC)
    holders = (
        Blocker(7, "postgres", "deploy", "active", 3600.0, "alter  table\n exercises " + "x" * 300),
        Blocker(0, "ada", "", "prepared", 600.0, "rollback prepared 'g'", gid="g"),
        Blocker(9, "", "", "idle in transaction", 60.0, ""),
    )
    said = Waiting("exercises", holders, now + timedelta(seconds=9)).words("UTC").splitlines()
    assert said[0].startswith("Waits for a lock on exercises, until ") and len(said) == 4 and said[3] == "and 1 more."
    since = [clock_time(now - timedelta(seconds=one.seconds), "UTC", now) for one in holders]
    query = ("alter table exercises " + "x" * 300)[:200]
    # A second may have passed meanwhile.
    assert re.sub(r":\d\d,", ":–,", said[1]) == re.sub(
        r":\d\d,", ":–,", f"PID 7 (deploy, postgres, active), open since {since[0]}, runs: {query} …"
    )
    assert said[2].startswith("Prepared transaction g (ada, prepared), open since ")
    assert said[2].endswith(", is ended by: rollback prepared 'g'")
    alone = Waiting("exercises", holders[2:], now)
    assert alone.who("UTC").startswith("PID 9 (idle in transaction), open since ")
    assert alone.who("UTC").endswith(", last ran: no query is shown")
    assert Waiting("exercises", (), now).who("UTC") == "Whoever holds it cannot be seen by this user."
    assert str(LockedError(alone, 15.2, "UTC")).splitlines()[0] == "Given up after 0:15: exercises is locked."


async def test_a_stop_from_elsewhere_is_not_taken_for_the_end_of_patience(clean_database: TestDatabase) -> None:
    async with looking_at(clean_database) as context:
        begun = asyncio.Event()

        async def work(patience: Patience) -> None:
            async with patience.within(lambda _: None):
                begun.set()
                await asyncio.sleep(60)

        async with Patience.with_(context.database, context.connection, "UTC") as patience:
            working = asyncio.create_task(work(patience))
            await begun.wait()
            working.cancel()
            with pytest.raises(asyncio.CancelledError):
                await working
            assert working.cancelled()


async def test_what_is_done_does_not_wait_for_whoever_looks(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a long line a look takes a second; every check that took longer than one waited for it."""
    monkeypatch.setattr(waiting, "TELL_AFTER_SECONDS", 0.01)
    looks = asyncio.Event()

    async def slow(_: Patience) -> tuple[str, tuple[Blocker, ...]]:
        looks.set()
        await asyncio.sleep(60)
        raise AssertionError("nobody waits for that")

    monkeypatch.setattr(Patience, "_look", slow)
    async with (
        looking_at(clean_database) as context,
        Patience.with_(context.database, context.connection, "UTC") as patience,
        asyncio.timeout(20),
    ):
        await patience.through(looks.wait(), lambda _: None)
        # Nor the next, during the same look.
        await patience.through(asyncio.sleep(0.1), lambda _: None)


async def test_who_holds_the_lock_is_told_and_the_wait_has_an_end(
    clean_database: TestDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TELL_AFTER_SECONDS", 0.1)
    monkeypatch.setattr(waiting, "PATIENCE_SECONDS", 0.6)
    first, reader, ddl = [await connect(clean_database.url) for _ in range(3)]
    checks = [check_by_id(name) for name in ("plans-weeks", "orphaned-logs", "logs-reps", "plans-goal")]
    async with looking_at(clean_database) as context:
        # One who only reads, and behind him one who would alter the table: both are in our way.
        await reader.execute("begin")
        await reader.execute("select count(*) from exercise_logs")
        await ddl.execute("set application_name = 'deploy'")
        altering = asyncio.create_task(ddl.execute(LOCK))
        await until(first, f"select count(*) > 0 {NOT_GRANTED}")
        events = [event async for event in run_checks(checks, context)]
        told = [event for event in events if event.waiting is not None]
        # The reader holds it, the other is next: both are named, the one in the way of both first.
        assert told and told[0].id == "orphaned-logs" and told[0].status is Status.RUNNING
        assert told[0].waiting is not None and told[0].waiting["relation"] == "exercise_logs"
        pids = [one["pid"] for one in told[0].waiting["blockers"]]
        assert pids == [reader.get_server_pid(), ddl.get_server_pid()]
        words = str(told[0].message)
        assert "Waits for a lock on exercise_logs, until" in words and "deploy, postgres, active" in words
        assert "idle in transaction), open since" in words and "last ran: select count(*) from exercise_logs" in words
        last = {event.id: event for event in events}
        # Those that need other tables are measured; of the locked one, the second is given up sooner.
        assert last["plans-weeks"].status is last["plans-goal"].status is Status.PASS
        given_up = [last["orphaned-logs"], last["logs-reps"]]
        assert [(one.status, one.measured) for one in given_up] == [(Status.ERROR, LOCKED)] * 2
        assert "exercise_logs is locked" in str(given_up[0].message) and "deploy" in str(given_up[0].message)
        assert {event.id for event in told} == {"orphaned-logs"}
        # A statement was cancelled, and the connection goes on.
        await reader.execute("rollback")
        await altering
        await ddl.execute("rollback")
        again = [event async for event in run_checks(checks, context)]
        assert {event.status for event in again[-len(checks) :]} <= {Status.PASS, Status.RUNNING}
    ours = "datname = current_database() and application_name like '%in the way%'"
    assert not await first.fetchval(f"select count(*) from pg_stat_activity where {ours}")


async def test_a_run_that_is_broken_off_leaves_no_statement_waiting(
    clean_database: TestDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TELL_AFTER_SECONDS", 0.1)
    holder = await connect(clean_database.url)
    async with looking_at(clean_database) as context:
        await holder.execute(LOCK)
        async with aclosing(run_checks(checks_for(Group.DATA_QUALITY), context)) as events:
            async for event in events:
                assert isinstance(event, CheckEvent)
                if event.waiting is not None:
                    break
        assert not await holder.fetchval(f"select count(*) {NOT_GRANTED}")


async def test_whatever_a_block_does_is_told_of_and_given_up_alike(
    clean_database: TestDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "TELL_AFTER_SECONDS", 0.1)
    holder, admin = await connect(clean_database.url), await connect(clean_database.url)
    told: list[waiting.Waiting | None] = []
    count = "select count(*) from exercise_logs"

    async def let_go() -> None:
        await until(admin, LOOKED)
        await holder.execute("rollback")

    async with (
        looking_at(clean_database) as context,
        waiting.Patience.with_(context.database, context.connection, "UTC") as patience,
    ):
        await holder.execute(LOCK)
        async with patience.within(told.append):
            letting_go = asyncio.create_task(let_go())
            rows = await context.connection.fetchval(count)
            await letting_go
            await asyncio.sleep(0.3)
            assert told[0] is not None and told[0].relation == "exercise_logs" and told[-1] is None
        await holder.execute(LOCK)
        patience.left = 0.3
        with pytest.raises(waiting.LockedError, match="exercise_logs is locked"):
            async with patience.within(told.append):
                await context.connection.fetchval(count)
        await holder.execute("rollback")
        # It was its own cancelling, and is over; task and connection go on.
        task = asyncio.current_task()
        assert told[-1] is None and task is not None and not task.cancelling()
        assert await context.connection.fetchval(count) == rows


async def test_the_command_says_for_whom_it_waits(clean_database: TestDatabase, connect: Connect) -> None:
    holder = await connect(clean_database.url)
    for arguments in (("check", "data-quality", "--json"), ("status",)):
        await holder.execute(LOCK)
        await holder.execute(HOSTILE)
        running = asyncio.create_task(vagus(*arguments, url=clean_database.url))
        async with clean_database.as_admin() as admin:
            await until(admin, LOOKED)
        await asyncio.sleep(0.1)
        await holder.execute("rollback")
        ran = await running
        assert ran.status == 0
        notes = ran.of("note") if "--json" in arguments else []
        said = notes[0]["message"] if notes else ran.err
        assert "Waits for a lock on exercise_logs, until" in said and f"PID {holder.get_server_pid()} (" in said
        assert "held for a while" in said and "[/foo]" in said
        if notes:
            (blocker,) = notes[0]["detail"]["blockers"]
            assert (blocker["pid"], blocker["query"]) == (holder.get_server_pid(), HOSTILE)
        else:
            assert "\x1b" not in said and "State" in ran.out and "Waits" not in ran.out
