"""What a note of the journal says in the story, from bodies as those write them who keep the note."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from vagus_tui.backup.forecast import Forecast
from vagus_tui.checks.access.matrix import AccessMatrix, Kind, Totals, packed
from vagus_tui.checks.selftest import SelfTest
from vagus_tui.report.notes import NOTHING, note_in_words
from vagus_tui.rollout.app_update import Outcome
from vagus_tui.runbook.messages import MESSAGES
from vagus_tui.runbook.rollout import APP_UPDATE

AT = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)


def rehearsed(**values: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"complete": True, "backup": "one", "server_major": 18, "rows": {}, "phases": {}}
    return Forecast(rehearsed_at=AT, **{**given, **values}).model_dump(mode="json")


def compared(**totals: Totals) -> dict[str, Any]:
    return packed(AccessMatrix((), (), {}, {Kind(name): total for name, total in totals.items()}, at=AT))


def updated(*, ok: bool, status: int) -> dict[str, Any]:
    return asdict(Outcome(ok=ok, status=status, seconds=75.0, folder="/app", tail=("done",)))


MESSAGE, COMMAND = MESSAGES[0], APP_UPDATE[0]
SAME = "Compared what 12 people and roles may do in v1 and v2"
REHEARSED = "Rehearsed the migration on a restored backup"
TESTED = "Tested the checks with planted faults"

TOLD: list[tuple[str, Any, tuple[str, str]]] = [
    ("planned_at", "2026-12-01T22:00:00+01:00", ("Set T−0 to 2026-12-01 22:00 (UTC+0100)", "")),
    ("planned_at", "2026-12-01T22:00:00", ("Set T−0 to 2026-12-01 22:00 (UTC, no zone given)", "")),
    ("planned_at", "soon", ("Set T−0 to soon", "")),
    (f"text.{MESSAGE.id}", {"body": "x"}, (f"Rewrote the message “{MESSAGE.title}”", "")),
    (f"text.{MESSAGE.id}", {}, (f"Put the runbook's message “{MESSAGE.title}” back", "")),
    ("text.gone", {"body": "x"}, ("Rewrote the message “gone”", "")),
    ("maintenance-page", {"message": "Soon"}, ("Chose the text that users read during the cut-over", "")),
    ("banner", {"message": "Soon"}, ("Wrote the banner into the app's maintenance row", "")),
    ("banner", {"message": None}, ("Took the banner out of the app's maintenance row", "")),
    (f"app-update.{COMMAND.id}", updated(ok=True, status=0), (f"Ran for the app: {COMMAND.title}, 1 min 15 s", "good")),
    ("app-update.gone", updated(ok=False, status=7), ("Ran for the app: gone; it ended with status 7", "bad")),
    ("rehearsal", rehearsed(writes_blocked_seconds=0.04), (f"{REHEARSED}: writes would wait 0.04 s", "good")),
    ("rehearsal", rehearsed(writes_blocked_seconds=0.0), (f"{REHEARSED}: writes would wait 0.00 s", "good")),
    ("rehearsal", rehearsed(complete=False), (f"{REHEARSED}; it did not get to its end", "bad")),
    (
        "access-matrix",
        compared(owner=Totals(10, 0, 0, 9), anon=Totals(2, 0, 0)),
        (f"{SAME}: nothing lost, nothing gained", "good"),
    ),
    (
        "access-matrix",
        compared(owner=Totals(10, 1, 0, 9), anon=Totals(2)),
        (f"{SAME}: 1 row lost, 0 gained", "bad"),
    ),
    (
        "access-matrix",
        compared(owner=Totals(10, 0, 3), anon=Totals(2, 0, 1_000)),
        (f"{SAME}: 0 rows lost, 1,003 gained", "bad"),
    ),
    ("repair", {"repair": "missing-indexes", "count": 2}, ("Repaired: missing-indexes", "warn")),
    ("repair", None, ("Ran a repair", "warn")),
    ("repair-undone", {"id": "7", "repair": "missing-indexes"}, ("Took a repair back: missing-indexes", "warn")),
    # Of before there was a word for the flag; and as it is now.
    ("maintenance", {"on": True, "fence": False, "message": "x"}, ("Switched maintenance on by hand", "warn")),
    (
        "maintenance",
        {"on": False, "flag": True, "fence": True},
        ("Switched maintenance and the write fence off by hand", ""),
    ),
    ("maintenance", {"on": False, "flag": False, "fence": True}, ("Switched the write fence off by hand", "")),
    ("upload", {"url": "s3://b/one"}, ("Copied the backup to s3://b/one and read it back from there", "good")),
    (
        "backup-damage",
        {"path": "/b/20260301/one/", "found": "A file is missing.", "by": "restore test"},
        ("A restore test found the backup one damaged: A file is missing.", "bad"),
    ),
    (
        "backup-damage",
        {"path": "/b/20260301/one", "found": "", "by": "verification"},
        ("A verification found the backup one whole again", "good"),
    ),
    (
        "self-test",
        asdict(SelfTest({"a": 2, "b": 1}, {}, {"c": ["too big"]})),
        (f"{TESTED}: 3 seen, none missed", "good"),
    ),
    ("self-test", asdict(SelfTest({"a": 2}, {"b": ["x", "y"]})), (f"{TESTED}: 2 seen, 2 missed", "bad")),
    ("override-withdrawn", {"check": "tls"}, ("Took the override of tls back", "")),
    # Bookkeeping, and what cannot be read.
    ("database-id", "6f0c", NOTHING),
    ("recovered", {"table": "runs"}, NOTHING),
    *((topic, "?", NOTHING) for topic in ("rehearsal", "access-matrix", "maintenance", "upload", "self-test")),
    ("app-update.gone", None, NOTHING),
    ("backup-damage", None, NOTHING),
    ("override-withdrawn", [], NOTHING),
]


@pytest.mark.parametrize(("topic", "body", "told"), TOLD, ids=[topic for topic, _, _ in TOLD])
def test_a_note_says_what_was_done(topic: str, body: Any, told: tuple[str, str]) -> None:
    assert note_in_words(topic, body) == told
