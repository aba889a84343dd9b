"""The sample data is what it says: the same every time, many scripts, each fault present or, if clean, none."""

from __future__ import annotations

import pytest

from tests.conftest import MakeDatabase
from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.defects import DEFECTS, Defect
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v1

MUSCLE_GROUPS = {
    "chest",
    "pectorals",
    "shoulders",
    "delts",
    "triceps",
    "back",
    "lats",
    "traps",
    "biceps",
    "forearms",
    "quads",
    "hamstrings",
    "glutes",
    "calves",
    "legs",
    "core",
    "abs",
    "full_body",
    "cardio",
}


async def counts(conn: Connection) -> dict[str, int]:
    return {table: await conn.fetchval(f"SELECT count(*) FROM {table}") for table in v1.TABLES}


async def found(conn: Connection, defect: Defect) -> int:
    count: int = await conn.fetchval(f"SELECT count(*) FROM {defect.table} AS t WHERE {defect.found}")
    return count


@pytest.mark.parametrize("clean", [True, False])
async def test_each_fault_is_there_or_none_is(make_database: MakeDatabase, clean: bool) -> None:
    database = await make_database(SandboxOptions(plans=40, clean=clean))
    async with database.connect() as conn:
        for defect in DEFECTS:
            rows = await found(conn, defect)
            if clean:
                assert rows == 0, defect.id
            else:
                assert rows >= max(len(defect.changes), 1), defect.id


@pytest.mark.parametrize("bigint_ids", [True, False])
async def test_sizes_follow_the_number_of_plans(make_database: MakeDatabase, bigint_ids: bool) -> None:
    database = await make_database(SandboxOptions(plans=80, bigint_ids=bigint_ids))
    async with database.connect() as conn:
        sizes = await counts(conn)
        assert sizes["workout_plans"] == 80
        assert sizes["exercises"] == 800
        assert sizes["workout_sessions"] == 640
        assert 80 * 85 < sizes["exercise_logs"] < 80 * 100
        if bigint_ids:
            new = await conn.fetchval("INSERT INTO workout_plans (name) VALUES ('next') RETURNING id")
            assert new == 81


async def test_same_options_make_the_same_rows(make_database: MakeDatabase) -> None:
    digests: list[list[str]] = []
    for plans in (40, 40, 41):
        # The second one must not come from the first one's template.
        database = await make_database(SandboxOptions(plans=plans, keep=len(digests) == 1))
        async with database.connect() as conn:
            digests.append(
                [
                    await conn.fetchval(f"SELECT md5(string_agg(t::text, '|' ORDER BY t.id)) FROM {table} AS t")
                    for table in v1.TABLES
                ]
            )
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


async def test_no_log_is_of_another_plans_exercise(clean_conn: Connection) -> None:
    strangers = await clean_conn.fetchval(
        """
        SELECT count(*) FROM exercise_logs l
        JOIN workout_sessions s ON s.id = l.session_id JOIN exercises e ON e.id = l.exercise_id
        WHERE e.plan_id <> s.plan_id
        """
    )
    assert strangers == 0


async def test_clean_sessions_are_inside_their_plans_weeks(clean_conn: Connection) -> None:
    outside = await clean_conn.fetchval(
        """
        SELECT count(*) FROM workout_sessions s JOIN workout_plans p ON p.id = s.plan_id
        WHERE s.started_at < p.start_date OR s.started_at >= p.start_date + 7 * coalesce(p.duration_weeks, 4)
        """
    )
    assert outside == 0


async def test_every_kind_of_day_and_group_and_script_occurs(clean_conn: Connection) -> None:
    groups = await clean_conn.fetch("SELECT DISTINCT lower(btrim(muscle_group)) AS g FROM exercises")
    assert {row["g"] for row in groups} >= MUSCLE_GROUPS
    assert await clean_conn.fetchval("SELECT bool_or(muscle_group <> lower(btrim(muscle_group))) FROM exercises")
    kinds = await clean_conn.fetch(
        "SELECT DISTINCT day_of_week IS NULL AS no_weekday, day_label IS NULL AS no_label FROM exercises"
    )
    assert len(kinds) == 4
    assert await clean_conn.fetchval("SELECT bool_or(day_label <> btrim(day_label)) FROM exercises")
    weekdays = await clean_conn.fetch("SELECT DISTINCT day_of_week FROM exercises")
    assert {"1", "Monday"} <= {row["day_of_week"] for row in weekdays}
    names = await clean_conn.fetchval("SELECT string_agg(name || coalesce(day_label, ''), '') FROM exercises")
    for script in ("؀-ۿ", "֐-׿", "一-鿿", "぀-ヿ", "가-힯", "Ѐ-ӿ", "🌀-🫿", "Å-ø"):
        assert await clean_conn.fetchval("SELECT $1 ~ ('[' || $2 || ']')", names, script), script


async def test_empty_plans_with_and_without_sessions_templates_and_coaches(clean_conn: Connection) -> None:
    empty = await clean_conn.fetch(
        """
        SELECT EXISTS (SELECT FROM workout_sessions s WHERE s.plan_id = p.id) AS has_sessions FROM workout_plans p
        WHERE NOT EXISTS (SELECT FROM exercises e WHERE e.plan_id = p.id)
        """
    )
    assert {row["has_sessions"] for row in empty} == {True, False}
    assert await clean_conn.fetchval("SELECT count(*) FROM workout_plans WHERE is_template") > 0
    statuses = await clean_conn.fetch("SELECT DISTINCT status FROM coach_clients")
    assert {"active", "inactive"} <= {row["status"] for row in statuses}


async def test_logs_per_session(clean_conn: Connection) -> None:
    row = await clean_conn.fetchrow(
        "SELECT min(n) AS least, max(n) AS most FROM (SELECT count(*) AS n FROM exercise_logs GROUP BY session_id) c"
    )
    assert row is not None
    assert (row["least"], row["most"]) == (8, 14)


async def test_renamed_keeps_all_but_the_tables_names(make_database: MakeDatabase) -> None:
    database = await make_database(SandboxOptions(plans=40, renamed=True))
    async with database.connect() as conn:
        for table in v1.TABLES:
            assert await conn.fetchval("SELECT to_regclass($1)", table) is None
            assert await conn.fetchval(f"SELECT count(*) FROM {table}_v1") > 0
        assert await conn.fetchval("SELECT to_regclass('idx_workout_plans_user_id')") is not None


@pytest.mark.parametrize(
    ("shape", "columns"),
    [("jsonb", {"user_id", "preferences"}), ("rows", {"id", "user_id", "category", "enabled"}), ("none", set())],
)
async def test_notification_preferences_in_either_shape(
    make_database: MakeDatabase, shape: str, columns: set[str]
) -> None:
    database = await make_database(SandboxOptions(empty=True, notification_preferences=shape))  # type: ignore[arg-type]
    async with database.connect() as conn:
        rows = await conn.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'notification_preferences'"
        )
    assert {row["column_name"] for row in rows} - {"created_at", "updated_at"} == columns
