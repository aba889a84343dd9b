"""Rollout: commands to copy, phases with their criteria, and the guards of the clean-up."""

from __future__ import annotations

import os
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, hold_down, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.base import Group
from vagus_tui.checks.registry import check_by_id, checks_for
from vagus_tui.database.connection import Connection
from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import moment
from vagus_tui.journal import decisions
from vagus_tui.rollout.app_update import outcomes
from vagus_tui.runbook.check_ids import PERFORMANCE
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.guide_facts import guide_lines
from vagus_tui.screens.item_facts import item_entry
from vagus_tui.screens.let_pass import in_force
from vagus_tui.screens.rollout import RolloutScreen
from vagus_tui.session.session import Topic
from vagus_tui.widgets.checklist import Checklist


async def test_commands_are_copied(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "Locked by 1 gate", "Get the code with v2 support")
        pilot.app.screen.query_one("#commands").focus()
        await pilot.press("down", "c")
        await until(pilot, lambda: "flutter pub get" in pilot.app.clipboard)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of the app, and a `flutter` that prints what programs print and obeys the file `do`."""
    programs = tmp_path / "bin"
    programs.mkdir()
    flutter = programs / "flutter"
    flutter.write_text('#!/bin/sh\nprintf \'\\033[1m%s\\033[0m [/red] %s\\r\\n\' "$*" "$VAGUS_DATABASE_URL"\n. ./do\n')
    flutter.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VAGUS_DATABASE_URL", "postgresql://u:hidden@nowhere/x")
    folder = tmp_path / "app"
    folder.mkdir()
    return folder


async def test_commands_are_run_and_what_they_print_is_kept(moved_database: TestDatabase, checkout: Path) -> None:
    (checkout / "do").write_text("echo all well\n")
    settings = settings_for(moved_database.url, app_dir=checkout)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "Get the code with v2 support")
        await pilot.press("down", "x")
        await until_text(pilot, "$ flutter pub get", "Run it")
        await pilot.press("right", "enter")
        await until_text(pilot, "✓ done", "pub get [/red]", "all well")
        assert "hidden" not in screen_text(pilot)
        await pilot.press("escape")
        await until_text(pilot, "✓ done in", "The last lines it printed", "all well")
        (checkout / "do").write_text("echo broken >&2; exit 7\n")
        await pilot.press("x")
        await until_text(pilot, "Run it")
        await pilot.press("right", "enter")
        await until_text(pilot, "✗ failed", "broken", "ended with status 7")
        await pilot.press("escape")
        await until_text(pilot, "✗ failed in")
        lines = {line.title: line.entry for line in guide_lines(wizard(pilot).session)}
        assert (lines["Dependencies"].words, lines["Mocks"].words) == ("failed", "open")
    async with moved_database.connect() as conn:
        kept = await outcomes(conn)
        assert kept["app.dependencies"].status == 7 and "broken" in kept["app.dependencies"].tail


async def test_a_command_that_hangs_is_stopped_with_all_it_started(
    moved_database: TestDatabase, checkout: Path
) -> None:
    (checkout / "do").write_text("sleep 600 & echo $! > pid; wait\n")
    settings = settings_for(moved_database.url, app_dir=checkout)
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "Get the code with v2 support")
        await pilot.press("down", "x")
        await until_text(pilot, "Run it")
        await pilot.press("right", "enter")
        await until(pilot, lambda: (checkout / "pid").exists() and (checkout / "pid").read_text().strip())
        child = psutil.Process(int((checkout / "pid").read_text()))
        await pilot.press("escape")
        await until_text(pilot, "Stop the command?", "Let it run")
        await pilot.press("right", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RolloutScreen))
        await until(pilot, lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


async def test_without_a_checkout_nothing_is_run(moved_database: TestDatabase) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "Get the code with v2 support")
        await hold_down(pilot, "x", "x")
        await until_text(pilot, "VAGUS_APP_DIR", "Nothing was run")
        # Told once, however often it was asked for.
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RolloutScreen))
        assert len(pilot.app.screen_stack) == 1


async def test_phases_are_signed_off(moved_database: TestDatabase, moved_conn: Connection) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "day 1: phase 1")
        await pilot.press("v")
        await until_text(pilot, "Phase 1: internal, day 1, begins when", "not run", "Phase 1 ends when")
        session, listed = wizard(pilot).session, pilot.app.screen.query_one("#phases-list", Checklist)

        def at(item: str) -> str:
            listed.highlighted = listed.get_option_index(item)
            return item_entry(session, session.settings.book.item(item)).words

        # What is measured is not signed, and r measures it.
        await pilot.press("space", "r")
        await until(pilot, lambda: at("criterion.internal-verified").startswith("pass "))
        # Whether the app is open is measured too.
        at("criterion.internal-open")
        await pilot.press("r")
        await until(pilot, lambda: at("criterion.internal-open").startswith("pass "))
        # Of the first hour nothing can be told: that is no pass, and holds nobody up.
        at("criterion.beta-activity")
        await pilot.press("r")
        await until(pilot, lambda: at("criterion.beta-activity").startswith("not told "))
        # What no database knows is signed with a note, and not without one.
        at("criterion.internal-shapes")
        await pilot.press("space", "enter")
        await until_text(pilot, "Please say what it rests on")
        await pilot.press(*"7.1", "enter")
        await until(pilot, lambda: at("criterion.internal-shapes").startswith("Ada"))
        # Nothing is signed off silently against a criterion that does not hold.
        await moved_conn.execute("drop index idx_workout_days_week_id")
        session.start_checks("criteria", [check_by_id("v2-indexes"), check_by_id("missing-indexes")])
        fails = f"1 of {len(session.settings.book.item('criterion.internal-verified').checks)} fail"
        await until(pilot, lambda: fails in at("criterion.internal-verified"))
        at("rollout.internal.deploy")
        await pilot.press("space")
        await until_text(pilot, "2 criteria not met", f"✗ Verification passes: {fails}")
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is not None and pilot.app.screen.query("#phases-list"))
        assert "rollout.internal.deploy" not in await decisions.sign_offs(moved_conn)
        await pilot.press("space")
        await until_text(pilot, "2 criteria not met")
        await pilot.press(*"known", "enter")
        await until(pilot, lambda: at("rollout.internal.deploy").startswith("Ada"))
        assert at("criterion.internal-verified") == at("criterion.internal-speed") == "let pass, Ada"
        await until(pilot, lambda: session.standings[Step.ROLLOUT].status is Status.RUNNING)
        # Taken back, it counts again.
        at("criterion.internal-verified")
        await pilot.press("o")
        await until_text(pilot, "let this pass: known")
        await pilot.press("right", "enter")
        await until(pilot, lambda: fails in at("criterion.internal-verified"))
        # The other one still counts: where one looks what was let pass it is named, until there is another migration.
        await until(pilot, lambda: [one.check_id for one in in_force(session)] == ["criterion.internal-speed"])
        await moved_conn.execute("update vagus_migration.runs set started_at = started_at + interval '1 day'")
        await until(pilot, lambda: not in_force(session))
        await moved_conn.execute("update vagus_migration.runs set started_at = started_at - interval '1 day'")
        # The end waits for other items, and for days without a failure; what was measured long ago is stale.
        assert at("criterion.beta-before") == "open" and at("criterion.internal-manual").endswith("done")
        await moved_conn.execute("update vagus_migration.checks set at = at - interval '30 h'")
        await moved_conn.execute("update vagus_migration.runs set started_at = started_at - interval '9 days'")
        await until(pilot, lambda: at("criterion.beta-grave") == "1 of 13 not run")
        await moved_conn.execute(
            "insert into vagus_migration.checks (check_id, check_group, status, operator) "
            "select id, 'performance', case id when 'missing-indexes' then 'fail' else 'pass' end, 'Ada' "
            "from unnest($1::text[]) id",
            sorted(PERFORMANCE),
        )
        await until(pilot, lambda: "1 of 12 fail" in at("criterion.full-speed") and not session.checking("criteria"))
        await moved_conn.execute("create index idx_workout_days_week_id on workout_days (week_id)")
        session.start_checks("criteria", [check_by_id("missing-indexes")])
        await until(pilot, lambda: at("criterion.full-speed").endswith(" of 3 d"))
        await moved_conn.execute("update vagus_migration.checks set at = at - interval '4 days'")
        await until(pilot, lambda: at("criterion.full-speed").startswith("stale, pass"))
    assert (await decisions.sign_offs(moved_conn))["rollout.internal.deploy"].note == "known"


async def test_the_clean_up_is_guarded(moved_database: TestDatabase, moved_conn: Connection) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "day 1")
        await pilot.press("v", "v")
        await until_text(pilot, "14 days to go", "v2 is in service", "Clean-up 1 of 5")
        # Who let the waiting period pass, when and why, and what that allows.
        await decisions.override(moved_conn, "clean-up-waiting-period", "thrown away tomorrow", operator="Ada")
        await until_text(pilot, "! The waiting period is over", "overridden, Ada", "14 days to go, and let pass")
        at = moment((await decisions.overrides(moved_conn))["clean-up-waiting-period"].at)
        await until_text(pilot, f"Overridden by Ada, {at}: thrown away", "It holds nothing up any more: c")
        await decisions.withdraw_override(moved_conn, "clean-up-waiting-period", operator="Ada")
        await until_text(pilot, "· The waiting period is over")
    await moved_conn.execute("update vagus_migration.runs set finished_at = finished_at - interval '15 days'")
    # A rollback that failed meanwhile takes nothing of that away.
    await moved_conn.execute(
        "insert into vagus_migration.runs (kind, status, operator, environment, finished_at) "
        "values ('rollback', 'failed', 'Ada', 'development', clock_timestamp())"
    )
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("rollout")
        # Weeks later it still says what should have been over.
        await until_text(pilot, "day 16 since the cut-over: phase 1 is not over")
        await moved_conn.execute("update vagus_migration.runs set finished_at = finished_at + interval '13 days'")
        await until_text(pilot, "day 3, for phase 2: phase 1 is not over")
        await moved_conn.execute("update vagus_migration.runs set finished_at = finished_at - interval '13 days'")
        await pilot.press("v", "v")
        await until_text(pilot, "Clean-up 2 of 5")
        # One check of many that passes proves nothing yet.
        first, *others = checks_for(Group.VERIFICATION)
        session = wizard(pilot).session
        session.take_result(CheckEvent(id=first.id, group=first.group, title=first.title, status=Status.PASS))
        session.changed(Topic.CHECKS)
        await until_text(pilot, f"{len(others)} not measured")
