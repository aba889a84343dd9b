"""What the Migration screen says about everything that points at v1."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from vagus_tui.database.dependents import Dependent, Fate
from vagus_tui.migration.dependent_gates import account
from vagus_tui.schema.v1 import V1Shape
from vagus_tui.widgets.rows import Row
from vagus_tui.widgets.text import safe_block, safe_str

POINTING = "points-at-v1-"
"""Begins the keys of the plan's rows that are no steps but dependents."""

_FATES = {
    Fate.FOLLOWS: "follows",
    Fate.TRANSLATED: "follows",
    Fate.STAYS: "stays",
    Fate.PERSON: "for you",
    Fate.UNDECIDED: "",
}


def _title(dependent: Dependent) -> str:
    return f"{dependent.kind.value} {dependent.title}"


def dependent_rows(dependents: Sequence[Dependent], *, rehearsed: bool) -> list[Row]:
    """A row per dependent, after the plan's steps; with a cell for the forecast where the steps have one."""
    return [
        Row(
            f"{POINTING}{number}",
            (_FATES[one.fate], _title(one), None, *([""] if rehearsed else []), one.reason),
            "$warning" if one.fate is Fate.PERSON else "",
        )
        for number, one in enumerate(dependents)
    ]


def selected(dependents: Sequence[Dependent], key: str | None) -> Dependent | None:
    """The dependent whose row has the key, if it is one's."""
    if key is None or not key.startswith(POINTING):
        return None
    number = int(key.removeprefix(POINTING))
    return dependents[number] if number < len(dependents) else None


def dependent_panel(dependent: Dependent, shape: V1Shape) -> Content:
    """One dependent in the detail panel."""
    heading = Content.assemble((safe_str(_title(dependent)), "bold"), f" · {_FATES[dependent.fate]}")
    return Content("\n").join([heading, safe_block(dependent_text((dependent,), shape))])


def dependent_text(dependents: Sequence[Dependent], shape: V1Shape) -> str:
    """What becomes of each, with its SQL; those that need a person first, with a proposal."""
    if not dependents:
        return "Nothing points at v1's tables."
    parts = []
    for one in sorted(dependents, key=lambda one: one.fate is not Fate.PERSON):
        if one.fate is Fate.PERSON:
            parts.append("\n".join(account(one, shape)))
        else:
            shown = "\n".join(f"    {line}" for line in one.definition.strip().splitlines())
            parts.append(f"{_title(one)}: {one.reason}.\n{shown}")
    return "\n\n".join(parts)
