"""What guided fixes refuse, and what they keep that is easily lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from tests.checks.support import looking_at, outcome
from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.migration.support import do_migrate
from tests.remedies.test_remedies import everything
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError, UndoneError
from vagus_tui.events import Event, Status, StepEvent, StepState
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.state import State
from vagus_tui.remedies import ChangedSinceError, batches, remedy_by_id, undo

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
    await spoil(
        clean_database,
        "update exercises set sets = 0 where id in ("
        "select distinct on (plan_id) id from exercises order by plan_id, id)",
    )
    async with looking_at(clean_database) as context:
        conn = context.connection
        before = await everything(conn)
        plan = await conn.fetchval("select min(plan_id::text)::uuid from exercises where sets = 0")
        applied = await remedy_by_id("exercises-sets-set-aside").apply(context)
        await conn.execute("delete from workout_plans where id = $1", plan)
        with pytest.raises(RefusedError, match="exercises_plan_id_fkey refuses them"):
            await undo(conn, applied.batch, "undoer")
        # All others do, with what was logged for them.
        part = await undo(conn, applied.batch, "undoer", partly=True)
        assert part.rows == applied.rows - 1 and f"exercises {await _left_one(conn)}: " in part.left[0], part.left
        gone = {f"{line}" for line in before["exercises"] if str(plan) in line}
        assert set((await everything(conn))["exercises"]) == set(before["exercises"]) - gone


async def _left_one(conn: Connection) -> str:
    """The exercise that is in the journal yet."""
    query = "select row_id from vagus_migration.quarantine where restored_at is null and table_name = 'exercises'"
    return str(await conn.fetchval(query))


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


@pytest.mark.parametrize("how", ["lock", "v2"])
async def test_nothing_is_changed_while_another_is_at_work_or_v2_in_place(
    how: str, ownerless: TestDatabase, connect: Connect
) -> None:
    other = await connect(ownerless.url)
    if how == "lock":
        await take_lock(other)
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


async def test_a_fix_while_v2_is_held_ready_reaches_v2(clean_database: TestDatabase, connect: Connect) -> None:
    """Every write is noted then, and a fix is one: only ours of the triggers stay awake."""
    conn = await connect(clean_database.url)
    one = await conn.fetchval("select id from exercise_logs order by id limit 1")
    fixed: list[Any] = []

    async def fix(event: Event, control: Control) -> None:
        if not isinstance(event, StepEvent) or event.id != "hold":
            return
        if event.state is StepState.STARTED:
            await conn.execute("update exercise_logs set weight = 12345 where id = $1", one)
        elif "v2 refuses what was written" in (event.message or "") and not fixed:
            async with looking_at(clean_database) as context:
                assert context.state.state is State.READY
                fixed.append(await remedy_by_id("logs-weight-set-aside").apply(context))
        elif fixed and event.message == "in the way: nobody":
            if len(fixed) == 1:
                # Back for a moment, too large as it was, and away again.
                fixed.append(await undo(conn, fixed[0].batch, "undoer"))
                async with looking_at(clean_database) as context:
                    fixed.append(await remedy_by_id("logs-weight-set-aside").apply(context))
            control.go()

    before = await conn.fetchval("select count(*) from exercise_logs")
    ran = await do_migrate(clean_database, hold=True, on_event=fix)
    assert ran.result.ok and len(fixed) == 3, (ran.result, fixed)
    assert await conn.fetchval("select count(*) from exercise_logs") == before - 1
    with pytest.raises(RefusedError, match="cannot be changed now"):
        await undo(conn, fixed[2].batch, "undoer")


async def test_rows_that_have_changed_since_keep_no_others_back(clean_database: TestDatabase) -> None:
    """An undo names what is not as the fix left it, and puts the rest back if that is wanted; those later."""
    await spoil(
        clean_database,
        "update workout_plans set duration_weeks = 99 where id in (select id from workout_plans order by id limit 3)",
    )
    async with looking_at(clean_database) as context:
        conn = context.connection
        before = await everything(conn)
        applied = await remedy_by_id("plans-weeks-clamp").apply(context)
        await spoil(clean_database, f"update workout_plans set duration_weeks = 12 where id = {ONE}")
        with pytest.raises(ChangedSinceError, match="another duration_weeks") as refused:
            await undo(conn, applied.batch, "undoer")
        assert refused.value.others == 2
        part = await undo(conn, applied.batch, "undoer", partly=True)
        assert part.rows == 2 and len(part.left) == 1 and "another duration_weeks" in part.left[0], part
        with pytest.raises(ChangedSinceError, match="None of these rows"):
            await undo(conn, applied.batch, "undoer", partly=True)
        (batch,) = await batches(conn)
        assert (batch.restored_at, batch.rows, batch.back) == (None, 1, 2)
        with pytest.raises(ChangedSinceError) as refused:
            await undo(conn, applied.batch, "undoer")
        assert refused.value.others == 0
        await spoil(clean_database, f"update workout_plans set duration_weeks = 52 where id = {ONE}")
        await undo(conn, applied.batch, "undoer")
        assert await everything(conn) == before


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
