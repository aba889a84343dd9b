"""The shell: moving, help, palette, quitting, hostile text, small windows, the look of production, the demo."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from textual.content import Content
from textual.widgets import Button
from textual.widgets._toast import Toast

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.app import VagusApp
from vagus_tui.backup import BackupOptions, make_backup
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.errors import VagusError
from vagus_tui.events import Event, NoteEvent, ResultEvent
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.screens.dialogs import ConfirmDialog, MessageDialog, TypedConfirmDialog
from vagus_tui.screens.handbook import HandbookScreen
from vagus_tui.screens.help import HelpScreen
from vagus_tui.screens.moving import STEPS
from vagus_tui.screens.prerequisites import PrerequisitesScreen
from vagus_tui.screens.text_view import TextView
from vagus_tui.settings import Settings
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.title import TitleLine

HOSTILE = "[/red]\"x';DROP"


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_number_keys_reach_all_ten_screens(clean_database: TestDatabase, size: tuple[int, int]) -> None:
    async with walking(settings_for(clean_database.url), size=size) as pilot:
        for number, step in enumerate(STEPS, start=1):
            await pilot.press(str(number % 10))
            await until(pilot, lambda step=step: pilot.app.current_mode == step.value)  # type: ignore[misc]
            await until_text(pilot, step.label, "? ", "  ^p")


async def test_a_new_screen_reads_no_stylesheet_anew_and_every_screen_has_the_theme_of_now(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    refresh = VagusApp.refresh_css

    def counted(app: VagusApp, animate: bool = True) -> None:
        nonlocal read
        read += 1
        refresh(app, animate)

    async with walking(settings_for(clean_database.url)) as pilot:
        await until_text(pilot, "  ^p")
        monkeypatch.setattr(VagusApp, "refresh_css", counted)
        await pilot.press("3")
        await until_text(pilot, "Send the announcement")
        dark = pilot.app.screen.styles.background
        assert read == 0
        wizard(pilot).action_light()
        await until(pilot, lambda: pilot.app.screen.styles.background != dark)
        light = pilot.app.screen.styles.background
        # One that was there before, one that is new.
        for key, step in (("1", Step.OVERVIEW), ("4", Step.BACKUP)):
            await pilot.press(key)
            await until_text(pilot, step.label, "  ^p")
            assert pilot.app.screen.styles.background == light


async def test_ctrl_and_arrows_turn_and_escape_leads_to_the_overview(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        await pilot.press("ctrl+down")
        await until(pilot, lambda: pilot.app.current_mode == Step.PREREQUISITES.value)
        await pilot.press("ctrl+down")
        await until(pilot, lambda: pilot.app.current_mode == Step.COMMUNICATIONS.value)
        await pilot.press("ctrl+up")
        await until(pilot, lambda: pilot.app.current_mode == Step.PREREQUISITES.value)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.current_mode == Step.OVERVIEW.value)


async def test_a_click_on_the_rail_goes_there(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        await until_text(pilot, "Communications")
        await pilot.click("Rail", offset=(5, 3))
        await until(pilot, lambda: pilot.app.current_mode == Step.COMMUNICATIONS.value)


async def test_help_explains_the_screen_and_its_keys(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await until_text(pilot, "Which database this is", "Keys here", "set T−0", "Everywhere")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, HelpScreen))


async def test_the_palette_finds_actions_and_screens(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        await until_text(pilot, "v1 is in place")
        await pilot.press("ctrl+p")
        await until_text(pilot, "Set T−0", "Go to Prerequisites")
        await pilot.press(*"go to comm")
        await until_text(pilot, "Go to Communications")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.current_mode == Step.COMMUNICATIONS.value)
        # By a word that is only in what is said of it.
        await pilot.press("ctrl+p", *"write fence")
        await until_text(pilot, "Migration: maintenance", "write fence")
        await pilot.press("escape", "escape")


async def test_q_quits_at_once_when_nothing_runs(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        await pilot.press("q")
        await until(pilot, lambda: pilot.app.return_code == 0 and not pilot.app.is_running)


async def test_a_defect_ends_it_without_the_address(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Textual would print every local variable of every frame."""
    url = "postgresql://me:hush-hush@127.0.0.1:1/x"

    def failing(app: VagusApp) -> None:
        address = app.settings.database_url
        assert address is not None
        spoken = address.get_secret_value()
        raise KeyError(spoken)

    monkeypatch.setattr(VagusApp, "action_help", failing)
    with pytest.raises(KeyError):
        async with walking(settings_for(url), connected=False) as pilot:
            app = wizard(pilot)
            await pilot.press("question_mark")
    told = " ".join(capsys.readouterr().err.split())
    assert "KeyError at test_shell.py" in told and "vagus-tui status" in told and " failing" in told
    assert "hush" not in told and "me:" not in told
    assert app.return_code == 4


async def test_q_asks_when_a_job_runs_and_quitting_stops_it(clean_database: TestDatabase) -> None:
    ended: list[bool] = []

    async def job(control: Control) -> AsyncIterator[Event]:
        yield NoteEvent(message=HOSTILE)
        await control.wait_cancelled()
        ended.append(control.cancelled)
        yield ResultEvent(ok=False, message="stopped")

    async with walking(settings_for(clean_database.url)) as pilot:
        app = wizard(pilot)
        app.session.start_job("migration", job, title="Migration", on_quit="v1 stays as it is.")
        with pytest.raises(VagusError, match=r"Migration is running\."):
            app.session.start_job("backup", job)
        await pilot.press("q")
        await until_text(pilot, "Migration is running", "v1 stays as it is.")
        assert pilot.app.focused is not None and pilot.app.focused.id == "cancel"
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(pilot.app.screen, ConfirmDialog))
        assert app.session.job is not None and app.session.job.running
        await pilot.press("3", "1", "q")
        await until_text(pilot, "Migration is running")
        await pilot.press("right", "enter")
        await until(pilot, lambda: not pilot.app.is_running)
    assert ended == [True]


async def test_a_job_outlives_its_screen_and_keeps_what_it_said(clean_database: TestDatabase) -> None:
    go_on = asyncio.Event()

    async def job(control: Control) -> AsyncIterator[Event]:
        yield NoteEvent(message="first")
        await go_on.wait()
        yield ResultEvent(ok=True, message="done")

    async with walking(settings_for(clean_database.url)) as pilot:
        running = wizard(pilot).session.start_job("backup", job)
        await pilot.press("2", "3", "1")
        assert running.running and [note.message for note in running.notes] == ["first"]
        go_on.set()
        await until(pilot, lambda: running.ok)


async def test_a_question_of_a_screen_that_was_left_does_not_come_up_elsewhere(clean_database: TestDatabase) -> None:
    """The next keys are meant for what is on screen now."""
    async with walking(settings_for(clean_database.url)) as pilot:
        await pilot.press("2")
        await until(pilot, lambda: isinstance(pilot.app.screen, PrerequisitesScreen))
        left, measured = pilot.app.screen, asyncio.Event()
        assert isinstance(left, PrerequisitesScreen)

        async def asks_late() -> None:
            await measured.wait()
            await left.ask(ConfirmDialog("Go on?", "It was measured.", yes="Yes"))

        left.attempt(asks_late)
        measured.set()
        await until_text(pilot, "Go on?")
        await pilot.press("escape")
        measured.clear()
        worker = left.attempt(asks_late)
        await pilot.press("1")
        await until_text(pilot, "Overview", "Next")
        measured.set()
        await until(pilot, lambda: worker.is_finished)
        assert not isinstance(pilot.app.screen, ConfirmDialog)


async def test_hostile_names_show_as_themselves(database: TestDatabase) -> None:
    async with database.as_admin() as admin:
        await admin.execute(f'alter table workout_plans add column "{HOSTILE.replace(chr(34), chr(34) * 2)}" text')
        await admin.execute("update workout_plans set name = $1 where user_id is null", f"{HOSTILE}\x1b[31m\u202e")
    async with walking(settings_for(database.url, operator=HOSTILE), size=LARGE) as pilot:
        await until_text(pilot, "carried over as they are: cover_color", HOSTILE)
        await pilot.press("2")
        session = wizard(pilot).session
        await until(pilot, lambda: "plans-null-owner" in session.results and not session.checking("prerequisites"))
        pilot.app.screen.query_one("#checks").select("plans-null-owner")  # type: ignore[attr-defined]
        await pilot.press("enter")
        await until_text(pilot, f"{HOSTILE}␛[31m\\u202e")
        await pilot.press("escape")


async def test_a_small_window_says_so_and_still_works(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url), size=(60, 16)) as pilot:
        await until_text(pilot, "60×16 is small", "v1 is in place")
        await pilot.press("2")
        await until_text(pilot, "Measured")
        await pilot.press("3", "t")
        await until_text(pilot, "Set T−0", "Cancel", "The planned start")
        # Both buttons are in view, one below the other.
        assert all(pilot.app.screen.region.contains_region(one.region) for one in pilot.app.screen.query(Button))
        await pilot.press("escape")
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "is small" not in screen_text(pilot))


async def test_production_asks_for_the_projects_name(clean_database: TestDatabase) -> None:
    settings = settings_for(clean_database.url, environment="production", project="vagus-live")
    async with walking(settings) as pilot:
        answers: list[bool | None] = []
        dialog = TypedConfirmDialog("Drop it", "All of it.", expected="vagus-live", yes="Drop it all")
        pilot.app.push_screen(dialog, answers.append)
        await until_text(pilot, "Type vagus-live to go on", "PRODUCTION", "tab move  esc cancel")
        assert "r look again" not in screen_text(pilot)
        act = dialog.query_one("#yes", Button)
        await pilot.press(*"vagus", "enter")
        assert act.disabled and not act.has_focus
        # A key always answers.
        await until_text(pilot, "That is not it. Type vagus-live to go on")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: answers == [False])
        pilot.app.push_screen(TypedConfirmDialog("Again", "All.", expected="vagus", yes="Drop"), answers.append)
        await until_text(pilot, "Type vagus to go on")
        # The key that ends the name does not yet do the act.
        await pilot.press(*"vagus", "enter")
        assert answers == [False] and not pilot.app.screen.query_one("#yes", Button).disabled
        await pilot.press("enter")
        await until(pilot, lambda: answers == [False, True])
        pilot.app.push_screen(MessageDialog("Long", "\n".join(f"line {number}" for number in range(40))))
        await until_text(pilot, "line 0", "enter Close", "page down more")
        await pilot.press("pagedown", "pagedown", "pagedown")
        await until_text(pilot, "line 39")


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_toast_covers_nothing(size: tuple[int, int]) -> None:
    """It lies on the rule below the title, on whichever window."""
    app = VagusApp(settings_for(""))
    async with app.run_test(size=size, notifications=True) as pilot:
        for window in (None, HandbookScreen(), TextView("Log", "one line")):
            if window is not None:
                await app.push_screen(window)
            await until(pilot, lambda: app.screen.query(TitleLine))
            app.notify("They run every 5 min by themselves. W shows how it goes.", markup=False)
            await until(pilot, lambda: app.screen.query(Toast))
            await pilot.pause(0.1)
            title, toast = app.screen.query_one(TitleLine).region, app.screen.query_one(Toast).region
            assert (toast.y, toast.height) == (title.y + 1, 1), window
            app.clear_notifications()
        # Nor where a key that is held down says it again and again; and whatever is in it stays harmless.
        for _ in range(20):
            app.notify(f"{HOSTILE}\x1b[31m")
        await until(pilot, lambda: app.screen.query(Toast))
        await pilot.pause(0.1)
        assert len(app.screen.query(Toast)) == 1 and f"{HOSTILE}␛[31m" in screen_text(pilot)


async def test_what_does_not_fit_beside_a_table_is_read_with_the_keys() -> None:
    async with walking(settings_for(""), connected=False) as pilot:
        wizard(pilot).action_go("rollout")
        await until_text(pilot, "Get the code with v2 support")
        panel = pilot.app.screen.query_one("#app-detail", DetailPanel)
        table = pilot.app.focused
        panel.show(Content("\n".join(f"line {number}" for number in range(40))))
        await until_text(pilot, "line 0")
        await pilot.press("tab")
        assert pilot.app.focused is panel
        await until_text(pilot, "▹Get the code", "━━━")
        await pilot.press("j", "end")
        await until_text(pilot, "line 39")
        # Where all of it is in sight there is nothing to go to.
        await pilot.press("tab")
        panel.show(Content("all of it"))
        await until_text(pilot, "all of it")
        await pilot.press("tab")
        assert pilot.app.focused is table


async def test_no_color_keeps_marks_words_and_where_the_keys_go(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with walking(settings_for(database.url, environment="production")) as pilot:
        assert pilot.app.no_color
        await until_text(pilot, "PRODUCTION", "✓ v1 is in place", "▸✓ Overview", "▸Next: ")
        await pilot.press("3")
        await until_text(pilot, "▸· Send the announcement")
        await pilot.press("down")
        await until_text(pilot, "▸· Show the in-app banner", "  · Send the announcement")
        await pilot.press("t", "tab")
        await until_text(pilot, "▸Cancel", "  Set T−0")
        await pilot.press("tab")
        await until_text(pilot, " Cancel", "▸Set T−0")
        # Where the keys would go on stays in sight while something else has them.
        await pilot.press("escape", "i")
        await until_text(pilot, "▹ ")
        await pilot.press("enter", "escape", "4")
        await until_text(pilot, "▸Back up now", " [✓] CSV")
        await pilot.press("tab", "tab")
        await until_text(pilot, "▸[✓] tables", " Back up now")


async def test_the_demo_starts_its_database_and_stops_it() -> None:
    real = Settings(_env_file=None, operator="Ada", upload_url="s3://real/backups")  # type: ignore[call-arg]
    app = VagusApp(real, sandbox=SandboxOptions(plans=5))
    async with app.run_test() as pilot:
        await until(pilot, lambda: "Starting" in screen_text(pilot))
        await until(pilot, lambda: "v1 is in place" in screen_text(pilot), patience=60)
        assert app.demo is not None and app.demo.sandbox is not None
        url, folder = app.demo.sandbox.url, app.demo.sandbox.server.folder
        # Its backups go with it, and never where those of a real database are.
        settings = app.session.settings
        assert settings.backup_dir.parent == folder and not settings.upload_url
        backup = [event async for event in make_backup(Database(settings), settings, BackupOptions(), Control())][-1]
        assert isinstance(backup, ResultEvent) and backup.ok and any(settings.backup_dir.iterdir())
        await pilot.press("q")
    assert not folder.exists()
    async with VagusApp(settings_for(url)).run_test() as pilot:
        await until(pilot, lambda: "No connection to" in screen_text(pilot))
