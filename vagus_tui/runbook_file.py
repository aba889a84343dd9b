"""The operator's own file over the runbook: names, addresses, dates, texts and thresholds, in TOML.

A known entry is changed in the named parts alone; an unknown name adds an entry, which then has to be complete.
`[messages]` only changes texts; of a known criterion only its texts and its owner can be changed. Every error names
the line and the key.
"""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from vagus_tui.runbook.book import DEFAULT_BOOK, Book, People, Thresholds
from vagus_tui.runbook.check_ids import CHECK_IDS
from vagus_tui.runbook.contacts import Contact
from vagus_tui.runbook.criteria import Criterion, Part, PhaseName, criterion
from vagus_tui.runbook.messages import MessageContext, MessageError, render
from vagus_tui.runbook.model import DAY, HOUR, MINUTE, Owner, Screen
from vagus_tui.runbook.questions import Question
from vagus_tui.runbook.risks import Level, Risk
from vagus_tui.runbook.timeline_entries import TimelineEntry

LARGEST = 1_000_000
"""How many characters a file may have; more is no runbook."""

_UNITS = {"day": DAY, "d": DAY, "hour": HOUR, "h": HOUR, "minute": MINUTE, "min": MINUTE, "week": 7 * DAY}
_LENGTH = re.compile(r"(?i)^(?:T)?\s*([+\-−]?)\s*(\d+(?:\.\d+)?)\s*(day|d|hour|h|minute|min|week)s?$")


class RunbookFileError(ValueError):
    """The file cannot be used; says where and why."""


def parse_length(value: object) -> object:
    """`30 min`, `2 h`, `T-7 days`, `-1 day`, `T-0` as a length of time."""
    if not isinstance(value, str):
        raise ValueError("write it as text, such as “30 min”, “2 h” or “T-7 days”")
    if value.strip().upper().replace("−", "-") in ("T-0", "T+0", "0"):
        return timedelta()
    hit = _LENGTH.match(value.strip())
    if hit is None:
        raise ValueError("write it as “30 min”, “2 h” or “T-7 days”")
    sign = -1 if hit[1] in ("-", "−") else 1
    return sign * float(hit[2]) * _UNITS[hit[3].lower()]


def _known_check(value: str) -> str:
    if value not in CHECK_IDS:
        raise ValueError(f"there is no check {value!r}; vagus-tui check lists them")
    return value


Length = Annotated[timedelta, BeforeValidator(parse_length)]
Positive = Annotated[timedelta, BeforeValidator(parse_length), Field(gt=timedelta())]
CheckId = Annotated[str, AfterValidator(_known_check)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2_000)]
Body = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, use_enum_values=False)


class PeoplePart(_Part):
    """`[people]`"""

    project: Text | None = None
    status_page: Text | None = None
    contact: Text | None = None
    sender: Text | None = None


class ThresholdsPart(_Part):
    """`[thresholds]`"""

    final_backup_max_age: Annotated[Positive, Field(le=DAY)] | None = None
    clean_up_earliest: Annotated[Positive, Field(ge=7 * DAY)] | None = None
    window: Annotated[Positive, Field(le=DAY)] | None = None
    criteria_max_age: Annotated[Positive, Field(le=7 * DAY)] | None = None


class ContactPart(_Part):
    """`[contacts.NAME]`"""

    role: Text | None = None
    address: Text | None = None
    when: Text | None = None


class QuestionPart(_Part):
    """`[questions.NAME]`"""

    question: Text | None = None
    answer: Text | None = None


class RiskPart(_Part):
    """`[risks.NAME]`"""

    title: Text | None = None
    probability: Level | None = None
    impact: Level | None = None
    mitigation: Text | None = None
    screen: Screen | None = None


class TimelinePart(_Part):
    """`[timeline.NAME]`"""

    offset: Length | None = None
    action: Text | None = None
    owner: Owner | None = None
    duration: Annotated[Positive, Field(le=30 * DAY)] | None = None
    screen: Screen | None = None
    note: Annotated[str, StringConstraints(max_length=2_000)] | None = None


class MessagePart(_Part):
    """`[messages.NAME]`: `$date` and the like are filled in."""

    subject: Text | None = None
    body: Body | None = None


class CriterionPart(_Part):
    """`[criteria.NAME]`: what must hold for a rollout phase to begin or to end."""

    title: Annotated[Text, StringConstraints(max_length=56)] | None = None
    why: Annotated[Text, StringConstraints(max_length=400)] | None = None
    owner: Owner | None = None
    phase: PhaseName | None = None
    part: Part | None = None
    checks: tuple[CheckId, ...] | None = None


class RunbookFile(_Part):
    """The whole file; every part may be left out."""

    people: PeoplePart = PeoplePart()
    thresholds: ThresholdsPart = ThresholdsPart()
    contacts: dict[str, ContactPart] = Field(default_factory=dict)
    questions: dict[str, QuestionPart] = Field(default_factory=dict)
    risks: dict[str, RiskPart] = Field(default_factory=dict)
    timeline: dict[str, TimelinePart] = Field(default_factory=dict)
    messages: dict[str, MessagePart] = Field(default_factory=dict)
    criteria: dict[str, CriterionPart] = Field(default_factory=dict)


def line_of(text: str, path: Sequence[object]) -> int | None:
    """The line in which a key stands, such as ("risks", "data-loss", "impact"); that of its table where it lacks."""
    names = [str(part) for part in path]
    table, best = "", None
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("[") and "]" in stripped:
            table = stripped[1 : stripped.index("]")].replace('"', "").replace("'", "").replace(" ", "")
            if table == ".".join(names[: table.count(".") + 1]):
                best = number
            continue
        key = re.split(r"\s*[=.]", stripped, maxsplit=1)[0].strip("\"' ")
        if table == ".".join(names[:-1]) and key == names[-1]:
            return number
    return best


def _complain(text: str, path: Sequence[object], words: str) -> RunbookFileError:
    path = [part for part in path if not isinstance(part, int)]
    line = line_of(text, path)
    key = ".".join(str(part) for part in path)
    return RunbookFileError(f"{f'line {line}, ' if line else ''}{key}: {words}")


def read_book(text: str) -> Book:
    """The runbook with the file's text over it.

    Raises:
        RunbookFileError: the text is no TOML, has a key that is not known, or a value that cannot be used.
    """
    if len(text) > LARGEST:
        raise RunbookFileError(f"it has more than {LARGEST:,} characters")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RunbookFileError(f"it is not TOML: {error}") from None
    try:
        file = RunbookFile.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)
        problems = [_complain(text, item["loc"], _words(item["msg"], item["loc"])) for item in first[:5]]
        raise RunbookFileError("; ".join(str(problem) for problem in problems)) from None
    return Book(
        people=_changed(People(), file.people),
        thresholds=_changed(Thresholds(), file.thresholds),
        contacts=_entries(text, "contacts", "contact", DEFAULT_BOOK.contacts, file.contacts, _contact),
        questions=_entries(text, "questions", "question", DEFAULT_BOOK.questions, file.questions, _question),
        risks=_entries(text, "risks", "risk", DEFAULT_BOOK.risks, file.risks, _risk),
        timeline=_entries(text, "timeline", "timeline", DEFAULT_BOOK.timeline, file.timeline, _row),
        messages=_messages(text, file.messages),
        criteria=_criteria(text, file.criteria),
    )


def _keys_beside(path: tuple[int | str, ...]) -> list[str]:
    """The keys that may stand where an unknown one does: a file can be written by its complaints."""
    if len(path) == 1:
        return list(RunbookFile.model_fields)
    kind = RunbookFile.model_fields[str(path[0])].annotation
    part = next((one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, _Part)), _Part)
    return list(part.model_fields)


def _words(message: str, path: tuple[int | str, ...]) -> str:
    if message.startswith("Extra inputs"):
        return f"this key is not known; there are {', '.join(_keys_beside(path))}"
    return message.removeprefix("Value error, ").removeprefix("Input ")


Entry = TypeVar("Entry")


def _changed(entry: Entry, part: BaseModel) -> Entry:
    """The entry with the parts that the file names."""
    return dataclasses.replace(entry, **part.model_dump(exclude_none=True))  # type: ignore[type-var]


def _entries(
    text: str,
    table: str,
    prefix: str,
    known: tuple[Any, ...],
    parts: Mapping[str, BaseModel],
    make: Callable[[str, dict[str, Any]], Any],
) -> tuple[Any, ...]:
    """Known entries changed, unknown ones added behind them."""
    by_name = {entry.id.removeprefix(f"{prefix}."): entry for entry in known}
    found = dict(by_name)
    for name, part in parts.items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}", name):
            raise _complain(text, (table, name), "a name has lower-case letters, digits and hyphens")
        if name in by_name:
            found[name] = _changed(by_name[name], part)
            continue
        try:
            found[name] = make(f"{prefix}.{name}", part.model_dump(exclude_none=True))
        except KeyError as missing:
            raise _complain(
                text, (table, name), f"it is new, so it needs {str(missing.args[0])!r}; known are {', '.join(by_name)}"
            ) from None
    return tuple(found.values())


def _contact(entry_id: str, values: dict[str, Any]) -> Contact:
    return Contact(id=entry_id, role=values["role"], address=values["address"], when=values["when"])


def _question(entry_id: str, values: dict[str, Any]) -> Question:
    return Question(id=entry_id, question=values["question"], answer=values["answer"])


def _risk(entry_id: str, values: dict[str, Any]) -> Risk:
    return Risk(
        id=entry_id,
        title=values["title"],
        probability=values["probability"],
        impact=values["impact"],
        mitigation=values["mitigation"],
        screen=values.get("screen", Screen.OVERVIEW),
        guide=False,
    )


def _row(entry_id: str, values: dict[str, Any]) -> TimelineEntry:
    return TimelineEntry(
        id=entry_id,
        offset=values["offset"],
        action=values["action"],
        owner=values["owner"],
        duration=values["duration"],
        screen=values.get("screen", Screen.OVERVIEW),
        note=values.get("note", ""),
    )


def _criteria(text: str, parts: Mapping[str, CriterionPart]) -> tuple[Criterion, ...]:
    """What a known one rests on stays as it is: a file could otherwise make a red one green unseen."""
    known = {one.id.removeprefix("criterion.") for one in DEFAULT_BOOK.criteria}
    for name, part in parts.items():
        for key in ("phase", "part", "checks"):
            if name in known and getattr(part, key) is not None:
                raise _complain(text, ("criteria", name, key), "only a new criterion says this")
    return _entries(text, "criteria", "criterion", DEFAULT_BOOK.criteria, parts, _criterion)


def _criterion(entry_id: str, values: dict[str, Any]) -> Criterion:
    return criterion(
        entry_id.removeprefix("criterion."),
        values["phase"],
        values["part"],
        values["title"],
        values["why"],
        values["owner"],
        checks=tuple(values.get("checks", ())),
    )


def _messages(text: str, parts: Mapping[str, MessagePart]) -> tuple[Any, ...]:
    by_name = {message.id.removeprefix("message."): message for message in DEFAULT_BOOK.messages}
    sample = MessageContext(date="date", time="time", window="window")
    for name, part in parts.items():
        if name not in by_name:
            raise _complain(text, ("messages", name), f"there is no such message; there are {', '.join(by_name)}")
        if part.subject is not None and not by_name[name].subject:
            raise _complain(text, ("messages", name, "subject"), "only e-mails have a subject")
        by_name[name] = _changed(by_name[name], part)
        try:
            render(by_name[name], sample)
        except MessageError as error:
            key = "body" if part.body is not None else "subject"
            raise _complain(text, ("messages", name, key), str(error)) from None
    return tuple(by_name.values())
