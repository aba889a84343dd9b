"""The plan preview shows what the migration does: the same days, the same exercises, before it and after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from tests.wizard.moved import migrated
from tests.wizard.walk import settings_for
from vagus_tui.checks.base import Context
from vagus_tui.database.connection import Database
from vagus_tui.errors import RefusedError
from vagus_tui.journal.state import read_state
from vagus_tui.preview.oddities import offered
from vagus_tui.preview.plan import Kind, TreeLine, plan_head, tree_page, v1_page
from vagus_tui.preview.reasons import Rule, rule_sql
from vagus_tui.preview.search import Order, PlanHit, Search, find_plans, like
from vagus_tui.preview.seen import user_view
from vagus_tui.preview.sources import mapping
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v1


@asynccontextmanager
async def context_of(database: TestDatabase, **values: object) -> AsyncIterator[Context]:
    settings = settings_for(database.url, **values)
    opened = Database(settings)
    async with opened.connection("test") as connection:
        yield Context(opened, connection, settings, await read_state(connection))


async def whole_tree(context: Context, plan: str) -> tuple[TreeLine, ...]:
    page = await tree_page(context, plan)
    assert page.total == len(page.lines)
    return page.lines


async def every_plan(context: Context, search: Search, limit: int = 7) -> list[PlanHit]:
    plans: list[PlanHit] = []
    more = True
    while more:
        page = await find_plans(context, search, after=plans[-1] if plans else None, limit=limit)
        plans.extend(page.plans)
        more = page.more
    return plans


KINDS = {
    "uuid": (SandboxOptions(plans=24, clean=True), False),
    "bigint": (SandboxOptions(plans=24, clean=True, bigint_ids=True), False),
    "renamed": (SandboxOptions(plans=24, clean=True, renamed=True), False),
    "every week": (SandboxOptions(plans=24, clean=True), True),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_foretold_is_what_comes(make_database: MakeDatabase, kind: str) -> None:
    options, repeat = KINDS[kind]
    database = await make_database(options)
    async with context_of(database, repeat_exercises=repeat) as context:
        plans = await every_plan(context, Search())
        before = {hit.id: await whole_tree(context, hit.id) for hit in plans}
        assert len(plans) == 24
        assert {line.kind for lines in before.values() for line in lines} == set(Kind)
    await migrated(settings_for(database.url, repeat_exercises=repeat))
    # How it was done is on record, so the settings of whoever looks do not matter.
    async with context_of(database) as context:
        after = {hit.id: await whole_tree(context, hit.id) for hit in await every_plan(context, Search())}
        if repeat:
            # Copies of later weeks are none of v1's rows, which the tree says once they stand there.
            after = {plan: tuple(replace(line, new=False) for line in lines) for plan, lines in after.items()}
            before = {plan: tuple(replace(line, new=False) for line in lines) for plan, lines in before.items()}
        assert after == before
        head = await plan_head(context, plans[0].id)
        assert head.built and dict(head.after)["total_weeks"]


async def test_each_exercise_says_which_rule_put_it_on_its_day(database: TestDatabase) -> None:
    async with database.as_admin() as admin:
        for group, number in (("'neck'", 0), ("null", 1)):
            await admin.execute(
                f"update exercises set muscle_group = {group}, day_of_week = null, day_label = null "
                f"where id in (select id from exercises order by id offset {number} limit 1)"
            )
    async with context_of(database) as context:
        found = mapping(context)
        assert found is not None
        rule, value = rule_sql(found)
        rows = await context.connection.fetch(
            f"select {rule} as rule, {value} as value, {found.day_name()} as day from {found.source(v1.EXERCISES)} e"
        )
        assert {row["rule"] for row in rows} == {one.value for one in Rule}
        for row in rows:
            if row["rule"] == Rule.LABEL:
                assert row["day"] == row["value"].strip()
            elif row["rule"] == Rule.OTHER_GROUP:
                assert row["day"] == "Upper Body"
            elif row["rule"] == Rule.NO_GROUP:
                assert row["day"] == "Full Body"
            elif row["rule"] == Rule.WEEKDAY:
                assert row["day"].endswith("day")
            else:
                assert row["day"] in found.options.day_by_muscle_group
        plan = await context.connection.fetchval(
            "select plan_id::text from exercises where day_label is not null and day_of_week is null "
            "and plan_id in (select id from workout_plans) limit 1"
        )
        page = await v1_page(context, plan)
        days = {line.id: line for line in await whole_tree(context, plan)}
        assert page.total == len(page.exercises) > 0
        for exercise in page.exercises:
            placed = days[exercise.id]
            day = next(
                one for one in days.values() if (one.kind, one.week, one.day) == (Kind.DAY, placed.week, placed.day)
            )
            assert day.title == exercise.reason.label
            assert exercise.reason.short and exercise.reason.text


async def test_a_value_that_v2_refuses_does_not_hide_the_plan(database: TestDatabase) -> None:
    async with context_of(database) as context:
        plan = await context.connection.fetchval(
            "select e.plan_id::text from exercises e join workout_plans p on p.id = e.plan_id where e.weight >= 10000"
        )
        page = await tree_page(context, plan)
        assert "numeric field overflow" in page.problem
        assert any(line.kind is Kind.EXERCISE for line in page.lines)


async def test_of_weeks_without_end_the_first_are_drawn(clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        plan = await conn.fetchval(
            "update workout_plans set duration_weeks = 2147483647 where id = (select plan_id from exercises limit 1) "
            "returning id::text"
        )
    async with context_of(clean_database) as context:
        page = await tree_page(context, plan)
        # One more than v2 takes, which is where the migration would stop counting as well.
        assert max(line.week for line in page.lines) == 53 and "to last 2,147,483,647 weeks" in page.problem
        assert (await v1_page(context, plan)).exercises


async def test_an_exercise_that_was_moved_later_says_where_it_came_from(moved_database: TestDatabase) -> None:
    async with moved_database.as_admin() as admin:
        [(exercise, plan)] = await admin.fetch(
            "select e.id::text, w.plan_id::text from exercises e join workout_days d on d.id = e.day_id "
            "join workout_weeks w on w.id = d.week_id where w.week_number = 1 limit 1"
        )
        await admin.execute(
            "update exercises set day_id = (select d.id from workout_days d join workout_weeks w on w.id = d.week_id "
            "where w.plan_id::text = $2 and w.week_number = 2 order by d.day_number limit 1) where id::text = $1",
            exercise,
            plan,
        )
    async with context_of(moved_database) as context:
        moved = [line for line in await whole_tree(context, plan) if line.expected]
    assert [line.id for line in moved] == [exercise]
    assert moved[0].expected.endswith("week 1") and moved[0].week == 2


async def test_pages_follow_each_other_without_gap_or_overlap(database: TestDatabase) -> None:
    async with context_of(database) as context:
        names = [hit.name.lower() for hit in await every_plan(context, Search())]
        assert len(names) == await context.connection.fetchval("select count(*) from workout_plans")
        for order in (Order.EXERCISES, Order.SESSIONS):
            hits = await every_plan(context, Search(order=order))
            sizes = [getattr(hit, order.value) for hit in hits]
            assert len({hit.id for hit in hits}) == len(names)
            assert sizes == sorted(sizes, reverse=True)
        plan = hits[0]
        tree = (await tree_page(context, plan.id)).lines
        paged = [
            line
            for start in range(0, len(tree), 5)
            for line in (await tree_page(context, plan.id, offset=start, limit=5)).lines
        ]
        assert paged == list(tree)


async def test_search_takes_any_text_as_it_is(database: TestDatabase) -> None:
    async with context_of(database) as context:
        hostile = "[/red] \"x'; DROP TABLE workout_plans;--"
        [hit] = (await find_plans(context, Search(text=hostile[2:20]))).plans
        assert hit.name == hostile
        assert like("50%_\\") == "%50\\%\\_\\\\%"
        assert all("%" in one.name for one in (await find_plans(context, Search(text="%"))).plans)
        by_mail = (await find_plans(context, Search(text=hit.email))).plans
        assert hit.id in {one.id for one in by_mail} and hit.email
        assert [one.id for one in (await find_plans(context, Search(text=hit.id))).plans] == [hit.id]


async def test_every_oddity_can_be_looked_for_before_and_after(make_database: MakeDatabase) -> None:
    database = await make_database(SandboxOptions(plans=120))
    async with database.as_admin() as admin:
        await admin.execute(
            "update exercises set muscle_group = 'neck', day_of_week = null, day_label = null "
            "where id in (select id from exercises order by id limit 1)"
        )
    async with context_of(database) as context:
        odd = {one.id: await every_plan(context, Search(oddity=one), 60) for one in offered(mapping(context))}
    assert [name for name, hits in odd.items() if not hits] == []
    assert max(len(hits) for hits in odd.values()) <= 120


async def test_a_plan_that_has_gone_is_refused_in_words(clean_database: TestDatabase) -> None:
    async with context_of(clean_database) as context:
        with pytest.raises(RefusedError, match="not there any more"):
            await plan_head(context, "00000000-0000-0000-0000-000000000000")


async def test_a_user_sees_their_own_and_their_clients_plans_before_and_after(clean_database: TestDatabase) -> None:
    async with context_of(clean_database) as context:
        coach = await context.connection.fetchval(
            "select coach_id::text from coach_clients where status = 'active' group by 1 order by count(*) desc limit 1"
        )
        client = await context.connection.fetchval(
            "select client_id::text from coach_clients where coach_id::text = $1 and status = 'active' limit 1", coach
        )
        theirs = await user_view(context, client)
        assert coach in dict(theirs.coaches) and not theirs.built
        before = await user_view(context, coach)
        assert before.clients > 0 and before.email
    await migrated(settings_for(clean_database.url))
    async with context_of(clean_database) as context:
        view = await user_view(context, coach)
        assert view.built and all(seen.agrees for seen in view.seen), view.seen
        assert {plan.relation for plan in view.plans} <= {"own", "client's"} and "client's" in {
            plan.relation for plan in view.plans
        }
        assert [seen.rule for seen in view.seen] == [seen.rule for seen in before.seen]
    async with clean_database.as_admin() as admin:
        await admin.execute("alter table workout_plans disable row level security")
    async with context_of(clean_database) as context:
        exposed = (await user_view(context, coach)).seen[0]
        assert exposed.others > 0 and not exposed.agrees
