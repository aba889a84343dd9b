"""What the people of the acceptance test found: pass or fail, and a note, per person and step.

People are kept by their id alone: an address has no place in a journal that is copied and printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.journal import store
from vagus_tui.journal.schema import journal_exists
from vagus_tui.journal.store import Run

TOPIC = "acceptance."
"""Notes of a person's step are kept under this, the step and the person."""


class Verdict(StrEnum):
    """How one step went for one person. Open: taken back, it is to be tried again."""

    PASS = "pass"
    FAIL = "fail"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Tried:
    """The latest word on one step of one person, and who wrote it down."""

    person: str
    profile: str
    step: str
    verdict: Verdict
    note: str
    operator: str
    at: datetime


async def record(
    connection: Connection, person: str, step: str, verdict: Verdict, *, profile: str, note: str, operator: str
) -> None:
    """Append how a step went for a person; earlier words stay on record."""
    body = {"person": person, "profile": profile, "step": step, "verdict": verdict.value, "note": note}
    await store.note(connection, f"{TOPIC}{step}/{person}", body, operator=operator)


async def tries(connection: Connection, run: Run | None) -> dict[tuple[str, str], Tried]:
    """The latest word on every step of every person.

    Args:
        run: the latest run; what was found before it began says nothing about what is there now, and is left out.
    """
    if not await journal_exists(connection):
        return {}
    rows = await connection.fetch(
        "select distinct on (topic) body, operator, at from vagus_migration.notes "
        "where starts_with(topic, $1) and ($2::timestamptz is null or at >= $2) order by topic, id desc",
        TOPIC,
        None if run is None else run.started_at,
    )
    found = [tried(json.loads(row["body"]), row["operator"], row["at"]) for row in rows]
    return {(one.person, one.step): one for one in found if one is not None}


def tried(body: Any, operator: str, at: datetime) -> Tried | None:
    """A note's body as what it says; None where it cannot be read."""
    if not isinstance(body, Mapping) or body.get("verdict") not in set(Verdict):
        return None
    person, profile, step, note = (str(body.get(name) or "") for name in ("person", "profile", "step", "note"))
    return Tried(person, profile, step, Verdict(body["verdict"]), note, operator, at)


def count(found: Iterable[Tried]) -> tuple[int, int]:
    """How many of these pass, and how many fail."""
    verdicts = [one.verdict for one in found]
    return verdicts.count(Verdict.PASS), verdicts.count(Verdict.FAIL)
