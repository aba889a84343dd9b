"""The rollback advisor: the guide's questions, what was measured, and what follows from the answers.

The critical answers weigh one by one: a single yes is reason enough. Nothing is recommended while a critical
question has no answer, because not knowing is no reason to stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vagus_tui.events import CheckEvent, Status
from vagus_tui.format import plural
from vagus_tui.runbook.rollback_advice import CRITERIA, Criterion, Weight


class Recommendation(StrEnum):
    """What the advisor says."""

    ROLL_BACK = "roll back now"
    FIX_FORWARD = "fix forward"
    STAY = "stay"
    FIND_OUT = "undecided: find out first"


@dataclass(frozen=True, slots=True)
class Answer:
    """One question's answer: yes, no or not known, and whether it was measured or given by a person."""

    criterion: Criterion
    yes: bool | None
    measured: bool
    words: str


@dataclass(frozen=True, slots=True)
class Advice:
    """The recommendation, why, and every answer it rests on."""

    recommendation: Recommendation
    reasons: tuple[str, ...]
    answers: tuple[Answer, ...]


def measured_answer(criterion: Criterion, results: Mapping[str, CheckEvent]) -> Answer | None:
    """What the criterion's checks say: yes as soon as one fails, no when all of them passed; else nothing.

    A check that had nothing to look at (nobody of that kind, nothing left to compare with) says neither, and where all
    of them had nothing, nothing was measured. An overridden failure is still a failure here: that somebody let it pass
    does not make rows come back.
    """
    if not criterion.checks:
        return None
    found = [results[check] for check in criterion.checks if check in results]
    failed = [event for event in found if event.status is Status.FAIL]
    if failed:
        return Answer(criterion, True, True, "; ".join(f"{event.title}: {event.measured}" for event in failed))
    passed = [event for event in found if event.status in (Status.PASS, Status.WARN)]
    skipped = [event for event in found if event.status is Status.SKIP]
    if passed and len(passed) + len(skipped) == len(criterion.checks):
        return Answer(criterion, False, True, f"{plural(len(passed), 'check')} pass")
    return None


def advise(results: Mapping[str, CheckEvent], answered: Mapping[str, bool]) -> Advice:
    """Weigh the answers.

    Args:
        results: outcomes of checks by id.
        answered: what people answered, by the criterion's id. A measurement counts before an answer.
    """
    answers: list[Answer] = []
    for criterion in CRITERIA:
        answer = measured_answer(criterion, results)
        if answer is None and criterion.id in answered:
            answer = Answer(criterion, answered[criterion.id], False, "answered by hand")
        answers.append(answer or Answer(criterion, None, False, criterion.measured))
    critical = [answer for answer in answers if answer.criterion.weight is Weight.CRITICAL]
    yes = [answer for answer in critical if answer.yes]
    if yes:
        return _advice(Recommendation.ROLL_BACK, [answer.criterion.advice for answer in yes], answers)
    unknown = [answer for answer in critical if answer.yes is None]
    if unknown:
        return _advice(Recommendation.FIND_OUT, [answer.criterion.question for answer in unknown], answers)
    minor = [answer for answer in answers if answer.yes]
    if minor:
        return _advice(Recommendation.FIX_FORWARD, [answer.criterion.advice for answer in minor], answers)
    return _advice(Recommendation.STAY, ["No critical question is answered with yes."], answers)


def _advice(recommendation: Recommendation, reasons: list[str], answers: list[Answer]) -> Advice:
    return Advice(recommendation, tuple(reasons), tuple(answers))
