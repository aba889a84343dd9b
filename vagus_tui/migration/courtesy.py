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

BUSY_PER_SECOND = 10.0
"""Uses of v1's tables from which on the app counts as in use: a single request makes several."""

QUIET_PER_SECOND = 5.0

BUSY_SECONDS, QUIET_SECONDS = 2.0, 10.0
"""How long the app must have been busy, or quiet, before anything changes; sessions report about once a second."""

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
        while len(self._seen) > 1 and self._seen[1][0] <= now - QUIET_SECONDS:
            self._seen.popleft()
        rate = self._rate(QUIET_SECONDS if self.yielding else BUSY_SECONDS)
        if rate is None or (rate >= QUIET_PER_SECOND if self.yielding else rate < BUSY_PER_SECOND):
            return False
        self.yielding, self.rate = not self.yielding, rate
        return True

    def _rate(self, seconds: float) -> float | None:
        """Uses per second over the last so many seconds at least; None while that is not known."""
        now, uses = self._seen[-1]
        before = next(((moment, count) for moment, count in reversed(self._seen) if moment <= now - seconds), None)
        return None if before is None else (uses - before[1]) / (now - before[0])
