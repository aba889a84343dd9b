"""What stands beside v1's tables: a shape of it that would stop the migration is told before, and nothing stays."""

from __future__ import annotations

import pytest

from tests.checks.faults import BY_CATEGORY, PREFERENCES
from tests.checks.support import looking_at, outcome
from tests.checks.test_verification import migrated, outcomes, troubled
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.checks.base import offending_rows
from vagus_tui.checks.registry import check_by_id
from vagus_tui.events import CheckEvent, Status
from vagus_tui.sandbox.options import SandboxOptions

TABLE = "create table notification_preferences "
PER_USER = f"{TABLE}(user_id uuid primary key, preferences jsonb not null)"


async def found(check_id: str, database: TestDatabase, statements: str) -> CheckEvent:
    """A check's outcome after the operator's statements. Its rows and its statement are there whatever it says."""
    async with database.connect() as conn:
        await conn.execute(statements)
    async with looking_at(database) as context:
        check = check_by_id(check_id)
        await offending_rows(check, context)
        assert check.sql is not None and check.sql(context)
        return await outcome(check_id, context)


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (f"{TABLE}(user_id uuid, muted boolean)", "has the columns user_id, muted; known are"),
        (f"{TABLE}(user_id text, preferences jsonb)", "user_id is text; uuid is needed"),
        (f"{TABLE}(user_id uuid, preferences text)", "preferences is text; jsonb is needed"),
        (f'{TABLE}(user_id uuid, preferences jsonb, "x" int not null)', 'alter "x" set default'),
        (f"{PER_USER}; alter table notification_preferences add check (preferences ? 'sound')", "The server said:"),
        (
            "create view notification_preferences as select id as user_id, '{}'::jsonb as preferences from auth.users",
            "cannot insert",
        ),
        (f"{TABLE}(id uuid primary key, user_id uuid, category text, enabled boolean)", 'alter "id" set default'),
        (
            f"{TABLE}(id uuid default gen_random_uuid(), user_id uuid, category text, enabled text)",
            "enabled is text; boolean is needed",
        ),
    ],
    ids=["other columns", "text id", "text", "column needed", "check", "view", "rows: id needed", "rows: text"],
)
async def test_preferences_that_v2_cannot_be_filled_from(
    statements: str, said: str, clean_database: TestDatabase
) -> None:
    event = await found("notification-preferences", clean_database, statements)
    assert event.status is Status.FAIL and not event.overridable
    assert said in (event.message or ""), event.message


async def test_preferences_of_another_role_cannot_be_renamed(clean_database: TestDatabase) -> None:
    async with clean_database.as_admin() as admin:
        await admin.execute(
            f"{BY_CATEGORY}; alter table notification_preferences owner to supabase_admin;"
            "grant select on notification_preferences to postgres"
        )
    event = await found("notification-preferences", clean_database, "select 1")
    assert event.status is Status.FAIL and "not ours to rename" in (event.message or "")


async def test_what_is_tried_is_taken_back(clean_database: TestDatabase) -> None:
    event = await found("notification-preferences", clean_database, PER_USER)
    assert event.status is Status.PASS and "were added for" in (event.message or "")
    async with clean_database.connect() as conn:
        assert await conn.fetchval("select count(*) from notification_preferences") == 0


async def test_of_two_rows_for_a_category_the_one_that_is_off_counts(clean_database: TestDatabase) -> None:
    await found(
        "notification-preferences",
        clean_database,
        f"{BY_CATEGORY}; insert into {PREFERENCES} select u.id, c, e from (select id from auth.users order by id "
        "limit 1) u, (values ('a', true), ('a', false), ('b', false), ('b', true), ('c', true), ('c', null)) v (c, e)",
    )
    await migrated(clean_database)
    async with clean_database.connect() as conn:
        chosen = await conn.fetchval(
            "select preferences from notification_preferences p "
            "where user_id = (select id from auth.users order by id limit 1)"
        )
    assert chosen == '{"a": false, "b": false, "c": true}'


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("trainer uuid, client_id uuid", "has no column coach_id"),
        ("coach_id bigint, client_id uuid", "coach_id is bigint; uuid is needed"),
    ],
)
async def test_a_coach_relation_that_rules_cannot_be_made_from(
    columns: str, said: str, clean_database: TestDatabase
) -> None:
    event = await found(
        "coach-clients", clean_database, f"drop table coach_clients cascade; create table coach_clients ({columns})"
    )
    assert event.status is Status.FAIL and not event.overridable
    assert said in (event.message or "")


async def test_v1s_own_ways_are_no_fault_of_v2(make_database: MakeDatabase) -> None:
    """Coaches' ids kept as text, and columns of v1's own that every new row must name."""
    database = await make_database(SandboxOptions(plans=40, clean=True))
    event = await found(
        "coach-clients",
        database,
        "create table relation as select coach_id::text, client_id::text, status from coach_clients;"
        "drop table coach_clients cascade; alter table relation rename to coach_clients;"
        "create domain level as int not null default 1;"
        "alter table workout_plans add column code text not null default 'x';"
        "alter table workout_plans alter code drop default;"
        "alter table exercises add column difficulty level;"
        "alter table exercises add column kind text not null default 'easy' check (kind in ('easy', 'hard'));"
        "alter table exercises alter kind drop default",
    )
    assert event.status is Status.PASS
    assert troubled(await outcomes(await migrated(database))) == {}
