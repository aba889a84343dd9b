"""What must hold for a phase of the app's rollout to begin and to end (the guide's "Gradual Rollout").

Each criterion is settled in one way: by checks, by other items of the lists, or, where no database can know, by
somebody who signs it with a note. The operator's file may change their texts and add some of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from vagus_tui.runbook.check_ids import ACCESS, PERFORMANCE, VERIFICATION
from vagus_tui.runbook.model import DAY, Item, Owner
from vagus_tui.runbook.rollback_advice import CRITERIA as QUESTIONS
from vagus_tui.runbook.rollback_advice import Weight


class PhaseName(StrEnum):
    """The three phases."""

    INTERNAL = "internal"
    BETA = "beta"
    FULL = "full"


class Part(StrEnum):
    """Whether something must hold for a phase to begin or to end."""

    ENTRY = "entry"
    EXIT = "exit"


FIRST_AND_LAST_DAY = {PhaseName.INTERNAL: (1, 1), PhaseName.BETA: (2, 3), PhaseName.FULL: (4, 7)}
"""Counted from the day of the cut-over, which is day 1."""


def group_of(phase: PhaseName, part: Part) -> str:
    """The id of the group that holds a phase's criteria."""
    return f"rollout.{phase.value}.{part.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion(Item):
    """One criterion of one phase.

    Attributes:
        phase: whose it is.
        part: whether it must hold at the beginning or at the end.
        steady: for how long its checks must not have failed; None where the latest outcome will do.
    """

    phase: PhaseName
    part: Part
    steady: timedelta | None = None

    @property
    def full_title(self) -> str:
        """Its title and whose it is: several phases ask the same."""
        number = list(PhaseName).index(self.phase) + 1
        return f"{self.title} (phase {number}, {'begin' if self.part is Part.ENTRY else 'end'})"


def criterion(
    name: str,
    phase: PhaseName,
    part: Part,
    title: str,
    why: str,
    owner: Owner,
    *,
    checks: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    steady: timedelta | None = None,
) -> Criterion:
    """A criterion of a phase, under the id that its name gives."""
    first, last = FIRST_AND_LAST_DAY[phase]
    return Criterion(
        id=f"criterion.{name}",
        title=title,
        why=why,
        group=group_of(phase, part),
        owner=owner,
        due=(first - 1) * DAY if part is Part.ENTRY else last * DAY,
        evidence=checks[0] if checks else None,
        also=checks[1:],
        phase=phase,
        part=part,
        needs=needs,
        steady=steady,
        of_run=True,
    )


_ALL = tuple(sorted(VERIFICATION | ACCESS))
_SPEED = tuple(sorted(PERFORMANCE))
_GRAVE = tuple(dict.fromkeys(check for one in QUESTIONS if one.weight is Weight.CRITICAL for check in one.checks))
_BY_HAND = ("verification.coach", "verification.client", "verification.data", "verification.performance")
_INTERNAL, _BETA, _FULL = PhaseName.INTERNAL, PhaseName.BETA, PhaseName.FULL


def _grave(name: str, phase: PhaseName, part: Part) -> Criterion:
    return criterion(
        name,
        phase,
        part,
        "No measured reason to go back",
        "The critical questions of the rollback advisor that checks can answer: rows, access, speed.",
        Owner.LEAD,
        checks=_GRAVE,
    )


def _activity(name: str, phase: PhaseName) -> Criterion:
    return criterion(
        name,
        phase,
        Part.EXIT,
        "Users train as before",
        "Sessions begun since the cut-over, against the same hours of a week before it.",
        Owner.SUPPORT,
        checks=("activity",),
    )


def _critical(name: str, phase: PhaseName) -> Criterion:
    return criterion(
        name,
        phase,
        Part.EXIT,
        "No critical issue is open",
        "Crashes and faults in the app are not seen from here: say which list was looked at.",
        Owner.SUPPORT,
    )


CRITERIA: tuple[Criterion, ...] = (
    criterion(
        "internal-verified",
        _INTERNAL,
        Part.ENTRY,
        "Verification passes",
        "Every row, every key and rule, and what every kind of user may see.",
        Owner.DEVOPS,
        checks=_ALL,
    ),
    criterion(
        "internal-speed",
        _INTERNAL,
        Part.ENTRY,
        "Pages answer within limits",
        "Timed as the users with the most data, before anybody waits for them.",
        Owner.DEVOPS,
        checks=_SPEED,
    ),
    criterion(
        "internal-open",
        _INTERNAL,
        Part.ENTRY,
        "Maintenance is off",
        "The flag that the app reads, and the fence that refuses its writes: whoever tests would find it closed.",
        Owner.DEVOPS,
        checks=("maintenance-off",),
    ),
    criterion(
        "internal-shapes",
        _INTERNAL,
        Part.ENTRY,
        "Installed apps read both shapes",
        "If they do not, skip the stages and release to all: say which version reads both.",
        Owner.APP,
    ),
    criterion(
        "internal-manual",
        _INTERNAL,
        Part.EXIT,
        "Every manual check is done",
        "All four lists of Verification, by hand.",
        Owner.QA,
        needs=_BY_HAND,
    ),
    criterion(
        "internal-tested",
        _INTERNAL,
        Part.EXIT,
        "The acceptance test is passed",
        "Each of its steps, and nobody for whom one fails.",
        Owner.QA,
        needs=("verification.script",),
    ),
    _grave("internal-grave", _INTERNAL, Part.EXIT),
    _critical("internal-critical", _INTERNAL),
    criterion(
        "beta-before",
        _BETA,
        Part.ENTRY,
        "Phase 1 is over",
        "Signed off at its end, with its criteria met.",
        Owner.LEAD,
        needs=("rollout.internal.exit.over",),
    ),
    _grave("beta-grave", _BETA, Part.ENTRY),
    criterion(
        "beta-crashes",
        _BETA,
        Part.EXIT,
        "Crash rate not above that of v1",
        "From the crash reports of both versions, over the same days: note the two figures.",
        Owner.APP,
    ),
    _critical("beta-critical", _BETA),
    criterion(
        "beta-support",
        _BETA,
        Part.EXIT,
        "Support has no unknown cause",
        "Every complaint of these days is explained, if not mended: note how many there were.",
        Owner.SUPPORT,
    ),
    _activity("beta-activity", _BETA),
    criterion(
        "beta-verified",
        _BETA,
        Part.EXIT,
        "Verification still passes",
        "With what users have written since.",
        Owner.DEVOPS,
        checks=_ALL,
    ),
    criterion(
        "beta-speed",
        _BETA,
        Part.EXIT,
        "Pages still within limits",
        "Timed with a tenth of the users on the new screens.",
        Owner.DEVOPS,
        checks=_SPEED,
    ),
    criterion(
        "full-before",
        _FULL,
        Part.ENTRY,
        "Phase 2 is over",
        "Signed off at its end, with its criteria met.",
        Owner.LEAD,
        needs=("rollout.beta.exit.over",),
    ),
    _grave("full-grave", _FULL, Part.ENTRY),
    criterion(
        "full-support",
        _FULL,
        Part.ENTRY,
        "Support knows the new screens",
        "Everybody's questions come from now on: note who was shown them.",
        Owner.SUPPORT,
    ),
    criterion(
        "full-open",
        _FULL,
        Part.EXIT,
        "The v2 app is open to everyone",
        "Released to all installations.",
        Owner.APP,
        needs=("rollout.full.deploy",),
    ),
    criterion(
        "full-speed",
        _FULL,
        Part.EXIT,
        "Within limits for three days",
        "No failure of these checks in three days on record. Let the watch run meanwhile (W).",
        Owner.DEVOPS,
        checks=_SPEED,
        steady=3 * DAY,
    ),
    criterion(
        "full-verified",
        _FULL,
        Part.EXIT,
        "Verification still passes",
        "The last time before v1's tables may go.",
        Owner.DEVOPS,
        checks=_ALL,
    ),
    _activity("full-activity", _FULL),
    _critical("full-critical", _FULL),
)
