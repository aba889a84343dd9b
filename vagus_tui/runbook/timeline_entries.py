"""The rows of the timeline around T-0, the planned cut-over.

Corrected against the guide's "Complete Migration Timeline": the final backup comes right before the cut-over instead
of a day before; building happens before T-0, since users do not notice it; the v2 app is approved by the stores
beforehand; and v1 is removed only after the rollout has ended and every guard holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vagus_tui.runbook.model import DAY, HOUR, MINUTE, T_ZERO, Owner, Screen

CLEAN_UP_EARLIEST = 14 * DAY
"""How long after the cut-over the v1 tables are kept at least: a week beyond the end of the app's rollout."""

FINAL_BACKUP_MAX_AGE = 2 * HOUR
"""How old the backup may be at the cut-over before a fresh one is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One row of the timeline.

    Attributes:
        id: unique in the whole runbook.
        offset: when it starts, relative to T-0.
        action: what is done.
        owner: who does it.
        duration: how long it takes; None when it goes on until it is signed off.
        screen: where the wizard does it.
        guide_row: the row of the guide's table, from 1; None for rows the guide lacks.
        note: what differs from the guide, or what to look out for; may be empty.
    """

    id: str
    offset: timedelta
    action: str
    owner: Owner
    duration: timedelta | None
    screen: Screen
    guide_row: int | None = None
    note: str = ""


TIMELINE: tuple[TimelineEntry, ...] = (
    TimelineEntry(
        id="timeline.announce",
        offset=-7 * DAY,
        action="Announce the upgrade to users",
        owner=Owner.MARKETING,
        duration=HOUR,
        screen=Screen.COMMUNICATIONS,
        guide_row=1,
    ),
    TimelineEntry(
        id="timeline.staging",
        offset=-3 * DAY,
        action="Migrate staging",
        owner=Owner.DEVOPS,
        duration=20 * MINUTE,
        screen=Screen.MIGRATION,
        guide_row=2,
        note="With production's volume, and with a rollback tried as well.",
    ),
    TimelineEntry(
        id="timeline.app-approved",
        offset=-3 * DAY,
        action="v2 app approved by the stores, release held",
        owner=Owner.APP,
        duration=HOUR,
        screen=Screen.ROLLOUT,
        note="Store review takes days; it cannot happen within the window.",
    ),
    TimelineEntry(
        id="timeline.acceptance-test",
        offset=-2 * DAY,
        action="Acceptance test on staging",
        owner=Owner.QA,
        duration=8 * HOUR,
        screen=Screen.VERIFICATION,
        guide_row=3,
    ),
    TimelineEntry(
        id="timeline.rehearsal",
        offset=-DAY,
        action="Back up, restore the backup, rehearse on it",
        owner=Owner.DEVOPS,
        duration=30 * MINUTE,
        screen=Screen.BACKUP,
        guide_row=4,
        note="Proves the way and gives the forecast. It is not the final backup.",
    ),
    TimelineEntry(
        id="timeline.reminder",
        offset=-DAY,
        action="Send the reminder",
        owner=Owner.MARKETING,
        duration=30 * MINUTE,
        screen=Screen.COMMUNICATIONS,
        guide_row=5,
    ),
    TimelineEntry(
        id="timeline.final-backup",
        offset=-2 * HOUR,
        action="Take, restore and upload the final backup",
        owner=Owner.DEVOPS,
        duration=HOUR,
        screen=Screen.BACKUP,
        note="The guide stops at T-1, which leaves the last day unprotected.",
    ),
    TimelineEntry(
        id="timeline.build",
        offset=-HOUR,
        action="Build v2 beside v1, prove it, hold",
        owner=Owner.DEVOPS,
        duration=HOUR,
        screen=Screen.MIGRATION,
        guide_row=7,
        note="Before T-0, with the app running: users do not notice.",
    ),
    TimelineEntry(
        id="timeline.cut-over",
        offset=T_ZERO,
        action="Maintenance flag and write fence on; cut over",
        owner=Owner.DEVOPS,
        duration=MINUTE,
        screen=Screen.MIGRATION,
        guide_row=6,
        note="Writes pause for seconds, not minutes.",
    ),
    TimelineEntry(
        id="timeline.verify",
        offset=MINUTE,
        action="Verify data, access and cascades",
        owner=Owner.DEVOPS,
        duration=4 * MINUTE,
        screen=Screen.VERIFICATION,
        guide_row=8,
    ),
    TimelineEntry(
        id="timeline.reopen",
        offset=5 * MINUTE,
        action="Maintenance flag and write fence off",
        owner=Owner.DEVOPS,
        duration=MINUTE,
        screen=Screen.MIGRATION,
        guide_row=10,
        note="Read back from the database, not assumed.",
    ),
    TimelineEntry(
        id="timeline.release-app",
        offset=6 * MINUTE,
        action="Release the v2 app, in stages",
        owner=Owner.APP,
        duration=8 * MINUTE,
        screen=Screen.ROLLOUT,
        guide_row=9,
        note="Only the app can go out in stages; the data has moved for everyone.",
    ),
    TimelineEntry(
        id="timeline.monitor",
        offset=15 * MINUTE,
        action="Watch errors, load and support",
        owner=Owner.DEVOPS,
        duration=2 * HOUR,
        screen=Screen.ROLLOUT,
        guide_row=11,
    ),
    TimelineEntry(
        id="timeline.acceptance-check",
        offset=DAY,
        action="Ask the test users how it goes",
        owner=Owner.SUPPORT,
        duration=None,
        screen=Screen.VERIFICATION,
        guide_row=12,
    ),
    TimelineEntry(
        id="timeline.clean-up",
        offset=CLEAN_UP_EARLIEST,
        action="Remove the v1 tables, if every guard holds",
        owner=Owner.DEVOPS,
        duration=5 * MINUTE,
        screen=Screen.ROLLOUT,
        guide_row=13,
        note="Optional. The guide's T+7 days is when the rollout ends: too early to burn the way back.",
    ),
)
