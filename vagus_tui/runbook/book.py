"""The runbook's data that an operator may change, in one piece: as it comes, or with the operator's file over it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from vagus_tui.runbook.contacts import CONTACTS, Contact
from vagus_tui.runbook.messages import MESSAGES, Message
from vagus_tui.runbook.model import MINUTE
from vagus_tui.runbook.questions import QUESTIONS, Question
from vagus_tui.runbook.risks import RISKS, Risk
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
    """

    final_backup_max_age: timedelta = FINAL_BACKUP_MAX_AGE
    clean_up_earliest: timedelta = CLEAN_UP_EARLIEST
    window: timedelta = 15 * MINUTE


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
