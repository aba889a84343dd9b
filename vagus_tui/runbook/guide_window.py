"""The guide's own window around T-0, as its "Complete Migration Timeline" has it, for comparison with what we measure.

In the guide T-0 is when the app is put into maintenance; users can write again when that is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vagus_tui.runbook.model import MINUTE, T_ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideRow:
    """One row of the guide's window: what, from when, for how long."""

    id: str
    action: str
    offset: timedelta
    duration: timedelta


GUIDE_WINDOW = (
    GuideRow(id="maintenance-on", action="Enable maintenance mode", offset=T_ZERO, duration=2 * MINUTE),
    GuideRow(id="migrate", action="Run migration script", offset=2 * MINUTE, duration=15 * MINUTE),
    GuideRow(id="verify", action="Verify data integrity", offset=17 * MINUTE, duration=5 * MINUTE),
    GuideRow(id="deploy", action="Deploy v2 app code", offset=22 * MINUTE, duration=8 * MINUTE),
    GuideRow(id="maintenance-off", action="Disable maintenance mode", offset=30 * MINUTE, duration=MINUTE),
)

GUIDE_OFFLINE = GUIDE_WINDOW[-1].offset + GUIDE_WINDOW[-1].duration
"""How long users cannot write, as the guide plans it."""
