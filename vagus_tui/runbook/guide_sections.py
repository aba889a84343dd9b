"""The guide's sections and their entries, with what fulfils each: the table behind `guide_map`.

An entry is a title and its places, parted by blanks. A place without a prefix is an id of the runbook; `check:`,
`phase:`, `job:`, `mapping:`, `repair:`, `action:` and `evidence:` name things that live elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.runbook.guide_sections_early import EARLY
from vagus_tui.runbook.guide_sections_late import LATE
from vagus_tui.runbook.model import Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section of the guide; `entries` are pairs of a title and its places."""

    slug: str
    heading: str
    screen: Screen
    entries: tuple[tuple[str, str], ...]


SECTIONS: tuple[Section, ...] = tuple(
    Section(slug=slug, heading=heading, screen=screen, entries=entries)
    for slug, heading, screen, entries in (*EARLY, *LATE)
)
