"""How an item of the lists stands, and all that is to be said about it: by checks, by sign-offs, by other items."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from textual.content import Content

from vagus_tui.checks.registry import check_by_id
from vagus_tui.events import Status
from vagus_tui.format import duration, moment, number, plural
from vagus_tui.journal.acceptance import Verdict, count
from vagus_tui.journal.decisions import Override, SignOff
from vagus_tui.runbook.checklists import GROUPS
from vagus_tui.runbook.criteria import Criterion
from vagus_tui.runbook.model import Fulfilment, Item
from vagus_tui.session.session import Session
from vagus_tui.session.standings import worst
from vagus_tui.widgets.checklist import Entry
from vagus_tui.widgets.marks import MARKS, STYLES, WORDS
from vagus_tui.widgets.text import safe, safe_block, safe_str, short

_SEEN = (Status.PASS, Status.WARN, Status.FAIL, Status.ERROR, Status.RUNNING)
"""What a check says when it could look; a check that was left out leaves the item to people."""


def check_entry(session: Session, check: str) -> Entry:
    """How a check stands: by what was measured here, or else by the latest that anybody measured."""
    result = session.results.get(check)
    if result is not None:
        return Entry(result.status, WORDS[result.status])
    other = session.now.measured.get(check)
    if other is None:
        return Entry(Status.PENDING, "not measured yet")
    at = moment(other.at, session.settings.timezone)
    return Entry(other.status, f"{WORDS[other.status]}, {short(other.operator, 10)} {at[5:]}")


def standing_sign(session: Session, item: Item) -> SignOff | None:
    """The latest word on an item, as long as it says something: what is about one migration ends with it."""
    signed = session.now.sign_offs.get(item.id)
    return None if signed is None or _of_another_run(session, item, signed.at) else signed


def _of_another_run(session: Session, item: Item, at: datetime) -> bool:
    run = session.state.migration if session.state is not None else None
    return item.of_run and run is not None and at < run.started_at


def item_entry(session: Session, item: Item) -> Entry:
    """How an item stands: by its checks, by other items, or by the latest sign-off."""
    if isinstance(item, Criterion) and item.fulfilment is not Fulfilment.SIGN_OFF:
        return criterion_entry(session, item)
    if item.fulfilment is Fulfilment.CHECK:
        results = [check_entry(session, check) for check in item.checks]
        pending = [result for result in results if result.status is Status.PENDING]
        if pending:
            return pending[0]
        status = worst([result.status for result in results])
        return next(result for result in results if result.status is status)
    signed = standing_sign(session, item)
    ticked = signed is not None and signed.ticked
    let_pass = standing_override(session, item)
    if let_pass is not None and not ticked:
        return Entry(Status.WARN, f"let pass, {short(let_pass.operator, 12)}")
    passed, failed = count(tried for tried in session.now.tries.values() if tried.step == item.id)
    if failed:
        # Signed off in spite of it or not: what failed for somebody stays in sight until it is tried again.
        return Entry(Status.WARN if ticked else Status.FAIL, f"{failed} of {passed + failed} fail")
    seen = [one for one in (check_entry(session, check) for check in item.measured) if one.status in _SEEN]
    if item.measured and len(seen) == len(item.measured):
        status = worst([one.status for one in seen])
        if not ticked or status is not Status.PASS:
            one = next(one for one in seen if one.status is status)
            # What a person signs off against the measurement stays in sight.
            return replace(one, status=Status.WARN) if ticked else one
    if signed is not None and ticked:
        at = moment(signed.at, session.settings.timezone)
        return Entry(Status.PASS, f"{short(signed.operator, 12)} {at[5:]}")
    return Entry(Status.RUNNING, f"{passed} pass, to be ticked") if passed else Entry(Status.PENDING, item.owner.value)


def standing_override(session: Session, item: Item) -> Override | None:
    """The override of a criterion, where somebody went on against it."""
    if not isinstance(item, Criterion):
        return None
    override = session.now.overrides.get(item.id)
    return None if override is None or _of_another_run(session, item, override.at) else override


def needed_items(session: Session, item: Item) -> list[Item]:
    """The items that a criterion waits for, its groups spelled out."""
    groups = {group.id: group for group in GROUPS}
    found: list[Item] = []
    for name in item.needs:
        found.extend(groups[name].items if name in groups else [session.settings.book.item(name)])
    return found


def checks_behind(session: Session, item: Item) -> tuple[str, ...]:
    """Every check that has a say in an item, also by way of the items that it waits for."""
    checks = [*item.checks, *item.measured]
    for needed in needed_items(session, item):
        checks.extend(checks_behind(session, needed))
    return tuple(dict.fromkeys(checks))


def criterion_entry(session: Session, item: Criterion) -> Entry:
    """How a criterion stands that is not for people to sign, with the latest result and its time."""
    entry = _needed(session, item) if item.needs else _measured(session, item)
    override = standing_override(session, item)
    if override is not None and not holds(entry):
        return Entry(Status.WARN, f"let pass, {short(override.operator, 12)}")
    return entry


def holds(entry: Entry) -> bool:
    """Whether a criterion that stands like this is met: let pass counts as well, never run and stale do not."""
    return entry.status in (Status.PASS, Status.WARN)


def unmet(session: Session, item: Item) -> list[tuple[Item, Entry]]:
    """The criteria against which an item would be signed off now."""
    wanted = [
        one
        for phase in session.settings.book.phases
        for group in phase.groups
        if group.id in item.after
        for one in group.items
        if one.id != item.id
    ]
    entries = [(one, item_entry(session, one)) for one in wanted]
    return [(one, entry) for one, entry in entries if not holds(entry)]


def unmet_lines(against: list[tuple[Item, Entry]], before: str = "") -> list[Content]:
    """Criteria that do not hold, a line each."""
    return [
        Content.assemble(
            before,
            (MARKS[entry.status], STYLES[entry.status]),
            " ",
            safe(one.title),
            f": {entry.words}" if one.fulfilment is not Fulfilment.SIGN_OFF else f": not signed, {entry.words} knows",
        )
        for one, entry in against
    ]


def _needed(session: Session, item: Criterion) -> Entry:
    entries = [item_entry(session, one) for one in needed_items(session, item)]
    failed = sum(entry.status.blocks for entry in entries)
    done = sum(holds(entry) for entry in entries)
    if failed:
        return Entry(Status.FAIL, f"{failed} of {len(entries)} fail")
    words = f"{done} of {len(entries)} done" if len(entries) > 1 else ("done" if done else "open")
    return Entry(Status.PASS if done == len(entries) else Status.PENDING, words)


def _measured(session: Session, item: Criterion) -> Entry:
    running = [session.results.get(check) for check in item.checks]
    if any(event is not None and event.status is Status.RUNNING for event in running):
        return Entry(Status.RUNNING, "running")
    found = {check: session.now.measured.get(check) for check in item.checks}
    known = {check: one for check, one in found.items() if one is not None}
    failing = [one for check, one in known.items() if one.status.blocks and check not in session.now.overrides]
    if failing:
        at = moment(max(one.at for one in failing), session.settings.timezone)[5:]
        words = f"{len(failing)} of {len(found)} fail {at}" if len(found) > 1 else f"fail {at}"
        return Entry(Status.FAIL, words)
    if missing := len(found) - len(known):
        return Entry(Status.PENDING, "not run" if missing == len(found) else f"{missing} of {len(found)} not run")
    oldest = min(one.at for one in known.values())
    at = moment(oldest, session.settings.timezone)[5:]
    if _reference(session, item) - oldest > session.settings.book.thresholds.criteria_max_age:
        return Entry(Status.PENDING, f"stale, pass {at}")
    if all(one.status is Status.SKIP for one in known.values()):
        return Entry(Status.WARN, f"not told {at}")
    if item.steady is not None:
        since = max((one.good_since or one.at for one in known.values()), default=oldest)
        held = _reference(session, item) - since
        if held < item.steady:
            words = f"{duration(max(0.0, held.total_seconds()))} of {item.steady // timedelta(days=1)} d"
            return Entry(Status.PENDING, words)
    let_pass = any(one.status.blocks for one in known.values())
    return Entry(Status.WARN if let_pass else Status.PASS, f"{'let pass' if let_pass else 'pass'} {at}")


def _reference(session: Session, item: Criterion) -> datetime:
    """Now; for a phase that is over, its end: what was fresh then does not turn stale behind it."""
    over = next((one.over for one in session.settings.book.phases if one.id == f"phase.{item.phase.value}"), None)
    signed = standing_sign(session, over) if over is not None else None
    return signed.at if signed is not None and signed.ticked else datetime.now(UTC)


def item_text(session: Session, item: Item, entry: Entry | None = None, first: Sequence[Content] = ()) -> Content:
    """All about an item, for the detail panel; `entry` is how it stands, where its list measures that itself.

    Args:
        first: lines that come before everything else that is to be said.
    """
    entry = entry or item_entry(session, item)
    lines = [
        Content.assemble(
            (f"{MARKS[entry.status]} {WORDS[entry.status]}", STYLES[entry.status]), " · ", safe(item.title, "bold")
        ),
        *first,
        safe_block(item.why),
    ]
    if isinstance(item, Criterion):
        lines += _criterion_lines(session, item)
    for check in _by_standing(session, (*item.checks, *item.measured)):
        words = check_entry(session, check).words
        result = session.results.get(check) or session.now.measured.get(check)
        if result is not None and result.measured is not None:
            words += f": {_figure(result.measured)}"
        lines.append(Content.assemble(("Check ", "$text-muted"), f"{check_by_id(check).title}: {words}"))
    if item.beside:
        lines.append(Content.styled("The database's part; the app's is for people to try:", "$text-muted"))
        for check in item.beside:
            entry, result = check_entry(session, check), session.results.get(check)
            found = "" if result is None or entry.status is Status.PASS else f", {_figure(result.measured)}"
            said = f" {check_by_id(check).title}: {entry.words}{found}"
            lines.append(Content.assemble((MARKS[entry.status], STYLES[entry.status]), said))
    signed = session.now.sign_offs.get(item.id)
    if signed is not None:
        earlier = "" if standing_sign(session, item) is signed else " That was another migration: it does not count."
        done = "Signed off" if signed.ticked else "Taken back"
        when = moment(signed.at, session.settings.timezone)
        note = f": {signed.note.rstrip('.')}" if signed.note else ""
        lines.append(safe(f"{done} by {signed.operator}, {when}{note}.{earlier}", "$text-muted", limit=1200))
    for tried in session.now.tries.values():
        if tried.step == item.id and tried.verdict is Verdict.FAIL:
            lines.append(safe(f"Failed for {tried.person[:8]}: {tried.note}", STYLES[Status.FAIL], limit=400))
    lines.append(safe(f"{item.owner.value}{f' · Guide: {item.guide}' if item.guide else ''}", "$text-muted"))
    return Content("\n").join(lines)


def _figure(value: object) -> str:
    """What was measured, with thousands separators."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number(value)
    return safe_str(value)


def _by_standing(session: Session, checks: tuple[str, ...]) -> list[str]:
    """What fails first, then what is not known, then the rest."""

    def place(check: str) -> int:
        status = check_entry(session, check).status
        return 0 if status.blocks else 1 if status in (Status.PENDING, Status.RUNNING) else 2

    return sorted(checks, key=place)


def _criterion_lines(session: Session, item: Criterion) -> Iterator[Content]:
    if item.fulfilment is Fulfilment.SIGN_OFF:
        yield Content.styled("No database knows this: whoever signs it says in a note what it rests on.", "$text-muted")
    else:
        yield Content.styled(f"Now: {item_entry(session, item).words}. r runs its checks.", "$text-muted")
    if item.steady is not None:
        days = item.steady // timedelta(days=1)
        yield Content.styled(f"None of them may have failed for {plural(days, 'day')}.", "$text-muted")
    if (override := standing_override(session, item)) is not None:
        at = moment(override.at, session.settings.timezone)
        yield safe(f"Let pass by {override.operator}, {at}: {override.reason}", STYLES[Status.WARN], limit=1200)
    for needed in needed_items(session, item):
        entry = item_entry(session, needed)
        if not holds(entry):
            yield Content.assemble((MARKS[entry.status], STYLES[entry.status]), " ", needed.title, f": {entry.words}")
