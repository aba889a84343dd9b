"""What somebody alters beside v1 while it is being built is found at the end of the build."""

from __future__ import annotations

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import outside_loop
from tests.migration.support import state_of
from tests.migration.test_stop_anywhere import attempted
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.events import Event, NoteEvent, Phase, StepEvent, StepState
from vagus_tui.journal.state import State
from vagus_tui.migration import build
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

LINKED = "link-users-workout_plans"
"""A step after which all rows are there. The round that follows puts right what was written to mapped columns."""
FIRST = "where id in (select id from workout_v2.{table} order by id limit {rows})"
WRITTEN = {
    "exercise_logs": ("form_rating = 4", 2, {"form_rating": 4}, {"form_rating": None}),
    "exercises": ("client_comment = 'x'", 1, {"client_comment": "x"}, {"client_comment": None}),
    "workout_days": ("client_comment = 'x'", 2, {"client_comment": "x"}, {"client_comment": None}),
    "workout_sessions": ("energy_level = 3", 1, {"energy_level": 3}, {"energy_level": None}),
    "workout_weeks": (
        "deload = true, notes = 'n'",
        1,
        {"deload": True, "notes": "n"},
        {"deload": False, "notes": None},
    ),
}
"""By table: values where v1 has no place for any, in how many rows, and what is said of them: found, expected."""


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


async def test_values_that_v1_has_no_place_for(make_database: MakeDatabase) -> None:
    """Columns that only v2 has: no row of v1 tells that something does not belong there."""
    database = await make_database(SandboxOptions(plans=12, clean=True))
    notes = []

    def meddle(event: Event) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state) == (LINKED, StepState.DONE):
            for table, (values, rows, _, _) in WRITTEN.items():
                sql = f"update workout_v2.{table} set {values} {FIRST.format(table=table, rows=rows)}"
                outside_loop(database.execute(sql))
        elif isinstance(event, NoteEvent) and event.level == "error":
            notes.append(event)

    result = await attempted(database, meddle)
    assert not result.ok and result.exit_status == 3, result
    for table, (_, rows, found, expected) in WRITTEN.items():
        assert f"{table} {rows}" in result.message
        said = [note.detail for note in notes if note.message.startswith(f"{table} ")]
        assert said == [{"expected": expected, "found": found}] * rows, said
    assert (await state_of(database)).state is State.V1


async def test_a_group(make_database: MakeDatabase) -> None:
    database = await make_database(SandboxOptions(plans=12, clean=True))

    def meddle(event: Event) -> None:
        if isinstance(event, StepEvent) and (event.id, event.state) == ("behaviour", StepState.DONE):
            outside_loop(
                database.execute(
                    "insert into workout_v2.exercise_groups (day_id, type, order_index) "
                    "select id, 'circuit', 1 from workout_v2.workout_days limit 1"
                )
            )

    result = await attempted(database, meddle)
    assert not result.ok and result.exit_status == 3, result
    assert "1: rows are in exercise_groups, of which v1 knows nothing" in result.message
    assert (await state_of(database)).state is State.V1


async def test_values_in_rows_that_wait_to_be_brought_over(make_database: MakeDatabase, connect: Connect) -> None:
    """The proof leaves such a row to the round, which writes none of these columns: its own proof must see them."""
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    plan = await conn.fetchval("select id from workout_plans order by id limit 1")
    waits = False

    def meddle(event: Event) -> None:
        nonlocal waits
        if isinstance(event, StepEvent) and (event.id, event.state) == (LINKED, StepState.DONE):
            outside_loop(
                database.execute(f"update workout_v2.workout_weeks set deload = true where plan_id = '{plan}'")
            )
        elif not waits and isinstance(event, StepEvent) and event.phase is Phase.PROVE:
            waits = True
            outside_loop(database.execute(f"update public.workout_plans set name = name || '!' where id = '{plan}'"))

    result = await attempted(database, meddle)
    assert waits and not result.ok and result.exit_status == 3, result
    assert "Changes brought over do not agree with v1: workout_weeks" in result.message
    assert "wrote to schema workout_v2 by hand" in (result.next_step or "")
    assert (await state_of(database)).state is State.V1


async def test_logs_that_are_moved_between_two_parts(
    make_database: MakeDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts are read by place in the file: what somebody moves meanwhile would be missed, so they are read again."""
    monkeypatch.setattr(build, "ROWS_PER_PART", 100)
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    await conn.execute("delete from exercise_logs where ctid < '(8,0)'")
    said, waiting = [], ["vacuum full exercise_logs"]

    def meddle(event: Event) -> None:
        if isinstance(event, NoteEvent) and event.level == "warning":
            said.append(event.message)
        if isinstance(event, StepEvent) and (event.id, event.state) == ("build-exercise_logs-2", StepState.STARTED):
            while waiting:
                outside_loop(database.execute(waiting.pop()))

    result = await attempted(database, meddle)
    assert result.ok and not waiting, result
    assert any("exercise_logs was written anew meanwhile" in words for words in said), said
    assert await v2_differences(conn) == []
