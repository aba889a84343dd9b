"""How checks went over time: the latest outcomes of each, when one last changed, and from what to what."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from vagus_tui.database.connection import Connection
from vagus_tui.events import ChangeEvent, CheckEvent, Status, figure
from vagus_tui.journal import store

LENGTH = 120
"""Outcomes of one check that are kept: two hours of one a minute (guide, T+31 min to T+2 h)."""
CHANGES = 10
"""Changes of one check that are kept."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One outcome."""

    at: datetime
    status: Status
    value: float | None


class History:
    """The outcomes of any number of checks; memory is bounded, whatever the number of rounds."""

    def __init__(self) -> None:
        self._samples: dict[str, deque[Sample]] = {}
        self._changes: dict[str, deque[ChangeEvent]] = {}
        self._loaded: set[str] = set()

    def samples(self, check_id: str) -> tuple[Sample, ...]:
        """The outcomes of a check, oldest first."""
        return tuple(self._samples.get(check_id, ()))

    def changes(self, check_id: str) -> tuple[ChangeEvent, ...]:
        """The changes of a check seen here, oldest first."""
        return tuple(self._changes.get(check_id, ()))

    def changed_at(self, check_id: str) -> datetime | None:
        """When the check last had another outcome than before; None when it always had the same."""
        found = self._samples.get(check_id)
        if not found:
            return None
        latest = list(found)
        for before, after in zip(reversed(latest[:-1]), reversed(latest), strict=False):
            if before.status is not after.status:
                return after.at
        return None

    def take(self, event: CheckEvent, at: datetime | None = None) -> ChangeEvent | None:
        """Keep an outcome; gives the change, if it is one. What is only pending or running is no outcome.

        An override makes no change: what fails goes on failing, and somebody knows.
        """
        if event.status in (Status.PENDING, Status.RUNNING):
            return None
        at = at or datetime.now(UTC)
        known = self._samples.setdefault(event.id, deque(maxlen=LENGTH))
        was = known[-1].status if known else None
        known.append(Sample(at, event.status, figure(event)))
        if was is None or was is event.status:
            return None
        change = ChangeEvent(
            id=event.id,
            group=event.group,
            title=event.title,
            was=was,
            now=event.status,
            at=at,
            measured=event.measured,
        )
        self._changes.setdefault(event.id, deque(maxlen=CHANGES)).append(change)
        return change

    async def load(self, connection: Connection, check_ids: Iterable[str]) -> None:
        """Begin with what the journal knows of these checks: the first time, and of those without outcomes yet."""
        wanted = [check for check in check_ids if check not in self._loaded and check not in self._samples]
        if not wanted:
            return
        for one in await store.recent_checks(connection, wanted, each=LENGTH):
            known = self._samples.setdefault(one.check_id, deque(maxlen=LENGTH))
            known.append(Sample(one.at, one.status, one.value))
        self._loaded.update(wanted)
