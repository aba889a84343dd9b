"""The watch: intervals, alarms that nobody can miss, and what a lost connection looks like."""

from __future__ import annotations

import asyncio

from tests.checks.test_monitor import MEND, ORPHAN
from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.events import Status
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.monitor import MonitorScreen
from vagus_tui.session.knowledge import Standing


async def test_an_interval_is_chosen_on_a_screen_of_checks(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        session = wizard(pilot).session
        await pilot.press("2")
        for seconds, words in ((30, "every 30 s"), (60, "every 1 min"), (300, "every 5 min")):
            await pilot.press("M")
            await until_text(pilot, words)
            assert session.interval(Group.PREREQUISITES) == session.interval(Group.DATA_QUALITY) == seconds
        await pilot.press("M")
        await until(pilot, lambda: not session.watches)
        assert "every 5 min" not in screen_text(pilot)


async def test_every_group_can_be_watched_from_anywhere(moved_database: TestDatabase) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=SMALL) as pilot:
        await pilot.press("7")
        await pilot.press("W")
        await until_text(pilot, "Nothing runs by itself", "Performance · off", "Plan loading")
        await pilot.press("M")
        await until_text(pilot, "every 30 s", "1 round", "none fails")
        # Enter shows how the server goes about it; escape leads back, and then to where it was opened.
        await pilot.press("enter")
        await until_text(pilot, "How the server goes about it")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, MonitorScreen))
        await pilot.press("escape")
        await until_text(pilot, "Rollout")
        assert wizard(pilot).session.interval(Group.PERFORMANCE) == 30


async def test_a_failure_is_told_on_every_screen_until_somebody_has_seen_it(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url), size=SMALL) as pilot:
        session = wizard(pilot).session
        session.watch(Group.DATA_QUALITY, 3600)
        watch = session.watches[Group.DATA_QUALITY]
        await until(pilot, lambda: watch.round is not None)
        assert not session.alarms
        async with clean_database.planting() as admin:
            await admin.execute(ORPHAN)
        session.run_group(Group.DATA_QUALITY)
        await until_text(pilot, "✗ FAILS", "was pass before", "A seen")
        assert session.rung > 0
        # The rail says so too, though no screen of checks has been opened.
        await until(pilot, lambda: session.standings[Step.PREREQUISITES] == Standing(Status.FAIL, "1 fails"))
        for key in ("3", "4", "9", "0", "W"):
            await pilot.press(key)
            await until_text(pilot, "✗ FAILS")
        # The cursor is where the alarm is.
        await until_text(pilot, "▸✗ Exercises of no plan", "pass → ✗ fail")
        # It passes again, and that it failed is still to be seen.
        async with clean_database.planting() as admin:
            await admin.execute(MEND)
        session.run_group(Group.DATA_QUALITY)
        await until_text(pilot, "! FAILED", "passes again")
        await pilot.press("A")
        await until(pilot, lambda: "FAILED" not in screen_text(pilot))
        assert not session.alarms
        await until(pilot, lambda: not session.standings[Step.PREREQUISITES].status.blocks)
        # Seen is seen: the same again is not told again.
        session.run_group(Group.DATA_QUALITY)
        await until(pilot, lambda: not session.checking(f"group {Group.DATA_QUALITY}"))
        assert not session.alarms


async def test_it_rings_again_while_it_fails_and_nobody_has_seen_it(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url), size=SMALL) as pilot:
        session = wizard(pilot).session
        session.watch(Group.DATA_QUALITY, 1)
        watch = session.watches[Group.DATA_QUALITY]
        await until(pilot, lambda: watch.round is not None)
        async with clean_database.planting() as admin:
            await admin.execute(ORPHAN)
        await until_text(pilot, "✗ FAILS")
        rung = session.rung
        await until(pilot, lambda: session.rung > rung)
        await pilot.press("A")
        await until(pilot, lambda: not session.alarms)
        rung, number = session.rung, watch.round.number if watch.round else 0
        await until(pilot, lambda: watch.round is not None and watch.round.number > number + 1)
        assert session.rung == rung


async def test_a_lost_connection_is_shown_and_tried_again(clean_database: TestDatabase) -> None:
    name = clean_database.name
    async with walking(settings_for(clean_database.url), size=LARGE) as pilot:
        session = wizard(pilot).session
        session.watch(Group.DATA_QUALITY, 1)
        watch = session.watches[Group.DATA_QUALITY]
        await until(pilot, lambda: watch.round is not None)
        await pilot.press("W")
        async with clean_database.server_connection() as admin:
            await admin.execute(f'alter database "{name}" allow_connections false')
            await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
            await until_text(pilot, "not measured since", "tries again in")
            await admin.execute(f'alter database "{name}" allow_connections true')
        await until(pilot, lambda: "not measured since" not in screen_text(pilot))
        assert watch.problem_since is None and not session.alarms


async def test_two_runs_of_a_group_never_overlap(clean_database: TestDatabase) -> None:
    at_work, most = 0, 0

    async def probe(_: Context) -> Outcome:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.05)
        at_work -= 1
        return Outcome(Status.PASS, "done")

    check = Check(id="slow", group=Group.PERFORMANCE, title="Slow", why="To be counted.", expected="done", probe=probe)
    async with walking(settings_for(clean_database.url)) as pilot:
        session = wizard(pilot).session
        for name in ("one", "two", "three"):
            session.start_checks(name, [check])
        await until(pilot, lambda: not any(session.checking(name) for name in ("one", "two", "three")))
    assert most == 1
