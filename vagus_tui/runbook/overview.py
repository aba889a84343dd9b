"""What is migrated, and what it costs in time: the guide's scope list and timeline estimate, corrected."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Treatment(StrEnum):
    """What happens to a kind of data."""

    MIGRATED = "migrated"
    PRESERVED = "preserved"
    REVIEW = "migrated, to be reviewed"
    NOT_MIGRATED = "not migrated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeEntry:
    """One kind of data and its fate."""

    id: str
    title: str
    treatment: Treatment
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What to expect in one environment, until a rehearsal has measured it.

    Attributes:
        id: `estimate.` and the environment.
        environment: development, staging or production.
        shortest, longest: the whole run without the hold.
        writes_goal, writes_limit: how long writes may pause at the cut-over; the limit makes the cut-over give up.
        note: what decides it.
    """

    id: str
    environment: str
    shortest: timedelta
    longest: timedelta
    writes_goal: timedelta
    writes_limit: timedelta
    note: str


SCOPE: tuple[ScopeEntry, ...] = (
    ScopeEntry(
        id="scope.plans",
        title="Workout plans and their exercises",
        treatment=Treatment.MIGRATED,
        detail="Plan → weeks → days → exercises. Plans and exercises keep their ids.",
    ),
    ScopeEntry(
        id="scope.history",
        title="Sessions and exercise logs",
        treatment=Treatment.MIGRATED,
        detail="Every row, same id. Each session is tied to the day it trained.",
    ),
    ScopeEntry(
        id="scope.preferences",
        title="User preferences",
        treatment=Treatment.PRESERVED,
        detail="Left as they are. Who has no notification row gets a quiet one: nobody is opted in.",
    ),
    ScopeEntry(
        id="scope.coaches",
        title="Coach and client relationships",
        treatment=Treatment.PRESERVED,
        detail="Not touched. Access through them is compared before and after.",
    ),
    ScopeEntry(
        id="scope.templates",
        title="Templates",
        treatment=Treatment.REVIEW,
        detail="Migrated like plans and listed, so that coaches can look them over.",
    ),
    ScopeEntry(
        id="scope.exports",
        title="Old screenshots and exports",
        treatment=Treatment.NOT_MIGRATED,
        detail="Files outside the database stay where they are archived.",
    ),
)

WRITES_GOAL = timedelta(seconds=1)
"""How long writes should pause at the cut-over at most."""

WRITES_LIMIT = timedelta(seconds=3)
"""How long writes may ever pause; beyond it the cut-over gives up and v1 stays."""

ESTIMATES: tuple[Estimate, ...] = (
    Estimate(
        id="estimate.development",
        environment="development",
        shortest=timedelta(seconds=2),
        longest=timedelta(minutes=1),
        writes_goal=WRITES_GOAL,
        writes_limit=WRITES_LIMIT,
        note="Little data. No window needs to be announced.",
    ),
    Estimate(
        id="estimate.staging",
        environment="staging",
        shortest=timedelta(seconds=10),
        longest=timedelta(minutes=5),
        writes_goal=WRITES_GOAL,
        writes_limit=WRITES_LIMIT,
        note="Use a copy of production's volume: it is the dress rehearsal.",
    ),
    Estimate(
        id="estimate.production",
        environment="production",
        shortest=timedelta(seconds=30),
        longest=timedelta(minutes=30),
        writes_goal=WRITES_GOAL,
        writes_limit=WRITES_LIMIT,
        note="Built while the app runs; writes pause only at the cut-over. A rehearsal gives real figures.",
    ),
)


def estimate_for(environment: str) -> Estimate:
    """The estimate of an environment.

    Raises:
        KeyError: no such environment.
    """
    for entry in ESTIMATES:
        if entry.environment == environment:
            return entry
    raise KeyError(f"No environment is called {environment!r}; there are development, staging, production.")
