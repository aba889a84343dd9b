"""How each entry of the guide stands: by checks, by evidence, by sign-offs; and which of them are only to be known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from vagus_tui.checks.registry import check_by_id
from vagus_tui.events import Status
from vagus_tui.journal.state import State
from vagus_tui.remedies.repairs import REPAIRS
from vagus_tui.runbook.checklists import ITEMS
from vagus_tui.runbook.guide_map import GUIDE_MAP, Place, PlaceKind
from vagus_tui.runbook.index import title_of
from vagus_tui.runbook.model import Fulfilment, Item, Job, Screen
from vagus_tui.runbook.rollout import APP_UPDATE
from vagus_tui.screens.item_facts import check_entry, item_entry
from vagus_tui.screens.palette_actions import actions_of
from vagus_tui.screens.spots import Spot, item_spot, spot_of
from vagus_tui.screens.timeline_facts import Done, done_entries
from vagus_tui.session.session import Session
from vagus_tui.session.standings import worst
from vagus_tui.widgets.checklist import Entry

BEYOND = "Beyond the guide"
KNOWN = Entry(Status.SKIP, "to know")
_IDS = {item.id for item in ITEMS}
_COMMANDS = {command.id for command in APP_UPDATE}
_AFTER = (State.MIGRATED, State.CLEANED)


@dataclass(frozen=True, slots=True)
class GuideLine:
    """One entry of the guide, or an item that the guide lacks: where it is done, what fulfils it, how it stands."""

    id: str
    section: str
    title: str
    spot: Spot
    entry: Entry
    parts: tuple[tuple[str, Entry], ...]
    items: tuple[Item, ...]

    @property
    def signable(self) -> Item | None:
        """The item that a person signs off, if there is one."""
        return next((item for item in self.items if item.fulfilment is Fulfilment.SIGN_OFF), None)


def _done(yes: bool, words: str = "done") -> Entry:
    return Entry(Status.PASS, words) if yes else Entry(Status.PENDING, "open")


def job_entry(session: Session, job: Job, done: Done) -> Entry:
    """How a job of the wizard stands, by what it has left behind."""
    backups = session.now.backups
    state = session.state.state if session.state is not None else None
    if job is Job.BACKUP:
        return _done(any(one.verified for one in backups), "made")
    if job is Job.RESTORE_TEST:
        return _done(any(one.restored for one in backups), "restored")
    if job in (Job.REHEARSE, Job.UPLOAD):
        return _done(job.value in session.now.evidence, "rehearsed" if job is Job.REHEARSE else "copied")
    if job is Job.MIGRATE:
        return _done(state in _AFTER, "migrated")
    if job is Job.VERIFY:
        return _done("timeline.verify" in done, "verified")
    if job is Job.CLEAN_UP:
        return _done(state is State.CLEANED, "cleaned up")
    return Entry(Status.PASS, "rolled back") if state is State.ROLLED_BACK else Entry(Status.SKIP, "not needed")


def _item(session: Session, item: Item, done: Done) -> Entry:
    if item.fulfilment is Fulfilment.JOB and item.job is not None:
        return job_entry(session, item.job, done)
    return item_entry(session, item)


@cache
def _key(action: str) -> str:
    """`key b on Migration: in the way`."""
    screen, _, name = action.partition(".")
    found = next(one for one in actions_of(Screen(screen)) if one.action.partition("(")[0] == name)
    return f"key {found.key} on {found.step.label}: {found.words}"


def _place(session: Session, place: Place, done: Done) -> tuple[str, Entry]:
    """What a place is called, and how it stands."""
    state = session.state.state if session.state is not None else None
    if place.kind is PlaceKind.CHECK:
        return f"check: {check_by_id(place.ref).title}", check_entry(session, place.ref)
    if place.kind is PlaceKind.JOB:
        return f"job {place.ref}", job_entry(session, Job(place.ref), done)
    if place.kind is PlaceKind.PHASE:
        return f"phase {place.ref}", _done(state in _AFTER)
    if place.kind is PlaceKind.MAPPING:
        return f"mapping of {place.ref}", _done(state in _AFTER, "moved")
    if place.kind is PlaceKind.REPAIR:
        return f"repair: {next(repair.title for repair in REPAIRS if repair.id == place.ref)}", KNOWN
    if place.kind is PlaceKind.ACTION:
        return _key(place.ref), KNOWN
    if place.kind is not PlaceKind.RUNBOOK:
        return place.ref, KNOWN
    title = title_of(place.ref) or place.ref
    if place.ref in _IDS:
        return title, _item(session, session.settings.book.item(place.ref), done)
    if place.ref in _COMMANDS:
        outcome = session.now.app_update.get(place.ref)
        failed = outcome is not None and not outcome.ok
        return title, Entry(Status.FAIL, "failed") if failed else _done(outcome is not None)
    if place.ref.startswith("timeline."):
        return title, _done(place.ref in done)
    return title, KNOWN


def _together(parts: tuple[tuple[str, Entry], ...]) -> Entry:
    measured = [entry for _, entry in parts if entry.status is not Status.SKIP]
    if not measured:
        return parts[0][1] if parts else KNOWN
    status = worst([entry.status for entry in measured])
    return next(entry for entry in measured if entry.status is status)


def guide_lines(session: Session) -> list[GuideLine]:
    """Every entry of the guide in its order, then every item that the guide lacks."""
    done = done_entries(session)
    lines: list[GuideLine] = []
    mapped: set[str] = set()
    for entry in GUIDE_MAP:
        parts = tuple(_place(session, place, done) for place in entry.places)
        refs = [place.ref for place in entry.places if place.kind is PlaceKind.RUNBOOK and place.ref in _IDS]
        mapped.update(refs)
        items = tuple(session.settings.book.item(ref) for ref in refs)
        spot = spot_of(entry.places, entry.screen)
        lines.append(GuideLine(entry.id, entry.heading, entry.title, spot, _together(parts), parts, items))
    book = session.settings.book
    added = [one for one in book.criteria if one.id not in _IDS]
    for item in (*(book.item(one.id) for one in ITEMS), *added):
        if item.id not in mapped:
            part = (item.title, _item(session, item, done))
            lines.append(GuideLine(item.id, BEYOND, item.title, item_spot(item), part[1], (part,), (item,)))
    return lines
