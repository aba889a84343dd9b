"""The words of the runbook as types: screens, owners, checklist items and their groups.

Everything here is frozen and free of I/O, so that any layer may read it. Offsets are relative to T-0,
the moment planned for the cut-over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
T_ZERO = timedelta()


class Screen(StrEnum):
    """The ten screens of the wizard, in the order of the rail."""

    OVERVIEW = "overview"
    PREREQUISITES = "prerequisites"
    COMMUNICATIONS = "communications"
    BACKUP = "backup"
    MIGRATION = "migration"
    VERIFICATION = "verification"
    ROLLOUT = "rollout"
    ROLLBACK = "rollback"
    TROUBLESHOOTING = "troubleshooting"
    REPORT = "report"

    @property
    def label(self) -> str:
        """The screen's name as it is shown."""
        return self.value.capitalize()


class Owner(StrEnum):
    """Who does a thing."""

    LEAD = "Migration lead"
    DBA = "Database admin"
    DEVOPS = "DevOps"
    APP = "App team"
    QA = "QA"
    SUPPORT = "Support"
    MARKETING = "Marketing"


class Job(StrEnum):
    """A job of the wizard whose success fulfils an item."""

    BACKUP = "backup"
    RESTORE_TEST = "restore-test"
    REHEARSE = "rehearse"
    UPLOAD = "upload"
    MIGRATE = "migrate"
    VERIFY = "verify"
    ROLLBACK = "rollback"
    CLEAN_UP = "clean-up"


class Fulfilment(StrEnum):
    """What makes an item done."""

    CHECK = "check"
    JOB = "job"
    ITEMS = "items"
    SIGN_OFF = "sign-off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to be done, shown or proved.

    Attributes:
        id: stable and unique in the whole runbook; sign-offs are recorded under it.
        title: what has to be so, short enough for one line at 80 columns.
        why: why it matters, in one or two sentences.
        group: the id of the group it belongs to.
        owner: who does it.
        due: when, relative to T-0; None when it has no time of its own.
        message: the id of the message that goes with it.
        evidence: the id of the check that fulfils it. With neither check nor job, a person signs it off.
        also: further checks that must pass with `evidence`.
        measured: checks that settle it where the server lets them see it; where it does not, a person signs it off.
        beside: checks that measure the database's part of it; the app's part is for people to try and sign.
        job: the job of the wizard that fulfils it.
        guide: the section of the guide it comes from; empty when the guide has no such item.
        needs: ids of items, or of groups of items, that have to be done and make it done.
        after: groups of criteria that have to hold before it is signed off; against them it takes a reason.
        of_run: it is about one migration; what was signed before the present one began does not count.
    """

    id: str
    title: str
    why: str
    group: str
    owner: Owner
    due: timedelta | None = None
    message: str | None = None
    evidence: str | None = None
    also: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    job: Job | None = None
    guide: str = ""
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    of_run: bool = False

    @property
    def checks(self) -> tuple[str, ...]:
        """Every check that fulfils the item, the deciding one first."""
        return () if self.evidence is None else (self.evidence, *self.also)

    @property
    def fulfilment(self) -> Fulfilment:
        """Whether a check, other items, a job or a person's sign-off make it done."""
        if self.evidence is not None:
            return Fulfilment.CHECK
        if self.needs:
            return Fulfilment.ITEMS
        return Fulfilment.JOB if self.job is not None else Fulfilment.SIGN_OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Items that are shown together under one heading of a screen.

    Attributes:
        id: unique in the whole runbook.
        title: the heading.
        screen: where it is shown.
        items: in the order in which they are shown.
        note: one sentence under the heading; may be empty.
    """

    id: str
    title: str
    screen: Screen
    items: tuple[Item, ...]
    note: str = ""
