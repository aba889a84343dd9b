"""What the pieces of the wizard say, without a database: rail, header, counts of checks, a job as it goes, the hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.color import Color, ColorSystem
from textual.app import App, ComposeResult

from tests.wizard.walk import LARGE, settings_for, until, wizard
from vagus_tui.app import VagusApp
from vagus_tui.control import Control
from vagus_tui.database.facts import Count
from vagus_tui.errors import CancelledByOperatorError
from vagus_tui.events import (
    ChangeEvent,
    CheckEvent,
    NoteEvent,
    Phase,
    ProgressEvent,
    ResultEvent,
    Status,
    StepEvent,
    StepState,
)
from vagus_tui.format import clock_time
from vagus_tui.journal.lock import LockHolder
from vagus_tui.journal.state import DatabaseState, State
from vagus_tui.migration.maintenance import Maintenance
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.cut_off import read_again
from vagus_tui.screens.migration_words import standing_text
from vagus_tui.session.job import Job
from vagus_tui.session.session import Link, Snapshot
from vagus_tui.session.watching import Alarm
from vagus_tui.widgets.check_table import CheckTable, measured_text, summary
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.hold_panel import HoldFacts, HoldPanel
from vagus_tui.widgets.job_view import JobView, Pace, PhaseLine, bar
from vagus_tui.widgets.lock_panel import LockPanel
from vagus_tui.widgets.outcome import job_outcome
from vagus_tui.widgets.rail import Rail, countdown
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.theme import DARK, LIGHT


def check(status: Status, id: str = "c", **values: Any) -> CheckEvent:
    """A check's standing."""
    return CheckEvent(id=id, group="verification", title=id, status=status, **values)


P, W, F, S, N, E = Status.PASS, Status.WARN, Status.FAIL, Status.SKIP, Status.PENDING, Status.ERROR


@pytest.mark.parametrize(
    ("statuses", "said"),
    [
        ([], ""),
        ([P, P], "2 of 2 · all pass"),
        ([P, N, Status.RUNNING], "1 of 3"),
        ([P, S], "2 of 2 · 1 pass · 1 skipped"),
        ([P, W], "2 of 2 · none fails · 1 warning"),
        ([W, W], "2 of 2 · none fails · 2 warnings"),
        ([W, N], "1 of 2 · 1 warning"),
        ([F, P], "2 of 2 · 1 fails"),
        # What could not be measured is not said to be wrong.
        ([E, E], "0 of 2 · 2 not measured"),
        ([F, E, P, W], "3 of 4 · 1 fails · 1 not measured · 1 warn"),
    ],
)
def test_checks_are_summed_up(statuses: list[Status], said: str) -> None:
    assert summary(check(status) for status in statuses).plain == said


def test_a_time_of_another_day_says_which() -> None:
    at = datetime(2026, 3, 1, 23, 30, 5, tzinfo=UTC)
    assert clock_time(at, "UTC", at + timedelta(minutes=20)) == "23:30:05"
    assert clock_time(at, "UTC", at + timedelta(hours=2)) == "03-01 23:30"
    # The operator's day counts, not the server's.
    assert clock_time(at, "Europe/Berlin", at + timedelta(hours=2)) == "00:30:05"


def test_what_was_let_pass_is_no_failure_and_still_told() -> None:
    let_pass = check(F, overridden="known")
    assert summary([let_pass, check(P)]).plain == "2 of 2 · 1 overridden"
    assert summary([let_pass, check(F), check(W)]).plain == "3 of 3 · 1 fails · 1 overridden · 1 warn"


def test_what_was_measured_reads_the_same_everywhere() -> None:
    said = [
        (check(P, measured=1_000_000), "1,000,000"),
        (check(P, measured="46 ms"), "46 ms"),
        (check(P), "–"),
        (check(N), ""),
        (check(Status.RUNNING), "…"),
        (check(Status.RUNNING, waiting={"relation": "x"}), "waits"),
    ]
    assert [measured_text(event) for event, _ in said] == [words for _, words in said]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (8_040, "T−0 in 2 h 14 m"),
        (3, "T−0 in 0:10"),
        (-3, "T+0:10"),
        (-273_600, "T+3 d 4 h"),
    ],
)
def test_the_countdown_goes_on_after_its_end(seconds: int, said: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    assert countdown(now + timedelta(seconds=seconds), now) == said


async def test_rail_and_header_say_who_is_at_work_and_what_users_meet() -> None:
    app = VagusApp(settings_for("", environment="staging"))
    async with app.run_test(size=LARGE) as pilot:
        await until(pilot, lambda: app.screen.query(Rail))
        session = wizard(pilot).session
        rail, header = app.screen.query_one(Rail), app.screen.query_one(HeaderLine)

        def bottom() -> str:
            return rail.text().plain.rstrip().splitlines()[-1].strip()

        assert bottom() == "lock: not known"
        names = [line[3:].split()[0] for line in rail.text().plain.splitlines()[1:12] if line.strip()]
        assert names == [step.label for step in Step]
        session.link = Link.UP
        assert bottom() == "lock: free"
        holder = LockHolder(4711, "postgres", "psql", "local", None)
        session.now = Snapshot(state=DatabaseState(State.BUILDING), lock=holder)
        assert bottom() == "lock: PID 4711"
        session.watched = Job("migrate", "Marie on [/b] laptop", "", Control())
        assert bottom() == "Marie: migrate"
        session.watched.take(StepEvent(id="b", phase=Phase.BUILD, title="b", state=StepState.STARTED))
        assert bottom() == "Marie: build"
        # Beside a backup of ours they go on; and a job that takes the lock has it once they have let go.
        session.job = Job("backup", "Backup", "", Control())
        assert bottom() == "Marie: build"
        session.job = Job("migration", "Migration", "", Control(), before=holder)
        assert bottom() == "Marie: build"
        session.now = replace(session.now, lock=replace(holder, pid=4712))
        assert bottom() == "lock: ours"
        session.link = Link.DOWN
        assert bottom() == "lock: not known"

        assert header.text().plain.endswith(" staging ") and "no connection" in header.text().plain
        session.link = Link.UP
        session.counts = {"plans": Count(1_000_000, exact=False)}
        assert "building · ≈ 1,000,000 plans" in header.text().plain
        session.counts = {"plans": Count(1)}
        for now, said in ((Maintenance(flag=True), "maintenance on"), (Maintenance(fence=True), "write fence up")):
            session.now = replace(session.now, maintenance=now)
            assert f"building · {said} · 1 plan " in header.text().plain
        at = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
        change = ChangeEvent(id="a", group="access", title="Own rows [/b]", was=P, now=F, at=at)
        session.alarms = {"a": Alarm(change)}
        alarm = header.text().plain.splitlines()[1]
        assert alarm.startswith(" ✗ FAILS Own rows [/b] · ") and "was pass before" in alarm
        assert alarm.endswith(" W shows it  A seen ") and "more" not in alarm
        # One that passes again stays, behind those that still fail.
        session.alarms["b"] = Alarm(replace(change, id="b", title="Later", at=at + timedelta(hours=1)), over=at)
        assert "Own rows" in (line := header.text().plain.splitlines()[1]) and " · 1 more" in line
        del session.alarms["a"]
        assert header.text().plain.splitlines()[1].startswith(" ! FAILED Later · ")
        # What could not be asked is not said to be wrong; what it was before gives way to a long name.
        session.alarms = {"c": Alarm(replace(change, id="c", now=E))}
        assert header.text().plain.splitlines()[1].startswith(" ✗ NOT MEASURED Own rows [/b] · ")
        session.alarms = {"c": Alarm(replace(change, id="c", title="Rows of others " * 8))}
        assert "before" not in (line := header.text().plain.splitlines()[1]) and line.count("Rows of") > 4
        session.alarms.clear()

        # What a job that was cut off could not see any more is said once the state was read again, and not before.
        session.now = Snapshot(state=DatabaseState(State.MIGRATED), maintenance=Maintenance(fence=True))
        job = Job("rollback", "Rollback", "", Control())
        job.take(
            ResultEvent(
                ok=False, message="The connection to the database was lost. Whether it was is not known.", next_step="x"
            )
        )
        job.ended = 100.0
        session.read_at = 99.0
        assert read_again(session, job) == "" and "not known" in job_outcome(job).plain
        session.read_at = 101.0
        told = job_outcome(job, read_again=read_again(session, job)).plain
        assert "the state was read again. v2 is in place;" in told
        assert told.endswith("The write fence is up. Migration (5): f switches it off.")
        # On Migration itself there is nowhere to go.
        on_migration = standing_text(session, DatabaseState(State.MIGRATED), job).plain
        assert "The write fence is up. f switches it off." in on_migration
        assert "not known" not in told
        job.result = ResultEvent(ok=False, message="A gate refused.")
        assert read_again(session, job) == ""

        # A gate that may be let pass offers that.
        panel = app.screen.query_one(LockPanel)
        for gates, words in (
            ((check(F),), "Locked by 1 gate. Meet it, or override it by name."),
            ((check(F), check(F, "d")), "Locked by 2 gates. Meet them, or override them by name."),
            ((check(F, overridable=False),), "Locked by 1 gate. Enter says how to meet it."),
        ):
            session.gates = {panel.step: gates}
            assert panel.update_gates()
            shown = panel.query_one("#lock-title").render()
            assert str(getattr(shown, "plain", shown)) == words


class Pieces(App[None]):
    """A job's lines, a table of checks, and the hold."""

    def compose(self) -> ComposeResult:
        yield JobView(
            (PhaseLine(Phase.PREPARE, "capture"), PhaseLine(Phase.BUILD, "rows"), PhaseLine(Phase.PROVE, "all")),
            id="run",
        )
        yield CheckTable(id="checks")
        yield HoldPanel(id="hold")


def step(id: str, phase: Phase, state: StepState, **values: Any) -> StepEvent:
    """A step's standing."""
    return StepEvent(id=id, phase=phase, title=id, state=state, **values)


async def test_a_job_is_drawn_as_it_stands() -> None:
    async with Pieces().run_test(size=(90, 40)) as pilot:
        view = pilot.app.query_one(JobView)
        job = Job("migration", "Migration", "", Control())
        view.show(job)

        def lines() -> list[str]:
            view.redraw()
            shown = view.query_one("#job-text").render()
            return [" ".join(line.split()) for line in str(getattr(shown, "plain", shown)).splitlines()]

        job.take(step("capture", Phase.PREPARE, StepState.DONE, seconds=0.25))
        job.take(step("plans", Phase.BUILD, StepState.PROGRESS, rows=610, total=1_000))
        assert lines()[:2] == ["✓ prepare capture 0.2 s", "◐ build rows"]
        assert lines()[2].endswith("61% 610 of 1,000") and lines()[3] == "◐ plans 610" and lines()[4] == "· prove all"
        # Of what has no known size nobody says how much of it is done.
        job.take(step("logs", Phase.BUILD, StepState.STARTED))
        assert "610 so far" in lines()
        job.take(step("logs", Phase.BUILD, StepState.PROGRESS, rows=0, total=2_000))
        view._paces[Phase.BUILD] = pace = Pace()
        for second, rows in ((0, 10), (1, 210), (2, 410), (3, 610)):
            pace.sample(rows, float(second))
        assert any("20% 610 of 3,000 ETA 0:11" in line for line in lines())
        assert any(line.endswith("200 rows/s") for line in lines())
        # Who knows how far the whole is says so once, in place of a guess per phase.
        progress = ProgressEvent(
            phase=Phase.BUILD, share=0.4, phase_share=0.999, elapsed=9, seconds_left=17, rows=610, total=3_000
        )
        job.take(progress)
        assert lines()[0].startswith("in all ") and lines()[0].endswith(" 40% about 0:17 left")
        assert any("99% 610 of 3,000" in line for line in lines()) and not any("ETA" in line for line in lines())
        job.take(NoteEvent(message="[/b] retried", level="warning"))
        assert lines()[-1] == "[/b] retried"
        # A failure has its reason with it; what went on beside it was cut off, and nothing is in all any more.
        job.take(step("plans", Phase.BUILD, StepState.FAILED, message="no space [/b]"))
        job.take(ResultEvent(ok=False, message="It failed."))
        job.ended = job.started + 60
        assert "✗ build rows" in lines() and "no space [/b]" in lines() and lines()[0].startswith("✓ prepare")
        stopped = Job("migration", "Migration", "", Control())
        stopped.take(step("plans", Phase.BUILD, StepState.STARTED))
        stopped.error, stopped.ended = CancelledByOperatorError("Stopped."), stopped.started + 1
        view.show(stopped)
        # Stopped is not failed.
        assert lines()[:3] == ["✓ prepare capture", "– build rows", "– plans"]

        table = pilot.app.query_one(CheckTable)
        table.set_events([("Data", [check(P, "a"), check(W, "b"), check(F, "c"), check(F, "d", overridden="x")])])
        table.focus()
        await pilot.pause()
        assert table.select_problem(after=False) and table.selected_key == "c"
        # What is let pass only warns: after the failure, round again, comes the failure.
        assert table.select_problem(after=True) and table.selected_key == "c"
        table.put(check(P, "c"))
        assert table.select_problem(after=True) and table.selected_key == "d"
        assert table.select_problem(after=True) and table.selected_key == "b"
        shown = [table.render_line(line).text for line in range(6)]
        assert shown[1].startswith("Data") and shown[3].startswith("▸! b") and shown[5].startswith(" ! d")
        assert "overridden" in shown[5]
        await pilot.press("end", "k")
        assert table.selected_key == "c"

        panel = pilot.app.query_one(HoldPanel)
        facts = HoldFacts(proof="all", in_the_way="PID 7 [/b]", backup="restored", cost="1 s", back="2 s")

        def said(facts: HoldFacts) -> list[str]:
            panel.show(facts)
            found = [panel.query_one(f"#hold-{part}").render() for part in ("title", "facts")]
            text = "\n".join(str(getattr(one, "plain", one)) for one in found)
            return [" ".join(line.split()) for line in text.splitlines()]

        assert said(facts) == [
            "Ready to cut over",
            "proof all",
            "in the way PID 7 [/b]",
            "backup restored",
            "app 1 s",
            "way back 2 s",
        ]
        more = said(replace(facts, in_the_way="", caught_up="1 change", let_pass="TLS"))
        assert more[2:4] == ["caught up 1 change", "in the way looking"] and "let pass TLS" in more
        assert said(replace(facts, changed="x has gone"))[0] == "Not ready: v2 was built for another v1"
        assert said(replace(facts, refused="no"))[0] == "Not ready: v1 has a row that v2 refuses"
        assert said(replace(facts, altered="x is gone"))[0] == "Not ready: what was built has been altered"
        assert "in the way no room. Mend that, or stop." in said(replace(facts, hindered="no room"))


class Lists(App[None]):
    """A table of checks above rows in columns."""

    CSS = "CheckTable, Rows { height: 1fr; }"

    def compose(self) -> ComposeResult:
        yield CheckTable()
        yield Rows([Column("")])


async def test_a_smaller_window_keeps_the_cursor_in_view() -> None:
    async with Lists().run_test(size=(80, 40)) as pilot:
        checks, rows = pilot.app.query_one(CheckTable), pilot.app.query_one(Rows)
        checks.set_events([("Data", [check(P, f"c{number}") for number in range(60)])])
        rows.set_rows([Row(f"r{number}", (f"r{number}",)) for number in range(60)])
        await pilot.pause()
        checks.select("c15")
        rows.select("r15")

        async def seen(height: int) -> list[str]:
            await pilot.resize_terminal(80, height)
            await pilot.pause()
            lines = [one.render_line(line).text for one in (checks, rows) for line in range(one.size.height)]
            return [word.strip("▸▹") for line in lines for word in line.split() if word.endswith(("c15", "r15"))]

        for height in (40, 20, 12, 40):
            assert await seen(height) == ["c15", "r15"], height
        # Whoever has scrolled away from it is not brought back.
        checks.scroll_to(y=40, animate=False)
        rows.scroll_to(y=40, animate=False)
        assert await seen(30) == []


def test_a_bar_is_full_only_at_the_end() -> None:
    assert [bar(share, 4) for share in (-1.0, 0.0, 0.5, 0.64, 1.0, 7.0)] == [
        "░░░░",
        "░░░░",
        "██░░",
        "██▌░",
        "████",
        "████",
    ]


def test_a_pace_needs_two_samples_and_begins_anew_with_another_phase() -> None:
    pace = Pace()
    pace.sample(100, 0.0)
    assert (pace.rate, pace.eta(50), pace.rates) == (0.0, "", [])
    pace.sample(200, 2.0)
    assert (pace.rate, pace.eta(100), pace.eta(0)) == (50.0, "ETA 0:02", "")
    pace.sample(10, 3.0)
    assert pace.rate == 0.0


def test_production_is_red_where_there_are_few_colours_too() -> None:
    """A terminal of sixteen gets what is nearest: brown, which warns of nothing, for many a red."""
    reds = {1, 9}
    for theme in (DARK, LIGHT):
        shown = Color.parse(theme.variables["production"]).downgrade(ColorSystem.STANDARD)
        assert shown.number in reds, (theme.name, shown)
