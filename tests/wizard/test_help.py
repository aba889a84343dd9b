"""Help: `?` for every view, every action in the palette, the tour, and what it remembers."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding

import vagus_tui.screens
from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.app import VagusApp
from vagus_tui.format import first_upper
from vagus_tui.runbook.help import HELP
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.runbook.view_help import VIEW_HELP
from vagus_tui.screens import toured
from vagus_tui.screens.base import StepScreen, WizardScreen
from vagus_tui.screens.finishing import FinishActs
from vagus_tui.screens.help import keys_of
from vagus_tui.screens.job_acts import JobActs
from vagus_tui.screens.palette import WizardCommands
from vagus_tui.screens.palette_actions import left_out, screen_class
from vagus_tui.screens.tour import CARDS, TourScreen
from vagus_tui.widgets.rows import Rows


def every_view() -> list[type[WizardScreen]]:
    """Every full-window screen class of the wizard."""
    for module in pkgutil.iter_modules(vagus_tui.screens.__path__):
        importlib.import_module(f"vagus_tui.screens.{module.name}")
    found: list[type[WizardScreen]] = []
    pending: list[type[WizardScreen]] = [WizardScreen]
    while pending:
        for one in pending.pop().__subclasses__():
            found.append(one)
            pending.append(one)
    return found


def test_every_view_explains_itself() -> None:
    steps = {screen_class(step) for step in Step}
    assert {entry.screen for entry in HELP} == set(Step)
    silent = [
        view.__name__
        for view in every_view()
        if not issubclass(view, StepScreen)
        and view not in (JobActs, FinishActs)
        and not view.HELP
        and not VIEW_HELP.get(view.__name__)
    ]
    assert silent == [], "give these a HELP text, or an entry in runbook/view_help.py"
    assert all(issubclass(step, StepScreen) for step in steps)
    names = {view.__name__ for view in every_view()}
    assert set(VIEW_HELP) <= names


def bound(view: type[Any]) -> set[tuple[str, str]]:
    """(description, action) of everything that a view's own classes bind to a key."""
    return {
        (binding.description, binding.action)
        for base in view.__mro__
        for binding in base.__dict__.get("BINDINGS", ())
        if isinstance(binding, Binding)
        and base.__module__.startswith("vagus_tui")
        and binding.description
        and not left_out(binding.action)
    }


async def offered(pilot: Any) -> set[str]:
    """The names of all commands of the palette, where the wizard is now."""
    provider = WizardCommands(pilot.app.screen)
    return {name for name, _, _, _ in provider._commands()}


async def test_every_action_of_every_screen_is_in_the_palette_from_anywhere(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        commands = await offered(pilot)
        missing = [
            f"{step.label}: {words}"
            for step in Step
            for words, _ in bound(screen_class(step))
            if f"{step.label}: {words}" not in commands
        ]
        assert missing == []
        assert "Backup: back up now" in commands
        ours = [one for one in VagusApp.BINDINGS if isinstance(one, Binding) and not left_out(one.action)]
        offerable = [one for one in ours if pilot.app.check_action(one.action, ()) is not False]
        assert {first_upper(one.tooltip or one.description) for one in offerable} <= commands
        assert {"guide", "runbook", "timeline", "plans"} <= {one.action for one in offerable}
        for key, name in (("P", "Look at plans"), ("T", "Timeline"), ("i", "Runbook")):
            assert any(command.startswith(name) for command in commands)
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(pilot.app.screen, StepScreen))
            view = pilot.app.screen
            there = await offered(pilot)
            possible = {
                first_upper(words) for words, action in bound(type(view)) if view.check_action(action.split("(")[0], ())
            }
            here = {first_upper(b.description) for _, b, enabled, _ in view.active_bindings.values() if enabled}
            assert possible & here <= there and there - commands
            view.dismiss(None)
            await until(pilot, lambda: isinstance(pilot.app.screen, StepScreen))


async def test_enter_is_listed_where_it_does_something(clean_database: TestDatabase) -> None:
    settings = settings_for(clean_database.url)
    enters: dict[str, str] = {}
    async with walking(settings) as pilot:
        for step, focus in ((Step.MIGRATION, "#plan"), (Step.TROUBLESHOOTING, "#issues"), (Step.REPORT, "#sections")):
            wizard(pilot).action_go(step.value)
            await until(pilot, lambda: bool(pilot.app.screen.query(focus)))  # noqa: B023
            pilot.app.screen.query_one(focus).focus()
            await pilot.pause()
            enters[focus] = dict(keys_of(pilot.app.screen)).get("enter", "nothing")
        # What the help says of every table: Home and End lead to its first and its last row.
        wizard(pilot).action_go("migration")
        plan = pilot.app.screen.query_one("#plan", Rows)
        await until(pilot, lambda: plan.row_count > 1)
        plan.focus()
        await pilot.press("end")
        assert plan.cursor_row == plan.row_count - 1
        await pilot.press("home")
        assert plan.cursor_row == 0
    assert enters == {"#plan": "nothing", "#issues": "nothing", "#sections": "its entries"}


async def test_an_action_of_another_screen_is_done_there(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        await until_text(pilot, "v1 is in place")
        await pilot.press("ctrl+p", *"troubleshooting: diagnose")
        await until_text(pilot, "Troubleshooting: diagnose")
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.current_mode == Step.TROUBLESHOOTING.value)
        await until_text(pilot, "trouble found")


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_the_tour_is_shown_once_and_can_be_skipped_and_seen_again(
    clean_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(toured, "memory", lambda: tmp_path / "config" / "toured.json")
    settings = settings_for(clean_database.url, operator="Ada [/b]")
    for visit in range(2):
        app = VagusApp(settings, tour=True)
        async with app.run_test(size=size) as pilot:
            await until_text(pilot, "v1 is in place")
            if visit == 0:
                await until(pilot, lambda: isinstance(pilot.app.screen, TourScreen))
                for card in CARDS:
                    await until_text(pilot, card.title, "esc skip")
                    await pilot.press("enter")
                await until(pilot, lambda: not isinstance(pilot.app.screen, TourScreen))
            else:
                assert not isinstance(pilot.app.screen, TourScreen)
                await pilot.app.run_action("app.tour")
                await until(pilot, lambda: isinstance(pilot.app.screen, TourScreen))
                await pilot.press("escape")
                await until(pilot, lambda: not isinstance(pilot.app.screen, TourScreen))
            assert wizard(pilot).current_mode == Step.OVERVIEW.value
            assert "v1 is in place" in screen_text(pilot)
    assert toured.has_toured("Ada [/b]") and not toured.has_toured("Marie")
    toured.memory().write_text("{broken", encoding="utf-8")
    assert not toured.has_toured("Ada [/b]")


def test_the_tour_takes_less_than_a_minute() -> None:
    words = sum(len(f"{card.title} {card.text} {' '.join(what for _, what in card.keys)}".split()) for card in CARDS)
    # Read in a minute.
    assert words < 200
