"""A v1 that is altered while it is held: what calls for a new plan, what is taken over, and the rest."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase, outside_loop
from tests.migration.support import migrated, rolled_back
from tests.migration.test_stop_anywhere import attempted
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.events import Event, NoteEvent, StepEvent, StepState
from vagus_tui.journal.state import State, read_state
from vagus_tui.migration.drift import signature
from vagus_tui.report.story import tell
from vagus_tui.sandbox.options import SandboxOptions

SMALL = SandboxOptions(plans=12, clean=True)
pytestmark = pytest.mark.usefixtures("impatient")

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
            outside_loop(database.execute(left[done[0]][0]))
        elif isinstance(event, NoteEvent) and "Holding again" in event.message:
            said.append(event.message)
            outside_loop(database.execute(left.pop(done.pop())[1]))
            if not left:
                outside_loop(database.execute(late.pop(0)))
        elif isinstance(event, NoteEvent) and event.message.startswith("Taken over"):
            taken.append(event.message)
            if late:
                outside_loop(database.execute(late.pop(0)))
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


async def test_without_a_hold_it_ends_there_and_the_next_run_plans_anew(
    make_database: MakeDatabase, connect: Connect
) -> None:
    database = await make_database(SMALL)
    conn = await connect(database.url)

    def change(event: Event) -> None:
        # Late enough that nothing but the look under the locks can see it.
        if isinstance(event, StepEvent) and event.id == "lock" and event.state is StepState.STARTED:
            outside_loop(database.execute("alter table exercises add column if not exists late text default 'kept'"))

    result = await attempted(database, change)
    assert not result.ok and result.exit_status == 4, result
    assert "exercises has a new column late" in result.message and result.state == State.READY.value
    assert not await conn.fetchval("select exists(select from system_maintenance where enabled)")
    ran = await migrated(database)
    assert any("starting over" in note.message for note in ran.notes)
    assert await v2_differences(conn) == []
