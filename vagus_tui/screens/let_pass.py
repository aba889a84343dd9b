"""Overrides in force, in words: what was let pass by name, how long ago, by whom, and why."""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import cache

from textual.content import Content

from vagus_tui.events import Status
from vagus_tui.format import ago
from vagus_tui.journal.decisions import Override
from vagus_tui.runbook.index import title_of as title_in_runbook
from vagus_tui.screens.item_facts import standing_override
from vagus_tui.session.session import Session
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.text import safe, safe_str

NAMED = 2
"""How many are named in one line; the list has them all."""
TOLD = 6
"""How many a question names."""


def in_force(session: Session, only: Container[str] | None = None) -> list[Override]:
    """The overrides that count, the oldest first; with `only`, those of these gates.

    Those of criteria count for the migration that they were made in, and for no later one.
    """
    criteria = {item.id: item for item in session.settings.book.criteria}
    found = (
        one
        for name, one in session.now.overrides.items()
        if (only is None or name in only)
        and (name not in criteria or standing_override(session, criteria[name]) is not None)
    )
    return sorted(found, key=lambda one: one.at)


@cache
def _titles() -> dict[str, str]:
    from vagus_tui.checks.base import Group
    from vagus_tui.checks.registry import checks_for
    from vagus_tui.cleanup.gates import gate_checks as before_clean_up
    from vagus_tui.migration.gates import gate_checks as before_migration

    checks = [*before_migration(), *before_clean_up(archives=True)]
    for group in Group:
        checks.extend(checks_for(group))
    return {check.id: check.title for check in checks}


def title_of(override: Override) -> str:
    """What was let pass, as it is called everywhere else; its id where this version does not know it."""
    return _titles().get(override.check_id) or title_in_runbook(override.check_id) or safe_str(override.check_id)


def line(session: Session) -> Content | None:
    """`! Let pass by name: TLS (3 d ago), Clock (2 h ago) and 1 more`; None when nothing is."""
    found = in_force(session)
    if not found:
        return None
    return Content.assemble(
        (MARKS[Status.WARN], STYLES[Status.WARN]),
        " Let pass by name: ",
        safe(f"{_named(found)}."),
        (" o lists and takes back.", "$text-muted"),
    )


def named(session: Session, only: Container[str]) -> str:
    """The same of some gates, without a mark; "" when none was let pass."""
    return _named(in_force(session, only))


def _named(found: Sequence[Override]) -> str:
    names = ", ".join(f"{title_of(one)} ({ago(one.at)})" for one in found[:NAMED])
    return names + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")


def told(session: Session, only: Container[str]) -> Content | None:
    """For a question that is asked although something was let pass: a line for each, with its age."""
    found = in_force(session, only)
    if not found:
        return None
    lines = [Content("Let pass by name:")]
    lines += [safe(f"! {title_of(one)}, {ago(one.at)} by {one.operator}: {one.reason}", limit=160) for one in found]
    if len(lines) > TOLD + 1:
        lines[TOLD + 1 :] = [Content(f"and {len(lines) - TOLD - 1} more; o on the overview lists them")]
    return Content("\n").join(lines)
