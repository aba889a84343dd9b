"""Access of real users: same after a migration, told when it is lost or gained, by design where v2 promises more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.checks.support import looking_at, settings_for
from tests.checks.test_verification import migrated
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.checks.access import applied
from vagus_tui.checks.access.applied import spokespeople
from vagus_tui.checks.access.checks import CACHED, events_of
from vagus_tui.checks.access.matrix import (
    COMMANDS,
    AccessMatrix,
    Kind,
    Person,
    Verdict,
    access_matrix,
    packed,
    unpacked,
)
from vagus_tui.checks.access.measure import measure, measured
from vagus_tui.checks.base import Group, run_checks
from vagus_tui.checks.registry import checks_for
from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import Asked, answers_of
from vagus_tui.events import CheckEvent, Status
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v2

MORE = SandboxOptions(plans=120, clean=True)
"""Enough people for every kind of them."""


async def access_of(database: TestDatabase) -> tuple[dict[str, CheckEvent], AccessMatrix]:
    """The outcomes of the group, and the matrix that they were read from."""
    async with looking_at(database) as context:
        events = [event async for event in run_checks(checks_for(Group.ACCESS), context)]
        matrix: AccessMatrix = context.cache[CACHED]
    return {event.id: event for event in events if event.status not in (Status.PENDING, Status.RUNNING)}, matrix


def failed(found: dict[str, CheckEvent]) -> set[str]:
    """The checks that did not pass."""
    return {event.id for event in found.values() if event.status not in (Status.PASS, Status.SKIP)}


async def on(database: TestDatabase, statements: str) -> TestDatabase:
    """Run statements as the operator."""
    async with database.connect() as conn:
        await conn.execute(statements)
    return database


async def test_what_is_written_meanwhile_is_no_disagreement(
    moved_database: TestDatabase, moved_conn: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's set that comes between what the policies say and what the server lets through, again and again."""
    written: list[str | None] = []

    async def with_a_writer(connection: Any, asked: Sequence[Asked]) -> list[list[str | None]]:
        await moved_conn.execute(
            "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) "
            "select session_id, exercise_id, 90 + (select count(*) from exercise_logs where set_number >= 90), 1, 1 "
            "from exercise_logs l join workout_sessions s on s.id = l.session_id "
            f"where s.user_id::text = '{asked[0].user_id}' order by l.id limit 1",
        )
        written.append(asked[0].user_id)
        return await answers_of(connection, asked)

    monkeypatch.setattr(applied, "answers_of", with_a_writer)
    outcomes, matrix = await access_of(moved_database)
    # Looked at twice, as the first look saw the writer come between.
    assert written == [person.user_id for person in spokespeople(matrix.people)] * 2
    assert matrix.disagreements == () and "access-as-applied" not in failed(outcomes)


@pytest.mark.parametrize(
    "options",
    [
        MORE,
        SandboxOptions(plans=40, clean=True, bigint_ids=True, default_privileges=False),
        SandboxOptions(plans=40, clean=True, renamed=True, notification_preferences="jsonb"),
        SandboxOptions(empty=True),
    ],
    ids=["uuid", "bigint", "renamed", "empty"],
)
async def test_nobody_loses_and_nobody_gains(options: SandboxOptions, make_database: MakeDatabase) -> None:
    found, matrix = await access_of(await make_database(options, moved=True))
    assert failed(found) == set(), [event.message for event in found.values()]
    assert matrix.verdict is Verdict.SAME
    assert matrix.compared and matrix.tried > 50 and matrix.disagreements == ()
    assert len(matrix.cells) == len(matrix.people) * len(v2.TABLES) * len(COMMANDS)
    service = next(person for person in matrix.people if person.kind is Kind.SERVICE)
    if not options.empty:
        assert matrix.cells[service.id, v2.LOGS, "delete"].now > 0
        assert matrix.cells["anon", v2.LOGS, "select"].now == 0


async def test_the_sample_has_people_of_every_kind(make_database: MakeDatabase) -> None:
    database = await make_database(MORE)
    await on(
        database,
        "insert into coach_clients (coach_id, client_id, status) select u.id, p.user_id, 'inactive' from "
        "(select id from auth.users where id not in (select coach_id from coach_clients) order by id limit 1) u, "
        "(select user_id from workout_plans where user_id is not null order by id limit 1) p; "
        "insert into auth.users (id, email) values (gen_random_uuid(), 'new@example.com')",
    )
    found, matrix = await access_of(await migrated(database))
    assert {person.kind for person in matrix.people} == set(Kind)
    assert failed(found) == set()
    labels = " ".join(person.label for person in matrix.people)
    for words in ("most plans", "fewest plans", "templates", "active clients", "none active", "no plans"):
        assert words in labels


@dataclass(frozen=True, slots=True)
class Broken:
    """A fault in who may do what, before or after the migration, and what it does to whom."""

    statements: str
    checks: set[str]
    verdict: Verdict
    cell: tuple[str, str]
    before: bool = False


EVERY_KIND = {"access-owners", "access-coaches", "access-others"}

BROKEN = {
    "rls off": Broken(
        "alter table exercise_logs disable row level security",
        {*EVERY_KIND, "access-anon", "access-as-applied"},
        Verdict.GAINED,
        (v2.LOGS, "delete"),
    ),
    "open policy": Broken(
        'create policy "[red] its open" on workout_days for select to authenticated using (true)',
        EVERY_KIND,
        Verdict.GAINED,
        (v2.DAYS, "select"),
    ),
    "open to anon": Broken(
        "grant select on exercises to anon; create policy open on exercises for select to anon using (true)",
        {"access-anon"},
        Verdict.GAINED,
        (v2.EXERCISES, "select"),
    ),
    "open for writing": Broken(
        "create policy open on workout_weeks for insert to authenticated with check (plan_id is not null)",
        EVERY_KIND,
        Verdict.GAINED,
        (v2.WEEKS, "insert"),
    ),
    "dropped policy": Broken(
        "drop policy workout_sessions_update on workout_sessions",
        {"access-owners", "access-coaches", "access-as-applied"},
        Verdict.LOST,
        (v2.SESSIONS, "update"),
    ),
    "restrictive policy": Broken(
        "create policy narrow on exercises as restrictive for delete to authenticated using (name is null)",
        {"access-owners", "access-coaches"},
        Verdict.LOST,
        (v2.EXERCISES, "delete"),
    ),
    "revoked grant": Broken(
        "revoke delete on workout_plans from authenticated",
        {"access-owners", "access-coaches"},
        Verdict.LOST,
        (v2.PLANS, "delete"),
    ),
    "service shut out": Broken(
        "revoke select on exercise_logs from service_role", {"access-service"}, Verdict.LOST, (v2.LOGS, "select")
    ),
    "coaches shut out": Broken(
        "create or replace function workout_coached_users() returns setof uuid language sql stable security definer "
        "set search_path = '' begin atomic select null::uuid where false; end",
        {"access-coaches"},
        Verdict.LOST,
        (v2.PLANS, "select"),
    ),
    "templates were public": Broken(
        "create policy templates on workout_plans for select to authenticated using (is_template)",
        EVERY_KIND,
        Verdict.LOST,
        (v2.PLANS, "select"),
        before=True,
    ),
    "v1 had no row level security": Broken(
        "alter table workout_sessions disable row level security",
        {*EVERY_KIND, "access-anon"},
        Verdict.LOST,
        (v2.SESSIONS, "select"),
        before=True,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_lost_and_gained_access_are_found(name: str, make_database: MakeDatabase) -> None:
    broken = BROKEN[name]
    database = await make_database(MORE, moved=not broken.before)
    await on(database, broken.statements)
    if broken.before:
        await migrated(database)
    found, matrix = await access_of(database)
    assert failed(found) == broken.checks, [event.message for event in found.values()]
    assert matrix.verdict is broken.verdict
    verdicts = {matrix.cells[person.id, *broken.cell].verdict for person in matrix.people}
    assert broken.verdict in verdicts
    for check in broken.checks:
        event = found[check]
        if check == "access-as-applied":
            # Red for itself: nothing is applied where nothing is asked.
            assert broken.cell[0] in (event.message or "") and event.overridable is False
            continue
        assert event.rows and event.message and f"{broken.cell[1]} {broken.cell[0]}" in event.message
        # What shows one user another's data is never let pass; what was meant to be closed can be.
        assert event.overridable is (broken.verdict is Verdict.LOST)


async def test_an_exercise_that_strayed_is_lost_to_one_and_gained_by_another(make_database: MakeDatabase) -> None:
    database = await make_database(MORE, moved=True)
    async with database.planting() as admin:
        moved = await admin.fetchrow(
            "with d as (select d.id, p.user_id from workout_days d join workout_weeks w on w.id = d.week_id "
            "join workout_plans p on p.id = w.plan_id) "
            "update exercises e set day_id = t.id from d f, "
            "(select * from d where user_id = (select id::uuid from (select user_id::text as id, count(*) n from "
            "workout_plans group by 1 order by n desc, id limit 1) most) order by id limit 1) t "
            "where f.id = e.day_id and e.id = (select e.id from exercises e join d on d.id = e.day_id "
            "where d.user_id <> t.user_id order by e.id limit 1) "
            "returning e.id::text as exercise, f.user_id::text as owner, t.user_id::text as other"
        )
    async with looking_at(database) as context:
        matrix = await measured(context, everyone=True)
    assert moved is not None
    lost = matrix.cells[moved["owner"], v2.EXERCISES, "select"]
    gained = matrix.cells[moved["other"], v2.EXERCISES, "select"]
    assert (lost.lost, lost.lost_ids, lost.verdict) == (1, (moved["exercise"],), Verdict.LOST)
    assert (gained.gained, gained.gained_ids, gained.verdict) == (1, (moved["exercise"],), Verdict.GAINED)


async def test_what_v2_promises_beyond_v1_is_by_design(make_database: MakeDatabase) -> None:
    database = await on(
        await make_database(MORE),
        'drop policy "Coaches manage client plans" on workout_plans; '
        'drop policy "Coaches read client sessions" on workout_sessions; '
        'drop policy "Coaches read client logs" on exercise_logs',
    )
    found, matrix = await access_of(await migrated(database))
    assert failed(found) == set()
    assert matrix.verdict is Verdict.BY_DESIGN
    assert "By design" in (found["access-coaches"].message or "")
    assert matrix.totals[Kind.COACH].by_design > 0 and matrix.totals[Kind.OWNER].by_design == 0


async def test_policies_in_other_words_give_the_same(make_database: MakeDatabase) -> None:
    """Correlated conditions, functions found by the API's path, several policies, names that are no words."""
    database = await on(
        await make_database(MORE),
        "create function mine(plan uuid) returns boolean language plpgsql stable as "
        "$$ begin return exists (select from plan_owners where id = plan and user_id = auth.uid()); end $$;"
        "create view plan_owners as select id, user_id from workout_plans; grant select on plan_owners to public;"
        'drop policy "Users manage exercises of visible plans" on exercises;'
        'create policy "x"" [/y]" on exercises for select to public using (exists (select 1 from workout_plans p '
        "where p.id = exercises.plan_id));"
        "create policy b on exercises for insert to authenticated with check (exists (select 1 from workout_plans p "
        "where p.id = exercises.plan_id));"
        "create policy c on exercises for update to authenticated using (mine(plan_id) or plan_id in "
        "(select id from workout_plans));"
        "create policy d on exercises for delete to authenticated using (plan_id in (select id from workout_plans) "
        "and name is not null);"
        "create policy e on exercises as restrictive to authenticated using (auth.uid() is not null)",
    )
    found, matrix = await access_of(await migrated(database))
    assert failed(found) == set(), [event.message for event in found.values()]
    assert matrix.verdict is Verdict.SAME


async def test_a_policy_that_a_role_cannot_evaluate_gives_it_nothing(make_database: MakeDatabase) -> None:
    """As its own SELECT does: permission denied for the table that the policy reads."""
    database = await on(
        await make_database(MORE),
        "revoke all on coach_clients from anon; create policy listed on workout_plans to public "
        "using (exists (select from coach_clients c where c.client_id = workout_plans.user_id "
        "and c.coach_id = auth.uid() and c.status = 'active'))",
    )
    found, matrix = await access_of(await migrated(database))
    assert failed(found) == set(), [event.message for event in found.values()]
    assert matrix.cells["anon", v2.PLANS, "select"].before == 0
    await on(database, "create policy listed on exercises for select using (exists (select from vagus_migration.runs))")
    found, matrix = await access_of(database)
    assert failed(found) == {"access-owners", "access-coaches"} and matrix.verdict is Verdict.LOST


async def test_what_users_do_after_the_cut_over_is_held_against_the_rules_alone(make_database: MakeDatabase) -> None:
    database = await make_database(MORE, moved=True)
    await on(
        database,
        "insert into workout_plans (user_id, name, goal, total_weeks) select user_id, 'new', 'strength', 2 "
        "from workout_plans order by id limit 3; insert into workout_weeks (plan_id, week_number) select id, 1 from "
        "workout_plans where name = 'new'; delete from workout_plans where id = (select id from workout_plans "
        "where name <> 'new' order by id limit 1); update workout_plans set user_id = (select user_id "
        "from workout_plans p where p.user_id <> workout_plans.user_id order by id limit 1) where id = "
        "(select id from workout_plans where name <> 'new' order by id limit 1)",
    )
    found, matrix = await access_of(database)
    assert failed(found) == set(), [event.message for event in found.values()]
    assert matrix.cells["service_role", v2.PLANS, "select"].since == 4


async def test_without_v1_its_own_rules_are_what_counts(make_database: MakeDatabase) -> None:
    database = await make_database(MORE, moved=True)
    async with database.as_admin() as admin:
        await admin.execute("drop table exercise_logs_v1, workout_sessions_v1, exercises_v1, workout_plans_v1 cascade")
    found, matrix = await access_of(database)
    assert failed(found) == set() and not matrix.compared
    await on(database, "create policy open on exercises for select to authenticated using (true)")
    assert failed((await access_of(database))[0]) >= {"access-owners", "access-others"}


async def test_before_the_migration_it_is_skipped(clean_database: TestDatabase) -> None:
    async with looking_at(clean_database) as context:
        events = [event async for event in run_checks(checks_for(Group.ACCESS), context)]
    assert {event.status for event in events[len(checks_for(Group.ACCESS)) :]} == {Status.RUNNING, Status.SKIP}


async def test_everyone_is_measured_and_only_who_differs_is_kept(make_database: MakeDatabase) -> None:
    database = await make_database(MORE, moved=True)
    async with looking_at(database) as context:
        users = await context.connection.fetchval("select count(*) from auth.users")
        items = [item async for item in measure(context, everyone=True)]
        matrix = items[-1]
        assert isinstance(matrix, AccessMatrix) and matrix.everyone
        # The user who does not exist and the two roles come on top.
        assert matrix.measured == users + 3
        assert len(matrix.people) < users
        progress = [item for item in items[:-1] if not isinstance(item, AccessMatrix)]
        assert progress[0].done == 0 and progress[-1].done == progress[-1].total == users + 3
        await context.connection.execute("drop policy exercises_select on exercises")
        matrix = await measured(context, everyone=True)
        owners = await context.connection.fetchval("select count(distinct user_id) from workout_plans")
        assert matrix.totals[Kind.OWNER].people_lost + matrix.totals[Kind.COACH].people_lost >= owners - 1
        assert {person.id for person in matrix.people} >= {
            row["id"]
            for row in await context.connection.fetch(
                "select distinct p.user_id::text as id from workout_plans p join workout_weeks w on w.plan_id = p.id "
                "join workout_days d on d.week_id = w.id join exercises e on e.day_id = d.id limit 50"
            )
        }
        failing = {event.id for event in events_of(matrix) if event.status.blocks}
        assert failing == {"access-owners", "access-coaches", "access-as-applied"}


async def test_stopping_leaves_nothing_behind(make_database: MakeDatabase) -> None:
    database = await make_database(MORE, moved=True)
    async with looking_at(database) as context:
        running = measure(context, everyone=True)
        await anext(running)
        await anext(running)
        await running.aclose()  # type: ignore[attr-defined]
        left = "select count(*) from pg_class where relname like 'vagus_access_%'"
        assert await context.connection.fetchval(left) == 0
        assert await context.connection.fetchval("select current_user") == "postgres"
        assert await context.connection.fetchval("select auth.uid()") is None


async def test_a_matrix_is_kept_and_read_back(moved_database: TestDatabase) -> None:
    async with looking_at(moved_database) as context:
        assert await access_matrix(context.connection) is None
    _, matrix = await access_of(moved_database)
    async with looking_at(moved_database) as context:
        kept = await access_matrix(context.connection)
    assert kept == matrix
    assert unpacked(packed(matrix)) == matrix
    assert kept is not None and kept.operator == settings_for("").operator
    assert {event.to_json()["event"] for event in matrix.events()} == {"access"}
    assert Person("anon", "anon", Kind.ANON).user_id is None
