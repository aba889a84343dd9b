"""A run's steps in stretches of time: what one attempt did for one phase before the hold, and what it did after it.

A run that broke off and was taken up again did not work in between, and what is proved again after the hold is not
one long proof: lumped together, neither would say what it really took.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from vagus_tui.events import Phase
from vagus_tui.journal.store import RESUMED
from vagus_tui.migration.build import DAY_KEYS
from vagus_tui.migration.proof import PROOF_KEYS

WORKED_OUT = frozenset({DAY_KEYS, PROOF_KEYS})
_IN_ONE_TRANSACTION = (Phase.ROLLBACK.value, Phase.CUT_OVER.value)


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one attempt did for one phase, without a hold in between.

    Attributes:
        part: 0 before the first hold, one more after every hold.
        round: how often the same steps had been done before within the part, such as a proof before every attempt.
        rows: of the steps that build or prove rows.
    """

    phase: str
    attempt: int
    part: int
    begun: datetime
    ended: datetime
    rows: int
    round: int = 0

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, (self.ended - self.begun).total_seconds())


def stretches(steps: Iterable[Any]) -> list[Stretch]:
    """The stretches of one run, in the order in which they ended.

    Args:
        steps: the run's rows of the journal's steps, in order.
    """
    found: dict[tuple[int, int, str, int], Stretch] = {}
    worked: dict[tuple[int, int, str, int], float] = {}
    times: Counter[tuple[int, str]] = Counter()
    attempt = part = 0
    for step in steps:
        if step["step"] == RESUMED:
            attempt += 1
        if step["step"] == RESUMED or step["state"] not in ("done", "failed"):
            continue
        begun = step["at"] - timedelta(seconds=step["seconds"] or 0)
        key = (attempt, part, step["phase"], times[part, step["step"]])
        times[part, step["step"]] += 1
        before = found.pop(key, None)
        worked[key] = worked.get(key, 0.0) + (step["seconds"] or 0)
        if step["phase"] in _IN_ONE_TRANSACTION:
            # Its steps follow each other and are written down together, after the commit.
            begun = min(begun, step["at"] - timedelta(seconds=worked[key]))
        # Taken out and put in again: the order is that of the ends.
        found[key] = Stretch(
            step["phase"],
            attempt,
            part,
            begun if before is None else min(begun, before.begun),
            step["at"] if before is None else max(step["at"], before.ended),
            (before.rows if before is not None else 0) + _rows(step),
            key[3],
        )
        if step["phase"] == Phase.HOLD.value:
            part += 1
    return list(found.values())


def _rows(step: Any) -> int:
    name = str(step["step"])
    # The day keys that are worked out beforehand are no rows of v2.
    carries = name.startswith(("build-", "prove-", "restore-load-", "restore-prove-")) and name not in WORKED_OUT
    return int(step["rows"] or 0) if carries and step["state"] == "done" else 0
