"""How long a run worked is told without the time in which it was broken off, and without what came after its hold."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from vagus_tui.journal.store import RESUMED
from vagus_tui.migration.phases.cut_over import TRIED
from vagus_tui.report.drawing import draw_timeline
from vagus_tui.report.story import _run
from vagus_tui.report.stretches import stretches
from vagus_tui.report.timeline import RunTimeline, phase_seconds

BEGUN = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)


def step(name: str, phase: str, ends: float, seconds: float, rows: int = 0, state: str = "done") -> dict[str, Any]:
    at = BEGUN + timedelta(seconds=ends)
    return {"step": name, "phase": phase, "state": state, "seconds": seconds, "rows": rows, "at": at, "message": "by x"}


STEPS = [
    step("build-day-keys", "build", 5, 5, 70),
    step("build-exercises", "build", 10, 5, 100),
    step(RESUMED, "build", 1000, 0, state="started"),
    step("build-exercise_logs-1", "build", 1005, 5, 900),
    step("index-x", "build", 1006, 1, 900),
    step("catch-up", "catch-up", 1007, 1),
    step("behaviour", "build", 1008, 1),
    step("prove-day-keys", "prove", 1009, 1, 70),
    step("prove-exercises", "prove", 1010, 1, 100),
    step("hold", "hold", 9000, 7990),
    step("prove-exercises", "prove", 9001, 1, 100),
    step("swap", "cut-over", 9002, 0.5),
]


def test_neither_an_outage_nor_a_hold_counts_as_work() -> None:
    found = stretches(STEPS)
    assert [(one.phase, one.attempt, one.part) for one in found] == [
        ("build", 0, 0),
        ("catch-up", 1, 0),
        ("build", 1, 0),
        ("prove", 1, 0),
        ("hold", 1, 0),
        ("prove", 1, 1),
        ("cut-over", 1, 1),
    ]
    assert phase_seconds(found) == {"build": 18, "catch-up": 1, "prove": 2, "hold": 7990, "cut-over": 0.5}


def test_what_is_proved_before_every_attempt_is_told_apart() -> None:
    """Two proofs after one hold, with a cut-over that came to nothing in between, are no proof of twice the rows."""
    steps = [
        step("hold", "hold", 10, 5),
        step("prove-exercises", "prove", 11, 1, 100),
        step(TRIED, "cut-over", 20, 0, state="failed"),
        step("prove-exercises", "prove", 30, 1, 100),
    ]
    proofs = [one for one in stretches(steps) if one.phase == "prove"]
    assert [(one.part, one.round, one.rows, one.seconds) for one in proofs] == [(1, 0, 100, 1), (1, 1, 100, 1)]


def test_steps_of_one_transaction_follow_each_other() -> None:
    """They are written down together after the commit: one of them alone does not tell when the first began."""
    steps = [
        step("collect", "rollback", 10.0, 4),
        step("swap", "rollback", 10.1, 5),
        step("settle-1", "settle", 16.0, 5.8),
    ]
    back, settled = sorted(stretches(steps), key=lambda one: one.begun)
    assert (back.phase, settled.phase) == ("rollback", "settle")
    assert back.seconds == 9


def test_every_bar_lies_within_its_track() -> None:
    """However often it was held."""
    steps = [
        one for n in range(9) for one in (step("prove-x", "prove", n * 10, 1), step("hold", "hold", n * 10 + 9, 8))
    ]
    spans = tuple(stretches(steps))
    page = draw_timeline(RunTimeline("r", "migrate", "ada", "done", BEGUN, None, spans))
    bars = re.findall(r"left:([\d.]+)%;width:([\d.]+)%", page)
    assert len(bars) == 18 and all(float(left) + float(width) < 100.1 for left, width in bars)


def test_the_story_tells_both_proofs_each_in_its_place() -> None:
    run = {
        "operator": "ada",
        "kind": "migrate",
        "figures": json.dumps({"writes_waited_seconds": 0.2}),
        "environment": "staging",
        "client": "",
        "status": "done",
        "started_at": BEGUN,
        "finished_at": BEGUN + timedelta(seconds=9003),
        "phase": "settle",
        "error": None,
    }
    told = [line.what for line in sorted(_run(run, STEPS), key=lambda line: line.at)]
    assert told == [
        "Began the migration on staging",
        "The run broke off during build",
        "Taken up again by x",
        "Caught up with what the app wrote meanwhile, 1.0 s",
        "Built v2 beside v1, 1,000 rows, 18.0 s",
        "Proved every row, both ways, 100 rows, 0 differences, 2.0 s",
        "Held, proved and caught up, until told to go on, 2 h 13 min",
        "Proved every row once more after the hold, 100 rows, 0 differences, 1.0 s",
        "Cut over, writes waited 0.20 s",
        "The migration is done: v2 is in place, v1 is kept",
    ]
