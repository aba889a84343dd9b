"""A key that repeats before its first press is answered: what it opens is opened once, and nothing comes to an end."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, Walk, hold_down, screen_text, settings_for, until, until_text, walking
from vagus_tui.screens.guide_view import GuideList, GuideScreen
from vagus_tui.screens.timeline import TimelineScreen


def lie_over(pilot: Walk, *windows: str) -> bool:
    """Whether just these lie over the screen, the uppermost last."""
    return [type(screen).__name__ for screen in pilot.app.screen_stack[1:]] == list(windows)


@pytest.fixture
def nobodys_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor that leaves the text as it is; returns where each start of it is noted, and one that it waits for."""
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\necho begun >>{tmp_path}/begun\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.02; done\n")
    script.chmod(0o700)
    monkeypatch.setenv("VISUAL", str(script))
    return tmp_path


async def test_windows_and_questions_open_once(moved_database: TestDatabase, nobodys_editor: Path) -> None:
    async with walking(settings_for(moved_database.url), size=LARGE) as pilot:
        for there, sign, key, character, window in (
            ("1", "Next", "t", "t", "MomentDialog"),
            ("2", "Server version", "enter", "\r", "CheckDetail"),
            ("6", "All plans arrived", "s", "s", "TextView"),
        ):
            await pilot.press(there)
            await until_text(pilot, sign)
            await pilot.press("down")
            await hold_down(pilot, key, character)
            await until(pilot, partial(lie_over, pilot, window))
            await pilot.press("escape")
            await until(pilot, partial(lie_over, pilot))
        # One editor has the terminal, not three.
        await pilot.press("3")
        await until_text(pilot, "Send the reminder e-mail")
        await hold_down(pilot, "E", "E")
        await until(pilot, (nobodys_editor / "begun").exists)
        (nobodys_editor / "go").touch()
        await until(pilot, lambda: not any(worker.group == "edit" for worker in pilot.app.workers))
        assert (nobodys_editor / "begun").read_text() == "begun\n"


async def test_going_there_from_the_timeline_and_the_guide(clean_database: TestDatabase) -> None:
    """What was left by the first press is left once: the screen below stays, and the wizard goes on."""
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        await pilot.press("T")
        await until(pilot, lambda: isinstance(pilot.app.screen, TimelineScreen))
        await pilot.press("down")
        await hold_down(pilot, "enter", "\r")
        await until(pilot, partial(lie_over, pilot))
        for entry, left in (("guide.technical.1", ()), ("guide.risks.3", ("GuideScreen", "HandbookScreen"))):
            await pilot.press("G")
            await until(pilot, lambda: isinstance(pilot.app.screen, GuideScreen))
            pilot.app.screen.query_one(GuideList).select(entry)
            await hold_down(pilot, "enter", "\r")
            await until(pilot, partial(lie_over, pilot, *left))
        assert "Runbook" in screen_text(pilot)
