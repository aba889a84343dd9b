"""The messages to users, and filling them in: the guide's "User Communication" and "Notify Users".

Values are put in as they are, once: a `$` in a value is text, and control characters and direction marks are taken
out, so that no value can break a subject line, a terminal or the reading direction.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from vagus_tui.runbook.message_texts import TEXTS
from vagus_tui.runbook.model import MINUTE

MAX_VALUE = 200
"""Longest value, in characters, that a field may hold; longer ones are cut, with an ellipsis."""

WINDOW = 15 * MINUTE
"""The announced window. Far longer than the pause itself, so that it holds when a cut-over has to be tried again."""

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


class Channel(StrEnum):
    """Where a message appears."""

    EMAIL = "e-mail"
    BANNER = "in-app banner"
    SOCIAL = "social media"
    PAGE = "maintenance page"
    STATUS = "status page"
    TUTORIAL = "in-app tutorial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A template. `$name` marks a field of `MessageContext`; only e-mails have a subject."""

    id: str
    title: str
    channel: Channel
    body: str
    subject: str = ""

    @property
    def fields(self) -> frozenset[str]:
        """The names of the fields that it uses."""
        return _names(self.subject) | _names(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageContext:
    """What goes into the messages.

    Attributes:
        date: the day of the cut-over, as users read it.
        time: when the window begins, with its time zone.
        window: the announced window, from when to when.
        project: the product's name.
        status_page: address of the status page.
        contact: where users write to.
        sender: who signs the mails.
    """

    date: str
    time: str
    window: str
    project: str = "VAGUS"
    status_page: str = "https://status.vagushealth.com"
    contact: str = "support@vagushealth.com"
    sender: str = "The VAGUS team"

    @classmethod
    def planned(
        cls,
        planned_at: datetime,
        length: timedelta = WINDOW,
        *,
        project: str = "VAGUS",
        status_page: str = "https://status.vagushealth.com",
        contact: str = "support@vagushealth.com",
        sender: str = "The VAGUS team",
    ) -> MessageContext:
        """The context of a planned cut-over.

        Args:
            planned_at: T-0, aware.
            length: the announced window.

        Raises:
            ValueError: `planned_at` has no time zone.
        """
        if planned_at.utcoffset() is None:
            raise ValueError("The planned start has no time zone; give one, as in 2026-03-01T22:00+01:00.")
        # Through UTC, so that a change of the clocks inside the window counts as elapsed time.
        end = (planned_at.astimezone(UTC) + length).astimezone(planned_at.tzinfo)
        zone = planned_at.tzname() or "UTC"
        return cls(
            date=f"{_WEEKDAYS[planned_at.weekday()]} {planned_at.day} {_MONTHS[planned_at.month - 1]}"
            f" {planned_at.year}",
            time=f"{planned_at:%H:%M} {zone}",
            window=f"{planned_at:%H:%M} to {end:%H:%M} {end.tzname() or zone}",
            project=project,
            status_page=status_page,
            contact=contact,
            sender=sender,
        )

    def values(self) -> dict[str, str]:
        """Every field by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedMessage:
    """A message as it is to be sent. `subject` is empty but for e-mails, and is always one line."""

    subject: str
    body: str

    @property
    def text(self) -> str:
        """Subject and body as one text, ready to be copied."""
        return f"Subject: {self.subject}\n\n{self.body}" if self.subject else self.body


class MessageError(ValueError):
    """A message cannot be filled in: a field is unknown, empty or badly written."""


class _Fields(string.Template):
    """`$name` and `${name}`, lower-case ASCII; `$$` is a dollar sign."""

    idpattern = r"(?a:[a-z][a-z_]*)"
    flags = re.NOFLAG


MESSAGES: tuple[Message, ...] = tuple(
    Message(
        id=f"message.{text.slug}",
        title=text.title,
        channel=Channel(text.channel),
        subject=text.subject,
        body=text.body,
    )
    for text in TEXTS
)


def render(message: Message, context: MessageContext, edited: Mapping[str, str] | None = None) -> RenderedMessage:
    """Fill a message in.

    Args:
        message: the template.
        context: the values.
        edited: `subject` or `body` as the operator rewrote them, in place of the template's own.

    Raises:
        MessageError: the template names a field that does not exist, one that is empty, or has a stray `$`.
    """
    values = {name: clean(value) for name, value in context.values().items()}
    own = edited or {}
    return RenderedMessage(
        subject=" ".join(_fill(message, own.get("subject", message.subject), values).split()),
        body=_fill(message, own.get("body", message.body), values),
    )


SUBJECT = "Subject:"


def editable(message: Message, edited: Mapping[str, str] | None = None) -> str:
    """A template as one text, to be rewritten in an editor: an e-mail's subject is its first line."""
    own = edited or {}
    subject, body = own.get("subject", message.subject), own.get("body", message.body)
    return f"{SUBJECT} {subject}\n\n{body}\n" if message.subject else f"{body}\n"


def parse_edited(message: Message, text: str) -> dict[str, str]:
    """What an editor left of `editable`, as `subject` and `body`. An unchanged text gives an empty result.

    Raises:
        MessageError: an e-mail without its subject line, an empty text, or a field that does not exist.
    """
    body, subject = text.strip(), ""
    if message.subject:
        first, _, rest = body.partition("\n")
        if not first.startswith(SUBJECT) or not first.removeprefix(SUBJECT).strip():
            raise MessageError(
                f"{message.title}: the first line must be the subject, as in “{SUBJECT} News”. The text was not kept."
            )
        subject, body = first.removeprefix(SUBJECT).strip(), rest.strip()
    if not body:
        raise MessageError(f"{message.title}: there is no text. The text was not kept.")
    unknown = sorted((_names(subject) | _names(body)) - {field.name for field in fields(MessageContext)})
    if unknown or _stray(subject) or _stray(body):
        known = ", ".join("$" + field.name for field in fields(MessageContext))
        wrong = ", ".join("$" + name for name in unknown) or "a $ on its own"
        raise MessageError(
            f"{message.title}: {wrong} is no field. The text was not kept. Fields are {known}; $$ is a dollar sign."
        )
    if subject == message.subject and body == message.body.strip():
        return {}
    return {"subject": subject, "body": body} if message.subject else {"body": body}


def _stray(text: str) -> bool:
    return any(hit["invalid"] is not None for hit in _Fields.pattern.finditer(text))


def clean(value: str) -> str:
    """A value as one line of harmless text, at most `MAX_VALUE` characters."""
    # Cut first: a value may be megabytes long. What is taken out only makes it shorter.
    cut = value[: 4 * MAX_VALUE]
    visible = "".join(" " if char.isspace() else char for char in cut if _harmless(char))
    line = " ".join(visible.split())
    return line if len(line) <= MAX_VALUE else line[: MAX_VALUE - 1] + "…"


def _harmless(char: str) -> bool:
    # Cc: controls (white space is turned into blanks); Cf: direction marks, joiners; Cs, Co: no text at all.
    return char.isspace() or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn")


def _names(text: str) -> frozenset[str]:
    found = _Fields.pattern.finditer(text)
    return frozenset(name for hit in found if (name := hit["named"] or hit["braced"]))


def _fill(message: Message, text: str, values: Mapping[str, str]) -> str:
    unknown = sorted(_names(text) - values.keys())
    if unknown:
        raise MessageError(
            f"{message.title}: there is no field {', '.join('$' + name for name in unknown)}. "
            f"Nothing was sent. Fields are: {', '.join('$' + name for name in sorted(values))}."
        )
    empty = sorted(name for name in _names(text) if not values[name])
    if empty:
        raise MessageError(
            f"{message.title}: {', '.join('$' + name for name in empty)} is empty. Nothing was sent. Fill it in first."
        )
    try:
        return _Fields(text).substitute(values)
    except ValueError as error:
        raise MessageError(
            f"{message.title}: a $ names no field. Nothing was sent. Write $$ for a dollar sign."
        ) from error
