"""The hold: what is done to staging behind our back is found before the swap, and what v2 refuses is waited for."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import ModuleType
from uuid import UUID

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase, outside_loop
from tests.migration.support import do_abandon, do_migrate, rolled_back, state_of
from tests.migration.test_stop_anywhere import attempted
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.control import Control
from vagus_tui.events import Event, NoteEvent, StepEvent, StepState
from vagus_tui.journal.state import State
from vagus_tui.migration.phases import catch_up as catch_up_phase
from vagus_tui.migration.phases import cut_over
from vagus_tui.migration.phases.hold import REFUSED
from vagus_tui.migration.run import MigrationRun
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema.rules import QUIET_PREFERENCES

SMALL = SandboxOptions(plans=12, clean=True)
pytestmark = pytest.mark.usefixtures("impatient")

BY_HAND = {
    "exercises": "update workout_v2.exercises set sets = sets + 1 where id = (select id from exercises limit 1)",
    "exercise_logs": "delete from workout_v2.exercise_logs where id = (select id from exercise_logs limit 1)",
    "workout_weeks": "insert into workout_v2.workout_weeks (plan_id, week_number) "
    "select id, 53 from workout_plans limit 1",
}

DAY_BY_HAND = (
    "update workout_v2.workout_days set day_label = 'x' where id = (select id from workout_v2.workout_days limit 1)"
)

SESSION_BY_HAND = (
    "delete from workout_v2.workout_plans where id = (select plan_id from workout_sessions order by id limit 1)",
    "update workout_v2.workout_sessions set total_sets = 0 "
    "where id = (select id from workout_sessions order by id desc limit 1)",
)


async def test_staging_changed_by_hand(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    changed = False

    async def meddle(event: Event, control: Control) -> None:
        nonlocal changed
        if isinstance(event, StepEvent) and event.id == "hold" and not changed:
            changed = True
            async with database.planting() as admin:
                for sql in BY_HAND.values():
                    assert (await admin.execute(sql)).endswith(" 1")
            # And the app goes on: its changes excuse nothing.
            await conn.execute(
                "insert into workout_plans (user_id, name) select user_id, 'new' from workout_plans limit 1"
            )
            control.go()

    ran = await do_migrate(database, hold=True, on_event=meddle)
    assert changed and not ran.result.ok and ran.result.exit_status == 3, ran.result
    assert "differ" in ran.result.message and all(f"{table} 1" in ran.result.message for table in BY_HAND)
    shown = [note.message.partition(" ")[0] for note in ran.notes if note.level == "error"]
    assert sorted(shown) == sorted(BY_HAND)
    assert (await state_of(database)).state is State.V1
    assert changes(catalog, await catalog_fingerprint(conn)) == []


@pytest.mark.parametrize(("phase", "step"), [(catch_up_phase, "hold"), (cut_over, "lock")])
async def test_a_change_that_did_not_arrive_is_seen(
    phase: ModuleType, step: str, make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted behind the bringing over, in a round of the hold and in the swap itself: nothing of it is kept."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    whole = phase.prove_delta
    written = False

    async def spoilt(run: MigrationRun) -> None:
        await run.main.execute("update workout_v2.exercises set name = 'Other' where name = 'Late'")
        await whole(run)

    async def late() -> None:
        async with database.connect() as other:
            await other.execute("update exercises set name = 'Late' where id = (select id from exercises limit 1)")

    def write(event: Event) -> None:
        nonlocal written
        if not written and isinstance(event, StepEvent) and (event.id, event.state) == (step, StepState.STARTED):
            written = True
            outside_loop(late())

    monkeypatch.setattr(phase, "prove_delta", spoilt)
    result = await attempted(database, write, hold=step == "hold")
    assert written and not result.ok and result.exit_status == 3, result
    assert "do not agree with v1: exercises " in result.message and "v1 is untouched" in result.message
    assert (await state_of(database)).state is State.V1
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_what_others_do_to_staging_is_made_good(
    make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even in the moment between the last proof and the swap: it is noted like a change of v1, and made anew."""
    monkeypatch.setattr(cut_over, "PROOF_GOOD_FOR_SECONDS", 600.0)
    database = await make_database(SMALL)
    conn = await connect(database.url)

    def meddle(event: Event) -> None:
        if isinstance(event, StepEvent) and event.id == "lock" and event.state is StepState.STARTED:
            outside_loop(_by_hand(database))

    result = await attempted(database, meddle)
    assert result.ok, result
    assert await v2_differences(conn) == []


async def _by_hand(database: TestDatabase) -> None:
    async with database.connect() as other:
        for sql in (*BY_HAND.values(), DAY_BY_HAND, *SESSION_BY_HAND):
            assert await other.execute(sql) not in ("UPDATE 0", "DELETE 0", "INSERT 0 0"), sql
        with pytest.raises(asyncpg.RaiseError, match="TRUNCATE of exercise_logs is not possible now"):
            await other.execute("truncate workout_v2.exercise_logs")


async def test_a_row_that_v2_refuses(make_database: MakeDatabase, connect: Connect) -> None:
    """What a user writes during the hold does not throw away what was built: it holds, says so, and goes on later."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    wrong = "update exercise_logs set set_number = {} where id = (select id from exercise_logs order by id limit 1)"
    tried = mended = False

    async def write(event: Event, control: Control) -> None:
        nonlocal tried, mended
        if not isinstance(event, StepEvent) or event.id != "hold" or event.state is not StepState.PROGRESS:
            return
        if not (event.message or "").startswith(REFUSED):
            if mended:
                control.go()
            else:
                await conn.execute(wrong.format(-1))
        elif not tried:
            tried = True
            control.go()
        else:
            mended = True
            await conn.execute(wrong.format(987))

    ran = await do_migrate(database, hold=True, on_event=write)
    assert ran.result.ok, ran.result
    warnings = [note.message for note in ran.notes if note.level == "warning"]
    refused = 'new row for relation "exercise_logs" violates check constraint "exercise_logs_set_number_check"'
    assert warnings[0].startswith(f"Somebody has written what v2 refuses: {refused}.")
    assert warnings[1].startswith(f"v2 refuses what was written to v1: {refused}.")
    assert not any("DETAIL" in message or "-1" in message for message in warnings), "whose row it is, is theirs"
    assert any(note.message.startswith("What v2 refused has been mended") for note in ran.notes)
    # The proof of before the hold is old by then: every row is proved again right before the swap.
    proofs = [e for e in ran.events if isinstance(e, StepEvent) and e.id == "prove-exercises"]
    assert [e.state for e in proofs].count(StepState.STARTED) == 2
    assert await v2_differences(conn) == []


async def test_an_import_that_switches_triggers_off(make_database: MakeDatabase, connect: Connect) -> None:
    """Imports and replication run without ordinary triggers. What they write is brought over, and carried back."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    imported = "set session_replication_role = replica; update exercises set name = 'imported'"

    def change(event: Event) -> None:
        if isinstance(event, StepEvent) and event.id == "prove-exercises" and event.state is StepState.DONE:
            outside_loop(database.execute_as_admin(imported))

    result = await attempted(database, change)
    assert result.ok, result
    assert await v2_differences(conn) == []
    await database.execute_as_admin(imported.replace("imported", "again"))
    await rolled_back(database)
    assert await conn.fetchval("select count(*) from exercises where name <> 'again'") == 0


UNNOTED = {
    "an import": "begin; alter table exercise_logs disable trigger user; update exercise_logs set reps = reps + 1; "
    "alter table exercise_logs enable trigger user; commit",
    "written anew": "alter table exercise_logs alter weight type numeric using weight + 1",
}


@pytest.mark.parametrize("way", UNNOTED)
async def test_what_nobody_noted_is_found_however_late(
    way: str, make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import switches triggers off, or a table is written anew, when every row has been proved already."""
    monkeypatch.setattr(cut_over, "PROOF_GOOD_FOR_SECONDS", 1000.0)
    database = await make_database(SMALL)
    waiting = [UNNOTED[way]]

    def change(event: Event) -> None:
        if isinstance(event, StepEvent) and event.id == "lock" and event.state is StepState.STARTED and waiting:
            outside_loop(database.execute(waiting.pop()))

    result = await attempted(database, change)
    assert not waiting and not result.ok and result.exit_status == 3, result
    assert "The proof found rows that differ" in result.message
    assert (await state_of(database)).state is State.V1


async def test_capture_is_put_back_and_proved_after(
    make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken off while nobody writes, it costs a second proof. To write a table anew without a change costs no more."""
    monkeypatch.setattr(cut_over, "PROOF_GOOD_FOR_SECONDS", 1000.0)
    database = await make_database(SMALL)
    conn = await connect(database.url)
    waiting = {
        ("prove-day-keys", StepState.STARTED): "drop trigger vagus_capture on workout_sessions; "
        # Switched off, and left on for ordinary sessions alone, which an import is not.
        "alter table exercises disable trigger vagus_capture; "
        "alter table exercise_logs enable trigger vagus_capture_truncate",
        ("lock", StepState.STARTED): "vacuum full exercises",
    }

    said = []

    def change(event: Event) -> None:
        if isinstance(event, NoteEvent) and event.level == "warning":
            said.append(event.message)
        if isinstance(event, StepEvent) and (sql := waiting.pop((event.id, event.state), "")):
            outside_loop(database.execute(sql))

    result = await attempted(database, change)
    assert result.ok and not waiting, result
    assert "notes the changes to exercises, workout_sessions, exercise_logs. It is on again" in said[0], said
    assert "The cut-over: attempt 1 of 3, not every change of v1 was noted" in said[1], said
    assert await v2_differences(conn) == []


async def test_nobody_is_waited_for_without_a_word(make_database: MakeDatabase, connect: Connect) -> None:
    """Somebody has a table of v1 for themselves: the hold, the stop and the clean-up all name them."""
    database = await make_database(SMALL)
    conn, other = await connect(database.url), await connect(database.url)
    catalog = await catalog_fingerprint(conn)
    holding = other.transaction()

    async def act(event: Event, control: Control) -> None:
        if not isinstance(event, StepEvent) or event.id != "hold":
            return
        if event.state is StepState.STARTED:
            await conn.execute("update exercises set sets = 9")
            await holding.start()
            await other.execute("lock table exercises in access exclusive mode")
        elif f"PID {other.get_server_pid()} " in (event.message or ""):
            control.cancel()

    ran = await do_migrate(database, hold=True, on_event=act, lock_timeout_ms=20, lock_attempts=1)
    assert ran.result.exit_status == 4 and "Undoing it did not succeed" in ran.result.message, ran.result
    assert f"PID {other.get_server_pid()} " in ran.result.message
    cleaned = await do_abandon(database, lock_timeout_ms=20, lock_attempts=1)
    assert not cleaned.result.ok and f"PID {other.get_server_pid()} " in cleaned.result.message, cleaned.result
    await holding.rollback()
    assert (await do_abandon(database)).result.ok
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_what_users_choose_to_be_notified_of(make_database: MakeDatabase, connect: Connect) -> None:
    """Rows of v1 that become one row per user: changes are noted and brought over, and all of them are proved."""
    database = await make_database(SandboxOptions(plans=12, clean=True, notification_preferences="rows"))
    conn = await connect(database.url)
    one, other, third = [row[0] for row in await conn.fetch("select id from auth.users order by id limit 3")]
    await conn.execute(
        "insert into notification_preferences (user_id, category, enabled) "
        "select u, c, c = 'prs' from unnest($1::uuid[]) u, unnest(array['prs', 'news']) c",
        [one, other, third],
    )
    switched = 'update workout_v2.notification_preferences set preferences = preferences || \'{"prs": "x"}\''

    async def by_hand(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and event.id == "hold" and event.state is StepState.STARTED:
            await conn.execute(switched)
            control.go()

    ran = await do_migrate(database, hold=True, on_event=by_hand)
    assert not ran.result.ok and ran.result.exit_status == 3
    assert "users' notification preferences differ" in ran.result.message
    assert await conn.fetchval("select count(*) from pg_trigger where tgname like 'vagus%'") == 0

    new, quiet = UUID(int=1), UUID(int=2)

    async def choose(event: Event, control: Control) -> None:
        if isinstance(event, StepEvent) and event.id == "hold" and event.state is StepState.STARTED:
            async with database.as_admin() as app:
                await app.execute("insert into auth.users (id) values ($1), ($2)", new, quiet)
                insert = "insert into notification_preferences (user_id, category, enabled) values ($1, 'news', true)"
                await app.execute(insert, new)
                await app.execute("delete from notification_preferences where user_id = $1", one)
                await app.execute("update notification_preferences set enabled = not enabled where user_id = $1", other)
                await app.execute("update notification_preferences set user_id = $2 where user_id = $1", third, quiet)
            control.go()

    rows = "select user_id, category, enabled from notification_preferences{} where user_id = any($1)"
    ran = await do_migrate(database, hold=True, on_event=choose)
    assert ran.result.ok, ran.result
    users = [one, other, third, new, quiet]
    expected: dict[UUID, dict[str, bool]] = {user: {} for user in users}
    for row in await conn.fetch(rows.format("_v1"), users):
        expected[row["user_id"]][row["category"]] = row["enabled"]
    calm = {user: json.loads(QUIET_PREFERENCES) for user in (one, third)}
    found = await conn.fetch("select user_id, preferences from notification_preferences where user_id = any($1)", users)
    assert {row["user_id"]: json.loads(row["preferences"]) for row in found} == {**expected, **calm}
    assert expected[new] == {"news": True} and expected[other] and expected[quiet]
    assert await conn.fetchval("select count(*) from notification_preferences") == await conn.fetchval(
        "select count(*) from auth.users"
    )


QUEUED = "select exists (select from pg_locks where relation = 'exercises'::regclass and not granted)"


@pytest.mark.parametrize("before", ["hold", "prove-exercises"])
async def test_a_table_that_is_written_anew_before_it_is_read(
    before: str, make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To whoever began before, its rows are not there: a round took them for deleted, and a proof missed them."""
    monkeypatch.setattr(cut_over, "PROOF_GOOD_FOR_SECONDS", 1000.0)
    database = await make_database(SMALL)
    conn = await connect(database.url)
    rewriting: list[Future[None]] = []

    async def rewrite(held: threading.Event) -> None:
        async with database.connect() as other, other.transaction():
            await other.execute(
                "alter table exercises alter sets type bigint; alter table exercises alter sets type integer"
            )
            held.set()
            async with asyncio.timeout(20):
                while not await other.fetchval(QUEUED):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

    def meddle(event: Event) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state) == (before, StepState.STARTED) and not rewriting:
            if before == "hold":
                outside_loop(database.execute("update workout_plans set name = name || '!'"))
            held = threading.Event()
            rewriting.append(pool.submit(asyncio.run, rewrite(held)))
            assert held.wait(20)

    with ThreadPoolExecutor(1) as pool:
        result = await attempted(database, meddle, hold=True)
    assert result.ok and [one.result() for one in rewriting] == [None], result
    assert await v2_differences(conn) == []
