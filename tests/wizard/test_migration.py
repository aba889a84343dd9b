"""Migration: the plan and its SQL, the gates, the run with its hold, and every way out of it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from textual.screen import ModalScreen

from tests.databases import TestDatabase
from tests.wizard.moved import ended
from tests.wizard.walk import LARGE, Walk, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.backup.forecast import TOPIC, Forecast
from vagus_tui.checks.base import Group
from vagus_tui.checks.registry import checks_for
from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.database.identifiers import quote
from vagus_tui.errors import VagusError
from vagus_tui.events import Phase, Status, StepEvent, StepState
from vagus_tui.journal import store
from vagus_tui.journal.state import STAGING
from vagus_tui.migration.catch_up import MAPPED
from vagus_tui.migration.phases import hold as holding
from vagus_tui.migration.runner import migrate
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.migration import MigrationScreen
from vagus_tui.screens.migration_words import figures_in_words
from vagus_tui.screens.overview_text import last_run
from vagus_tui.screens.text_view import TextView
from vagus_tui.session.job import Job
from vagus_tui.settings import Settings
from vagus_tui.widgets.code import CodeText
from vagus_tui.widgets.long_lines import LongLines
from vagus_tui.widgets.title import TitleLine


def _settings(url: str, tmp_path: Path, **values: object) -> Settings:
    return settings_for(url, backup_dir=tmp_path, **values)


def _at_cut_over(pilot: Walk) -> bool:
    """Whether the next enter cuts over."""
    return pilot.app.focused is not None and pilot.app.focused.id == "hold-go"


async def _start(pilot: Walk) -> None:
    """From the plan into the run, past gates and question."""
    wizard(pilot).action_go("migration")
    await until_text(pilot, "m starts")
    await pilot.press("m")
    await until_text(pilot, "Start, hold before the cut-over")
    await pilot.press("tab", "enter")


async def test_the_plan_is_shown_with_its_sql(clean_database: TestDatabase, tmp_path: Path) -> None:
    async with walking(_settings(clean_database.url, tmp_path), size=LARGE) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "m starts", "workout_plans", "Undo:", "prepare")
        pilot.app.screen.query_one("#plan").focus()
        await pilot.press("down", "down", "s")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextView))
        await pilot.press("escape", "a")
        await until_text(pilot, "The whole plan", "columns 1 to ")
        lines = pilot.app.screen.query_one(LongLines)
        first = lines.scrollable_content_region.width
        await pilot.press("right", "right")
        await until_text(pilot, f"← columns 21 to {20 + first} of ", " →")
        await pilot.press("end")
        await until(pilot, lambda: lines.scroll_x == lines.max_scroll_x and " →" not in lines.columns)
        await pilot.press("home")
        await until_text(pilot, f"· columns 1 to {first} of ")
        # All of it is there, in colour: its last line too.
        code = pilot.app.screen.query_one(CodeText)
        await pilot.press("ctrl+end")
        await until_text(pilot, (code.lines[-1] or code.lines[-2])[:40])
        await until(pilot, lambda: any(line.spans for line in code._shown))
        await pilot.press("w")
        await until(pilot, lambda: not lines.columns)
        assert lines.max_scroll_y > len(code.lines) - lines.size.height
        await pilot.press("ctrl+end")
        await until_text(pilot, (code.lines[-1] or code.lines[-2])[:40])


async def test_what_points_at_v1_is_shown_with_what_becomes_of_it(clean_database: TestDatabase, tmp_path: Path) -> None:
    async with clean_database.connect() as conn:
        await conn.execute('create view whole_plans as select p as "[/x] plan" from workout_plans p')
    async with walking(_settings(clean_database.url, tmp_path), size=LARGE) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "m starts", "workout_plans")
        pilot.app.screen.query_one("#plan").focus()
        await pilot.press("n")
        await until_text(pilot, "What points at v1", "view whole_plans: it cannot be read", "Proposal: rewrite it")
        await pilot.press("escape", "ctrl+end")
        await until_text(pilot, "supabase_realtime", "follows")
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, TextView))


async def test_unchecked_prerequisites_lock_the_screen(clean_database: TestDatabase, tmp_path: Path) -> None:
    async with walking(_settings(clean_database.url, tmp_path)) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "Locked by 1 gate", "Prerequisites are")
        # The gates have the keys; once they open, what is behind them has.
        await until(pilot, lambda: pilot.app.focused is not None and pilot.app.focused.id == "lock-gates")
        session = wizard(pilot).session
        session.start_checks("checks", [*checks_for(Group.PREREQUISITES), *checks_for(Group.DATA_QUALITY)])
        await until(pilot, lambda: not session.locks(Step.MIGRATION), patience=60)
        await until(pilot, lambda: pilot.app.focused is not None and pilot.app.focused.id != "lock-gates")
        assert "Locked by" not in screen_text(pilot)


async def test_a_gate_that_fails_refuses_the_start(database: TestDatabase, conn: Connection, tmp_path: Path) -> None:
    async with walking(_settings(database.url, tmp_path), size=LARGE) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "m starts")
        async with conn.transaction():
            await conn.execute("lock table exercises in access exclusive mode")
            await pilot.press("m")
            # The question does not wait for the gates, and gives way to what is in the way.
            await until_text(pilot, "Start, hold before the cut-over")
        await until_text(pilot, "Not yet", "orphaned-exercises")
        await pilot.press("enter")
        assert wizard(pilot).session.job is None
        screen = pilot.app.screen
        assert isinstance(screen, MigrationScreen)

        # Whatever else the screen has to show meanwhile does not hide which gate is being measured.
        told = set()
        screen.action_gates()
        while not isinstance(pilot.app.screen, ModalScreen):
            await asyncio.sleep(0.001)
            screen.changed(frozenset(), ())
            told.add(screen.query_one(TitleLine).render().plain.partition("  ")[2].strip())
        assert any(words.startswith("gate ") for words in told)
    assert await conn.fetchval("select to_regnamespace('workout_v2')") is None


async def test_it_holds_and_cuts_over_when_told(
    clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path
) -> None:
    async with walking(_settings(clean_database.url, tmp_path), size=LARGE) as pilot:
        await _start(pilot)
        await until_text(pilot, "Ready to cut over", "no differences", "in the way", "nobody")
        rows = [await clean_conn.fetchval(f"select count(*) from {STAGING}.{table}") for table in MAPPED]
        assert f"no differences in {sum(rows):,} rows" in screen_text(pilot)
        assert pilot.app.focused is not None and pilot.app.focused.id == "hold-keep"
        assert await clean_conn.fetchval("select to_regclass('public.workout_weeks')") is None
        await pilot.press("enter")
        await until(pilot, lambda: "Ready to cut over" not in screen_text(pilot))
        # One key alone does not cut over: it leads to what the decision rests on, and to the button.
        await pilot.press("c")
        await until_text(pilot, "Ready to cut over")
        await until(pilot, lambda: _at_cut_over(pilot))
        assert await clean_conn.fetchval("select to_regclass('public.workout_weeks')") is None
        await pilot.press("enter")
        await until_text(pilot, "Migrated: v2 is in place", "Next: Verification")
        assert wizard(pilot).session.standings[Step.MIGRATION].status is Status.PASS
    assert await clean_conn.fetchval("select count(*) from workout_weeks") > 0


async def test_what_fails_during_the_hold_hides_nothing_and_is_asked_about(
    clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path
) -> None:
    async with walking(_settings(clean_database.url, tmp_path), size=LARGE) as pilot:
        await _start(pilot)
        await until_text(pilot, "Ready to cut over")
        session = wizard(pilot).session
        session.take_result(replace(session.results["clock"], status=Status.FAIL, measured="90 s apart"))
        session.judge()
        await until(pilot, lambda: session.failing(Step.MIGRATION))
        await until_text(pilot, "Ready to cut over")
        pilot.app.set_focus(None)
        await pilot.press("c")
        await until(pilot, lambda: _at_cut_over(pilot))
        await pilot.press("c")
        await until_text(pilot, "Cut over although 1 check fails?", "90 s apart", "Keep holding")
        await pilot.press("enter")
        await until_text(pilot, "Ready to cut over")
        # Back on the button: the next press is the second.
        await pilot.press("c")
        await until_text(pilot, "Cut over although 1 check fails?")
        await pilot.press("right", "enter")
        await until_text(pilot, "Migrated: v2 is in place")


async def test_a_v1_that_changes_during_the_hold_is_not_called_ready(
    clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "LOOK_SECONDS", 0.1)
    async with walking(_settings(clean_database.url, tmp_path), size=LARGE) as pilot:
        await _start(pilot)
        await until_text(pilot, "Ready to cut over", "in the way nobody")
        await clean_conn.execute("alter table exercises add column tempo_hint text")
        await until_text(
            pilot,
            "Not ready: v2 was built for another v1",
            "in the way exercises has a new column tempo_hint. Take that back",
        )
        await clean_conn.execute("alter table exercises drop column tempo_hint")
        await until_text(pilot, "Ready to cut over", "in the way nobody")
        number = (
            "update exercise_logs set set_number = {} where id = (select id from exercise_logs order by id limit 1)"
        )
        await clean_conn.execute(number.format(-1))
        await until_text(
            pilot,
            "holding: v2 refuses a row",
            "Not ready: v1 has a row that v2 refuses",
            "exercise_logs_set_number_check",
            "Mend that row, or stop, fix it",
        )
        await clean_conn.execute(number.format(987))
        await until_text(pilot, "Ready to cut over", "in the way nobody")


async def test_it_goes_on_when_the_screen_is_left(clean_database: TestDatabase, tmp_path: Path) -> None:
    async with walking(_settings(clean_database.url, tmp_path), size=LARGE) as pilot:
        await _start(pilot)
        await until(pilot, lambda: wizard(pilot).session.job is not None)
        await pilot.press("1")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.MIGRATION].word == "holding")
        await pilot.press("5")
        await until_text(pilot, "Ready to cut over")


async def test_stopping_leaves_v1(clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path) -> None:
    async with walking(_settings(clean_database.url, tmp_path), size=LARGE) as pilot:
        await _start(pilot)
        await until_text(pilot, "Ready to cut over")
        await clean_conn.execute("begin; lock table exercises in access share mode")
        await pilot.press("x")
        await until_text(pilot, "Stop the migration")
        await pilot.press("tab", "enter")
        # It may have to wait, and says that it was heard.
        await until_text(pilot, " · stopping")
        assert "stop, v1 untouched" not in screen_text(pilot)
        await clean_conn.execute("rollback")
        await until(pilot, lambda: ended(pilot))
        await until_text(pilot, "v1 is in place", "starts again")
    assert await clean_conn.fetchval("select to_regnamespace('workout_v2')") is None


async def test_pause_and_throttle_reach_the_run(clean_database: TestDatabase, tmp_path: Path) -> None:
    async with walking(_settings(clean_database.url, tmp_path), size=LARGE) as pilot:
        await _start(pilot)
        await until_text(pilot, "Ready to cut over")
        job = wizard(pilot).session.job
        assert job is not None
        pilot.app.set_focus(None)
        await pilot.press("space")
        assert job.control.paused
        await until_text(pilot, "paused", "space go on")
        await pilot.press("space", "t")
        assert not job.control.paused and job.control.throttle == 0.5


async def test_production_types_the_projects_name_to_cut_over(
    clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path
) -> None:
    settings = _settings(clean_database.url, tmp_path, environment="production", project="vagus-prod")
    async with walking(settings, size=LARGE) as pilot:
        session = wizard(pilot).session
        for gate in ("backup-verified", "communications-signed", "tls"):
            await session.override(gate, "a test")
        await _start(pilot)
        await until_text(pilot, "Ready to cut over", "PRODUCTION", "let pass", "A backup is verified (just now)")
        await pilot.press("c")
        await until_text(pilot, "Type vagus-prod to go on")
        await pilot.press(*"vagus", "enter")
        await pilot.pause(0.3)
        assert session.job is not None and not session.job.control.decided
        # Somebody reads: the cut-over tries again, and meanwhile nobody is told that users do not wait.
        await clean_conn.execute("begin; lock table exercises in access share mode")
        await pilot.press(*"-prod", "enter", "enter")
        await until_text(pilot, "cutting over: writes wait", "attempt 1 of")
        await clean_conn.execute("rollback")
        await until_text(pilot, "Migrated: v2 is in place")


async def test_an_interrupted_run_can_be_cleaned_up(
    clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path
) -> None:
    settings = _settings(clean_database.url, tmp_path).model_copy(update={"lock_attempts": 1})
    await _interrupted(settings, clean_conn)
    await clean_conn.execute("begin; lock table exercises in access share mode")
    async with walking(settings, size=LARGE) as pilot:
        # Asked for on the overview, it is asked about, and how it ends is told, where the same key does the same.
        await until_text(pilot, "x clean up", "Resume the migration")
        # So is going on with it.
        await pilot.press("enter")
        await until_text(pilot, "Migrate to v2", "Go on with it")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ConfirmDialog))
        await pilot.press("1")
        await until_text(pilot, "Resume the migration")
        await pilot.press("x")
        await until_text(pilot, "Clean up the interrupted run")
        assert pilot.app.current_mode == "migration"
        await pilot.press("tab", "enter")
        await until_text(pilot, "in the way", "goes on where it stood", "x drops what was built aside")
        await clean_conn.execute("rollback")
        await pilot.press("x")
        await until_text(pilot, "Clean up the interrupted run")
        await pilot.press("tab", "enter")
        await until_text(pilot, "cleaned up, v1 is as it was", patience=30)
    assert await clean_conn.fetchval("select to_regnamespace('workout_v2')") is None


async def test_an_interrupted_run_goes_on(clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path) -> None:
    settings = _settings(clean_database.url, tmp_path)
    rehearsed = Forecast(
        rehearsed_at=datetime.now(UTC),
        complete=True,
        backup="20260301",
        server_major=17,
        rows={},
        phases={},
        writes_blocked_seconds=0.77,
    )
    await _interrupted(settings, clean_conn)
    await store.note(clean_conn, TOPIC, rehearsed.model_dump(mode="json"), operator="Ada")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("migration")
        await until_text(pilot, "A run was interrupted", "broke off in hold", "goes on where it stood")
        await until(pilot, lambda: wizard(pilot).session.failing(Step.MIGRATION))
        assert "Locked by" not in screen_text(pilot), "u measures the gates itself"
        await pilot.press("u")
        await until_text(pilot, "Go on with it")
        await pilot.press("tab", "enter")
        # What was rehearsed is what the decision rests on in the wizard that takes it up, too.
        await until_text(pilot, "Ready to cut over", "writes wait about 0.8 s (rehearsed)")
        async with clean_database.as_admin() as admin:
            # As when the server goes down and takes a while to come back.
            name = quote(await admin.fetchval("select current_database()"))
            await admin.execute(f"alter database {name} connection limit 0")
            try:
                await admin.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and application_name like 'vagus-tui %'"
                )
                await until_text(pilot, "The connection to the database was lost", "no connection", "lock: not known")
                # What was read before may hold no more, and nobody is told to act on it.
                await until_text(pilot, "become of it since cannot be read")
                await until(pilot, lambda: "not known" in screen_text(pilot) and "elsewhere" not in screen_text(pilot))
                assert "goes on from" not in screen_text(pilot) and "Somebody runs it" not in screen_text(pilot)
                await pilot.press("1")
                await until_text(pilot, "When it was last read", "Try again")
                assert "Nothing was changed" not in screen_text(pilot)
                await pilot.press("5")
            finally:
                await admin.execute(f"alter database {name} connection limit -1")
        await until_text(pilot, "goes on where it stood", "lock: free", "and the state was read again.")
        assert "vagus-tui status" not in screen_text(pilot)
        assert screen_text(pilot).count("A run was interrupted") == 1


async def _interrupted(settings: Settings, conn: Connection) -> None:
    """A run whose connection the server has ended while it held."""

    async def run() -> None:
        async for event in migrate(Database(settings), settings, Control(), hold=True):
            if getattr(event, "id", "") == "hold":
                await conn.fetch(
                    "select pg_terminate_backend(pid) from pg_stat_activity "
                    "where datname = current_database() and application_name like 'vagus-tui %'"
                )

    with contextlib.suppress(VagusError):
        await asyncio.wait_for(run(), 30)


def test_a_proof_made_anew_is_timed_from_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("vagus_tui.session.job.time.monotonic", lambda: now)
    job = Job("migration", "Migration", "", Control())
    for _ in range(2):
        now += 100
        for name in ("first", "second"):
            for state, seconds in ((StepState.STARTED, None), (StepState.DONE, 3.0)):
                now += seconds or 0
                job.take(StepEvent(id=name, phase=Phase.PROVE, title=name, state=state, seconds=seconds))
                # What is proved again is not shown as proved before it is.
                assert [*job.steps] == ["first", "second"][: 1 + (name == "second")]
        began, ended = job.spans[Phase.PROVE]
        assert ended - began == 6
    # Heard of all at once, on a busy machine.
    job = Job("migration", "Migration", "", Control())
    for state in (StepState.STARTED, StepState.DONE):
        job.take(StepEvent(id="first", phase=Phase.PROVE, title="first", state=state, seconds=3.0))
    assert job.spans[Phase.PROVE] == (now - 3, now)


def test_figures_of_what_was_taken_up() -> None:
    def item(what: str, rows: int, taken: bool) -> dict[str, object]:
        return {"table": "workout_days", "what": what, "rows": rows, "taken": taken}

    kept = {"archive": "a", "taken_up": [item("notes", 2, True), item("their week is gone", 1, False)]}
    assert figures_in_words(kept) == {
        "archive": "a",
        "taken up": {"workout_days: notes": 2},
        "left in the archive": {"workout_days: their week is gone": 1},
    }


async def test_a_migrated_database_shows_its_run(moved_database: TestDatabase, tmp_path: Path) -> None:
    settings = _settings(moved_database.url, tmp_path)
    async with walking(settings, size=LARGE) as pilot:
        session = wizard(pilot).session
        await until(pilot, lambda: Step.MIGRATION in session.standings)
        assert session.standings[Step.MIGRATION].status is Status.PASS
        assert "writes waited" in last_run(session).plain
        wizard(pilot).action_go("migration")
        await until_text(pilot, "v2 is in place; v1 is kept", "Next: Verification", "migration by")


async def test_the_last_steps_of_a_migration_that_broke_off_after_its_cut_over_are_done_from_here(
    moved_database: TestDatabase, moved_conn: Connection, tmp_path: Path
) -> None:
    await moved_conn.execute("update vagus_migration.runs set status = 'running', phase = 'settle', finished_at = null")
    async with walking(_settings(moved_database.url, tmp_path)) as pilot:
        session = wizard(pilot).session
        await until_text(pilot, "its last", "are owed", "Finish the migration")
        assert session.standings[Step.MIGRATION].status is Status.WARN
        wizard(pilot).action_go("migration")
        await until_text(pilot, "u does its last steps", "u go on")
        assert "clean up" not in screen_text(pilot).splitlines()[-1]
        await pilot.press("u")
        await until_text(pilot, "Do the last steps")
        await pilot.press("right", "enter")
        await until_text(pilot, "what the interrupted", "run owed is done")
        await until(pilot, lambda: session.standings[Step.MIGRATION].status is Status.PASS)
