"""v2 after a migration is what its description says, to the last index; nothing is skipped because a name was taken.

The description is written out here once more, apart from the one that the engine builds from.
"""

from __future__ import annotations

import asyncpg
import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import do_migrate, migrated, rolled_back
from tests.oracle import catalog_fingerprint, changes, v1_rows, v2_differences
from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.options import SandboxOptions

CLEAN = SandboxOptions(plans=20, clean=True)

COLUMNS = {
    "workout_plans": """
        id id! uuid; user_id uuid!; name text!; description text; goal text; total_weeks integer!;
        current_week integer =1; status text ='active'::text; is_template boolean =false; template_category text;
        created_by uuid; ai_generated boolean =false; metadata jsonb; created_at timestamptz =now();
        updated_at timestamptz =now(); cover_color text""",
    "workout_weeks": """
        id uuid! uuid; plan_id id!; week_number integer!; start_date date; end_date date; notes text;
        deload boolean =false; attachments jsonb; created_at timestamptz =now(); updated_at timestamptz =now()""",
    "workout_days": """
        id uuid! uuid; week_id uuid!; day_label text!; day_number integer; date date; notes text; client_comment text;
        estimated_duration integer; muscle_groups text[]; attachments jsonb; created_at timestamptz =now();
        updated_at timestamptz =now()""",
    "exercise_groups": """
        id uuid! uuid; day_id uuid!; type text!; rest_between_rounds integer =90; rounds integer =1;
        order_index integer!; created_at timestamptz =now()""",
    "exercises": """
        id id! uuid; day_id uuid!; group_id uuid; name text!; muscle_group text!; equipment text; sets integer!;
        target_reps_min integer; target_reps_max integer; target_reps_avg integer generated;
        target_weight numeric(6,2); target_rpe_min numeric(3,1); target_rpe_max numeric(3,1); rest_seconds integer =90;
        tempo text; notes text; video_url text; order_index integer!; client_comment text; attachments jsonb;
        created_at timestamptz =now(); updated_at timestamptz =now()""",
    "workout_sessions": """
        id id! uuid; user_id uuid!; day_id uuid; started_at timestamptz! =now(); completed_at timestamptz;
        total_volume numeric(10,2); total_sets integer; average_rpe numeric(3,1); notes text; energy_level integer;
        created_at timestamptz =now()""",
    "exercise_logs": """
        id id! uuid; session_id id!; exercise_id id!; set_number integer!; reps integer!; weight numeric(6,2)!;
        rpe numeric(3,1); tempo text; rest_seconds integer; notes text; form_rating integer; completed_at timestamptz;
        device text""",
    "notification_preferences": """
        user_id uuid!; preferences jsonb!; created_at timestamptz =now(); updated_at timestamptz =now()""",
}

INDEXES = {
    "workout_plans": "+id; user_id; status [status = 'active']; is_template [is_template]",
    "workout_weeks": "+id; +plan_id, week_number; plan_id; start_date, end_date",
    "workout_days": "+id; week_id; date; gin muscle_groups",
    "exercise_groups": "+id; day_id",
    "exercises": "+id; day_id; group_id [group_id is not null]; muscle_group; name",
    "workout_sessions": "+id; user_id; day_id; started_at; completed_at [completed_at is not null]",
    "exercise_logs": "+id; +session_id, exercise_id, set_number; session_id; exercise_id; completed_at",
    "notification_preferences": "+user_id",
}

REFERENCES = {
    "workout_plans": "user_id auth.users c; created_by auth.users n",
    "workout_weeks": "plan_id workout_plans c",
    "workout_days": "week_id workout_weeks c",
    "exercise_groups": "day_id workout_days c",
    "exercises": "day_id workout_days c; group_id exercise_groups n",
    "workout_sessions": "user_id auth.users c; day_id workout_days c",
    "exercise_logs": "session_id workout_sessions c; exercise_id exercises c",
    "notification_preferences": "user_id auth.users c",
}

REFUSED = [
    *(f"update workout_plans set {wrong}" for wrong in ("goal = 'fun'", "total_weeks = 0", "total_weeks = 53")),
    *(f"update workout_plans set {wrong}" for wrong in ("current_week = 0", "status = 'paused'", "name = null")),
    "update workout_weeks set week_number = 0",
    "insert into exercise_groups (day_id, type, order_index) select id, 'pair', 1 from workout_days limit 1",
    *(f"update exercises set {wrong}" for wrong in ("sets = 0", "target_reps_min = 0", "rest_seconds = -1")),
    "update exercises set target_reps_min = 9, target_reps_max = 8",
    *(f"update exercises set {wrong}" for wrong in ("target_rpe_min = 0.9", "target_rpe_max = 10.1")),
    "update exercises set target_rpe_min = 8, target_rpe_max = 7",
    *(f"update workout_sessions set {wrong}" for wrong in ("energy_level = 0", "energy_level = 6")),
    *(f"update exercise_logs set {wrong}" for wrong in ("set_number = 0", "reps = -1", "weight = -0.01", "rpe = 0.5")),
    *(f"update exercise_logs set {wrong}" for wrong in ("form_rating = 6", "reps = null")),
]

TOUCHED = {"workout_plans", "workout_weeks", "workout_days", "exercises"}
FUNCTIONS = {"calculate_plan_volume": "{id}", "detect_prs": "uuid, text", "get_muscle_group_volume": "uuid, date, date"}
API = ("anon", "authenticated", "service_role")

NAMES = [
    *("idx_workout_plans_user_id", "idx_workout_plans_status", "idx_workout_weeks_plan_id", "idx_workout_weeks_dates"),
    *("idx_workout_days_week_id", "idx_workout_days_muscle_groups", "idx_exercise_groups_day_id", "idx_exercises_name"),
    *("idx_exercises_day_id", "idx_workout_sessions_day_id", "idx_exercise_logs_session_id", "workout_weeks_pkey"),
    *("workout_days_pkey", "exercise_groups_pkey", "notification_preferences_pkey", "idx_exercises_name_v2"),
    *("workout_weeks_plan_id_week_number_key", "exercise_logs_session_id_exercise_id_set_number_key"),
]
"""Names that v2 would like to have; in a crowded database something else has them."""


THINGS = (
    "create table public.{0} (a integer)",
    "create view public.{0} as select 1 as a",
    "create sequence public.{0}",
    "create type public.{0} as (a integer)",
)


async def crowd(conn: Connection, *, bigint: bool) -> None:
    """Take every name that v2 wants for an index, a sequence or a function."""
    taken = {
        row[0] for row in await conn.fetch("select relname from pg_class where relnamespace = 'public'::regnamespace")
    }
    for number, name in enumerate(sorted({*NAMES, "workout_plans_v1_2"} - taken)):
        await conn.execute(THINGS[number % len(THINGS)].format(name))
    if bigint:
        # v1's ids draw from sequences that are not their own, and have the names that v2's would have.
        for table in ("workout_plans", "exercises", "workout_sessions", "exercise_logs"):
            await conn.execute(
                f"alter table {table} alter id drop identity; create sequence {table}_id_seq;"
                f"select setval('{table}_id_seq', (select max(id) from {table}));"
                f"alter table {table} alter id set default nextval('{table}_id_seq')"
            )
    await conn.execute(
        "create function public.calculate_plan_volume(plan uuid) returns integer language sql as 'select 42';"
        "create function public.calculate_plan_volume(plan bigint) returns integer language sql as 'select 42';"
        "create function public.calculate_plan_volume_v1() returns integer language sql as 'select 43';"
        "create procedure public.detect_prs(a integer) language sql as 'select 1';"
        "create function public.workout_my_plans() returns integer language sql as 'select 1';"
        "create aggregate public.workout_my_days(integer) (sfunc = int4larger, stype = integer);"
        "create function public.workout_touch_updated_at() returns trigger language plpgsql "
        "  as 'begin return null; end';"
        "comment on function public.calculate_plan_volume(uuid) is 'the old one'"
    )


async def columns(conn: Connection, table: str) -> list[str]:
    rows = await conn.fetch(
        "select a.attname, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull, a.attgenerated::text as made, "
        "a.attidentity::text as identity, pg_get_expr(d.adbin, d.adrelid) as default from pg_attribute a "
        "left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum "
        "where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum",
        table,
    )
    found = []
    for row in rows:
        kind = row["type"].replace("timestamp with time zone", "timestamptz")
        words = [row["attname"], kind + ("!" if row["attnotnull"] else "")]
        if row["made"]:
            words.append("generated")
        elif row["default"] == "gen_random_uuid()" or row["identity"]:
            words.append("uuid")
        elif row["default"]:
            words.append(f"={row['default']}")
        found.append(" ".join(words))
    return found


async def whole_target(conn: Connection, *, id_type: str) -> None:
    """Everything of v2, compared with the description."""
    for table, described in COLUMNS.items():
        wanted = [" ".join(line.split()).replace(" id!", f" {id_type}!") for line in described.split(";")]
        assert await columns(conn, table) == wanted, table
        rows = await conn.fetch(
            "select x.indisunique, x.indisvalid, am.amname::text as method, "
            "array(select pg_get_indexdef(x.indexrelid, n, false) from generate_series(1, x.indnkeyatts) n) as parts, "
            "pg_get_expr(x.indpred, x.indrelid) as only from pg_index x join pg_class i on i.oid = x.indexrelid "
            "join pg_am am on am.oid = i.relam where x.indrelid = $1::regclass",
            table,
        )
        found = set()
        for row in rows:
            assert row["indisvalid"]
            only = (row["only"] or "").lower().strip("()").replace("::text", "")
            method = "gin " if row["method"] == "gin" else ""
            text = ("+" if row["indisunique"] else method) + ", ".join(row["parts"]) + (f" [{only}]" if only else "")
            found.add(text)
        assert found == set(INDEXES[table].split("; ")), table
        rows = await conn.fetch(
            "select a.attname || ' ' || k.confrelid::regclass::text || ' ' || k.confdeltype::text as key, "
            "k.convalidated from pg_constraint k join pg_attribute a on a.attrelid = k.conrelid "
            "and a.attnum = k.conkey[1] where k.conrelid = $1::regclass and k.contype = 'f'",
            table,
        )
        assert {row["key"] for row in rows} == set(REFERENCES[table].split("; ")), table
        assert all(row["convalidated"] for row in rows)
        await _behaviour(conn, table)
    for statement in REFUSED:
        with pytest.raises((asyncpg.CheckViolationError, asyncpg.NotNullViolationError)):
            await conn.execute(statement)
    for name, arguments in FUNCTIONS.items():
        signature = f"public.{name}({arguments.format(id=id_type)})"
        assert await conn.fetchval("select to_regprocedure($1) is not null", signature), signature
        may = [await conn.fetchval("select has_function_privilege($1, $2, 'execute')", r, signature) for r in API]
        assert may == [False, True, True], signature


async def _behaviour(conn: Connection, table: str) -> None:
    """Row level security per command, the updated_at trigger, the owner, the word about where it came from."""
    row = await conn.fetchrow(
        "select c.relrowsecurity, pg_get_userbyid(c.relowner) as owner, obj_description(c.oid) as comment, "
        "array(select t.tgname::text from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal "
        "  and t.tgname not like 'vagus%' order by 1) as triggers from pg_class c where c.oid = $1::regclass",
        table,
    )
    assert row is not None and row["relrowsecurity"] and row["owner"] == "postgres"
    from_v1 = table in ("workout_plans", "exercises", "workout_sessions", "exercise_logs")
    assert (f"from {table} of workout v1" if from_v1 else "new with workout v2") in row["comment"]
    assert row["triggers"] == ([f"{table}_touch_updated_at"] if table in TOUCHED else []), table
    policies = await conn.fetch(
        "select p.polcmd::text as command, p.polpermissive, p.polroles::regrole[]::text[] as roles, "
        "p.polqual is not null as reads, p.polwithcheck is not null as writes from pg_policy p "
        "where p.polrelid = $1::regclass order by 1",
        table,
    )
    assert [tuple(row) for row in policies] == [
        ("a", True, ["authenticated"], False, True),
        ("d", True, ["authenticated"], True, False),
        ("r", True, ["authenticated"], True, False),
        ("w", True, ["authenticated"], True, True),
    ], table


@pytest.mark.parametrize("bigint", [False, True], ids=["uuid", "bigint"])
async def test_every_part_of_v2_is_there_however_crowded_it_is(
    bigint: bool, make_database: MakeDatabase, connect: Connect
) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True, bigint_ids=bigint))
    conn = await connect(database.url)
    await crowd(conn, bigint=bigint)
    catalog, rows = await catalog_fingerprint(conn), await v1_rows(conn)
    await migrated(database)
    assert await v2_differences(conn) == []
    await whole_target(conn, id_type="bigint" if bigint else "uuid")
    if bigint:
        for table in ("workout_plans", "exercises", "workout_sessions", "exercise_logs"):
            last = await conn.fetchval(f"select last_value from {await sequence_of(conn, table)}")
            assert last >= await conn.fetchval(f"select max(id) from {table}"), table
        await _goes_on_counting(conn, database)
        return
    await rolled_back(database)
    assert changes(catalog, await catalog_fingerprint(conn)) == []
    assert changes(rows, await v1_rows(conn)) == []


async def _goes_on_counting(conn: Connection, database: TestDatabase) -> None:
    """Ids that v2 gave away are not given again by v1's own sequences, though those are not tied to its tables."""
    insert = "insert into workout_plans (user_id, name{}) select user_id, $1{} from workout_plans limit 1 returning id"
    made = await conn.fetchval(insert.format(", total_weeks", ", 2"), "of v2")
    await rolled_back(database)
    assert await conn.fetchval("select name from workout_plans where id = $1", made) == "of v2"
    assert await conn.fetchval(insert.format("", ""), "of v1") > made


async def sequence_of(conn: Connection, table: str) -> str:
    """The sequence that a table's ids come from."""
    return str(await conn.fetchval("select pg_get_serial_sequence($1, 'id')", table))


@pytest.mark.parametrize("kind", ["view", "table", "sequence", "domain", "enum", "composite"])
async def test_a_table_that_v2_needs_is_refused_beforehand(
    kind: str, make_database: MakeDatabase, connect: Connect
) -> None:
    """Whatever has the name of one of v2's tables, be it only a type: a table brings a type of its name."""
    database = await make_database(CLEAN)
    conn = await connect(database.url)
    made = {
        "view": "create view exercise_groups as select 1 as one",
        "table": "create table exercise_groups (id integer)",
        "sequence": "create sequence exercise_groups",
        "domain": "create domain exercise_groups as text",
        "enum": "create type exercise_groups as enum ('a')",
        "composite": "create type exercise_groups as (a text)",
    }
    await conn.execute(made[kind])
    ran = await do_migrate(database)
    assert not ran.result.ok and ran.result.exit_status == 1 and "exercise_groups" in ran.result.message
    assert not await conn.fetchval("select to_regnamespace('workout_v2') is not null")
