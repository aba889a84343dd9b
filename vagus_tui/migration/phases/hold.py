"""Hold: stay caught up, and show who would be in the way, until the operator decides."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

import asyncpg

from vagus_tui.events import NoteEvent, Phase, StepEvent, StepState
from vagus_tui.journal import store
from vagus_tui.migration import staged
from vagus_tui.migration.blockers import blockers, describe
from vagus_tui.migration.cut_over import watched_relations
from vagus_tui.migration.drift import Drift, drift, in_words
from vagus_tui.migration.phases.catch_up import bring_over
from vagus_tui.migration.phases.in_spite import MEND, holds_in_spite, in_full, in_short
from vagus_tui.migration.phases.prove import note_again
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.staged import TAKE_BACK, altered_by_hand
from vagus_tui.migration.work import BUSY, UNFIT, impatient

INTERVAL_SECONDS = 1.0
LOOK_SECONDS = 10.0
"""How often v1's catalog is compared with the one that the plan was made for."""


IN_THE_WAY, CHANGED, REFUSED = "in the way: ", "v1 has changed: ", "v2 refuses what was written: "
ALTERED, HINDERED = "what was built has been altered: ", "the server takes no changes over: "
"""How the word begins that the hold sends again and again: who would hold up the cut-over, or why there can be none."""


@dataclass
class _Seen:
    """What the hold has found to be otherwise than it should be, each in words; empty for nothing."""

    drift: Drift = field(default_factory=Drift)
    altered: tuple[str, ...] = ()
    refused: str = ""
    hindered: str = ""

    def says(self, waiting: str) -> str:
        """Why there can be no cut-over now; else who would hold it up."""
        for begins, words in (
            (CHANGED, in_words(self.drift.against)),
            (ALTERED, in_words(self.altered)),
            (REFUSED, self.refused),
            (HINDERED, self.hindered),
        ):
            if words:
                return begins + words
        return IN_THE_WAY + waiting


async def hold(run: MigrationRun) -> None:
    """Wait for `control.go()`, bringing changes over once a second."""
    await run.enter(Phase.HOLD)
    await run.lanes.close()
    await store.update_run(run.main, run.id, status="ready")
    started = time.perf_counter()
    relations = watched_relations(run.made.survey, run.made.ddl)

    def tell(state: StepState, rows: int | None = None, message: str | None = None) -> StepEvent:
        event = StepEvent(
            id="hold",
            phase=Phase.HOLD,
            title="you decide",
            state=state,
            rows=rows,
            seconds=None if state is StepState.STARTED else time.perf_counter() - started,
            message=message,
        )
        run.emit(event)
        return event

    tell(StepState.STARTED)
    looked, seen = float("-inf"), _Seen()
    async with impatient(run.main, run.settings):
        while True:
            await run.control.checkpoint()
            hindered = seen.hindered
            notes = await _bring_over(run, seen)
            if seen.hindered != hindered or time.perf_counter() - looked >= LOOK_SECONDS:
                looked = time.perf_counter()
                await _look(run, seen)
            waiting = [blocker for blocker in await blockers(run.main, relations) if blocker.seconds > 1]
            tell(StepState.PROGRESS, notes, seen.says(describe(waiting) if waiting else "nobody"))
            if await run.control.wait_go(INTERVAL_SECONDS):
                break
    await store.record_step(run.main, run.id, tell(StepState.DONE))


async def _bring_over(run: MigrationRun, seen: _Seen) -> int | None:
    """Bring over what was written; None where that did not succeed, which is no reason to throw away what was built.

    The notes are all there still, and the next second will do.
    """
    refused = hindered = ""
    notes: int | None = None
    try:
        notes = await run.control.or_cancelled(bring_over(run))
    except BUSY:
        # Users who leave came between every attempt, or somebody has a table for themselves: they are named.
        refused, hindered = seen.refused, seen.hindered
    except UNFIT as error:
        refused = in_short(error)
    except asyncpg.PostgresError as error:
        if not holds_in_spite(run, error):
            raise
        hindered = in_full(error)
    if refused != seen.refused:
        run.emit(_unfit(refused))
    if hindered != seen.hindered:
        run.emit(_hindered(hindered))
    seen.refused, seen.hindered = refused, hindered
    return notes


async def _look(run: MigrationRun, seen: _Seen) -> None:
    """See whether changes are noted yet, and whether v1 and what was built are still what they were."""
    with contextlib.suppress(*BUSY, asyncpg.QueryCanceledError):
        await note_again(run)
        found = await drift(run.main, run.made.survey, run.made.ddl)
        if found.against != seen.drift.against:
            run.emit(_about(found))
        elif found.harmless != seen.drift.harmless:
            run.emit(_said(found))
        seen.drift = found
        altered = tuple(await staged.altered(run.main, run.staged))
        if altered != seen.altered:
            run.emit(_about_staged(altered))
        seen.altered = altered


def _hindered(words: str) -> NoteEvent:
    """What the operator is told about the server's taking nothing over, or about its doing so again."""
    if not words:
        return NoteEvent(message="What was written is brought over again.")
    message = (
        f"What was written to v1 cannot be brought over: {words}. It is noted, and tried again every second. It will "
        "not be cut over like this: mend that, or stop."
    )
    return NoteEvent(level="warning", message=message)


def _about_staged(altered: tuple[str, ...]) -> NoteEvent:
    """What the operator is told about what was built being another one than it was, or the same again."""
    if not altered:
        return NoteEvent(message="What was built beside v1 is again as the build left it.")
    message = f"{altered_by_hand(altered)} It will not be cut over like this: {TAKE_BACK}"
    return NoteEvent(level="warning", message=message)


def _unfit(refused: str) -> NoteEvent:
    """What the operator is told about a row that v2 refuses, or about its being mended."""
    if not refused:
        return NoteEvent(message="What v2 refused has been mended, and brought over.")
    message = f"Somebody has written what v2 refuses: {refused}. It will not be cut over like this: {MEND}"
    return NoteEvent(level="warning", message=message)


def _about(found: Drift) -> NoteEvent:
    """What the operator is told about v1 being another one than it was, or the same again."""
    if not found.against:
        return NoteEvent(message="v1 is again what the plan was made for.")
    return NoteEvent(
        level="warning",
        message=f"v1 has changed since the plan was made: {in_words(found.against)}. It will not be cut over like "
        "this: take that back, or stop and run migrate again.",
    )


def _said(found: Drift) -> NoteEvent:
    """What the operator is told about settings and comments: no other plan is needed for those."""
    if not found.harmless:
        return NoteEvent(message="Settings and comments of v1 are again as they were.")
    return NoteEvent(message=found.to_come)
