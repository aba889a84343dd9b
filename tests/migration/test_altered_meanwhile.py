"""What somebody alters beside v1 while it is being built is found at the end of the build."""

from __future__ import annotations

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import outside_loop
from tests.migration.support import state_of
from tests.migration.test_stop_anywhere import attempted
from tests.oracle import catalog_fingerprint, changes
from vagus_tui.events import Event, StepEvent, StepState
from vagus_tui.journal.state import State
from vagus_tui.sandbox.options import SandboxOptions

ALTERED = {
    "a column, a default, an index, a reference": (
        "link-users-workout_plans",
        "alter table workout_v2.workout_days alter column day_label drop not null; "
        "alter table workout_v2.exercises add column mine text; "
        "alter table workout_v2.workout_weeks alter column deload set default true; "
        "drop index workout_v2.idx_exercises_name; "
        "create rule r as on delete to workout_v2.exercise_groups do instead nothing",
        (
            "columns of workout_v2.exercises",
            "columns of workout_v2.workout_days",
            "columns of workout_v2.workout_weeks",
            "rules of workout_v2.exercise_groups",
            "index idx_exercises_name is gone",
        ),
    ),
    "what the last step made": (
        "behaviour",
        "drop policy workout_plans_select on workout_v2.workout_plans; "
        "drop trigger vagus_capture on workout_v2.workout_plans; "
        "alter table workout_v2.exercise_logs drop constraint exercise_logs_session_id_fkey; "
        "grant select on workout_v2.exercises to public",
        ("kind and rights of workout_v2.exercises", "reference exercise_logs_session_id_fkey is gone", "policy gone"),
    ),
}

BY_HAND = """
insert into workout_v2.exercise_groups (day_id, type, order_index) select id, 'circuit', 1 from workout_v2.workout_days
  limit 1;
update workout_v2.workout_weeks set deload = true where id = (select id from workout_v2.workout_weeks limit 1);
update workout_v2.exercise_logs set form_rating = 4
  where id in (select id from workout_v2.exercise_logs limit 2)
"""


@pytest.mark.parametrize("what", ALTERED)
async def test_altered_during_the_build(what: str, make_database: MakeDatabase, connect: Connect) -> None:
    step, sql, told = ALTERED[what]
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    catalog = await catalog_fingerprint(conn)

    def meddle(event: Event) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state) == (step, StepState.DONE):
            outside_loop(database.execute(sql))

    result = await attempted(database, meddle)
    assert not result.ok and result.exit_status == 3, result
    for words in told:
        assert words in result.message
    assert (await state_of(database)).state is State.V1
    assert changes(catalog, await catalog_fingerprint(conn)) == []


async def test_what_v1_knows_nothing_of(make_database: MakeDatabase) -> None:
    """A group, and values of columns that only v2 has: no row of v1 tells that they do not belong there."""
    database = await make_database(SandboxOptions(plans=12, clean=True))

    def meddle(event: Event) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state) == ("behaviour", StepState.DONE):
            outside_loop(database.execute(BY_HAND))

    result = await attempted(database, meddle)
    assert not result.ok and result.exit_status == 3, result
    assert "4: rows of v2 hold what v1 knows nothing of" in result.message
    assert (await state_of(database)).state is State.V1
