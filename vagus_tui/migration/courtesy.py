"""Leaving the server to the app while it is in use: one connection builds and proves then, not several.

Two that work side by side keep two cores busy, and a server may have no more. How much the app uses v1's tables is
read from the server's own counts of looks into their indexes and of rows written: the build itself reads v1 from end to
end and leaves those as they are, and so do other programs beside the app.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence

from vagus_tui.database.connection import Connection

BUSY_PER_SECOND = 50.0
"""Uses of v1's tables from which on the app counts as in use: a single request makes a dozen or two."""

QUIET_PER_SECOND = 20.0

BUSY_SECONDS = 1.5
"""So long it must be in use, twice in a row: sessions report about once a second, and catching up and planning our own
queries makes some dozens of uses at once. A burst is no app."""

QUIET_SECONDS = 10.0

_USES = """
select sum(coalesce(idx_scan, 0) + n_tup_ins + n_tup_upd + n_tup_del)::bigint from pg_stat_all_tables
where relid = any(select to_regclass(name) from unnest($1::text[]) name)
"""


class Courtesy:
    """Says whether several connections may work side by side now.

    Args:
        relations: quoted names of v1's tables.

    Attributes:
        yielding: whether one connection alone should work, for the app's sake.
        rate: uses of v1's tables per second when that was last decided.
    """

    def __init__(self, relations: Sequence[str]) -> None:
        self.yielding = False
        self.rate = 0.0
        self._relations = list(relations)
        self._seen: deque[tuple[float, int]] = deque()

    async def look(self, connection: Connection) -> bool:
        """Read the counts; True when that changed what is to be done."""
        return self.seen(time.monotonic(), int(await connection.fetchval(_USES, self._relations) or 0))

    def seen(self, now: float, uses: int) -> bool:
        """Take a reading: the uses of v1's tables up to a moment, in seconds of some clock."""
        if self._seen and uses < self._seen[-1][1]:
            # Somebody has set the server's counts back.
            self._seen.clear()
        self._seen.append((now, uses))
        needed = now - max(QUIET_SECONDS, 3 * BUSY_SECONDS)
        while len(self._seen) > 1 and self._seen[1][0] <= needed:
            self._seen.popleft()
        rate = self._rate(QUIET_SECONDS) if self.yielding else self._least_rate()
        if rate is None or (rate >= QUIET_PER_SECOND if self.yielding else rate < BUSY_PER_SECOND):
            return False
        self.yielding, self.rate = not self.yielding, rate
        return True

    def _least_rate(self) -> float | None:
        """The lesser of the rates of the last two spells."""
        last, before = self._rate(BUSY_SECONDS), self._rate(BUSY_SECONDS, before=BUSY_SECONDS)
        return None if last is None or before is None else min(last, before)

    def _rate(self, seconds: float, before: float = 0.0) -> float | None:
        """Uses per second in a spell of so many seconds at least, which ended so many ago; None where unknown."""
        end = self._at(self._seen[-1][0] - before)
        start = None if end is None else self._at(end[0] - seconds)
        return None if end is None or start is None else (end[1] - start[1]) / (end[0] - start[0])

    def _at(self, moment: float) -> tuple[float, int] | None:
        """The last reading up to a moment."""
        return next((reading for reading in reversed(self._seen) if reading[0] <= moment), None)
