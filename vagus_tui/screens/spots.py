"""The very place where an entry of the guide is done: a window of the wizard, and what the cursor is put on there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vagus_tui.checks.base import Group
from vagus_tui.checks.registry import check_by_id
from vagus_tui.runbook import acceptance, manual, rollout
from vagus_tui.runbook.checklists import ITEMS
from vagus_tui.runbook.guide_map import Place, PlaceKind
from vagus_tui.runbook.model import Fulfilment, Item, Job, Screen
from vagus_tui.runbook.troubleshooting import ISSUES


class Window(StrEnum):
    """Windows over the ten screens in which an entry may be done."""

    RUNBOOK = "runbook"
    TIMELINE = "timeline"
    GUIDE = "guide"
    """The list itself: what people sign off there, as no other window has it."""


BEFORE = (Group.PREREQUISITES, Group.DATA_QUALITY)
WINDOWS = {"scope": Window.RUNBOOK, "risk": Window.RUNBOOK, "question": Window.RUNBOOK, "contact": Window.RUNBOOK,
           "timeline": Window.TIMELINE}  # fmt: skip
SCREENS = {
    "estimate": Screen.OVERVIEW,
    "app": Screen.ROLLOUT,
    "advice": Screen.ROLLBACK,
    "issue": Screen.TROUBLESHOOTING,
    "testers": Screen.VERIFICATION,
}
JOBS = {
    Job.BACKUP: (Screen.BACKUP, "back-up"),
    Job.RESTORE_TEST: (Screen.BACKUP, "backups"),
    Job.REHEARSE: (Screen.BACKUP, "backups"),
    Job.UPLOAD: (Screen.BACKUP, "backups"),
    Job.MIGRATE: (Screen.MIGRATION, "phase:prepare"),
    Job.VERIFY: (Screen.VERIFICATION, "automatic"),
    Job.ROLLBACK: (Screen.ROLLBACK, "quick"),
    Job.CLEAN_UP: (Screen.ROLLOUT, rollout.CLEAN_UP.items[0].id),
}
KINDS = {"backup.full": "kind-full", "backup.selective": "kind-tables", "backup.csv": "kind-csv"}
"""Of the parts of a backup, where each is chosen."""
_ITEMS = {item.id: item for item in ITEMS}


@dataclass(frozen=True, slots=True)
class Spot:
    """Where to go.

    Attributes:
        window: one of the ten screens, or a window over them.
        ref: what the cursor is put on there, in that window's own words; empty where the window is all there is.
    """

    window: Screen | Window
    ref: str = ""

    @property
    def label(self) -> str:
        """The window's name as it is shown."""
        return self.window.value.capitalize()


def spot_of(places: tuple[Place, ...], screen: Screen) -> Spot:
    """Where an entry is done: the first of its places on its own screen, or else the first of all."""
    spots = [found for place in places if (found := _spot(place, screen)) is not None]
    return next((spot for spot in spots if spot.window is screen), spots[0] if spots else Spot(screen))


def _spot(place: Place, screen: Screen) -> Spot | None:
    ref = place.ref
    if place.kind is PlaceKind.CHECK:
        return _check(ref, screen)
    if place.kind is PlaceKind.REPAIR:
        return Spot(Screen.TROUBLESHOOTING, f"repair:{ref}")
    if place.kind is PlaceKind.PHASE:
        return Spot(Screen.MIGRATION, f"phase:{ref}")
    if place.kind is PlaceKind.MAPPING:
        table = "workout_days" if ref == "day-key" else ref.partition(".")[0]
        return Spot(Screen.MIGRATION, f"table:{table}")
    if place.kind is PlaceKind.JOB:
        return Spot(*JOBS[Job(ref)])
    if place.kind is PlaceKind.ACTION:
        where, _, action = ref.partition(".")
        return Spot(Screen(where), f"action:{action}")
    return _runbook(ref) if place.kind is PlaceKind.RUNBOOK else None


def _check(check: str, screen: Screen) -> Spot:
    """A check stands in one of two tables; among the troubles it stands with the one that it tells."""
    if screen is Screen.TROUBLESHOOTING:
        issue = next((issue.id for issue in ISSUES if check in issue.checks), None)
        if issue is not None:
            return Spot(screen, issue)
    group = check_by_id(check).group
    if group is Group.ROLLOUT:
        return item_spot(next(item for item in ITEMS if check in (*item.checks, *item.beside)))
    before = group in BEFORE
    return Spot(Screen.PREREQUISITES if before else Screen.VERIFICATION, check)


def _runbook(ref: str) -> Spot | None:
    if (item := _ITEMS.get(ref)) is not None:
        return item_spot(item)
    kind = ref.partition(".")[0]
    if kind in WINDOWS:
        return Spot(WINDOWS[kind], ref)
    if kind in SCREENS:
        return Spot(SCREENS[kind], ref)
    if kind == "phase":
        phase = next(phase for phase in rollout.ROLLOUT_PHASES if phase.id == ref)
        return Spot(Screen.ROLLOUT, phase.groups[0].items[0].id)
    # A message goes with an item that names it.
    sent = next((item for item in ITEMS if item.message == ref), None)
    return None if sent is None else item_spot(sent)


def item_spot(item: Item) -> Spot:
    """Where an item of a list is done."""
    kind = item.group.partition(".")[0]
    if kind == Screen.PREREQUISITES.value:
        checks = item.checks
        return _check(checks[0], Screen.PREREQUISITES) if checks else Spot(Window.GUIDE, item.id)
    if kind == Screen.BACKUP.value:
        if item.id in KINDS:
            return Spot(Screen.BACKUP, KINDS[item.id])
        return Spot(*JOBS[item.job]) if item.job is not None else Spot(Screen.BACKUP)
    if kind == "rollout" or item.id.startswith("criterion."):
        return Spot(Screen.ROLLOUT, item.id)
    if item.group == acceptance.TEST_SCRIPT.id or item.group in {group.id for group in manual.GROUPS}:
        return Spot(Screen.VERIFICATION, item.id)
    if kind in set(Screen):
        return Spot(Screen(kind), item.id)
    return Spot(Window.GUIDE, item.id) if item.fulfilment is Fulfilment.SIGN_OFF else Spot(Screen.OVERVIEW)
