"""Gates and what lets them pass: overrides by name, each with a reason, on record; and what still holds up."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from vagus_tui.checks.base import Check, blocking
from vagus_tui.database.connection import Connection
from vagus_tui.errors import ConfigurationError
from vagus_tui.events import CheckEvent
from vagus_tui.format import moment
from vagus_tui.journal import decisions


def overridden(event: CheckEvent, allowed: Mapping[str, decisions.Override]) -> CheckEvent:
    """The outcome with the reason for which it is let pass, where it holds something up and may be let pass."""
    override = allowed.get(event.id)
    if override is None or not event.overridable or not event.status.blocks:
        return event
    return dataclasses.replace(event, overridden=words(override))


def words(override: decisions.Override, timezone: str = "UTC") -> str:
    """The reason, by whom and since when: an override stays in force until somebody takes it back."""
    since = moment(override.at, timezone) + (" UTC" if timezone == "UTC" else "")
    return f"{override.reason} ({override.operator}, since {since})"


def as_if(gates: Iterable[Check], reasons: Mapping[str, str], *, operator: str) -> Mapping[str, decisions.Override]:
    """The overrides of these gates by name, as they would be recorded now.

    Raises:
        ConfigurationError: a name is no gate, the gate cannot be overridden, or a reason is empty.
    """
    known = {check.id: check for check in gates}
    problems, bare = [], []
    for name, reason in reasons.items():
        if name not in known:
            problems.append(f"There is no gate named “{name}”.")
        elif not known[name].overridable:
            problems.append(f"The gate “{name}” cannot be overridden.")
        elif not reason.strip():
            bare.append(f"The override of “{name}” has no reason.")
    if problems:
        names = ", ".join(sorted(check.id for check in known.values() if check.overridable))
        raise ConfigurationError(" ".join(problems + bare), next_step=f"Gates that can be overridden: {names}.")
    if bare:
        raise ConfigurationError(" ".join(bare), next_step="Say why: the reason is kept with your name.")
    now = datetime.now(UTC)
    return {name: decisions.Override(name, reason.strip(), operator, now) for name, reason in reasons.items()}


async def record_overrides(
    connection: Connection, gates: Iterable[Check], reasons: Mapping[str, str], *, operator: str
) -> None:
    """Record overrides of these gates by name, all or none.

    Raises:
        ConfigurationError: a name is no gate, the gate cannot be overridden, or a reason is empty; nothing is recorded.
    """
    meant = as_if(gates, reasons, operator=operator)
    async with connection.transaction():
        for override in meant.values():
            await decisions.override(connection, override.check_id, override.reason, operator=operator)


def refusal(outcomes: Iterable[CheckEvent], what: str) -> str | None:
    """Why something (`a migration`) may not start, in one sentence; None when nothing is in the way."""
    held = blocking(outcomes)
    if not held:
        return None
    names = ", ".join(event.id for event in held)
    return f"{len(held)} of the gates before {what} {'holds' if len(held) == 1 else 'hold'} it up: {names}."


def way_past(outcomes: Iterable[CheckEvent]) -> str:
    """What to do about the gates that hold something up: some can be let pass, some only mended."""
    names = [event.id for event in blocking(outcomes) if event.overridable]
    if not names:
        return "Mend what they name; none of them can be let pass."
    return f"Mend what they name, or let pass by name, with --override CHECK=REASON: {', '.join(names)}."
