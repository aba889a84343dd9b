"""The pages as checks: each against the guide's limit and, where v1 is still there, against v1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.performance.pages import PAGES, Page
from vagus_tui.checks.performance.plans import account_of
from vagus_tui.checks.performance.subjects import Subject, subjects
from vagus_tui.checks.performance.tables import Tables, v1_tables, v2_tables
from vagus_tui.checks.performance.timing import ROLE, RUNS, Measured, measure
from vagus_tui.events import Status
from vagus_tui.runbook.rollback_advice import SLOWDOWN_CRITICAL, SLOWDOWN_TOLERABLE

CHECKLIST = "Post-Migration Verification · Performance"
WHEN = "Rollback Plan · When to Rollback"
_SEVERITY = (Status.PASS, Status.WARN, Status.FAIL)
NOTICEABLE_SECONDS = 0.05
"""What nobody notices is no slowdown, whatever its factor: 0.4 ms instead of 0.05 ms is eight times as long."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The tables that are there to be timed, and those that the app uses now."""

    v1: Tables | None
    v2: Tables | None

    @property
    def now(self) -> Tables | None:
        """What the app uses."""
        return self.v2 or self.v1

    @property
    def there(self) -> dict[int, Tables]:
        """By number."""
        return {tables.version: tables for tables in (self.v1, self.v2) if tables is not None}


async def versions(context: Context) -> Versions:
    """Look once per run."""
    key = "performance versions"
    if key not in context.cache:
        context.cache[key] = Versions(await v1_tables(context), await v2_tables(context))
    found: Versions = context.cache[key]
    return found


async def people(context: Context) -> list[Subject]:
    """Whom to measure with; nobody where there is neither v1 nor v2."""
    tables = (await versions(context)).now
    return [] if tables is None else await subjects(context, tables)


def limit_of(page: Page, context: Context) -> float:
    """The guide's limit for a page, as the settings have it, in seconds."""
    settings = context.settings
    return settings.analytics_limit_seconds if page.analytics else settings.page_limit_seconds


async def timings(page: Page, context: Context) -> list[Measured]:
    """The page's times for everybody it is measured with, worst first; measured once per run."""
    key = f"performance {page.id}"
    if key not in context.cache:
        there = (await versions(context)).there
        found = await measure(context.connection, page, await people(context), there, limit_of(page, context))
        context.cache[key] = sorted(found, key=lambda one: one.now.warm, reverse=True)
    result: list[Measured] = context.cache[key]
    return result


def milliseconds(seconds: float) -> str:
    """`0.4 ms`, `12 ms`, `2,310 ms`."""
    value = seconds * 1000
    return f"{value:.1f} ms" if value < 10 else f"{value:,.0f} ms"


def factor(ratio: float) -> str:
    """`1.2×`: how many times v1's time."""
    return f"{ratio:.1f}×" if ratio < 100 else f"{ratio:,.0f}×"


def slower(ratio: float | None, seconds: float) -> Status:
    """What a slowdown comes to (guide, When to Rollback): over 5 times critical, over 2 times worth a look."""
    if ratio is None or seconds < NOTICEABLE_SECONDS or ratio <= SLOWDOWN_TOLERABLE:
        return Status.PASS
    return Status.FAIL if ratio > SLOWDOWN_CRITICAL else Status.WARN


def _line(one: Measured) -> str:
    parts = []
    for name, timing in (("v2", one.v2), ("v1", one.v1)):
        if timing is None:
            continue
        if timing.stopped:
            parts.append(f"{name} broken off after {milliseconds(timing.warm)}")
        else:
            parts.append(f"{name} {milliseconds(timing.warm)} (first run {milliseconds(timing.first)})")
    return f"{one.subject.words}: {', '.join(parts)}."


async def _probe(page: Page, context: Context) -> Outcome:
    found = await versions(context)
    if found.now is None:
        return Outcome(Status.SKIP, "–", "There is neither v1 nor v2 to be timed.")
    times = await timings(page, context)
    if not times:
        return Outcome(Status.SKIP, "–", "Nobody has the data that this page shows.")
    limit = limit_of(page, context)
    expected = f"under {limit:g} s" + (f", {SLOWDOWN_CRITICAL:g}×" if found.v1 and found.v2 else "")
    statuses = [slower(one.ratio, one.now.warm) for one in times]
    # The figure is that of whoever decides the outcome: the most slowed down where that matters, else the slowest.
    worst = max(
        times, key=lambda one: (one.now.stopped, _SEVERITY.index(slower(one.ratio, one.now.warm)), one.now.warm)
    )
    ratio = worst.ratio
    text = ""
    if any(one.now.stopped or one.now.warm > limit for one in times):
        # Before the cut-over this is v1's own time: nothing that the migration did.
        statuses.append(Status.FAIL if found.v2 else Status.WARN)
        text = f"Over the limit of {limit:g} s." if found.v2 else f"v1 itself is over the limit of {limit:g} s."
    elif any(one.now.first > limit for one in times):
        statuses.append(Status.WARN)
        text = f"The first run is over the limit of {limit:g} s, later ones are not: the data was not in memory."
    if Status.FAIL in statuses and not text:
        text = f"Over {SLOWDOWN_CRITICAL:g} times v1's time, which the guide answers with a rollback."
    status = next((one for one in (Status.FAIL, Status.WARN) if one in statuses), Status.PASS)
    if status is Status.PASS and ratio is not None and ratio > SLOWDOWN_TOLERABLE:
        text = f"Longer than v1, yet under {milliseconds(NOTICEABLE_SECONDS)}: too short for anybody to notice."
    elif Status.WARN in statuses and not text:
        text = f"Over {SLOWDOWN_TOLERABLE:g} times v1's time: worth a look. Enter shows how the server goes about it."
    stopped = "over " if worst.now.stopped else ""
    measured = f"{stopped}{milliseconds(worst.now.warm)}" + (f", {factor(ratio)}" if ratio is not None else "")
    return Outcome(
        status, measured, text, detail=(*map(_line, times), _how(found)), expected=expected, value=worst.now.warm * 1000
    )


def _how(found: Versions) -> str:
    """How it was measured, so that nobody takes the figures for more than they are."""
    compared = (
        " × is v1's time: measured on its kept tables, in turn with v2, with the same data and the policies it had."
        if found.v1 and found.v2
        else " v1 was removed, so there is nothing to compare with."
        if found.v2
        else " It is what v2 will be compared with."
    )
    return (
        f"Each is the median of up to {RUNS} warm runs as {ROLE}, under row level security, without the network's "
        "share, in transactions that are rolled back. The first run may read from disk; the server's own cache "
        f"cannot be emptied from here.{compared}"
    )


async def _slowdown(context: Context) -> Outcome:
    found = await versions(context)
    if found.v1 is None or found.v2 is None:
        return Outcome(Status.SKIP, "–", "v1 and v2 are compared while both are there: from the cut-over to clean-up.")
    lines: list[str] = []
    old = new = longest = 0.0
    for page in PAGES:
        pairs = [(one.v1, one.v2) for one in await timings(page, context) if one.ratio is not None]
        before = sum(first.warm for first, _ in pairs if first)
        after = sum(second.warm for _, second in pairs if second)
        if pairs:
            lines.append(f"{page.title}: {milliseconds(after)}, v1 {milliseconds(before)}.")
        old, new = old + before, new + after
        longest = max([longest, *(second.warm for _, second in pairs if second)])
    if not lines:
        return Outcome(Status.SKIP, "–", "Nobody has data to be timed with.")
    ratio = new / max(old, 0.00001)
    # Nobody opens all pages at once: where none takes long enough to be noticed, neither do all of them.
    status = slower(ratio, longest)
    text = {
        Status.FAIL: "The guide answers this with a rollback. Try the repair for slowness first; it takes a minute.",
        Status.WARN: "Between the guide's two lines: run the repair for slowness, and watch how it goes on.",
    }.get(status, "")
    if status is Status.PASS and ratio > SLOWDOWN_TOLERABLE:
        text = f"None takes longer than {milliseconds(longest)}: too short for anybody to notice."
    return Outcome(status, factor(ratio), text, detail=tuple(lines), value=round(ratio, 3))


def _check(page: Page) -> Check:
    async def probe(context: Context) -> Outcome:
        return await _probe(page, context)

    async def account(context: Context) -> str:
        return await account_of(page, await people(context), (await versions(context)).there, context)

    return Check(
        id=page.id,
        group=Group.PERFORMANCE,
        title=page.title,
        why=page.why,
        expected="under 3 s" if page.analytics else "under 2 s",
        probe=probe,
        guide=CHECKLIST,
        account=account,
    )


def speed_checks() -> Sequence[Check]:
    """A check per page, then all of them together against v1."""
    return (
        *map(_check, PAGES),
        Check(
            id="slowdown",
            group=Group.PERFORMANCE,
            title="All pages against v1",
            why="More than five times slower is a reason to roll back; less than twice is fixed forward. One page "
            "alone may be slower for a good reason, all of them together may not.",
            expected=f"under {SLOWDOWN_CRITICAL:g}×",
            probe=_slowdown,
            guide=WHEN,
        ),
    )
