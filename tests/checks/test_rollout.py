"""What the rollout measures: whether the app is open, whether users train, and what coaches' progressions have left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.checks.support import measured
from tests.databases import TestDatabase
from vagus_tui.checks.rollout.activity import spans
from vagus_tui.events import Status
from vagus_tui.migration import maintenance

PROGRESSION = """
insert into exercises
  (id, day_id, name, muscle_group, sets, target_reps_min, target_reps_max, target_weight, order_index)
select gen_random_uuid(), f.id, x.name, x.muscle_group, x.sets, 8, 10, 50.5, x.order_index
from exercises x join workout_days d on d.id = x.day_id
join workout_weeks w on w.id = d.week_id and w.week_number = 1
join workout_weeks v on v.plan_id = w.plan_id and v.week_number = 2
join workout_days f on f.week_id = v.id and f.day_label = d.day_label
where x.target_reps_min is not null order by x.id limit 1 returning id
"""


async def test_maintenance_is_on_or_off(moved_database: TestDatabase) -> None:
    async def found() -> tuple[Status, object]:
        event = await measured("maintenance-off", moved_database)
        return event.status, event.measured

    assert await found() == (Status.PASS, "off")
    async with moved_database.as_admin() as admin:
        await maintenance.switch_flag(admin, enabled=True, message="Back soon")
        assert await found() == (Status.FAIL, "flag on")
        await admin.execute("update vagus_migration.fence set raised = true, operator = 'Ada'")
        assert await found() == (Status.FAIL, "flag and fence")
        await maintenance.switch_flag(admin, enabled=False)
        event = await measured("maintenance-off", moved_database)
        assert event.measured == "fence up" and "by Ada" in (event.message or "")


async def test_users_who_train_no_more_are_seen(moved_database: TestDatabase) -> None:
    event = await measured("activity", moved_database)
    assert (event.status, event.measured) == (Status.SKIP, "too early")
    begun = (
        "insert into workout_sessions (user_id, started_at) select (select user_id from workout_plans limit 1), "
        "now() - $1::interval + n * interval '1 minute' from generate_series(1, $2::int) n"
    )
    day, hours = timedelta(days=1), timedelta(hours=9)
    async with moved_database.as_admin() as admin:
        await admin.execute("delete from workout_sessions")
        await admin.execute("update vagus_migration.runs set finished_at = now() - interval '9 days'")
        # A week of sessions counts, against the week of the same days before the cut-over, which is two weeks back.
        await admin.execute(begun, 16 * day + hours, 19)
        event = await measured("activity", moved_database)
        assert (event.status, event.measured) == (Status.SKIP, "too few") and "19 of 1" in (event.message or "")
        await admin.execute(begun, 20 * day, 3)
        await admin.execute(begun, 4 * day, 10)
        event = await measured("activity", moved_database)
        assert (event.status, event.measured) == (Status.FAIL, "45 %")
        assert "10 sessions of 1 user " in (event.message or "") and "2 weeks before, 22 of" in (event.message or "")
        # Half as many is still enough, as expected says: less than that is not.
        await admin.execute(begun, 3 * day, 1)
        event = await measured("activity", moved_database)
        assert (event.status, event.measured, event.expected) == (Status.PASS, "50 %", "from 50 %")
        await admin.execute(begun, 2 * day, 11)
        event = await measured("activity", moved_database)
        assert (event.status, event.measured, event.value) == (Status.PASS, "100 %", 100)


@pytest.mark.parametrize(
    ("ago", "counted", "back"),
    [
        (timedelta(hours=2), timedelta(hours=2), 1),
        (timedelta(days=7), timedelta(days=7), 1),
        (timedelta(days=7, seconds=1), timedelta(days=7), 2),
        (timedelta(days=20), timedelta(days=7), 3),
    ],
)
def test_sessions_are_held_against_those_of_weeks_before_the_cut_over(
    ago: timedelta, counted: timedelta, back: int
) -> None:
    now = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)
    since, earlier = spans(now - ago, now)
    assert (now - since, earlier) == (counted, timedelta(weeks=back))
    # None of what it is held against was written to v2.
    assert now - earlier <= now - ago


async def test_a_later_week_is_held_against_the_same_exercise_in_the_week_before(moved_database: TestDatabase) -> None:
    """Of its own plan and day, in its own place, as it is there by now; and only what was written since counts."""
    async with moved_database.as_admin() as admin:
        plan = await admin.fetchval("select id from workout_plans where total_weeks >= 4 order by id limit 1")
        # Of this plan nothing is left but one day a week, with the same exercise twice: one of the two has no targets.
        await admin.execute(
            "delete from workout_days d using workout_weeks w where w.id = d.week_id and w.plan_id = $1 and d.id <> "
            "(select x.id from workout_days x where x.week_id = w.id order by x.day_number limit 1)",
            plan,
        )
        await admin.execute(
            "delete from exercises x using workout_days d, workout_weeks w where d.id = x.day_id and w.id = d.week_id "
            "and w.plan_id = $1",
            plan,
        )
        await admin.execute("update workout_plans set total_weeks = 4 where id = $1", plan)
        await admin.execute("delete from workout_weeks where plan_id = $1 and week_number > 4", plan)
        await admin.execute(
            "insert into exercises (day_id, name, muscle_group, sets, target_reps_min, target_reps_max, target_weight, "
            "order_index) select d.id, 'Row', 'back', 3, reps, reps + 2, weight, n from workout_weeks w "
            "join workout_days d on d.week_id = w.id, (values (1, 8, 50), (2, null, null)) v(n, reps, weight) "
            "where w.plan_id = $1",
            plan,
        )

        async def change(weeks: str, what: str) -> None:
            await admin.execute(
                f"update exercises x set {what} from workout_days d, workout_weeks w where d.id = x.day_id "
                f"and w.id = d.week_id and w.plan_id = $1 and x.order_index = 1 and w.week_number in ({weeks})",
                plan,
            )

        async def found() -> tuple[Status, object, object]:
            event = await measured("progressions", moved_database)
            return event.status, event.measured, event.rows

        # The same in every week is no progression, and what never had targets misses none.
        assert (await found())[:2] == (Status.SKIP, "none yet")
        await change("3", "target_weight = 55")
        await change("4", "target_weight = 60")
        assert (await found())[:2] == (Status.PASS, "1 plan")
        # Without a weight it still has its repetitions.
        await change("3, 4", "target_weight = null")
        assert (await found())[0] is Status.PASS
        # From the third week on nothing is left: what the fourth is held against has none either.
        await change("3, 4", "target_reps_min = null, target_reps_max = null")
        assert await found() == (Status.FAIL, "1 wrong", 1)
        # On another day it is another exercise.
        await admin.execute(
            "update workout_days d set day_label = 'elsewhere' from workout_weeks w where w.id = d.week_id "
            "and w.plan_id = $1 and w.week_number = 3",
            plan,
        )
        assert await found() == (Status.FAIL, "1 wrong", 1)
        await change("4", "target_reps_min = 8, target_reps_max = 10, target_weight = 50")
        assert (await found())[:2] == (Status.SKIP, "none yet")
        # As it was moved, before anything was noted.
        await change("4", "target_reps_min = null, target_reps_max = null, target_weight = null")
        await admin.execute("delete from vagus_migration.v2_changes")
        assert (await found())[:2] == (Status.SKIP, "none yet")


async def test_what_progressions_have_left(moved_database: TestDatabase) -> None:
    event = await measured("progressions", moved_database)
    assert (event.status, event.measured) == (Status.SKIP, "none yet")
    async with moved_database.as_admin() as admin:
        written = await admin.fetchval(PROGRESSION)
        event = await measured("progressions", moved_database)
        assert (event.status, event.measured) == (Status.PASS, "1 plan")
        await admin.execute(
            "update exercises set target_reps_min = null, target_reps_max = null, target_weight = null where id = $1",
            written,
        )
        event = await measured("progressions", moved_database)
        assert event.status is Status.FAIL and "without the repetitions and weights" in (event.message or "")
        await admin.execute("update exercises set target_reps_min = 8, target_reps_max = 10 where id = $1", written)
        await admin.execute(
            "update workout_plans set total_weeks = 1 where id = (select w.plan_id from exercises e "
            "join workout_days d on d.id = e.day_id join workout_weeks w on w.id = d.week_id where e.id = $1)",
            written,
        )
        event = await measured("progressions", moved_database)
        assert event.status is Status.FAIL and "beyond their plan's length" in (event.message or "")
        assert event.rows == 1
        await admin.execute(
            "update exercises set target_reps_min = null, target_reps_max = null, target_weight = null where id = $1",
            written,
        )
        event = await measured("progressions", moved_database)
        assert event.rows == 1 and "beyond" in (event.message or "") and "without" in (event.message or "")
        # Where nothing is noted, nothing is said.
        await admin.execute("drop table vagus_migration.v2_changes")
    event = await measured("progressions", moved_database)
    assert (event.status, event.measured) == (Status.SKIP, "–")
