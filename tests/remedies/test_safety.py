"""What guided fixes refuse, and what they keep that is easily lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from tests.checks.support import looking_at, outcome
from tests.checks.test_waiting import until
from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.remedies.test_remedies import everything
from vagus_tui.errors import RefusedError, UndoneError
from vagus_tui.events import Status
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.state import STAGING
from vagus_tui.remedies import batches, remedy_by_id, undo
from vagus_tui.schema.helpers import made

ONE = "(select id from workout_plans order by id limit 1)"


async def spoil(database: TestDatabase, statements: str) -> None:
    """Change rows as a superuser for whom no key fires."""
    async with database.planting() as admin:
        await admin.execute(statements)


@pytest.fixture
async def ownerless(clean_database: TestDatabase) -> TestDatabase:
    """A database in which one plan has no owner; it is among somebody's favourites."""
    await spoil(
        clean_database,
        f"update workout_plans set user_id = null, name = 'it''s [/x]' || chr(27) where id = {ONE};"
        f"insert into plan_favourites (user_id, plan_id) select (select min(id::text)::uuid from auth.users), {ONE} "
        "on conflict do nothing",
    )
    return clean_database


async def test_a_plan_goes_with_all_below_it_and_with_what_other_tables_hang_on_it(ownerless: TestDatabase) -> None:
    remedy = remedy_by_id("plans-null-owner-set-aside")
    async with looking_at(ownerless) as context:
        conn = context.connection
        plan = await conn.fetchval("select id from workout_plans where user_id is null")
        expected = {
            "exercises": await conn.fetchval("select count(*) from exercises where plan_id = $1", plan),
            "workout_sessions": await conn.fetchval("select count(*) from workout_sessions where plan_id = $1", plan),
            "exercise_logs": await conn.fetchval(
                "select count(*) from exercise_logs where session_id in (select id from workout_sessions where "
                "plan_id = $1) or exercise_id in (select id from exercises where plan_id = $1)",
                plan,
            ),
            '"public"."plan_favourites"': await conn.fetchval(
                "select count(*) from plan_favourites where plan_id = $1", plan
            ),
        }
        before = await everything(conn)
        preview = await remedy.preview(context)
        assert preview.below == {name: count for name, count in expected.items() if count}
        assert preview.page.rows[0][0] == str(plan)
        applied = await remedy.apply(context, expected=preview)
        assert applied.below == preview.below
        assert await conn.fetchval("select count(*) from plan_favourites where plan_id = $1", plan) == 0
        await undo(conn, applied.batch, "undoer")
        assert await everything(conn) == before


async def test_links_that_loosen_are_kept_and_given_back(ownerless: TestDatabase) -> None:
    async with ownerless.connect() as conn:
        await conn.execute(
            "create table bookmarks (id int primary key, plan_id uuid references workout_plans on delete set null);"
            f"insert into bookmarks values (1, {ONE}), (2, {ONE})"
        )
    remedy = remedy_by_id("plans-null-owner-set-aside")
    async with looking_at(ownerless) as context:
        conn = context.connection
        before = await conn.fetch("select * from bookmarks order by id")
        applied = await remedy.apply(context)
        assert [row["plan_id"] for row in await conn.fetch("select plan_id from bookmarks")] == [None, None]
        await undo(conn, applied.batch, "undoer")
        assert await conn.fetch("select * from bookmarks order by id") == before


async def test_the_app_s_triggers_stay_silent_and_come_back_as_they_were(ownerless: TestDatabase) -> None:
    async with ownerless.connect() as conn:
        await conn.execute(
            "create table told (what text);"
            "create function tell() returns trigger language plpgsql as "
            "$$ begin insert into told values (tg_op); return coalesce(new, old); end $$;"
            "create trigger tell before insert or update or delete on workout_plans for each row "
            "execute function tell();"
            "create trigger always after delete on exercises for each row execute function tell();"
            "alter table exercises enable always trigger always;"
            "create trigger off after delete on exercises for each row execute function tell();"
            "alter table exercises disable trigger off"
        )
        modes = await conn.fetch("select tgname, tgenabled from pg_trigger where not tgisinternal order by 1")
        async with looking_at(ownerless) as context:
            applied = await remedy_by_id("plans-null-owner-set-aside").apply(context)
            await undo(context.connection, applied.batch, "undoer")
        assert await conn.fetchval("select count(*) from told") == 0
        assert await conn.fetch("select tgname, tgenabled from pg_trigger where not tgisinternal order by 1") == modes


@pytest.mark.parametrize("metadata", ['{"a" :  1.50, "a": 2}', "null", '"text"', "[]"])
async def test_json_comes_back_as_it_was_spelled(metadata: str, clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        await conn.execute(
            "create domain spelling as json; create type noted as (at int, body json);"
            "create domain spellings as spelling[];"
            "alter table workout_plans add of_domain spelling, add of_array spellings, add composed noted, "
            "add composites noted[];"
            "alter table workout_plans add spelled json, add kept jsonb, add listed text[], add real_one real, "
            "add bytes bytea, add span interval, add padded char(5), add times tstzrange"
        )
    async with clean_database.planting() as admin:
        await admin.execute(
            f"update workout_plans set duration_weeks = 99, spelled = '{metadata}', kept = '{metadata}', "
            rf"""of_domain = '{{"\u0000": {metadata}}}', of_array = array['"\ud83d"', '{metadata}']::spellings, """
            rf"""composed = row(1, '["\u0000",  {metadata}]')::noted, """
            rf"""composites = array[row(null, '{metadata}')::noted, row(2, '"\u0000"')::noted], """
            "listed = array['a,b', null, '\"'], real_one = '-0', bytes = '\\x00ff', span = '1 mon -2 days', "
            f"padded = 'ab', times = '[2026-01-01,)', created_at = 'infinity' where id = {ONE}"
        )
    async with looking_at(clean_database) as context:
        before = await everything(context.connection)
        for name in ("plans-weeks-clamp", "plans-weeks-set-aside"):
            applied = await remedy_by_id(name).apply(context)
            await undo(context.connection, applied.batch, "undoer")
            assert await everything(context.connection) == before


async def test_other_rows_than_were_shown_are_refused(ownerless: TestDatabase) -> None:
    remedy = remedy_by_id("plans-null-owner-set-aside")
    async with looking_at(ownerless) as context:
        conn = context.connection
        shown = await remedy.preview(context)
        for expected, since, words in (
            (replace(shown, rows=2), "select 1", "2 rows were shown, but now there are 1"),
            # Another plan in its place; and a set more below it.
            (
                shown,
                "with owner as (update workout_plans set user_id = (select min(id::text)::uuid from auth.users) "
                f"where id = {ONE}) update workout_plans set user_id = null where id = "
                "(select id from workout_plans order by id desc limit 1)",
                "As many rows as were shown, 1, but not the same",
            ),
            (
                shown,
                f"insert into exercises (plan_id, name, sets) values ({ONE}, 'later', 1)",
                "but not the same: somebody wrote to them, or to what hangs on them",
            ),
        ):
            transaction = conn.transaction()
            await transaction.start()
            await conn.execute(since)
            before = await everything(conn)
            with pytest.raises(RefusedError, match=words):
                await remedy.apply(context, expected=expected)
            assert await everything(conn) == before
            assert await batches(conn) == ()
            await transaction.rollback()
        assert (await remedy.apply(context, expected=shown)).rows == 1


async def test_other_values_than_were_shown_are_refused(clean_database: TestDatabase) -> None:
    await spoil(clean_database, f"update workout_plans set duration_weeks = 99 where id = {ONE}")
    remedy = remedy_by_id("plans-weeks-clamp")
    async with looking_at(clean_database) as context:
        shown = await remedy.preview(context)
        await context.connection.execute("update workout_plans set duration_weeks = -3 where duration_weeks = 99")
        with pytest.raises(RefusedError, match="but not the same"):
            await remedy.apply(context, expected=shown)
        # What it would not touch may have changed; what is shown in another time zone is the same.
        await context.connection.execute(
            "update workout_plans set duration_weeks = 99, name = 'x' where duration_weeks < 0"
        )
        await context.connection.execute("set timezone = 'Asia/Tokyo'; set datestyle = 'German'")
        assert (await remedy.apply(context, expected=shown)).rows == 1


async def test_rows_that_undoing_could_not_tell_apart_are_not_changed(clean_database: TestDatabase) -> None:
    """Two have one id, or would be the same afterwards: the fix could not be taken back."""
    await spoil(
        clean_database,
        "alter table exercises drop constraint exercises_pkey cascade; update exercises set rest_seconds = -1 "
        "where id = (select min(id::text)::uuid from exercises);"
        "insert into exercises select * from exercises where rest_seconds < 0;"
        "drop table coach_clients cascade; create table coach_clients (coach_id text, client_id text, status text);"
        "alter table coach_clients owner to postgres; insert into coach_clients select min(id::text), s || min(email), "
        "'active' from auth.users cross join (values (''), (' ')) spaces (s) group by s",
    )
    async with looking_at(clean_database) as context:
        before = await everything(context.connection)
        with pytest.raises(RefusedError, match="one that another row has"):
            await remedy_by_id("exercises-rest-clear").apply(context)
        with pytest.raises(RefusedError, match="would be the same as others"):
            await remedy_by_id("coach-clients-user").apply(context)
        assert await everything(context.connection) == before
        assert await batches(context.connection) == ()


async def test_nothing_to_mend_is_said(clean_database: TestDatabase) -> None:
    async with looking_at(clean_database) as context:
        with pytest.raises(RefusedError, match="no row to mend"):
            await remedy_by_id("plans-weeks-clamp").apply(context)


async def test_a_row_that_changed_since_is_not_overwritten(clean_database: TestDatabase) -> None:
    await spoil(clean_database, f"update workout_plans set duration_weeks = 99 where id = {ONE}")
    async with looking_at(clean_database) as context:
        conn = context.connection
        applied = await remedy_by_id("plans-weeks-clamp").apply(context)
        await conn.execute("update workout_plans set name = 'mine now' where duration_weeks = 52")
        with pytest.raises(RefusedError, match=r"has another name, updated_at"):
            await undo(conn, applied.batch, "undoer")
        assert await conn.fetchval("select name from workout_plans where duration_weeks = 52") == "mine now"
        await conn.execute("delete from workout_plans where name = 'mine now'")
        with pytest.raises(RefusedError, match="is gone"):
            await undo(conn, applied.batch, "undoer")


async def test_a_row_that_is_there_again_is_not_doubled(ownerless: TestDatabase) -> None:
    async with looking_at(ownerless) as context:
        conn = context.connection
        applied = await remedy_by_id("plans-null-owner-set-aside").apply(context)
        await conn.execute(
            "insert into workout_plans (id, name) select row_id::uuid, 'again' from vagus_migration.quarantine "
            "where table_name = 'workout_plans'"
        )
        with pytest.raises(RefusedError, match="there again"):
            await undo(conn, applied.batch, "undoer")


async def test_rows_do_not_come_back_to_what_is_gone(clean_database: TestDatabase) -> None:
    await spoil(clean_database, "update exercises set sets = 0 where id = (select min(id::text)::uuid from exercises)")
    async with looking_at(clean_database) as context:
        conn = context.connection
        plan = await conn.fetchval("select plan_id from exercises where sets = 0")
        applied = await remedy_by_id("exercises-sets-set-aside").apply(context)
        await conn.execute("delete from workout_plans where id = $1", plan)
        with pytest.raises(RefusedError, match="exercises_plan_id_fkey refuses them"):
            await undo(conn, applied.batch, "undoer")
        assert await conn.fetchval("select count(*) from vagus_migration.quarantine where restored_at is null") > 0


async def test_an_unknown_batch_is_refused(clean_database: TestDatabase) -> None:
    async with looking_at(clean_database) as context:
        assert await batches(context.connection) == ()
        with pytest.raises(RefusedError, match="no such fix"):
            await undo(context.connection, uuid4(), "undoer")


async def test_a_table_in_use_is_given_up_with_the_name_of_who_uses_it(
    ownerless: TestDatabase, connect: Connect
) -> None:
    other = await connect(ownerless.url)
    async with other.transaction():
        await other.execute("update exercises set name = name where id = (select id from exercises limit 1)")
        async with looking_at(ownerless, lock_timeout_ms=50, lock_attempts=2) as context:
            with pytest.raises(RefusedError, match=f"PID {other.get_server_pid()}"):
                await remedy_by_id("plans-null-owner-set-aside").apply(context)
            # Readers and writers of the app were never kept waiting by what did not happen.
            assert await context.connection.fetchval("select count(*) from workout_plans where user_id is null") == 1


@pytest.mark.parametrize("how", ["lock", "staging", "v2"])
async def test_nothing_is_changed_while_a_migration_is_under_way_or_done(
    how: str, ownerless: TestDatabase, connect: Connect
) -> None:
    other = await connect(ownerless.url)
    if how == "lock":
        await take_lock(other)
    elif how == "staging":
        await other.execute("; ".join(made(STAGING)))
    else:
        await other.execute(
            "alter table workout_plans rename to workout_plans_v1; alter table exercises rename to exercises_v1;"
            "alter table workout_sessions rename to workout_sessions_v1;"
            "alter table exercise_logs rename to exercise_logs_v1;"
            "create table workout_plans (total_weeks int); create table workout_weeks (id int);"
            "create table workout_days (id int); create table exercise_groups (id int)"
        )
    async with looking_at(ownerless) as context:
        with pytest.raises(RefusedError):
            await remedy_by_id("plans-null-owner-set-aside").apply(context)


async def test_a_refusal_of_the_server_undoes_everything(ownerless: TestDatabase) -> None:
    async with ownerless.as_admin() as admin:
        await admin.execute(
            "create table secrets (id int primary key, plan_id uuid references workout_plans on delete cascade);"
            f"insert into secrets values (1, {ONE});"
            "revoke all on secrets from public, anon, authenticated, service_role, postgres"
        )
    async with looking_at(ownerless) as context:
        with pytest.raises(UndoneError, match="permission denied for table secrets"):
            await remedy_by_id("plans-null-owner-set-aside").apply(context)
        assert await context.connection.fetchval("select count(*) from workout_plans where user_id is null") == 1
        assert await batches(context.connection) == ()


async def test_names_by_hand_renamed_tables_are_mended_too_and_undone_under_either_name(
    ownerless: TestDatabase,
) -> None:
    remedy = remedy_by_id("plans-null-owner-set-aside")
    async with looking_at(ownerless) as context:
        before: dict[str, Any] = await everything(context.connection)
        applied = await remedy.apply(context)
        names = ("workout_plans", "exercises", "workout_sessions", "exercise_logs")
        for name in names:
            await context.connection.execute(f"alter table {name} rename to {name}_v1")
        await undo(context.connection, applied.batch, "undoer")
        async with looking_at(ownerless) as renamed:
            assert (await outcome("plans-null-owner", renamed)).status is Status.FAIL
            applied = await remedy.apply(renamed)
            assert (await outcome("plans-null-owner", renamed)).status is Status.PASS
        for name in names:
            await context.connection.execute(f"alter table {name}_v1 rename to {name}")
        await undo(context.connection, applied.batch, "undoer")
        assert await everything(context.connection) == before


async def test_a_migration_that_begins_while_a_fix_waits_ends_the_fix(ownerless: TestDatabase) -> None:
    """Its triggers note every change: silenced by the fix, they would leave in v2 what is set aside in v1."""
    async with looking_at(ownerless) as context, ownerless.connect() as other:
        holding = other.transaction()
        await holding.start()
        await other.execute("lock table workout_plans in share row exclusive mode")
        fixing = asyncio.ensure_future(remedy_by_id("plans-null-owner-set-aside").apply(context))
        await until(other, "select count(*) > 0 from pg_locks where not granted and relation is not null")
        await other.execute("; ".join(made(STAGING)))
        await holding.commit()
        with pytest.raises(RefusedError, match="cannot be changed now"):
            await fixing
        assert await other.fetchval("select count(*) from workout_plans where user_id is null") == 1


async def test_two_undo_one_fix_at_once(ownerless: TestDatabase) -> None:
    async with looking_at(ownerless) as context, ownerless.connect() as one, ownerless.connect() as two:
        before = await everything(one)
        applied = await remedy_by_id("plans-null-owner-set-aside").apply(context)
        done = await asyncio.gather(
            *(undo(conn, applied.batch, "undoer") for conn in (one, two)), return_exceptions=True
        )
        refused = [error for error in done if isinstance(error, RefusedError)]
        assert len(refused) == 1 and "undone already" in refused[0].happened
        assert await everything(one) == before
