"""Attempts at the cut-over that come to nothing: users are let go on, it holds again, and ends after a few."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase, outside_loop
from tests.migration.support import do_migrate, migrated, state_of
from tests.migration.test_stop_anywhere import attempted
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.events import Event, NoteEvent, StepEvent, StepState
from vagus_tui.journal.state import State
from vagus_tui.migration import catch_up
from vagus_tui.migration.phases import cut_over, hold
from vagus_tui.migration.phases.hold import IN_THE_WAY
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.steps import PlanStep
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema.mapping import WorkoutMapping

SMALL = SandboxOptions(plans=12, clean=True)
pytestmark = pytest.mark.usefixtures("impatient")


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
    # That needs no other plan: it is gone on with, and what was set meanwhile is taken over.
    await conn.execute(
        "alter table exercises alter column name set statistics 77; comment on table exercises is 'mine'"
    )
    ran = await migrated(database)
    assert any(note.message.startswith("Resuming the run of ") for note in ran.notes)
    assert await v2_differences(conn) == []
    target = "select attstattarget, obj_description(attrelid) from pg_attribute where attrelid = $1::regclass"
    row = await conn.fetchrow(f"{target} and attname = 'name'", "exercises")
    assert row is not None and row[0] == 77 and row[1].endswith("made by vagus-tui.\nmine")


async def _until_writable(database: TestDatabase) -> None:
    async with database.connect() as app:
        await app.execute("set lock_timeout = '30s'")
        await app.execute("update workout_plans set name = 'written while it sleeps'")


async def test_a_cut_over_without_its_locks_holds_again(
    make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody sits on a table; when they have gone, the second decision goes through.

    Users are not told to wait while the operator thinks between two attempts. Nobody writes, so nothing is collected.
    """
    rounds = 0
    collect = catch_up.collect

    def counted(mapping: WorkoutMapping, schema: str) -> list[str]:
        nonlocal rounds
        rounds += 1
        return collect(mapping, schema)

    monkeypatch.setattr(catch_up, "collect", counted)
    database = await make_database(SMALL)
    conn, other = await connect(database.url), await connect(database.url)
    sitting = other.transaction()
    await sitting.start()
    await other.execute("lock table exercises in access share mode")
    flag = "select exists(select from system_maintenance where enabled)"
    decisions = 0
    waiting = True
    flags: list[bool] = []

    async def decide(event: Event, control: Control) -> None:
        nonlocal decisions, rounds, waiting
        if isinstance(event, StepEvent) and event.id == "prove-exercises":
            # Until then the plan was made of them.
            rounds = 0
        if isinstance(event, NoteEvent) and "The cut-over: attempt 1 " in event.message:
            control.pause()
            flags.append(await conn.fetchval(flag))
            for _ in range(500):
                if not await conn.fetchval(flag):
                    break
                await asyncio.sleep(0.02)
            assert control.paused and not await conn.fetchval(flag)
            control.resume()
        elif isinstance(event, NoteEvent) and "Holding again" in event.message:
            await sitting.rollback()
            waiting = True
            assert not await conn.fetchval(flag)
        elif isinstance(event, StepEvent) and event.id == "hold" and event.state is StepState.PROGRESS and waiting:
            waiting = False
            decisions += 1
            control.go()

    ran = await do_migrate(database, hold=True, on_event=decide, lock_attempts=2)
    assert ran.result.ok, ran.result
    assert decisions == 2 and flags == [True] and rounds == 0
    assert await v2_differences(conn) == []


async def test_what_takes_too_long_is_not_tried_for_ever(
    make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every attempt keeps users waiting: it is not that somebody is in the way who will go."""
    monkeypatch.setattr(cut_over, "LIMIT_SECONDS", 0.3)
    swap_step = cut_over._swap_step

    async def slow(run: MigrationRun, step: PlanStep) -> None:
        if step.id == "delta":
            await run.main.execute("select pg_sleep(1)")
        await swap_step(run, step)

    monkeypatch.setattr(cut_over, "_swap_step", slow)
    database = await make_database(SMALL)
    ran = await do_migrate(database, lock_attempts=8)
    assert not ran.result.ok and ran.result.exit_status == 4
    assert "The cut-over did not get through in 3 attempts. It took too long and was taken back." in ran.result.message
    tried = [note for note in ran.notes if note.message.startswith("The cut-over: attempt ")]
    assert len(tried) == 3
    assert (await state_of(database)).state is State.READY


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


async def _written_again(conn: Connection) -> None:
    """Without the notes every write fails; it comes through again before anybody does anything about it."""
    for _ in range(200):
        with contextlib.suppress(asyncpg.UndefinedTableError):
            assert await conn.execute("update exercises set sets = 11") != "UPDATE 0"
            return
        await asyncio.sleep(0.02)
    raise AssertionError("writes fail yet")


NOT_NOW = (
    "create function not_now() returns event_trigger language plpgsql as $$ begin raise exception 'not now'; end $$;"
    "create event trigger not_now on ddl_command_start when tag in ('DROP SCHEMA') execute function not_now()",
    "drop event trigger not_now; drop function not_now",
)
"""Something that makes the cut-over fail near its end, and nothing before it."""

IN_SPITE = {
    "The server refused a statement of the cut-over: not now.": NOT_NOW,
    "The server refused a statement of the cut-over: column e.tempo does not exist. v1 has changed since the plan was "
    "made: exercises has a new column pace; exercises has no column tempo any more.": (
        "alter table exercises rename tempo to pace; update exercises set sets = 9",
        "alter table exercises rename pace to tempo",
    ),
    'The server refused a statement of the cut-over: relation "public.exercise_logs" does not exist. v1 has changed '
    "since the plan was made: The table exercise_logs is missing.": (
        "update exercise_logs set reps = reps + 1; alter table exercise_logs rename to logs",
        "alter table logs rename to exercise_logs",
    ),
    "altered by hand: indexes of workout_v2.exercises.": (
        "drop index workout_v2.idx_exercises_name",
        "create index idx_exercises_name on workout_v2.exercises (name)",
    ),
    "altered by hand: policies of workout_v2.workout_days.": (
        "create policy all_may on workout_v2.workout_days using (true)",
        "drop policy all_may on workout_v2.workout_days",
    ),
    "altered by hand: triggers of workout_v2.exercise_logs.": (
        "alter table workout_v2.exercise_logs enable trigger vagus_capture",
        "alter table workout_v2.exercise_logs enable always trigger vagus_capture",
    ),
    "altered by hand: workout_v2.looks is new; keys and checks of workout_v2.workout_weeks.": (
        "create table workout_v2.looks (); "
        "alter table workout_v2.workout_weeks add constraint few check (week_number < 99)",
        "drop table workout_v2.looks; alter table workout_v2.workout_weeks drop constraint few",
    ),
}
"""What somebody does during the hold that the cut-over cannot go on with, and how they take it back."""

NO_MATTER = "vacuum full workout_v2.exercises", "reindex table concurrently workout_v2.exercise_logs"
"""What changes nothing about what was built."""


async def test_what_was_built_outlives_what_the_server_refuses(
    make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is cut over and nothing thrown away: it holds, says why, and goes on once that has been mended."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    monkeypatch.setattr(hold, "INTERVAL_SECONDS", 0.05)
    left, done, said = dict(IN_SPITE), False, []

    async def act(event: Event, control: Control) -> None:
        nonlocal done
        if isinstance(event, NoteEvent) and "Holding again" in event.message:
            said.append(event.message)
            await database.execute_as_admin(left.pop(next(iter(left)))[1])
            done = False
            if not left:
                for sql in NO_MATTER:
                    await database.execute_as_admin(sql)
                await database.execute_as_admin("drop table vagus_migration.change_log")
                with pytest.raises(asyncpg.UndefinedTableError):
                    await conn.execute("update exercises set sets = 10")
        elif isinstance(event, StepEvent) and event.id == "hold" and event.state is StepState.PROGRESS:
            if left and not done:
                done = True
                await database.execute_as_admin(left[next(iter(left))][0])
            if left and "update " in left[next(iter(left))][0] and (event.message or "").startswith(IN_THE_WAY):
                # The hold notices by itself.
                return
            if not left:
                await _written_again(conn)
            control.go()

    ran = await do_migrate(database, hold=True, on_event=act)
    assert ran.result.ok, ran.result
    for message, expected in zip(said, IN_SPITE, strict=True):
        assert expected in message and "v1 is in place and in use" in message
    words = [note.message for note in ran.notes]
    assert any("cannot be brought over: column e.tempo does not exist. It is noted, " in text for text in words)
    assert await conn.fetchval("select bool_and(sets = 11) from exercises")
    assert await v2_differences(conn) == []
    assert not await conn.fetchval("select exists(select from system_maintenance where enabled)")


async def test_what_was_built_is_compared_under_the_locks_and_by_the_next_run(
    make_database: MakeDatabase, connect: Connect
) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)
    name = "idx_exercises_name"

    def change(event: Event) -> None:
        if isinstance(event, StepEvent) and event.id == "lock" and event.state is StepState.STARTED:
            outside_loop(database.execute(f"drop index if exists workout_v2.{name}"))

    result = await attempted(database, change)
    assert not result.ok and result.exit_status == 4 and result.state == State.READY.value, result
    assert "altered by hand: indexes of workout_v2.exercises. " in result.message
    ran = await do_migrate(database)
    assert ran.result.ok, ran.result
    again = "What was built beside v1 has been altered by hand: indexes of workout_v2.exercises. Starting over."
    assert again in [note.message for note in ran.notes]
    assert await conn.fetchval("select to_regclass($1) is not null", f"public.{name}")
    assert await v2_differences(conn) == []
