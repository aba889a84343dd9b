"""Under the app's writes: nothing committed is lost, whenever it came, and nobody waits long."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase, outside_loop
from tests.migration.support import collected, do_migrate, migrated, settings_for, state_of
from tests.migration.test_stop_anywhere import attempted
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import VagusError
from vagus_tui.events import Event, NoteEvent, ResultEvent, StepEvent, StepState
from vagus_tui.jobs import failure
from vagus_tui.journal.state import State
from vagus_tui.migration import watch
from vagus_tui.migration.runner import migrate, run_migration
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.traffic import Traffic


class Writer:
    """One user of the app who writes to all four tables, in v1's columns alone, and remembers what was committed."""

    def __init__(self, url: str, user: UUID) -> None:
        self.url, self.user = url, user
        self.weights: dict[UUID, int] = {}
        self.names: dict[UUID, str] = {}
        self.sessions: set[UUID] = set()
        self.reps: dict[UUID, int] = {}
        self.deleted: set[UUID] = set()
        self.longest = 0.0
        self.stopped_by: str | None = None

    async def work(self) -> None:
        """Write until v1's columns are gone."""
        conn: Connection = await asyncpg.connect(self.url, statement_cache_size=0)
        try:
            for number in range(10_000):
                began = time.monotonic()
                async with conn.transaction():
                    await conn.execute("set local role authenticated")
                    claims = json.dumps({"sub": str(self.user), "role": "authenticated"})
                    await conn.fetchval("select set_config('request.jwt.claims', $1, true)", claims)
                    done = await self._round(conn, number)
                self.longest = max(self.longest, time.monotonic() - began)
                done()
                await asyncio.sleep(0.01)
        except asyncpg.UndefinedColumnError as error:
            self.stopped_by = error.sqlstate
        finally:
            conn.terminate()

    async def _round(self, conn: Connection, number: int) -> Any:
        plan = await conn.fetchval(
            "insert into workout_plans (user_id, name, duration_weeks, is_active) values ($1, $2, 3, true)"
            " returning id",
            self.user,
            f"w{number}",
        )
        kept, gone = [
            await conn.fetchval(
                "insert into exercises (plan_id, name, day_label, sets, weight) values ($1, $2, $3, 3, 10)"
                " returning id",
                plan,
                name,
                f"Day {number % 3}",
            )
            for name in ("kept", "gone")
        ]
        session = await conn.fetchval(
            "insert into workout_sessions (user_id, plan_id, started_at) values ($1, $2, now()) returning id",
            self.user,
            plan,
        )
        log = await conn.fetchval(
            "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) values ($1, $2, 1, 5, 20)"
            " returning id",
            session,
            kept,
        )
        await conn.execute("delete from exercises where id = $1", gone)
        old = next(reversed(self.weights), None)
        if old is not None:
            await conn.execute("update exercises set weight = $2, day_label = 'Moved' where id = $1", old, number)
        old_plan = next(reversed(self.names), None)
        if old_plan is not None:
            await conn.execute("update workout_plans set name = 'changed', duration_weeks = 2 where id = $1", old_plan)
        old_log = next(reversed(self.reps), None)
        if old_log is not None:
            await conn.execute("update exercise_logs set reps = $2 where id = $1", old_log, number)

        def committed() -> None:
            if old is not None:
                self.weights[old] = number
            if old_plan is not None:
                self.names[old_plan] = "changed"
            if old_log is not None:
                self.reps[old_log] = number
            self.weights[kept], self.names[plan], self.reps[log] = 10, f"w{number}", 5
            self.sessions.add(session)
            self.deleted.add(gone)

        return committed


async def test_nothing_written_meanwhile_is_lost(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=30, clean=True))
    conn = await connect(database.url)
    # Users of their own: the traffic takes back random sets of those it acts for.
    users = [UUID(int=1), UUID(int=2)]
    async with database.as_admin() as admin:
        await admin.executemany(
            "insert into auth.users (id, email) values ($1, $2)", [(u, f"{u}@x.org") for u in users]
        )
    writers = [Writer(database.authenticator_url, user) for user in users]
    tasks = [asyncio.create_task(writer.work()) for writer in writers]
    traffic = Traffic(database.authenticator_url, rate=60, connections=2, write_share=0.8)
    held = 0

    async def go_after_a_while(event: Event, control: Control) -> None:
        nonlocal held
        if isinstance(event, StepEvent) and event.id == "hold" and event.state is StepState.PROGRESS:
            held += 1
            if held == 2:
                # It goes on with writes that v2 would take too, which the comparison with v1 must not see.
                await traffic.stop()
                control.go()

    try:
        async with traffic:
            ran = await do_migrate(database, hold=True, on_event=go_after_a_while)
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
    finally:
        for task in tasks:
            task.cancel()
    assert ran.result.ok, ran.result
    assert all(writer.stopped_by for writer in writers), "they wrote until v1 was gone"
    assert max(writer.longest for writer in writers) < 3
    assert await v2_differences(conn) == []
    for writer in writers:
        assert len(writer.names) > 10
        for query, wanted in (
            ("select id, target_weight::int from exercises", writer.weights),
            ("select id, name from workout_plans", writer.names),
            ("select id, reps from exercise_logs", writer.reps),
        ):
            found = {row[0]: row[1] for row in await conn.fetch(query)}
            assert {key: found.get(key) for key in wanted} == wanted
        ids = {row[0] for row in await conn.fetch("select id from workout_sessions")}
        assert writer.sessions <= ids
        assert not writer.deleted & {row[0] for row in await conn.fetch("select id from exercises")}
    assert not await conn.fetchval("select exists(select from public.system_maintenance where enabled)")


async def test_a_user_who_leaves_while_references_are_made(make_database: MakeDatabase, connect: Connect) -> None:
    """Their plans went with them in v1; staging held them still when it first referred to auth.users."""
    database = await make_database(SandboxOptions(plans=30, clean=True, notification_preferences="rows"))
    conn = await connect(database.url)
    leaver = await conn.fetchval("select user_id from workout_plans group by 1 order by count(*) desc limit 1")
    async with database.as_admin() as admin:
        blocking = admin.transaction()
        left = False

        async def leave(event: Event, _: Control) -> None:
            nonlocal left
            if isinstance(event, StepEvent) and event.id == "align" and event.state is StepState.STARTED:
                await blocking.start()
                await admin.execute("lock table auth.users in share row exclusive mode")
            # Seen once aligned, and while nobody can refer to auth.users.
            if not left and event.kind == "note" and "auth.users" in getattr(event, "message", ""):
                left = True
                await admin.execute("delete from auth.users where id = $1", leaver)
                await blocking.commit()

        ran = await do_migrate(database, on_event=leave)
    assert left
    assert ran.result.ok, ran.result
    assert await v2_differences(conn) == []
    assert await conn.fetchval("select count(*) from workout_plans where user_id = $1", leaver) == 0
    assert await conn.fetchval("select count(*) from notification_preferences where user_id = $1", leaver) == 0


async def test_a_coach_who_hands_over_and_leaves(make_database: MakeDatabase, connect: Connect) -> None:
    """In one transaction: v1 gave their plans to another, staging had them still when it let the coach go."""
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    coach, client = (
        row[0]
        for row in await conn.fetch("select user_id from workout_plans group by 1 order by count(*) desc limit 2")
    )
    await conn.execute("update workout_sessions set user_id = $2 where user_id = $1", coach, client)
    trained = "select count(*) from {} l join {} s on s.id = l.session_id join {} e on e.id = l.exercise_id"
    sets = await conn.fetchval(trained.format("exercise_logs", "workout_sessions", "exercises"))

    async def leave(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and event.id == "hold" and event.state is StepState.STARTED:
            async with conn.transaction():
                await conn.execute("update workout_plans set user_id = $2 where user_id = $1", coach, client)
                await conn.execute("delete from auth.users where id = $1", coach)
            assert await conn.fetchval("select count(*) from workout_v2.exercise_logs") < sets
            control.go()

    # The proof is a moment old by then, and not made again.
    ran = await do_migrate(database, hold=True, on_event=leave)
    assert ran.result.ok, ran.result
    assert await v2_differences(conn) == []
    assert await conn.fetchval(trained.format("exercise_logs", "workout_sessions", "exercises")) == sets
    triggers = (
        "select count(*) from pg_trigger t join pg_proc f on f.oid = t.tgfoid where f.proname like 'capture_staged%'"
    )
    assert await conn.fetchval(triggers) == 0, "v2's own have taken their place"


async def test_an_exercise_that_goes_while_its_week_is_not_known(make_database: MakeDatabase, connect: Connect) -> None:
    """Moved to a longer plan after the days of all plans were read, and gone before the first round of catching up."""
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    short, long = [row[0] for row in await conn.fetch("select id from workout_plans order by id limit 2")]
    await conn.execute("update workout_plans set duration_weeks = 2 where id = $1", short)
    await conn.execute("update workout_plans set duration_weeks = 12 where id = $1", long)
    moved = await conn.fetchval(
        "insert into exercises (plan_id, name, sets, week_number) values ($1, 'moved', 3, 9) returning id", short
    )

    async def execute(sql: str, *arguments: object) -> None:
        async with database.connect() as app:
            assert await app.execute(sql, *arguments) in ("UPDATE 1", "DELETE 1")

    def on_event(event: Event) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state) == ("build-day-keys", StepState.DONE):
            outside_loop(execute("update exercises set plan_id = $2 where id = $1", moved, long))
        if isinstance(event, StepEvent) and (event.id, event.state) == ("align", StepState.STARTED):
            outside_loop(execute("delete from exercises where id = $1", moved))

    result = await attempted(database, on_event)
    assert result.ok, result
    assert await v2_differences(conn) == []


@asynccontextmanager
async def holding(database: TestDatabase, mode: str) -> AsyncIterator[Connection]:
    """A session of the app that holds a lock on exercises."""
    async with database.connect() as conn:
        transaction = conn.transaction()
        await transaction.start()
        await conn.execute(f"lock table exercises in {mode} mode")
        yield conn
        await transaction.rollback()


@asynccontextmanager
async def asking(database: TestDatabase) -> AsyncIterator[list[float]]:
    """The app reads and writes beside; the list holds how long each request took."""
    times: list[float] = []

    async def work() -> None:
        async with database.connect() as conn:
            while True:
                began = time.monotonic()
                await conn.fetchval("select count(*) from exercises where weight > 10")
                times.append(time.monotonic() - began)
                await asyncio.sleep(0.02)

    task = asyncio.create_task(work())
    try:
        yield times
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_writer_in_the_way_of_preparing_is_named(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    async with holding(database, "row exclusive") as blocker, asking(database) as times:
        pid = await blocker.fetchval("select pg_backend_pid()")
        ran = await do_migrate(database, lock_attempts=2)
        assert not ran.result.ok and ran.result.exit_status == 1, ran.result
        assert f"PID {pid}" in ran.result.message
        assert [f"PID {pid}" in note.message for note in ran.notes] == [True, True]
        assert (await state_of(database)).state is State.V1
        assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert max(times) < 1.0
    await migrated(database)
    assert await v2_differences(conn) == []


async def test_a_reader_in_the_way_of_the_cut_over_is_named(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    settings, control = settings_for(database, lock_attempts=2), Control()
    async with holding(database, "access share") as blocker, asking(database) as times:
        pid = await blocker.fetchval("select pg_backend_pid()")
        control.go()
        ran = await collected(migrate(Database(settings), settings, control, hold=True), control)
        assert not ran.result.ok and ran.result.exit_status == 4
        assert ran.result.state == "ready" and f"PID {pid}" in ran.result.message
        assert sum(f"PID {pid}" in note.message for note in ran.notes) >= 2
        state = await state_of(database)
        assert state.state is State.READY
        await conn.execute("update workout_plans set name = 'while it waits'")
        assert not await conn.fetchval("select exists(select from public.system_maintenance where enabled)")
    assert max(times) < 1.0
    again = await migrated(database)
    assert not {"build-exercises", "align"} & again.steps_done, "what was built is not built again"
    assert await v2_differences(conn) == []
    assert await conn.fetchval("select bool_and(name = 'while it waits') from workout_plans")


@pytest.mark.parametrize("how", ["writer", "reader"])
async def test_a_short_hold_up_is_waited_out(how: str, make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    mode = "row exclusive" if how == "writer" else "access share"
    async with database.connect() as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(f"lock table exercises in {mode} mode")

        async def leave(event: Event, _: Control) -> None:
            if event.kind == "note" and "attempt 1 " in getattr(event, "message", ""):
                await transaction.rollback()

        ran = await do_migrate(database, on_event=leave)
    assert ran.result.ok, ran.result
    assert await v2_differences(conn) == []


async def test_whoever_holds_up_the_build_is_named(
    make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits as long as they have the table for themselves, as a VACUUM FULL has; not without a word.

    Who cancels what waits for them has stopped the run for now, and thrown nothing away.
    """
    monkeypatch.setattr(watch, "WAITED_SECONDS", 0.2)
    monkeypatch.setattr(watch, "INTERVAL_SECONDS", 0.1)
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    said: list[str] = []
    resumed = held = False

    def hold(event: Event) -> None:
        nonlocal held
        staged = "build-workout_days" if resumed else "prepare-staging"
        if isinstance(event, StepEvent) and (event.id, event.state) == (staged, StepState.DONE) and not held:
            held = True
            do(other.execute("begin; lock table exercises in access exclusive mode"))
        elif isinstance(event, StepEvent) and (event.id, event.state) == ("repoint", StepState.DONE):
            # Statistics are made last; as somebody's VACUUM does, this waits for nobody and they for it.
            do(other.execute("begin; lock table exercises in share update exclusive mode"))
        elif isinstance(event, NoteEvent):
            said.append(event.message)
            if event.message.startswith("Waiting for "):
                do(other.execute("rollback") if resumed else database.execute(CANCELLED))

    async def attempt() -> ResultEvent:
        # On one connection, so that no other one holds the table when somebody comes for it.
        settings = settings_for(database, parallel_connections=1)
        try:
            return await run_migration(Database(settings), settings, Control(), hold, hold=False)
        except VagusError as error:
            return failure(error)

    with elsewhere() as do:
        other = do(asyncpg.connect(database.url))
        result = await attempt()
        do(other.execute("rollback"))
        assert not result.ok and result.exit_status == 4, result
        assert result.message.startswith("The server said: canceling statement due to user request. v1 is in place")
        assert "what was built so far stays" in result.message
        assert (await state_of(database)).interrupted
        resumed, held = True, False
        said.clear()
        result = await attempt()
        pid = other.get_server_pid()
        do(other.close())
    assert result.ok, result
    assert said[0].startswith("Resuming the run of ")
    waited = [message for message in said if message.startswith("Waiting for ")]
    assert len(waited) == 2 and all(f"PID {pid} (" in message for message in waited), said
    assert "It goes on: nobody is waited for any more." in said
    assert await v2_differences(conn) == []


CANCELLED = (
    "select pg_cancel_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' "
    "and datname = current_database() and application_name like 'vagus-tui build%'"
)


@contextlib.contextmanager
def elsewhere() -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    """Runs coroutines in another thread, to their end, while what is under test stands still."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield lambda job: asyncio.run_coroutine_threadsafe(job, loop).result(20)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
