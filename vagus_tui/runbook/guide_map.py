"""Where each numbered item, check box and table row of the guide went.

The proof that nothing of it was left out: every entry names the screen and at least one place that fulfils it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vagus_tui.runbook.guide_sections import SECTIONS
from vagus_tui.runbook.model import Screen


class PlaceKind(StrEnum):
    """What fulfils an entry of the guide."""

    RUNBOOK = "runbook"
    """Something of the runbook: an item, a message, a row of the timeline, a risk, a question …"""
    CHECK = "check"
    PHASE = "phase"
    """A phase of the migration."""
    JOB = "job"
    MAPPING = "mapping"
    """A target of the mapping: `table.column` or `table` of v2, or a rule of it."""
    REPAIR = "repair"
    """A repair of Troubleshooting."""
    ACTION = "action"
    """A key of a screen: `screen.action`."""
    EVIDENCE = "evidence"
    """A part of the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One thing that fulfils an entry."""

    kind: PlaceKind
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideEntry:
    """One entry of the guide.

    Attributes:
        id: `guide.`, the section, and the number within it.
        section: the id of its section.
        heading: the section's heading in the guide.
        number: from 1, within the section.
        title: what it asks for, in our words.
        screen: where the wizard fulfils it.
        places: what fulfils it, at least one.
    """

    id: str
    section: str
    heading: str
    number: int
    title: str
    screen: Screen
    places: tuple[Place, ...]


def _place(ref: str) -> Place:
    kind, separator, name = ref.partition(":")
    if not separator:
        return Place(kind=PlaceKind.RUNBOOK, ref=ref)
    return Place(kind=PlaceKind(kind), ref=name)


GUIDE_MAP: tuple[GuideEntry, ...] = tuple(
    GuideEntry(
        id=f"guide.{section.slug}.{number}",
        section=section.slug,
        heading=section.heading,
        number=number,
        title=title,
        screen=section.screen,
        places=tuple(_place(ref) for ref in refs.split()),
    )
    for section in SECTIONS
    for number, (title, refs) in enumerate(section.entries, start=1)
)
