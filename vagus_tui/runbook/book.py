"""The runbook's data that an operator may change, in one piece: as it comes, or with the operator's file over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from vagus_tui.runbook.checklists import find_item
from vagus_tui.runbook.contacts import CONTACTS, Contact
from vagus_tui.runbook.criteria import CRITERIA, Criterion
from vagus_tui.runbook.messages import MESSAGES, Message
from vagus_tui.runbook.model import DAY, MINUTE, Item
from vagus_tui.runbook.questions import QUESTIONS, Question
from vagus_tui.runbook.risks import RISKS, Risk
from vagus_tui.runbook.rollout import RolloutPhase, rollout_phases
from vagus_tui.runbook.timeline_entries import CLEAN_UP_EARLIEST, FINAL_BACKUP_MAX_AGE, TIMELINE, TimelineEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """What goes into the messages whatever the date: the product's name, addresses, who signs."""

    project: str = "VAGUS"
    status_page: str = "https://status.vagushealth.com"
    contact: str = "support@vagushealth.com"
    sender: str = "The VAGUS team"

    def fields(self) -> dict[str, str]:
        """As keyword arguments of `MessageContext.planned`."""
        return {
            "project": self.project,
            "status_page": self.status_page,
            "contact": self.contact,
            "sender": self.sender,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Figures that decide.

    Attributes:
        final_backup_max_age: how old the backup may be at the cut-over.
        clean_up_earliest: how long after the cut-over the v1 tables are kept at least.
        window: the maintenance window that is announced to users.
        criteria_max_age: how old the outcome of a check may be that a rollout phase begins or ends on.
    """

    final_backup_max_age: timedelta = FINAL_BACKUP_MAX_AGE
    clean_up_earliest: timedelta = CLEAN_UP_EARLIEST
    window: timedelta = 15 * MINUTE
    criteria_max_age: timedelta = DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Everything of the runbook that an operator's file can change or add to."""

    people: People = field(default_factory=People)
    thresholds: Thresholds = field(default_factory=Thresholds)
    contacts: tuple[Contact, ...] = CONTACTS
    questions: tuple[Question, ...] = QUESTIONS
    risks: tuple[Risk, ...] = RISKS
    timeline: tuple[TimelineEntry, ...] = TIMELINE
    messages: tuple[Message, ...] = MESSAGES
    criteria: tuple[Criterion, ...] = CRITERIA

    @property
    def phases(self) -> tuple[RolloutPhase, ...]:
        """The phases of the app's rollout with their criteria."""
        return rollout_phases(self.criteria)

    def item(self, item_id: str) -> Item:
        """The item of an id, as the operator's file has it.

        Raises:
            KeyError: there is no such item.
        """
        return next((one for one in self.criteria if one.id == item_id), None) or find_item(item_id)

    def message(self, message_id: str) -> Message:
        """The message of an id.

        Raises:
            KeyError: the runbook has no such message.
        """
        for message in self.messages:
            if message.id == message_id:
                return message
        raise KeyError(f"The runbook has no message {message_id!r}.")


DEFAULT_BOOK = Book()
"""The runbook as it comes."""
