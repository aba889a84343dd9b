"""The rehearsal: green on what is sound, red with its meaning where something is not, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.backup.conftest import TABLES_AND_CSV
from tests.backup.helpers import Made, collect, make, settings_for, tools_running
from tests.backup.test_restoring import tables
from tests.backup.test_verification import reseal
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.backup import BackupOptions, Kind, list_backups, rehearsal_work, verify_backup
from vagus_tui.backup.came_back import not_restored_yet
from vagus_tui.backup.copy import RestoredCopy
from vagus_tui.backup.forecast import Forecast, StepForecast, compare, latest_forecast, parse_forecast, read_forecast
from vagus_tui.backup.manifest import Manifest, read_manifest
from vagus_tui.backup.rehearsal import rehearse
from vagus_tui.backup.rehearsal_stages import MEANING, STAGES
from vagus_tui.backup.rehearsal_users import Writes, look_for, untouched
from vagus_tui.backup.verify import keep_proof
from vagus_tui.backup.window import lanes, window_rows
from vagus_tui.checks import registry
from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.selftest import last_self_test
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import NoteEvent, Phase, Status, StepEvent, StepState
from vagus_tui.journal import backup_records, decisions, store
from vagus_tui.journal.state import State, read_state
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.schema import v2
from vagus_tui.settings import Settings
from vagus_tui.widgets.rehearsed import forecast_line, timeline_lines

TABLES = BackupOptions(kinds=frozenset({Kind.TABLES}))
FULL = BackupOptions(kinds=frozenset({Kind.FULL}))


async def rehearsed(settings: Settings, options: BackupOptions = TABLES) -> Made:
    made = await make(settings, options)
    return await collect(rehearse(made.path, settings, Control()))


def stages(done: Made) -> dict[str, StepState]:
    """How each stage ended, in order."""
    return {step.id.removeprefix("rehearse-"): step.state for step in done.steps if step.phase is Phase.REHEARSE}


def forecast_of(done: Made) -> Forecast:
    forecast = parse_forecast(done.result.figures)
    assert forecast is not None
    return forecast


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Connection]:
    async with Database(settings).connection("test") as connection:
        yield connection


@pytest.fixture
def grudge(monkeypatch: pytest.MonkeyPatch) -> str:
    """The only check of the data's quality, which always fails."""

    async def objects(_: Context) -> Outcome:
        return Outcome(Status.FAIL, "never")

    check = Check(id="grudge", group=Group.DATA_QUALITY, title="Grudge", why="", expected="always", probe=objects)
    others = registry.checks_for
    monkeypatch.setattr(
        rehearsal_work, "checks_for", lambda group: (check,) if group is Group.DATA_QUALITY else others(group)
    )
    return check.id


async def test_the_whole_way_there_and_back_and_there_again(
    settings: Settings, clean_database: TestDatabase, grudge: str
) -> None:
    """What was let pass in production is let pass here."""
    async with clean_database.connect() as connection:
        await decisions.override(connection, grudge, "it always does", operator="tester")
    done = await rehearsed(settings)
    assert done.result.ok, done.result
    assert done.checks[grudge].status is Status.FAIL and "it always does" in (done.checks[grudge].overridden or "")
    assert list(stages(done)) == [stage.id for stage in STAGES]
    assert set(stages(done).values()) == {StepState.DONE}
    forecast = forecast_of(done)
    assert forecast.complete and forecast.seconds_before_cut_over is not None
    assert forecast.writes_blocked_seconds is not None and forecast.rollback_blocked_seconds is not None
    assert forecast.dump_seconds and forecast.restore_seconds and forecast.disk_bytes and forecast.wal_bytes
    assert forecast.step_seconds("swap") is not None and forecast.step_seconds("prove-exercise_logs") is not None
    # The steps of the two migrations can be told apart.
    ids = [step.id for step in done.steps]
    assert {"migrate-swap", "migrate-again-swap", "rollback-carry-back"} <= set(ids)
    # Kept beside the backup, which is as whole as it was, and in the journal of the real database.
    (info,) = list_backups(settings)
    assert not info.problems and read_forecast(info.path) == forecast
    # It holds nothing but what was restored and compared here.
    assert info.restored is not None and not info.came_back
    assert (await collect(verify_backup(info.path, Control()))).result.ok
    async with opened(settings) as connection:
        tested = await last_self_test(connection)
        assert tested is not None and tested.ok and tested.where == "in a rehearsal"
        (record,) = await backup_records.backups(connection)
        assert record.restored
        state = await read_state(connection)
        assert state.state is State.V1
        assert await latest_forecast(connection, settings) == forecast
        # Twice the logs: what grows with them is scaled, the swap is not.
        await connection.execute(
            "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) "
            "select session_id, exercise_id, set_number + 100, reps, weight from exercise_logs"
        )
        scaled = await latest_forecast(connection, settings, state.shape)
        assert scaled is not None and scaled.scale > 1.5
        assert scaled.step_seconds("prove-exercise_logs") == pytest.approx(
            2 * (forecast.step_seconds("prove-exercise_logs") or 0)
        )
        assert scaled.step_seconds("swap") == forecast.step_seconds("swap")


async def test_without_a_row(make_database: MakeDatabase, tmp_path: Path) -> None:
    options = SandboxOptions(empty=True, clean=True, default_privileges=False)
    done = await rehearsed(settings_for(await make_database(options), tmp_path), FULL)
    assert done.result.ok, done.result


async def test_without_the_real_database_the_figures_lie_beside_the_backup(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    """And so with a v1 of another kind: numbers for ids, renamed by somebody already."""
    options = SandboxOptions(plans=10, clean=True, renamed=True, bigint_ids=True, notification_preferences="rows")
    settings = settings_for(await make_database(options), tmp_path)
    made = await make(settings, FULL)
    away = settings.model_copy(update={"database_url": None})
    done = await collect(rehearse(made.path, away, Control()))
    assert done.result.ok, done.result
    assert any(isinstance(event, NoteEvent) and "beside the backup only" in event.message for event in done.events)
    assert read_forecast(made.path) is not None
    async with opened(settings) as connection:
        assert not await store.latest_notes(connection, "rehearsal")
        assert await latest_forecast(connection, settings) is not None


async def test_bad_data_stops_it_before_the_migration(settings: Settings, clean_database: TestDatabase) -> None:
    async with clean_database.planting() as admin:
        await admin.execute("update exercises set sets = -1 where id = (select min(id::text)::uuid from exercises)")
    done = await rehearsed(settings, TABLES_AND_CSV)
    # What was restored for it came back; the files that were not are still to be tested.
    (info,) = list_backups(settings)
    assert (info.restored, info.came_back) == (None, "tables")
    assert "restored the dump of the workout tables and compared it; not restored as a test yet: CSV files" in (
        not_restored_yet(info)
    )
    assert (done.result.ok, done.result.exit_status) == (False, 1)
    assert stages(done) == {
        "restore": StepState.DONE,
        "prerequisites": StepState.DONE,
        "data-quality": StepState.FAILED,
    }
    assert "Data quality" in done.result.message and MEANING["data-quality"] in (done.result.state or "")
    # What it got to is kept, and does not count as a forecast of the cut-over.
    async with opened(settings) as connection:
        known = await latest_forecast(connection, settings)
        assert known is not None and not known.complete and known.seconds_before_cut_over is None


async def test_rows_that_came_back_otherwise_are_damage(settings: Settings, made: Made) -> None:
    entries = tables(made.path)
    for entry in entries:
        if entry["name"] == "exercises":
            entry["digest"] = entry["digest"][::-1]
    reseal(made.path, tables=entries)
    keep_proof(made.path, verified=True)
    done = await collect(rehearse(made.path, settings, Control()))
    assert stages(done) == {"restore": StepState.FAILED}
    assert "digest differs" in done.result.message and MEANING["restore"] in (done.result.state or "")
    (info,) = list_backups(settings)
    assert not info.usable and "digest differs" in info.problems[0] and not info.came_back
    async with opened(settings) as connection:
        assert "digest differs" in (await backup_records.backups(connection))[0].damage


@pytest.mark.parametrize("at", ["rehearse-prerequisites", "migrate-prepare-staging"])
async def test_the_end_of_the_local_server_means_nothing_for_the_real_one(
    settings: Settings, made: Made, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[RestoredCopy] = []
    start = RestoredCopy.start

    async def starting(path: Path, manifest: Manifest) -> RestoredCopy:
        copies.append(await start(path, manifest))
        return copies[-1]

    monkeypatch.setattr(RestoredCopy, "start", starting)
    events = []
    async for event in rehearse(made.path, settings, Control()):
        events.append(event)
        if copies and isinstance(event, StepEvent) and event.id == at:
            conn = await copies.pop().admin("postgres")
            os.kill(psutil.Process(conn.get_server_pid()).ppid(), signal.SIGQUIT)
            conn.terminate()
    result = Made(events).result
    assert not result.ok and "was ended" in result.message, result
    assert result.state is not None and "production" not in result.state
    assert list_backups(settings)[0].usable


async def test_users_without_rights_are_found(settings: Settings, clean_database: TestDatabase) -> None:
    async with clean_database.connect() as connection:
        await connection.execute(
            "revoke insert, update, delete on workout_plans, exercises, workout_sessions, exercise_logs "
            "from authenticated"
        )
    done = await rehearsed(settings)
    assert not done.result.ok
    failed = next(stage for stage, state in stages(done).items() if state is StepState.FAILED)
    assert failed in ("verification", "access", "writes")


async def test_a_stop_leaves_neither_process_nor_folder(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await make(settings, TABLES)
    copies: list[RestoredCopy] = []
    start = RestoredCopy.start

    async def watched(path: Path, manifest: Manifest) -> RestoredCopy:
        copies.append(await start(path, manifest))
        return copies[-1]

    monkeypatch.setattr(RestoredCopy, "start", watched)
    control = Control()
    events = []
    async for event in rehearse(made.path, settings, control):
        events.append(event)
        if isinstance(event, StepEvent) and event.id.startswith("migrate-build"):
            control.cancel()
    result = events[-1].to_json()
    assert (result["ok"], result["exit_status"]) == (False, 3)
    assert "Stopped by the operator" in result["message"]
    (copy,) = copies
    assert not copy.server.socket_dir.exists() and not copy.server.data_dir.exists()
    assert not tools_running("pg_restore") and not tools_running("postgres")
    assert read_forecast(made.path) is None


async def test_what_cannot_be_rehearsed_on_is_refused(
    settings: Settings, moved_database: TestDatabase, tmp_path: Path
) -> None:
    moved = settings_for(moved_database, tmp_path / "moved")
    for of, kind, words in ((settings, Kind.CSV, "CSV files alone"), (moved, Kind.TABLES, "“migrated”")):
        made = await make(of, BackupOptions(kinds=frozenset({kind})))
        refused = await collect(rehearse(made.path, of, Control()))
        assert refused.result.exit_status == 1 and words in refused.result.message


async def test_a_lost_write_and_a_changed_row_are_seen(settings: Settings, made: Made) -> None:
    """The comparisons can fail: a row that is nowhere is lost, and a row that changed by itself is noticed."""
    manifest = read_manifest(made.path)
    nowhere = "00000000-0000-0000-0000-00000000dead"
    async with opened(settings) as connection:
        shape = (await read_state(connection)).shape
        assert shape is not None
        await connection.execute("create schema archived; create table archived.exercise_logs (like exercise_logs)")
        traces = await look_for(connection, shape, "archived", Writes(new={v2.LOGS: [nowhere]}))
        assert traces.lost == [f"exercise_logs {nowhere}"]
        before = await untouched(connection, shape, manifest, Writes())
        row = await connection.fetchval(
            "update exercises set name = name || '!' where id = (select id from exercises limit 1) returning id::text"
        )
        after = await untouched(connection, shape, manifest, Writes())
        assert {table for table in before if before[table] != after[table]} == {"exercises"}
        spared = Writes(changed={v2.EXERCISES: [row]})
        assert (await untouched(connection, shape, manifest, spared))["exercises"] != after["exercises"]


def made_up(**values: object) -> Forecast:
    return Forecast.model_validate(
        {
            "rehearsed_at": datetime(2026, 3, 1, 22, tzinfo=UTC),
            "complete": True,
            "backup": "20260301/220000-v1-abcdef",
            "server_major": 18,
            "rows": {"workout_plans": 10, "exercises": 100, "workout_sessions": 80, "exercise_logs": 810},
            "steps": (
                StepForecast(id="prove-exercise_logs", phase=Phase.PROVE, title="", seconds=4.0),
                StepForecast(id="keys-workout_days", phase=Phase.BUILD, title="", seconds=1.0),
                StepForecast(id="swap", phase=Phase.CUT_OVER, title="", seconds=0.05),
            ),
            "phases": {"prepare": 0.1, "build": 10.0, "catch-up": 0.1, "prove": 4.0, "cut-over": 0.2, "settle": 1.0},
            "writes_blocked_seconds": 0.08,
            "rollback_seconds": 2.0,
            **values,
        }
    )


def test_scaling_follows_the_rows_of_the_table_that_a_step_names() -> None:
    rows = {"workout_plans": 10, "exercises": 100, "workout_sessions": 80, "exercise_logs": 1810}
    scaled = made_up().scaled_to(rows)
    assert scaled.scale == pytest.approx(2)
    assert scaled.step_seconds("prove-exercise_logs") == pytest.approx(4 * 1810 / 810)
    assert scaled.step_seconds("keys-workout_days") == pytest.approx(2)
    assert scaled.step_seconds("swap") == 0.05
    assert scaled.phase_seconds(Phase.BUILD) == pytest.approx(20)
    assert scaled.phase_seconds(Phase.CUT_OVER) == 0.2
    assert made_up().scaled_to({"exercise_logs": 0}).scale == 1
    # A table that was empty then says nothing of itself, and the same rows take what they took.
    empty = made_up(rows={"workout_plans": 10, "exercise_logs": 0}, migrate_seconds=99.0)
    assert empty.scaled_to({"workout_plans": 20, "exercise_logs": 5}).step_seconds("prove-exercise_logs") == 10
    assert empty.scaled_to({"workout_plans": 10, "exercise_logs": 0}) == empty


def test_scaling_follows_all_rows_for_whatever_else_grows_with_them() -> None:
    figures = ("rollback_seconds", "again_seconds", "verify_seconds", "dump_seconds", "restore_seconds")
    sizes = {"disk_bytes": 100, "wal_bytes": 50}
    step = StepForecast(id="prove-exercises", phase=Phase.PROVE, title="", seconds=4.0, rows=100)
    phases = {"build": 10.0, "prove": 4.0, "cut-over": 0.2, "of a later version": 7.0}
    before = made_up(**dict.fromkeys(figures, 3.0), **sizes, steps=(step,), phases=phases, migrate_seconds=15.0)
    after = before.scaled_to({table: 2 * count for table, count in before.rows.items()})
    assert [getattr(after, figure) for figure in figures] == [6.0] * 5
    assert (after.disk_bytes, after.wal_bytes, after.steps[0].rows) == (200, 100, 200)
    assert after.phases == {"build": 20.0, "prove": 8.0, "cut-over": 0.2}
    assert after.migrate_seconds == pytest.approx(28.2) and after.writes_blocked_seconds == 0.08


async def test_the_latest_that_came_to_its_end_counts_scaled_to_what_is_there_by_now(
    settings: Settings, clean_database: TestDatabase, made: Made
) -> None:
    """And not what lies beside the backup of another database, or beside what is none."""
    newest = made_up(rehearsed_at=datetime(2026, 5, 1, tzinfo=UTC))
    none = settings.backup_dir / "20260501" / "000000-v1-aaaaaa.partial"
    none.mkdir(parents=True)
    for folder in (made.path, none):
        (folder / "rehearsal.json").write_text(newest.model_dump_json())
    half = {"workout_plans": 20, "exercises": 200, "workout_sessions": 160, "exercise_logs": 1}
    oldest, older = made_up(rehearsed_at=datetime(2026, 2, 1, tzinfo=UTC), wal_bytes=1000), made_up(rows=half)
    newer = made_up(rehearsed_at=datetime(2026, 4, 1, tzinfo=UTC), complete=False, phases={"build": 1.0})
    assert older.seconds_before_cut_over == pytest.approx(14.2) and newer.seconds_before_cut_over is None
    async with clean_database.connect() as connection:
        assert await latest_forecast(connection, settings) is None
        for one in (newer, older, oldest):
            body = json.loads(one.model_dump_json())
            await store.note(connection, "rehearsal", body, operator="tester")
        # What an earlier version, or a hand, may have left there.
        await store.note(connection, "rehearsal", {"figures": "none"}, operator="tester")
        assert await latest_forecast(connection, settings) == older
        scaled = await latest_forecast(connection, settings, (await read_state(connection)).shape)
        assert scaled is not None
        now = {table: await connection.fetchval(f"select count(*) from {table}") for table in half}
    assert scaled.rows == now and scaled.scale == pytest.approx(sum(now.values()) / 381)
    assert scaled.step_seconds("prove-exercise_logs") == pytest.approx(4.0 * now["exercise_logs"])


def test_the_age_and_the_line_for_a_header() -> None:
    now = datetime(2026, 3, 2, 1, tzinfo=UTC)
    assert made_up().age(now) == timedelta(hours=3)
    assert forecast_line(made_up(), now) == "forecast 0:14 · writes wait 0.08 s · rehearsed 3 h ago"


def test_forecast_against_actual() -> None:
    found = {item.id: item for item in compare(made_up(), {"build": 15.0, "prove": 4.0}, 0.16)}
    assert found["build"].ratio == pytest.approx(1.5)
    assert found["writes-waited"].ratio == pytest.approx(2)
    assert "settle" not in found
    # How long writes waited is only compared where both are known.
    assert not compare(made_up(writes_blocked_seconds=None), {}, 0.16) and not compare(made_up(), {}, None)


def test_the_timeline_stands_beside_the_guides() -> None:
    rows = {row.id: row for row in window_rows(made_up())}
    assert (rows["offline"].guide, rows["offline"].rehearsed) == (31 * 60, 0.08)
    for width in (58, 78):
        lines = timeline_lines(made_up(), width)
        assert max(map(len, lines)) <= width
        assert any("31:00" in line and "0.08 s" in line for line in lines)
    guide, ours = lanes(made_up(writes_blocked_seconds=0.0), 40)
    assert guide.drawn().count("█") > 35 and "█" not in ours.drawn()


def test_every_stage_says_what_its_failure_would_mean() -> None:
    assert {stage.id for stage in STAGES} == set(MEANING)
