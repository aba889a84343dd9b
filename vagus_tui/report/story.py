"""The journal as a story: one line per thing that happened, in the order in which it happened.

Nothing in it is invented: every line comes from a row of the journal, and a run that broke off is told as one that did.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.format import plural, span
from vagus_tui.journal import acceptance
from vagus_tui.journal.acceptance import Verdict
from vagus_tui.journal.local_copy import RECOVERED
from vagus_tui.journal.schema import journal_exists
from vagus_tui.journal.store import RESUMED
from vagus_tui.migration.phases.cut_over import TAKEN_OVER, TRIED
from vagus_tui.report.notes import note_in_words
from vagus_tui.report.stretches import Stretch, stretches
from vagus_tui.runbook.index import title_of

Row = Any
"""A row of the journal, by column name."""

AFTER = timedelta(microseconds=1)
"""Puts what a run broke off after behind it, though there is no other time for either."""
TOGETHER = timedelta(seconds=30)
"""Checks of one group that end within this time of each other were run together."""

_PHASES = {
    "prepare": "Prepared: change capture is on",
    "build": "Built v2 beside v1",
    "catch-up": "Caught up with what the app wrote meanwhile",
    "prove": "Proved every row, both ways",
    "hold": "Held, proved and caught up, until told to go on",
    "cut-over": "Cut over",
    "settle": "Settled",
    "rollback": "Rolled back",
}
_OTHERWISE = {
    ("rollback", "prepare"): "Put back what was changed by hand, if anything",
    ("rollback", "prove"): "Compared every row with v1 as it was kept",
    ("restore", "build"): "Made v1 again aside",
    ("restore", "prove"): "Proved every row against the backup",
    ("restore", "rollback"): "Put v1 in place",
}
"""Phases that are something else in a run of another kind."""
_AGAIN = {
    "catch-up": "Caught up once more",
    "prove": "Proved every row once more",
    "hold": "Held once more",
}
_BEGINNINGS = {
    "migrate": "Began the migration",
    "rollback": "Began the rollback",
    "restore": "Began to restore a backup",
    "clean-up": "Began the clean-up",
}
_ENDINGS = {
    ("migrate", "done"): "The migration is done: v2 is in place, v1 is kept",
    ("rollback", "done"): "The rollback is done: v1 is in place, v2 is archived",
    ("restore", "done"): "The backup is in place",
    ("clean-up", "done"): "The clean-up is done",
}

_STOPPED = {"failed": "failed and was undone", "cancelled": "was stopped and undone", "abandoned": "was given up"}
_LEFT = {
    "migrate": "v1 is as it was",
    "rollback": "v2 is in place as it was",
    "restore": "no table was replaced",
    "clean-up": "nothing was removed",
}
"""What is left by a run that was stopped, by its kind: each of them ends so only before its one transaction commits."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened.

    Attributes:
        at: when, by the server's clock.
        who: the operator; empty where the line before says it.
        what: a sentence without its full stop.
        tone: `good`, `bad`, `warn` or empty.
    """

    at: datetime
    who: str
    what: str
    tone: str = ""


async def tell(connection: Connection) -> tuple[Line, ...]:
    """Everything that happened, oldest first. Empty where there is no journal."""
    if not await journal_exists(connection):
        return ()
    lines = [
        *await _runs(connection),
        *await _checks(connection),
        *await _sign_offs(connection),
        *await _overrides(connection),
        *await _backups(connection),
        *await _fixes(connection),
        *await _notes(connection),
    ]
    return tuple(sorted(lines, key=lambda line: line.at))


# Runs


async def _runs(connection: Connection) -> list[Line]:
    runs = await connection.fetch("select * from vagus_migration.runs order by started_at")
    steps = await connection.fetch(
        "select run_id, step, phase, state, seconds, rows, message, at from vagus_migration.steps order by run_id, at"
    )
    by_run = {run_id: list(rows) for run_id, rows in groupby(steps, key=lambda row: row["run_id"])}
    return [line for run in runs for line in _run(run, by_run.get(run["id"], []))]


def _run(run: Row, steps: Sequence[Row]) -> Iterator[Line]:
    who, kind, figures = run["operator"], run["kind"], json.loads(run["figures"])
    where = f"on {run['environment']}" + (f", from {run['client']}" if run["client"] else "")
    yield Line(run["started_at"], who, f"{_BEGINNINGS.get(kind, kind)} {where}")
    last: Row | None = None
    for step in steps:
        if step["step"] == RESUMED:
            during = f" during {step['phase']}" if step["phase"] else ""
            before = last["at"] + AFTER if last is not None else run["started_at"]
            yield Line(before, "", f"The run broke off{during}", "bad")
            yield Line(step["at"], "", f"Taken up again {step['message']}", "warn")
        elif step["step"] == TAKEN_OVER:
            yield Line(step["at"], "", str(step["message"]).removesuffix("."))
        elif step["step"] == TRIED:
            yield Line(step["at"], "", str(step["message"]), "warn")
        elif step["state"] == "failed":
            yield Line(step["at"], "", f"{step['step']} failed{_after(step['message'])}", "bad")
        last = step
    # A phase is told once, when it was through; what an attempt that broke off did for it counts with it.
    seen: dict[tuple[int, int, str], list[Stretch]] = {}
    for stretch in stretches(step for step in steps if step["state"] != "failed"):
        seen.setdefault((stretch.part, stretch.round, stretch.phase), []).append(stretch)
    for done in seen.values():
        yield _phase(kind, done, figures)
    yield from _end(run, figures, last)


def _phase(kind: str, done: Sequence[Stretch], figures: Mapping[str, Any]) -> Line:
    phase = done[0].phase
    words = [_OTHERWISE.get((kind, phase)) or _PHASES.get(phase, phase.capitalize())]
    if (done[0].part or done[0].round) and phase in _AGAIN:
        words = [_AGAIN[phase] + (" after the hold" if done[0].part and phase != "hold" else "")]
    # What differs before a rollback was written by somebody, which the end of it tells.
    proved = phase == "prove" and kind != "rollback"
    if phase == "build" or proved:
        words.append(plural(sum(stretch.rows for stretch in done), "row"))
    if proved:
        words.append("0 differences")
    if phase == "cut-over" and "writes_waited_seconds" in figures:
        words.append(f"writes waited {span(float(figures['writes_waited_seconds']))}")
    else:
        words.append(span(sum(stretch.seconds for stretch in done)))
    return Line(
        max(stretch.ended for stretch in done), "", ", ".join(words), "good" if proved or phase == "cut-over" else ""
    )


def _end(run: Row, figures: Mapping[str, Any], last: Row | None) -> Iterator[Line]:
    status, kind = run["status"], run["kind"]
    at = run["finished_at"] or (last["at"] if last is not None else run["started_at"])
    who = str(figures.get("ended_by") or "")
    if status == "done":
        yield Line(at, who, _ENDINGS.get((kind, status), f"{kind} done") + _carried(kind, figures), "good")
    elif status in _STOPPED:
        yield Line(at, who, f"The {_noun(kind)} {_STOPPED[status]}; {_LEFT[kind]}{_after(run['error'])}", "bad")
    elif status == "interrupted" and run["finished_at"] is not None:
        yield Line(at, who, f"The {_noun(kind)} was stopped by force, and cleared away; {_LEFT[kind]}", "bad")
    elif status == "ready":
        yield Line(at, "", f"Ready to cut over, and waiting{_after(run['error'])}", "warn")
    else:
        yield Line(
            at, "", f"The {_noun(kind)} has not ended: it is under way, or broke off during {run['phase']}", "warn"
        )


def _carried(kind: str, figures: Mapping[str, Any]) -> str:
    if kind != "rollback":
        return ""
    carried = figures.get("carried_back")
    if carried is None:
        return "; psql ran the plan, and nobody counted what was carried back"
    by_table = carried.values() if isinstance(carried, Mapping) else ()
    counts = (
        (sum(int(table.get("new", 0)) for table in by_table), "new row", "carried back"),
        (sum(int(table.get("changed", 0)) for table in by_table), "changed row", "carried back"),
        (int(figures.get("not_expressible") or 0), "new row", "that v1 has no place for kept in the archive"),
        (int(figures.get("kept_values") or 0), "value", "that v1 has no place for kept in the archive"),
    )
    parts = [f"{plural(count, noun)} {words}" for count, noun, words in counts if count]
    said = f"; {', '.join(parts)}" if parts else "; nothing had been written in v2"
    if unnoted := sum(int(rows) for rows in (figures.get("not_noted") or {}).values()):
        said += f"; {plural(unnoted, 'row')} of which no write was noted found by comparing"
    if kept := figures.get("kept_rows"):
        said += f"; {'; '.join(map(str, kept))}"
    if replaced := int(figures.get("replaced_sets_aside") or 0):
        said += f"; {plural(replaced, 'set')} saved anew in v2 set aside in the journal as it was before"
    if by_hand := [*(figures.get("put_back") or ()), *(figures.get("changed_by_hand") or ())]:
        said += f"; changed by hand since the cut-over: {', '.join(map(str, by_hand))}"
    if not_bound := figures.get("not_bound_back"):
        said += f"; not bound to v1 again: {'; '.join(map(str, not_bound))}"
    if added := figures.get("columns_only_in_archive"):
        said += f"; columns that v2 had been given, in the archive alone: {', '.join(map(str, added))}"
    return said


def _noun(kind: str) -> str:
    return {"migrate": "migration", "restore": "restore"}.get(kind, kind)


def _after(message: str | None) -> str:
    return f": {message.rstrip('.')}" if message else ""


# Checks


async def _checks(connection: Connection) -> list[Line]:
    """One line where a group was run and came out otherwise than the last time."""
    rows = await connection.fetch(
        "select check_id, check_group, status, operator, at from vagus_migration.checks order by check_group, at, id"
    )
    lines: list[Line] = []
    for group, found in groupby(rows, key=lambda row: str(row["check_group"])):
        before: dict[str, str] = {}
        told: dict[str, str] | None = None
        for together in _together(list(found)):
            before = {**before, **{row["check_id"]: row["status"] for row in together}}
            if before != told:
                last = together[-1]
                lines.append(Line(last["at"], last["operator"], *_outcome(group, before)))
                told = dict(before)
    return lines


def _together(rows: Sequence[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        if batch and (row["at"] - batch[-1]["at"] > TOGETHER or row["operator"] != batch[-1]["operator"]):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def _outcome(group: str, statuses: Mapping[str, str]) -> tuple[str, str]:
    counts = Counter(statuses.values())
    bad = sorted(check for check, status in statuses.items() if status in ("fail", "error"))
    named = f" ({', '.join(bad[:3])}{' …' if len(bad) > 3 else ''})" if bad else ""
    if set(statuses.values()) == {"skip"}:
        return f"Checked {group.replace('-', ' ')}: nothing to look at yet", ""
    parts = [f"{counts['pass']} pass"]
    if bad:
        parts.append(f"{len(bad)} fail{named}")
    if counts["warn"]:
        parts.append(plural(counts["warn"], "warning"))
    return f"Checked {group.replace('-', ' ')}: {', '.join(parts)}", "bad" if bad else "good"


# Everything else


async def _sign_offs(connection: Connection) -> list[Line]:
    rows = await connection.fetch("select item, ticked, operator, note, at from vagus_migration.sign_offs")
    return [
        Line(
            row["at"],
            row["operator"],
            f"{'Signed off' if row['ticked'] else 'Took back'}: {title_of(row['item']) or row['item']}"
            + _after(row["note"]),
        )
        for row in rows
    ]


async def _overrides(connection: Connection) -> list[Line]:
    rows = await connection.fetch("select check_id, reason, operator, withdrawn, at from vagus_migration.overrides")
    return [
        Line(
            row["at"],
            row["operator"],
            f"Overrode {title_of(row['check_id']) or row['check_id']}: {row['reason'].rstrip('.')}"
            + (" (withdrawn since)" if row["withdrawn"] else ""),
            "warn",
        )
        for row in rows
    ]


async def _backups(connection: Connection) -> list[Line]:
    rows = await connection.fetch(
        "select path, operator, at, verified_at, restored_at from vagus_migration.backups order by id"
    )
    lines = []
    for row in rows:
        name = str(row["path"]).rstrip("/").rpartition("/")[2]
        lines.append(Line(row["at"], row["operator"], f"Made the backup {name}"))
        if row["verified_at"] is not None:
            lines.append(Line(row["verified_at"], "", f"Read every byte of the backup {name} back", "good"))
        if row["restored_at"] is not None:
            lines.append(Line(row["restored_at"], "", f"Restored the backup {name} as a test: equal", "good"))
    return lines


async def _fixes(connection: Connection) -> list[Line]:
    rows = await connection.fetch(
        "select remedy, action, table_name, count(*) as rows, min(operator) as operator, min(at) as at, "
        "count(restored_at) as back, max(restored_at) as back_at, min(restored_by) as back_by "
        "from vagus_migration.quarantine group by batch, remedy, action, table_name"
    )
    lines = []
    for row in rows:
        did = "Set aside" if row["action"] == "set-aside" else "Repaired"
        # Of tables beside v1's four the whole name is kept, in quotes.
        table = str(row["table_name"]).removeprefix('"public".').strip('"')
        what = f"{plural(row['rows'], 'row')} of {table}"
        lines.append(Line(row["at"], row["operator"], f"{did} {what} ({row['remedy']})"))
        if row["back"]:
            back = f"Put back {plural(row['back'], 'row')} of {table} ({row['remedy']})"
            lines.append(Line(row["back_at"], row["back_by"] or "", back))
    return lines


async def _notes(connection: Connection) -> list[Line]:
    rows = await connection.fetch("select topic, body, operator, at from vagus_migration.notes order by id")
    lines = _acceptance(rows)
    for row in rows:
        body = json.loads(row["body"])
        if row["topic"] == RECOVERED:
            lines.append(_recovered(body, row["at"]))
            continue
        words, tone = note_in_words(row["topic"], body)
        if words:
            lines.append(Line(row["at"], row["operator"], words, tone))
    return lines


def _acceptance(rows: Sequence[Row]) -> list[Line]:
    """The acceptance test: every failure on its own, what passed or was taken back together, person by person."""
    notes = [row for row in rows if row["topic"].startswith(acceptance.TOPIC)]
    found = [acceptance.tried(json.loads(row["body"]), row["operator"], row["at"]) for row in notes]
    lines: list[Line] = []
    key = attrgetter("person", "operator", "verdict")
    for (person, operator, verdict), together in groupby((one for one in found if one is not None), key=key):
        tried = list(together)
        who = f"Acceptance test, {title_of(tried[0].profile) or tried[0].profile} ({person[:8]})"
        if verdict is Verdict.FAIL:
            for one in tried:
                what = f"{who}: “{title_of(one.step) or one.step}” failed"
                lines.append(Line(one.at, operator, what + _after(one.note), "bad"))
            continue
        words = "passed" if verdict is Verdict.PASS else "taken back"
        told = "; ".join(one.note for one in tried if one.note)
        what = f"{who}: {plural(len(tried), 'step')} {words}"
        lines.append(Line(tried[-1].at, operator, what + _after(told), "good" if verdict is Verdict.PASS else ""))
    return lines


def _recovered(body: Any, kept_at: datetime) -> Line:
    """An entry that the database had forgotten and a local copy had kept, at its own time."""
    row, table = body["row"], body["table"]
    at = datetime.fromisoformat(row.get("at") or row.get("started_at") or kept_at.isoformat())
    what = {
        "runs": lambda: f"{_BEGINNINGS.get(row['kind'], row['kind'])} on {row['environment']}: {row['status']}",
        "steps": lambda: f"{row['phase']}: {row['step']} {row['state']}",
        "checks": lambda: f"Checked {row['check_id']}: {row['status']}",
        "sign_offs": lambda: (
            f"{'Signed off' if row['ticked'] else 'Took back'}: {title_of(row['item']) or row['item']}"
        ),
        "overrides": lambda: f"Overrode {title_of(row['check_id']) or row['check_id']}: {row['reason']}",
        "backups": lambda: f"Made the backup {row['path'].rstrip('/').rpartition('/')[2]}",
        "notes": lambda: note_in_words(row["topic"], row["body"])[0] or f"Noted {row['topic']}",
    }[table]()
    return Line(at, row.get("operator") or "", f"{what} (known from a local copy)", "warn")
