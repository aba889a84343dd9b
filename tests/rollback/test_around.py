"""What points at v2 changed by hand after the cut-over: put back, followed, left out by name, or a decision."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.dependents_of_v1 import FOLLOWING
from tests.migration.support import migrated, rolled_back
from tests.migration.test_dependents import everything
from tests.oracle import catalog_fingerprint, changes, v1_rows
from vagus_tui.database.impersonation import undone
from vagus_tui.errors import RefusedError
from vagus_tui.journal.state import read_state
from vagus_tui.rollback.preview import preview
from vagus_tui.sandbox.options import SandboxOptions

BY_HAND = """
alter table reviews rename to ratings;
alter table ratings drop constraint reviews_session;
drop policy own_exercises on ratings;
alter policy own_plans on ratings using (true);
drop policy "p""; -- $vagus$" on ratings;
create policy "p""; -- $vagus$" on ratings for select to anon using (true);
drop view plan_sizes cascade;
drop view barred;
create view barred as select id, started_at from workout_sessions;
grant select on barred to anon;
create or replace view names as select id, user_id, name from workout_plans where name <> 'x';
create or replace function count_plans(of_user uuid) returns bigint language sql stable as 'select 7::bigint';
drop function weeks_of(uuid);
drop publication narrow;
alter publication supabase_realtime drop table workout_plans;
drop trigger audit_names on workout_plans;
alter table workout_plans drop constraint plan_gym;
alter table gyms rename to halls;
drop materialized view days_trained;
drop materialized view workout_v1_kept."reports.totals" cascade;
drop function calculate_plan_volume(uuid);
drop table visits cascade;
drop table notification_preferences;
"""

MADE_SINCE = """
create table day_notes (id uuid, constraint noted foreign key (id) references workout_days (id));
create view lengths as select id, total_weeks from workout_plans;
create publication since for table workout_days;
"""


@pytest.fixture
async def surrounded(make_database: MakeDatabase) -> TestDatabase:
    """A clean v1 with one of everything around it; each test migrates it."""
    database = await make_database(SandboxOptions(plans=10, clean=True))
    async with database.connect() as conn:
        invoker = "with (security_invoker = true)" if conn.get_server_version().major >= 15 else ""
        await conn.execute(FOLLOWING.replace("@INVOKER@", invoker))
    return database


def under_old_names(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, str]]:
    """A fingerprint as text, with the names that tables had before they were renamed by hand."""

    def old(value: object) -> str:
        return repr(value).replace("ratings", "reviews").replace("halls", "gyms")

    return {kind: {old(name): old(value) for name, value in names.items()} for kind, names in found.items()}


async def test_what_was_changed_by_hand_comes_back_or_is_named(surrounded: TestDatabase, connect: Connect) -> None:
    conn = await connect(surrounded.url)
    before, rows = await everything(conn), await v1_rows(conn)
    await migrated(surrounded)
    state = await read_state(conn)
    untouched = await preview(conn, state)
    assert untouched.by_hand == untouched.bound == ()
    await conn.execute(BY_HAND)
    await conn.execute(MADE_SINCE)
    found = await preview(conn, state)
    again = " ".join(line for line in found.by_hand if "put back as v1 had it" in line)
    left = " ".join(line for line in found.by_hand if "not bound to v1 again" in line)
    for what in (
        "reviews_session, reviews_slug, own_exercises, own_plans",
        "on table reviews, which is called ratings now",
        "reference reviews_session on ratings, which is gone",
        "policy own_plans on ratings, which was altered",
        "view barred, which has other columns now",
        "view names, which was altered",
        "view big_plans, which is gone",
        "function count_plans(of_user uuid), which was altered",
        "function weeks_of(plan uuid), which is gone",
        "publication supabase_realtime on workout_plans, which does not carry v2's",
        "materialized view reports.totals, whose old one is not kept any more",
    ):
        assert what in again, (what, again)
    assert "table notification_preferences: it is gone" in left
    assert "visits_plan on visits: its table is gone" in left and 'create publication "narrow"' in left
    # What others made on v2 is told beforehand, in the same words as afterwards.
    bound = ["constraint noted on table day_notes", "view lengths", "publication since of workout_days"]
    assert list(found.bound) == bound
    assert bound[0] in found.told[-1] and "bound to the archive" in found.told[-1]
    ran = await rolled_back(surrounded)
    figures = ran.result.figures
    assert figures is not None and figures["bound_to_archive"] == bound
    assert figures["not_bound_back"] == []
    assert "but for what was changed by hand" in ran.result.message
    assert any("Not bound to v1 again: reference visits_plan" in note.message for note in ran.notes)
    await conn.execute("drop table day_notes; drop view lengths; drop publication since")
    changed = changes(under_old_names(before), under_old_names(await everything(conn)))
    lost = [line for line in changed if "visits" not in line]
    assert [line.partition(": gone")[0] for line in lost] == [
        """public publications 'narrow: exercise_logs'""",
        """public publications 'narrow: exercises'""",
    ], lost
    assert changes(rows, await v1_rows(conn)) == []
    # Nothing that somebody wrote is lost: texts are kept, and what has other columns is itself in the archive.
    kept = await conn.fetch(f"select what, definition from {figures['archive']}.changed_by_hand")
    texts = {row["what"]: row["definition"] for row in kept}
    assert "select 7" in texts["function count_plans(of_user uuid)"].lower()
    assert "'x'" in texts["view names"] and "using (true)" in texts["policy own_plans on ratings"]
    assert await conn.fetchval(f'select count(started_at) from {figures["archive"]}."public.barred"') > 0
    # And again: the note is about the next migration then.
    await conn.execute("alter table ratings rename to reviews; alter table halls rename to gyms")
    await migrated(surrounded)
    assert (await preview(conn, await read_state(conn))).by_hand == ()


async def test_what_needs_a_decision_is_asked_for(surrounded: TestDatabase, connect: Connect) -> None:
    """With the SQL that settles it; what fails all the same does not keep v1 from coming back."""
    conn, admin = await connect(surrounded.url), await connect(surrounded.admin_url)
    for kind in ("view with_gyms", "materialized view gym_plans"):
        await conn.execute(f"create {kind} as select p.id, g.name from workout_plans p join gyms g on gym_id = g.id")
    rows = await v1_rows(conn)
    await migrated(surrounded)
    state = await read_state(conn)
    for done, words, settled in (
        (
            "create index idx_exercises_plan_id on gyms (name)",
            "index idx_exercises_plan_id has the name that v1's index gets back",
            'alter index "public"."idx_exercises_plan_id" rename to "idx_exercises_plan_id_other"',
        ),
        (
            "alter table exercises_v1 add constraint exercises_plan_id_fkey check (true)",
            "constraint exercises_plan_id_fkey of exercises_v1 has the name that one of v1's gets back",
            'rename constraint "exercises_plan_id_fkey" to "exercises_plan_id_fkey_other"',
        ),
        (
            "drop view as_json; create table as_json (id uuid)",
            "table as_json stands where v1's view of that name belongs",
            'alter table "public"."as_json" rename to "as_json_other"',
        ),
        (
            "alter table reviews owner to supabase_admin",
            "reference reviews_slug on reviews would lead to v2 still",
            'alter table "public"."reviews" drop constraint "reviews_slug"',
        ),
    ):
        await admin.execute(done)
        with pytest.raises(RefusedError) as caught:
            await preview(conn, state)
        assert words in caught.value.happened and settled in (caught.value.next_step or ""), caught.value
        if "drop constraint" in settled:
            for name in await admin.fetch(REVIEWS):
                await admin.execute(f"alter table reviews drop constraint {name[0]}")
        elif settled.startswith("rename"):
            await admin.execute(f"alter table exercises_v1 {settled}")
        else:
            await admin.execute(settled)
    # A table that a view reads is followed under its new name; what is gone is told.
    await conn.execute("alter table gyms rename to halls")
    told = (await preview(conn, state)).by_hand
    assert any("view with_gyms, with names of today: halls for gyms" in line for line in told), told
    await conn.execute("drop table halls cascade")
    told = (await preview(conn, state)).by_hand
    for what in ('view with_gyms: relation "gyms" does not exist', "policy own_plans on reviews: its table belongs to"):
        assert any("not bound to v1 again" in line and what in line for line in told), (what, told)
    ran = await rolled_back(surrounded)
    assert ran.result.figures is not None
    left = ran.result.figures["not_bound_back"]
    assert [line.partition(":")[0] for line in left] == [
        "materialized view gym_plans is not as v1 had it",
        "materialized view gym_plans has not all rights and words that it had",
        "view with_gyms is not as v1 had it",
        "view with_gyms has not all rights and words that it had",
    ]
    assert 'relation "gyms" does not exist. By hand' in left[0]
    # What was to be filled after the commit is not there: named, and nothing is owed.
    assert ran.result.figures["unchecked"] == ['fill gym_plans again: relation "public.gym_plans" does not exist']
    assert {note.message for note in ran.notes} >= {*left}
    assert changes(rows, await v1_rows(conn)) == []
    # Its own words are what is left to do.
    await conn.execute("create table gyms (id integer, name text)")
    for line in left:
        await conn.execute(line.partition("that is settled: ")[2])
    assert await conn.fetchval("select count(*) from with_gyms") == 0
    assert await conn.fetchval("select has_table_privilege('anon', 'with_gyms', 'select')")


REVIEWS = """
select quote_ident(conname) from pg_constraint
where conrelid = 'reviews'::regclass and contype = 'f' and confrelid <> conrelid
"""


BESIDE = """
create role leaves_soon;
create table notes (plan uuid, notes text, constraint of_plan foreign key (plan) references workout_plans (id));
create table diary (plan uuid, secret boolean);
create table gone (plan uuid, constraint gone_plan foreign key (plan) references workout_plans (id));
alter table gone enable row level security;
create policy own_rows on gone using (exists (select from workout_plans p where p.id = plan));
alter table diary enable row level security;
create policy own_rows on diary using (not secret);
create view sizes as select p.id, count(e.id) as size from workout_plans p left join exercises e on plan_id = p.id
  group by 1;
create view big as select * from sizes where size > 3;
create view noted as select p.id, notes.notes as "all notes here", diary.secret from workout_plans p
  join notes on notes.plan = p.id join diary on diary.plan = p.id;
create materialized view sized as select id, size from sizes;
create materialized view sized_plans as select p.id, p.name, size from workout_plans p join sizes on sizes.id = p.id;
create view titles as select id, name from workout_plans;
create materialized view about as select p.id, p.goal, t.name from workout_plans p join titles t on t.id = p.id;
create view for_one as select id, goal from workout_plans;
create function for_one() returns text language sql as 'select max(goal) from workout_plans';
create schema elsewhere;
create table elsewhere.gear (plan uuid, kind text, "Gear" text);
create view elsewhere.geared as select p.id, gear.kind, gear."Gear" from workout_plans p
  join elsewhere.gear on gear.plan = p.id where gear.kind <> 'elsewhere.gear';
create view geared_by as select p.id, g.kind from workout_plans p join elsewhere.gear g on g.plan = p.id;
create view bigger as select big.id, big.size from big;
create function noted_of(plan uuid) returns bigint language sql begin atomic
  select count(*) from workout_plans p where p.id = plan; end;
revoke all on for_one from public, anon, authenticated, service_role;
revoke all on function for_one() from public, anon, authenticated, service_role;
grant select on for_one to leaves_soon;
grant execute on function for_one() to leaves_soon;
"""

# As in a database that was made from a dump: relations have other numbers.
NUMBERED_ANEW = """
create temporary table as_noted as table vagus_migration.surroundings_as_moved;
update vagus_migration.surroundings_as_moved set reads = array(
  select (array(select c.oid from pg_class c where c.relkind in ('r', 'v') order by md5(c.oid::text || read)))[1] || ' '
    || substr(read, strpos(read, ' ') + 1) from unnest(reads) read)
"""

NUMBERED_BACK = """
truncate vagus_migration.surroundings_as_moved;
insert into vagus_migration.surroundings_as_moved table as_noted
"""

RENAMED = """
alter table elsewhere.gear rename to kit;
alter view sizes rename to sizes_of_plans;
alter view big rename to big_ones;
alter table notes rename constraint of_plan to "of a plan";
alter policy own_rows on gone rename to "own ones";
alter function noted_of(uuid) rename to count_of;
"""

RENAMED_BACK = """
alter table elsewhere.kit rename to gear;
alter view sizes_of_plans rename to sizes;
alter view big_ones rename to big;
alter table notes rename constraint "of a plan" to of_plan;
alter policy "own ones" on gone rename to own_rows;
"""

WIDER = {
    "alter publication supabase_realtime add table workout_plans_v1": "publishes v1's kept table already",
    "drop publication supabase_realtime; create publication supabase_realtime for all tables": "publishes every table",
}

EXCHANGED = "alter table notes rename to n; alter table diary rename to notes; alter table n rename to diary"


async def test_what_is_not_the_migrations_is_left_alone(make_database: MakeDatabase, connect: Connect) -> None:
    """Another table's policy of the same name, numbers of another server; and nobody gets rights by default."""
    database = await make_database(SandboxOptions(plans=5, clean=True))
    conn = await connect(database.url)
    await conn.execute(BESIDE)
    before = await catalog_fingerprint(conn)
    await migrated(database)
    state = await read_state(conn)
    await conn.execute(NUMBERED_ANEW)
    assert (await preview(conn, state)).by_hand == ()
    for by_hand, said in WIDER.items():
        async with database.as_admin() as admin, undone(admin, one_moment=True):
            await admin.execute(by_hand)
            assert said in " ".join((await preview(admin, state)).by_hand), by_hand
    await conn.execute("alter table notes rename to ours")
    assert "of_plan on table notes, which is called ours now" in (await preview(conn, state)).by_hand[0]
    await conn.execute(f"alter table ours rename to notes; {NUMBERED_BACK}")
    # What was renamed itself keeps its name; whatever reads it, or a table of another schema, reads that.
    await conn.execute(RENAMED)
    told = " ".join((await preview(conn, state)).by_hand)
    for what in (
        "view sizes, which is called sizes_of_plans now and keeps that name",
        "reference of_plan on notes, which is called of a plan now",
        "policy own_rows on gone, which is called own ones now",
        "function noted_of(plan uuid), which is called count_of now: it is made again",
        "view elsewhere.geared, with names of today: elsewhere.kit for elsewhere.gear",
        "view big, which is called big_ones now",
        "view bigger, with names of today: big_ones for big",
    ):
        assert what in told, (what, told)
    assert "altered" not in told and "which is gone" not in told and "not bound" not in told, told
    left = (await rolled_back(database)).result.figures
    assert left is not None and left["not_bound_back"] == [] == left["changed_by_hand"], left
    await conn.execute(f"drop function count_of(uuid); {RENAMED_BACK}")
    changed = changes(before, await catalog_fingerprint(conn))
    assert changed == [], changed
    for view in ("elsewhere.geared", "geared_by", "bigger"):
        assert await conn.fetchval(f"select count(*) >= 0 from {view}")
    await migrated(database)
    await conn.execute("create or replace view big as select * from sizes where size > 4; drop table gone")
    await conn.execute(EXCHANGED)
    left = (await rolled_back(database)).result.figures
    assert left is not None and left["not_bound_back"] == []
    assert [words.partition(": ")[0] for words in left["changed_by_hand"]] == [
        "reference gone_plan on gone",
        "policy own_rows on gone",
    ]
    await conn.execute(EXCHANGED)
    assert [line for line in changes(before, await catalog_fingerprint(conn)) if "gone" not in line] == []
    # Rights that cannot be given again leave it to its owner, whatever default privileges give away. Whatever reads
    # a view that is made again reads the new one.
    await migrated(database)
    await conn.execute("create or replace view sizes as select id, 1::bigint as size, 1 as more from workout_plans")
    await conn.execute("drop view titles cascade")
    await conn.execute("drop view for_one; drop function for_one(); drop role leaves_soon")
    left = (await rolled_back(database)).result.figures
    assert left is not None and [words.partition(": ")[0] for words in left["not_bound_back"]] == [
        "view for_one has not all rights and words that it had",
        "function for_one() has not all rights and words that it had",
    ]
    for role in ("anon", "authenticated", "service_role"):
        assert not await conn.fetchval("select has_table_privilege($1, 'for_one', 'select')", role)
        assert not await conn.fetchval("select has_function_privilege($1, 'for_one()', 'execute')", role)
    assert "bound_to_archive" not in left and "unchecked" not in left
    changed = changes(before, await catalog_fingerprint(conn))
    assert [line for line in changed if "for_one" not in line and "gone" not in line] == []
    for view in ("sized", "sized_plans", "about"):
        assert await conn.fetchval(f"select count(*) from {view}") == 5
