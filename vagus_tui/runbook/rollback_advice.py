"""The guide's "When to Rollback" as questions, each with the evidence that answers it where the wizard can measure.

The weighing of the answers is the rollback advisor's; this is what it asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Weight(StrEnum):
    """What a yes means."""

    CRITICAL = "critical"
    FIX_FORWARD = "fix forward"


SLOWDOWN_CRITICAL = 5.0
"""A slowdown above this factor is critical."""

SLOWDOWN_TOLERABLE = 2.0
"""A slowdown below this factor is fixed forward. Between the two the operator weighs, with the trend in view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One question of the advisor.

    Attributes:
        id: unique in the whole runbook.
        question: answered with yes or no; yes speaks for `weight`.
        weight: roll back at once, or fix forward.
        checks: the checks whose failure answers yes; empty when only a person can know.
        measured: how the wizard knows, or whom to ask.
        advice: what to do on a yes.
    """

    id: str
    question: str
    weight: Weight
    checks: tuple[str, ...]
    measured: str
    advice: str


CRITERIA: tuple[Criterion, ...] = (
    Criterion(
        id="advice.data-loss",
        question="Are plans, exercises or history missing?",
        weight=Weight.CRITICAL,
        checks=("plans-migrated", "exercises-migrated", "sessions-migrated", "logs-migrated", "row-proof"),
        measured="Row proof against the kept v1 tables.",
        advice="Roll back. The quick way suffices while the v1 tables are intact.",
    ),
    Criterion(
        id="advice.wrong-access",
        question="Do users see rows of others, or not their own?",
        weight=Weight.CRITICAL,
        checks=(
            "rls-enforced",
            "access-owners",
            "access-coaches",
            "access-former-coaches",
            "access-others",
            "access-anon",
            "access-as-applied",
        ),
        measured="Real users impersonated, v2 against v1.",
        advice="Switch the Data API off in Supabase first, then decide: restoring policies can be faster.",
    ),
    Criterion(
        id="advice.app-crashes",
        question="Does the app crash at launch for most users?",
        weight=Weight.CRITICAL,
        checks=(),
        measured="Crash reports; ask the app team.",
        advice="Stop the staged release. Roll back if installed apps cannot be fixed within hours.",
    ),
    Criterion(
        id="advice.very-slow",
        question="Is the database more than 5 times slower?",
        weight=Weight.CRITICAL,
        checks=("slowdown",),
        measured="The app's pages timed as real users, on v2 and on the kept v1 tables in turn.",
        advice="Try the repair for slowness once (a minute); roll back if it does not help.",
    ),
    Criterion(
        id="advice.layout",
        question="Are there faults in layout or display?",
        weight=Weight.FIX_FORWARD,
        checks=(),
        measured="Ask QA and support.",
        advice="Fix in the next app release.",
    ),
    Criterion(
        id="advice.minor-feature",
        question="Does a minor feature not work?",
        weight=Weight.FIX_FORWARD,
        checks=(),
        measured="The manual checklists on Verification.",
        advice="Fix in the next app release; tell support what to answer.",
    ),
    Criterion(
        id="advice.little-slower",
        question="Is the database slower, but less than 2 times?",
        weight=Weight.FIX_FORWARD,
        checks=(),
        measured="The app's queries timed as a user, against the figures from before.",
        advice="Run the repair for slowness and watch.",
    ),
    Criterion(
        id="advice.analytics",
        question="Are analytics wrong while logging works?",
        weight=Weight.FIX_FORWARD,
        checks=("logs-migrated", "sessions-linked"),
        measured="Logs proved row by row: if they are right, analytics can be computed again.",
        advice="Fix the functions. If the logs themselves are wrong, that is data loss: see there.",
    ),
)
