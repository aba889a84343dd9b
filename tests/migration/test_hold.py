"""The hold: what is done to staging behind our back is found before the swap, and a failed attempt holds again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import ModuleType
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase, outside_loop
from tests.migration.support import do_abandon, do_migrate, migrated, rolled_back, state_of
from tests.migration.test_stop_anywhere import attempted
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.events import Event, NoteEvent, StepEvent, StepState
from vagus_tui.journal.state import State, read_state
from vagus_tui.migration import catch_up
from vagus_tui.migration.drift import signature
from vagus_tui.migration.phases import catch_up as catch_up_phase
from vagus_tui.migration.phases import cut_over, hold
from vagus_tui.migration.phases.hold import IN_THE_WAY, REFUSED
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.steps import PlanStep
from vagus_tui.report.story import tell
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.rules import QUIET_PREFERENCES

SMALL = SandboxOptions(plans=12, clean=True)

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


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof is old at once: nobody wants to hold for ten seconds in a test."""
    monkeypatch.setattr(cut_over, "PROOF_GOOD_FOR_SECONDS", 0.0)


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


CHANGES = {
    "workout_plans has a new column extra": (
        "alter table workout_plans add column extra text default 'x'",
        "alter table workout_plans drop column extra",
    ),
    "exercises.tempo is another one": (
        "alter table exercises alter column tempo set default '1-1-1'",
        "alter table exercises alter column tempo drop default",
    ),
    "foreign key likes_plan_id_fkey on likes is new; view liked is new": (
        "create table likes (plan_id uuid references workout_plans on delete cascade);"
        "create view liked as select id from workout_plans",
        "drop table likes; drop view liked",
    ),
    "trigger counted on exercise_logs is new": (
        "create function counting() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger counted after insert on exercise_logs execute function counting()",
        "drop function counting cascade",
    ),
    "other roles have rights on exercises now": (
        "grant select on exercises to pg_monitor",
        "revoke select on exercises from pg_monitor",
    ),
    "workout_weeks_pkey is in v2's way": ("create sequence workout_weeks_pkey", "drop sequence workout_weeks_pkey"),
    "index idx_workout_days_date is new, in v2's way": (
        "create index idx_workout_days_date on exercises (created_at)",
        "drop index idx_workout_days_date",
    ),
    "check short of exercises is new": (
        "alter table exercises add constraint short check (name <> 'x')",
        "alter table exercises drop constraint short",
    ),
    "constraint exercises_plan_id_fkey of exercises is gone": (
        "alter table exercises rename constraint exercises_plan_id_fkey to other",
        "alter table exercises rename constraint other to exercises_plan_id_fkey",
    ),
    "coach_clients is another one, and v2's access goes by it": (
        "alter table coach_clients rename status to standing",
        "alter table coach_clients rename standing to status",
    ),
    "foreign key marked on marks is gone": (
        "alter table marks drop constraint marked",
        "alter table marks add constraint marked foreign key (plan_id) references workout_plans; "
        "comment on constraint marked on marks is 'old'",
    ),
    "notification_preferences has another shape; notification_preferences is in v2's way; "
    "notification_preferences_pkey is in v2's way": (
        "create table notification_preferences (user_id uuid primary key, preferences jsonb not null)",
        "drop table notification_preferences",
    ),
    "function detect_prs(uuid, text) is new, in v2's way": (
        "create function detect_prs(uuid, text) returns integer language sql as 'select 1'",
        "drop function detect_prs",
    ),
}
"""What somebody does to v1's catalog during the hold, and how they take it back, by what is said about it."""

MARKED = """
create table marks (plan_id uuid constraint marked references workout_plans);
comment on constraint marked on marks is 'old';
create materialized view totals as select plan_id, count(*) as n from exercises group by 1;
alter table exercises set (fillfactor = 70), alter column sets set statistics 5;
alter table workout_plans replica identity full;
comment on column exercises.notes is 'long';
comment on column totals.plan_id is 'of which';
"""

HARMLESS = """
comment on table exercises is 'said later';
comment on column exercises.name is 'called';
comment on column exercises.notes is null;
comment on constraint marked on marks is 'new';
create index totals_of_plan on totals (plan_id);
comment on materialized view totals is 'counted';
comment on column totals.plan_id is null;
alter materialized view totals alter column plan_id set statistics 33;
alter table exercises alter column name set statistics 99, alter column sets set statistics 6, reset (fillfactor);
alter table exercise_logs replica identity full, force row level security;
alter table workout_plans set (autovacuum_enabled = false), replica identity default;
create policy "may look" on exercises for select to anon using (name = 'shown');
"""
"""Somebody's doing during the hold that asks for no other plan, and what v2 has of it after the cut-over."""

TAKEN_OVER = """
select 'name', attstattarget::text, col_description(attrelid, attnum) from pg_attribute
  where attrelid = 'exercises'::regclass and attname = 'name'
union all select 'sets', attstattarget::text, '' from pg_attribute
  where attrelid = 'exercises'::regclass and attname = 'sets'
union all select 'plans', reloptions::text, relreplident::text from pg_class where oid = 'workout_plans'::regclass
union all select 'logs', relforcerowsecurity::text, relreplident::text from pg_class
  where oid = 'exercise_logs'::regclass
union all select 'exercises', reloptions::text, split_part(obj_description(oid), E'\\n', 2) from pg_class
  where oid = 'exercises'::regclass
union all select 'key', conrelid::regclass::text, obj_description(oid) from pg_constraint where conname = 'marked'
union all select 'view', indrelid::regclass::text, obj_description(indrelid) from pg_index
  where indexrelid = 'totals_of_plan'::regclass
union all select 'notes', '', col_description(attrelid, attnum) from pg_attribute
  where attrelid = 'exercises'::regclass and attname = 'notes'
union all (select attname, nullif(attstattarget, -1)::text, col_description(attrelid, attnum) from pg_attribute
  where attrelid = 'totals'::regclass and attnum > 0 order by attnum)
"""


async def test_v1_changed_during_the_hold(make_database: MakeDatabase, connect: Connect) -> None:
    """What the plan does not know would be lost, or left behind: it is not cut over until that has been taken back.

    Settings and comments are taken over as they are by then, even at the last moment.
    """
    database = await make_database(SMALL)
    conn = await connect(database.url)
    await conn.execute(MARKED)
    left = dict(CHANGES)
    done: list[str] = []
    said: list[str] = []
    taken: list[str] = []
    catalogs: list[dict[str, dict[str, Any]]] = []
    last_words = "comment on constraint marked on marks is 'old'; comment on table exercises is 'said last';"
    late = [HARMLESS, last_words + "comment on column totals.n is 'how many'"]

    def change(event: Event) -> None:
        if (
            isinstance(event, StepEvent)
            and event.id == "hold"
            and event.state is StepState.PROGRESS
            and left
            and not done
        ):
            done.append(next(iter(left)))
            outside_loop(_in(database, left[done[0]][0]))
        elif isinstance(event, NoteEvent) and "Holding again" in event.message:
            said.append(event.message)
            outside_loop(_in(database, left.pop(done.pop())[1]))
            if not left:
                outside_loop(_in(database, late.pop(0)))
        elif isinstance(event, NoteEvent) and event.message.startswith("Taken over"):
            taken.append(event.message)
            if late:
                outside_loop(_in(database, late.pop(0)))
                catalogs.append(outside_loop(_catalog(database)))

    result = await attempted(database, change, hold=True)
    assert result.ok, result
    assert len(said) == len(CHANGES)
    for message, words in zip(said, CHANGES, strict=True):
        assert f"v1 has changed since the plan was made: {words}." in message
    assert await v2_differences(conn) == []
    first, last = taken
    for words in (
        "FORCE ROW LEVEL SECURITY on exercise_logs; comment on exercises; ",
        "; and 5 more. Taken away from v1 since, but not from v2: comments on columns on exercises (notes); ",
        "storage parameters on exercises (fillfactor); replica identity full on workout_plans. "
        "New on v1 since, and settled by v2's own design: exercises: policy",
    ):
        assert words in first
    assert last == (
        "Taken over from v1 as it is by now: comment on exercises; foreign key marked on marks: comment; "
        "materialized view totals: comments and settings of its columns and indexes."
    )
    assert [tuple(row) for row in await conn.fetch(TAKEN_OVER)] == [
        ("name", "99", "called"),
        ("sets", "6", ""),
        ("plans", "{autovacuum_enabled=false}", "f"),
        ("logs", "true", "f"),
        ("exercises", "{fillfactor=70}", "said last"),
        ("key", "marks", "old"),
        ("view", "totals", "counted"),
        ("notes", "", "long"),
        ("plan_id", "33", None),
        ("n", None, "how many"),
    ]
    assert [f"{line.what}." for line in await tell(conn) if line.what.startswith("Taken over from v1")] == taken
    await rolled_back(database)
    assert changes(catalogs[-1], await catalog_fingerprint(conn)) == []


async def test_what_the_cut_over_calls_by_name_is_looked_at_under_its_locks(clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        shape = (await read_state(conn)).shape
        assert shape is not None
        seen = {await signature(conn, shape)}
        for number, rename in enumerate(
            (
                "table exercises rename constraint exercises_plan_id_fkey to other",
                "index idx_exercises_plan_id rename to other_idx",
                "table exercises rename notes to remarks",
            ),
            start=2,
        ):
            await conn.execute(f"alter {rename}")
            seen.add(await signature(conn, shape))
            assert len(seen) == number, rename


async def _catalog(database: TestDatabase) -> dict[str, dict[str, Any]]:
    """v1's, without what the run has on it yet."""
    async with database.connect() as other:
        found = await catalog_fingerprint(other)
    return {kind: {name: what for name, what in names.items() if "vagus_" not in name} for kind, names in found.items()}


async def _in(database: TestDatabase, sql: str) -> None:
    async with database.connect() as other:
        await other.execute(sql)


async def test_without_a_hold_it_ends_there_and_the_next_run_plans_anew(
    make_database: MakeDatabase, connect: Connect
) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)

    def change(event: Event) -> None:
        # Late enough that nothing but the look under the locks can see it.
        if isinstance(event, StepEvent) and event.id == "lock" and event.state is StepState.STARTED:
            outside_loop(_in(database, "alter table exercises add column if not exists late text default 'kept'"))

    result = await attempted(database, change)
    assert not result.ok and result.exit_status == 4, result
    assert "exercises has a new column late" in result.message and result.state == State.READY.value
    assert not await conn.fetchval("select exists(select from system_maintenance where enabled)")
    ran = await migrated(database)
    assert any("starting over" in note.message for note in ran.notes)
    assert await v2_differences(conn) == []


async def test_an_import_that_switches_triggers_off(make_database: MakeDatabase, connect: Connect) -> None:
    """Imports and replication run without ordinary triggers. What they write is brought over, and carried back."""
    database = await make_database(SMALL)
    conn = await connect(database.url)
    imported = "set session_replication_role = replica; update exercises set name = 'imported'"

    def change(event: Event) -> None:
        if isinstance(event, StepEvent) and event.id == "prove-exercises" and event.state is StepState.DONE:
            outside_loop(_as_admin(database, imported))

    result = await attempted(database, change)
    assert result.ok, result
    assert await v2_differences(conn) == []
    await _as_admin(database, imported.replace("imported", "again"))
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
            outside_loop(_in(database, waiting.pop()))

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
            outside_loop(_in(database, sql))

    result = await attempted(database, change)
    assert result.ok and not waiting, result
    assert "notes the changes to exercises, workout_sessions, exercise_logs. It is on again" in said[0], said
    assert "The cut-over: attempt 1 of 3, not every change of v1 was noted" in said[1], said
    assert await v2_differences(conn) == []


async def _as_admin(database: TestDatabase, sql: str) -> None:
    async with database.as_admin() as admin:
        await admin.execute(sql)


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
    assert "The cut-over did not get through in 3 attempts" in ran.result.message
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
            await _as_admin(database, left.pop(next(iter(left)))[1])
            done = False
            if not left:
                for sql in NO_MATTER:
                    await _as_admin(database, sql)
                await _as_admin(database, "drop table vagus_migration.change_log")
                with pytest.raises(asyncpg.UndefinedTableError):
                    await conn.execute("update exercises set sets = 10")
        elif isinstance(event, StepEvent) and event.id == "hold" and event.state is StepState.PROGRESS:
            if left and not done:
                done = True
                await _as_admin(database, left[next(iter(left))][0])
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
            outside_loop(_in(database, f"drop index if exists workout_v2.{name}"))

    result = await attempted(database, change)
    assert not result.ok and result.exit_status == 4 and result.state == State.READY.value, result
    assert "altered by hand: indexes of workout_v2.exercises. " in result.message
    ran = await do_migrate(database)
    assert ran.result.ok, ran.result
    again = "What was built beside v1 has been altered by hand: indexes of workout_v2.exercises. Starting over."
    assert again in [note.message for note in ran.notes]
    assert await conn.fetchval("select to_regclass($1) is not null", f"public.{name}")
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
