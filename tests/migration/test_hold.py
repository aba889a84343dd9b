"""The hold: what is done to staging behind our back is found before the swap, and a failed attempt holds again."""

from __future__ import annotations

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase, outside_loop
from tests.migration.support import do_migrate, migrated, state_of
from tests.migration.test_stop_anywhere import attempted
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.control import Control
from vagus_tui.events import Event, NoteEvent, StepEvent, StepState
from vagus_tui.journal.state import State
from vagus_tui.migration.phases import cut_over
from vagus_tui.sandbox.options import SandboxOptions

SMALL = SandboxOptions(plans=12, clean=True)

BY_HAND = {
    "exercises": "update workout_v2.exercises set sets = sets + 1 where id = (select id from exercises limit 1)",
    "exercise_logs": "delete from workout_v2.exercise_logs where id = (select id from exercise_logs limit 1)",
    "workout_weeks": "insert into workout_v2.workout_weeks (plan_id, week_number) "
    "select id, 53 from workout_plans limit 1",
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof is old at once: nobody wants to hold for ten seconds in a test."""
    monkeypatch.setattr(cut_over, "PROOF_GOOD_FOR_SECONDS", 0.0)


@pytest.mark.parametrize("table", BY_HAND)
async def test_staging_changed_by_hand(table: str, make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    changed = False

    async def meddle(event: Event, control: Control) -> None:
        nonlocal changed
        if isinstance(event, StepEvent) and event.id == "hold" and not changed:
            changed = True
            assert await conn.execute(BY_HAND[table]) != "UPDATE 0"
            # And the app goes on: its changes excuse nothing.
            await conn.execute(
                "insert into workout_plans (user_id, name) select user_id, 'new' from workout_plans limit 1"
            )
            control.go()

    ran = await do_migrate(database, hold=True, on_event=meddle)
    assert changed and not ran.result.ok and ran.result.exit_status == 3, ran.result
    assert "differ" in ran.result.message and table in ran.result.message
    [shown] = [note for note in ran.notes if note.level == "error"]
    assert shown.message.startswith(f"{table} ")
    assert (await state_of(database)).state is State.V1
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_a_client_that_stands_still_in_the_cut_over(
    make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that falls asleep with v1 locked: the server lets the app go on, and the run goes on later."""
    monkeypatch.setattr(cut_over, "LIMIT_SECONDS", 0.5)
    database = await make_database(SMALL)
    conn = await connect(database.url)

    def sleep(event: Event) -> None:
        if isinstance(event, StepEvent) and event.id == "delta" and event.state is StepState.STARTED:
            outside_loop(_until_writable(database))

    result = await attempted(database, sleep)
    assert not result.ok and result.exit_status == 4, result
    assert (await state_of(database)).interrupted
    assert not await conn.fetchval("select exists(select from system_maintenance where enabled)")
    await migrated(database)
    assert await v2_differences(conn) == []


async def _until_writable(database: TestDatabase) -> None:
    async with database.connect() as app:
        await app.execute("set lock_timeout = '30s'")
        await app.execute("update workout_plans set name = 'written while it sleeps'")


async def test_a_cut_over_without_its_locks_holds_again(make_database: MakeDatabase, connect: Connect) -> None:
    """Somebody sits on a table; when they have gone, the second decision goes through."""
    database = await make_database(SMALL)
    conn, other = await connect(database.url), await connect(database.url)
    sitting = other.transaction()
    await sitting.start()
    await other.execute("lock table exercises in access share mode")
    decisions = 0
    waiting = True

    async def decide(event: Event, control: Control) -> None:
        nonlocal decisions, waiting
        if isinstance(event, NoteEvent) and "Holding again" in event.message:
            await sitting.rollback()
            waiting = True
            assert not await conn.fetchval("select exists(select from system_maintenance where enabled)")
        elif isinstance(event, StepEvent) and event.id == "hold" and event.state is StepState.PROGRESS and waiting:
            waiting = False
            decisions += 1
            control.go()

    ran = await do_migrate(database, hold=True, on_event=decide, lock_attempts=2)
    assert ran.result.ok, ran.result
    assert decisions == 2
    assert await v2_differences(conn) == []


async def test_stopped_between_two_attempts(make_database: MakeDatabase, connect: Connect) -> None:
    """While somebody is in the way the operator gives up: v1 as it was, and no flag left on."""
    database = await make_database(SMALL)
    conn, other = await connect(database.url), await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    sitting = other.transaction()
    await sitting.start()
    await other.execute("lock table workout_sessions in access share mode")

    async def stop(event: Event, control: Control) -> None:
        if isinstance(event, NoteEvent) and "The cut-over: attempt 1 " in event.message:
            await sitting.rollback()
            control.cancel()

    ran = await do_migrate(database, on_event=stop)
    if not ran.result.ok:
        # The stop came before the next attempt, as it nearly always does.
        assert ran.result.exit_status == 3 and (await state_of(database)).state is State.V1
        left = changes(catalog, await catalog_fingerprint(conn))
        assert all("system_maintenance" in line for line in left), left
    assert not await conn.fetchval("select exists(select from system_maintenance where enabled)")
