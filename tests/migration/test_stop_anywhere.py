"""Killed at every kind of step, in every way: the next one goes on or cleans up, and nothing is ever half one thing.

One database is killed at, one after the other, every boundary that has not been killed at before; each next attempt
resumes. What the app wrote between two attempts must be in the end. The damage is done before the engine goes on, so
where it hits does not depend on who is faster.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from collections.abc import Callable, Iterator
from uuid import UUID

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import Databases, TestDatabase, connected, outside_loop
from tests.migration.support import do_abandon, migrated, rolled_back, settings_for, state_of, vanished
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.errors import VagusError
from vagus_tui.events import Event, NoteEvent, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.jobs import failure
from vagus_tui.journal.state import State
from vagus_tui.migration.phases import cut_over
from vagus_tui.migration.runner import run_migration
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.server import EmbeddedServer

SMALL = SandboxOptions(plans=12, clean=True)
OURS = "select pid from pg_stat_activity where datname = current_database() and application_name like $1"
REPEATED = {"catch-up", "hold", "lock", "delta", "prove-delta", "swap", "repoint"}
"""Steps that every attempt does again: what they did was never committed, or is about now."""

Damage = Callable[[TestDatabase], None]


async def attempted(database: TestDatabase, on_event: Callable[[Event], None], *, hold: bool = False) -> ResultEvent:
    """One attempt; `on_event` runs before the engine goes on."""
    settings, control = settings_for(database, lock_attempts=3), Control()

    def emit(event: Event) -> None:
        if isinstance(event, StepEvent) and event.phase is Phase.HOLD and event.state is StepState.PROGRESS:
            control.go()
        on_event(event)

    try:
        return await run_migration(Database(settings), settings, control, emit, hold=hold)
    except VagusError as error:
        return failure(error)


def ending(pattern: str) -> Damage:
    """Ends our sessions of one kind, by the names they give themselves."""

    async def end(database: TestDatabase) -> None:
        async with database.as_admin() as admin:
            await admin.fetch(f"select pg_terminate_backend(pid, 5000) from ({OURS}) ours", pattern)

    return lambda database: outside_loop(end(database))


def crash(database: TestDatabase) -> None:
    """The server loses one process to a SIGKILL and restarts all of itself, as after `pg_ctl restart -m immediate`."""

    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        outside_loop(_crash(database))


async def _crash(database: TestDatabase) -> None:
    async with connected(database.admin_url) as admin:
        pid = await admin.fetchval("select pg_backend_pid()")
        # Whatever was committed is on disk, as on a server that does not put speed first.
        await admin.execute("checkpoint")
        os.kill(pid, signal.SIGKILL)
        await admin.fetchval("select pg_sleep(10)")


def kind_of(event: StepEvent) -> str:
    """Steps that differ only in their table or index are of one kind."""
    if event.phase in (Phase.CUT_OVER, Phase.SETTLE, Phase.HOLD):
        return f"{event.id}:{event.state}"
    return f"{event.phase}:{re.split('[-_]', event.id)[0]}:{event.state}"


async def use_the_app(conn: Connection, number: int) -> None:
    """What users do between two attempts, in v1's columns."""
    await conn.execute(
        "update exercises set name = $1, day_label = 'Day ' || $1 where id = (select id from exercises "
        "order by md5(id::text || $1) limit 1)",
        str(number),
    )
    await conn.execute(
        "delete from exercise_logs where id = (select id from exercise_logs order by md5(id::text || $1) limit 1)",
        str(number),
    )


async def through_every_boundary(
    database: TestDatabase, conn: Connection, damage: Damage, states: set[StepState], phases: set[Phase]
) -> None:
    """Kill at each kind of boundary in turn, resume, and look at what there is in the end."""
    catalog = await catalog_fingerprint(conn)
    hit: set[str] = set()
    done: list[str] = []
    for number in range(100):
        at: str | None = None

        def on_event(event: Event) -> None:
            nonlocal at
            if not isinstance(event, StepEvent):
                return
            if event.state is StepState.DONE and at is None and event.phase is Phase.BUILD:
                done.append(event.id)
            here = kind_of(event)
            if at is None and here not in hit and event.state in states and event.phase in phases:
                hit.add(here)
                at = here
                damage(database)

        result = await attempted(database, on_event, hold=True)
        await vanished(database)
        found = await state_of(database)
        if at is None or (result.ok and found.state is State.MIGRATED):
            # A session that is not needed any more may end without harm.
            assert result.ok, result
            break
        where = f"{at}: {result}"
        assert result.ok or result.exit_status == 4, where
        assert found.state in (State.V1, State.BUILDING, State.READY, State.MIGRATED), where
        if found.state is State.MIGRATED:
            continue
        assert found.interrupted or found.state is State.V1, where
        await use_the_app(conn, number)
    else:
        raise AssertionError(f"never came to its end: {sorted(hit)}")
    assert (await state_of(database)).state is State.MIGRATED
    assert len(hit) > 3
    again = {step for step in done if done.count(step) > 1 and step not in REPEATED}
    assert not {step for step in again if not step.startswith("build-exercise_logs")}, "finished work was done again"
    assert await v2_differences(conn) == []
    assert not await conn.fetchval("select exists(select from public.system_maintenance where enabled)")
    await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []


ALL = set(Phase)
WAYS = {
    "main, at the start of each step": (ending("vagus-tui migrate"), {StepState.STARTED}, ALL),
    "main, at the end of each step": (ending("vagus-tui migrate"), {StepState.DONE}, ALL),
    "lanes": (ending("vagus-tui build%"), {StepState.STARTED}, {Phase.BUILD, Phase.PROVE}),
    "snapshot": (ending("vagus-tui snapshot"), {StepState.STARTED, StepState.DONE}, {Phase.BUILD}),
    "all at once": (ending("vagus-tui%"), {StepState.STARTED}, ALL - {Phase.SETTLE}),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_our_sessions_are_ended(way: str, make_database: MakeDatabase, connect: Connect) -> None:
    damage, states, phases = WAYS[way]
    database = await make_database(SMALL)
    await through_every_boundary(database, await connect(database.url), damage, states, phases)


@pytest.mark.slow
async def test_ended_at_any_moment(make_database: MakeDatabase, connect: Connect) -> None:
    """In the middle of statements too, wherever the moment falls; and cleaned up now and then instead of resumed."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog, chance = await catalog_fingerprint(conn), random.Random(7)
    end = ending("vagus-tui%")
    for number in range(14):
        attempt = asyncio.create_task(attempted(database, lambda _: None))
        await asyncio.sleep(chance.uniform(0.05, 0.9))
        await asyncio.to_thread(end, database)
        result = await attempt
        await vanished(database)
        found = await state_of(database)
        assert result.ok == (found.state is State.MIGRATED and found.run is not None and found.run.status == "done")
        if found.state is State.MIGRATED:
            break
        if number % 4 == 3 and found.state in (State.BUILDING, State.READY):
            assert (await do_abandon(database)).result.ok
            assert changes(catalog, await catalog_fingerprint(conn)) == []
        await use_the_app(conn, number)
    if found.state is not State.MIGRATED or not result.ok:
        await migrated(database)
    assert await v2_differences(conn) == []
    await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []


@pytest.fixture
def own_databases() -> Iterator[Databases]:
    """A server of this test's own, that may crash."""
    server = EmbeddedServer.start_blocking(settings={"autovacuum": "off"})
    try:
        yield Databases(server)
    finally:
        server.stop_blocking()


CRASHES = {
    "prepare-staging",
    "build-exercises",
    "align",
    "prove-exercises",
    "hold",
    "swap",
    "repoint",
    "settle-analyze",
}


@pytest.mark.slow
async def test_the_server_restarts(own_databases: Databases) -> None:
    database = await own_databases.clone(SMALL)
    async with database.connect() as conn:
        catalog = await catalog_fingerprint(conn)
    left = set(CRASHES)
    for number in range(len(CRASHES) + 1):
        at: str | None = None

        def on_event(event: Event) -> None:
            nonlocal at
            if at is None and isinstance(event, StepEvent) and event.id in left:
                at = event.id
                left.discard(at)
                crash(database)

        result = await attempted(database, on_event, hold=True)
        await vanished(database)
        if at is None:
            assert result.ok, result
            break
        assert not result.ok and result.exit_status == 4, (at, result)
        async with database.connect() as conn:
            if (await state_of(database)).state is not State.MIGRATED:
                assert await v1_rows(conn)
                await use_the_app(conn, number)
    assert left == set()
    async with database.connect() as conn:
        assert await v2_differences(conn) == []
        await rolled_back(database)
        assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_the_flag_left_on_is_told_and_cleared(make_database: MakeDatabase, connect: Connect) -> None:
    """The client dies in the cut-over while the flag is on, and cannot come back to switch it off."""
    from vagus_tui.migration import maintenance
    from vagus_tui.migration.switches import maintenance_words

    database = await make_database(SMALL)
    conn = await connect(database.url)
    end = ending("vagus-tui%")

    def on_event(event: Event) -> None:
        if isinstance(event, StepEvent) and event.id == "delta" and event.state is StepState.STARTED:
            end(database)
            # Nobody can come in again, as after a client's death.
            outside_loop(_connections(database, 0))

    result = await attempted(database, on_event)
    await _connections(database, -1)
    assert not result.ok and result.exit_status == 4 and "maintenance off" in result.message, result
    found = await state_of(database)
    assert found.state is State.BUILDING and found.interrupted
    now = await maintenance.read_maintenance(conn)
    assert now.flag and "left on by the interrupted cut-over" in maintenance_words(now, found, "UTC")
    said: list[str] = []
    result = await attempted(database, lambda event: said.append(getattr(event, "message", None) or ""))
    assert result.ok and any("maintenance flag, left on" in line for line in said)
    assert not (await maintenance.read_maintenance(conn)).flag


async def test_no_connection_is_left(
    make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app has taken every one of them, before the build and before the last proof: nothing is thrown away."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    moments = ["prepare-staging", "hold"]
    said: list[str] = []

    def on_event(event: Event) -> None:
        if isinstance(event, StepEvent) and moments and event.id == moments[0] and event.seconds is not None:
            moments.pop(0)
            outside_loop(_connections(database, 0))
        elif isinstance(event, NoteEvent):
            said.append(event.message)
            if "Holding again" in event.message:
                outside_loop(_connections(database, -1))

    monkeypatch.setattr(cut_over, "PROOF_GOOD_FOR_SECONDS", 0.0)
    result = await attempted(database, on_event, hold=True)
    await _connections(database, -1)
    assert not result.ok and result.exit_status == 4, result
    assert "has no connection left to give" in result.message and "what was built so far stays" in result.message
    assert "Close other clients" in (result.next_step or "")
    assert (await state_of(database)).interrupted
    result = await attempted(database, on_event, hold=True)
    assert result.ok and not moments, result
    assert said[0].startswith("Resuming the run of ")
    assert any("has no connection left to give" in message and "Holding again" in message for message in said)
    assert await v2_differences(conn) == []


async def _connections(database: TestDatabase, limit: int) -> None:
    """How many may connect; the superuser always may."""
    async with connected(database.server.admin_url()) as admin:
        await admin.execute(f'alter database "{database.name}" connection limit {limit}')


async def test_a_creator_who_leaves_where_v1_has_no_key(make_database: MakeDatabase, connect: Connect) -> None:
    """v1 keeps the name of a user who is gone; v2 cannot and says NULL, as it will from then on."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    keys = await conn.fetch(
        "select conname from pg_constraint where conrelid = 'workout_plans'::regclass and contype = 'f' "
        "and pg_get_constraintdef(oid) like '%(created_by)%'"
    )
    for key in keys:
        await conn.execute(f'alter table workout_plans drop constraint "{key[0]}"')
    leavers = [UUID(int=number) for number in range(1, 4)]
    async with database.as_admin() as admin:
        await admin.executemany("insert into auth.users (id) values ($1)", [(one,) for one in leavers])
    for number, one in enumerate(leavers):
        await conn.execute(
            "update workout_plans set created_by = $1 where id = (select id from workout_plans order by id offset $2 "
            "limit 1)",
            one,
            number,
        )
    moments = {("build-workout_plans", "done"): 0, ("align", "done"): 1, ("hold", "started"): 2}

    async def leave(one: UUID) -> None:
        async with database.as_admin() as admin:
            await admin.execute("delete from auth.users where id = $1", one)

    def on_event(event: Event) -> None:
        if isinstance(event, StepEvent) and (number := moments.pop((event.id, event.state.value), None)) is not None:
            outside_loop(leave(leavers[number]))

    result = await attempted(database, on_event, hold=True)
    assert result.ok, result
    assert not moments
    differences = await v2_differences(conn)
    assert len(differences) == len(leavers) and all(".created_by: None, must be" in line for line in differences)
