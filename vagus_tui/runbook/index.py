"""Every id of the runbook and what it names, so that an id in the journal or the report can be explained."""

from __future__ import annotations

from collections.abc import Iterator

from vagus_tui.runbook.acceptance import TESTER_PROFILES
from vagus_tui.runbook.checklists import GROUPS
from vagus_tui.runbook.contacts import CONTACTS
from vagus_tui.runbook.criteria import Criterion
from vagus_tui.runbook.guide_map import GUIDE_MAP
from vagus_tui.runbook.messages import MESSAGES
from vagus_tui.runbook.overview import ESTIMATES, SCOPE
from vagus_tui.runbook.questions import QUESTIONS
from vagus_tui.runbook.risks import RISKS
from vagus_tui.runbook.rollback_advice import CRITERIA
from vagus_tui.runbook.rollout import APP_UPDATE, ROLLOUT_PHASES
from vagus_tui.runbook.timeline import TIMELINE
from vagus_tui.runbook.troubleshooting import ISSUES


def entries() -> Iterator[tuple[str, str]]:
    """Every id with its title. Each id comes once."""
    for group in GROUPS:
        yield group.id, group.title
        for item in group.items:
            yield item.id, item.full_title if isinstance(item, Criterion) else item.title
    yield from ((row.id, row.action) for row in TIMELINE)
    yield from ((risk.id, risk.title) for risk in RISKS)
    yield from ((message.id, message.title) for message in MESSAGES)
    yield from ((contact.id, contact.role) for contact in CONTACTS)
    yield from ((question.id, question.question) for question in QUESTIONS)
    yield from ((issue.id, issue.title) for issue in ISSUES)
    yield from ((criterion.id, criterion.question) for criterion in CRITERIA)
    yield from ((entry.id, entry.title) for entry in SCOPE)
    yield from ((estimate.id, estimate.environment.capitalize()) for estimate in ESTIMATES)
    yield from ((command.id, command.title) for command in APP_UPDATE)
    yield from ((phase.id, phase.title) for phase in ROLLOUT_PHASES)
    yield from ((profile.id, profile.title) for profile in TESTER_PROFILES)
    yield from ((entry.id, entry.title) for entry in GUIDE_MAP)


def title_of(entry_id: str) -> str | None:
    """The title of an id; None when the runbook does not have it."""
    return _TITLES.get(entry_id)


_TITLES = dict(entries())
