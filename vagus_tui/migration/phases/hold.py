"""Hold: stay caught up, and show who would be in the way, until the operator decides."""

from __future__ import annotations

import contextlib
import time

from vagus_tui.events import NoteEvent, Phase, StepEvent, StepState
from vagus_tui.journal import store
from vagus_tui.migration.blockers import blockers, describe
from vagus_tui.migration.cut_over import watched_relations
from vagus_tui.migration.drift import Drift, drift, in_words
from vagus_tui.migration.phases.catch_up import MEND, bring_over, in_short
from vagus_tui.migration.phases.prove import note_again
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.work import BUSY, UNFIT

INTERVAL_SECONDS = 1.0
LOOK_SECONDS = 10.0
"""How often v1's catalog is compared with the one that the plan was made for."""


IN_THE_WAY, CHANGED, REFUSED = "in the way: ", "v1 has changed: ", "v2 refuses what was written: "
"""How the word begins that the hold sends again and again: who would hold up the cut-over, or why there can be none."""


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
    looked, known, refused = float("-inf"), Drift(), ""
    while True:
        await run.control.checkpoint()
        before = refused
        try:
            notes: int | None = await run.control.or_cancelled(bring_over(run))
            refused = ""
        except BUSY:
            # Users who leave came between every attempt. All is built and proved: the next second will do.
            notes = None
        except UNFIT as error:
            # One row that somebody wrote is no reason to throw away what was built; its note is there still.
            notes, refused = None, in_short(error)
        if refused != before:
            run.emit(_unfit(refused))
        if time.perf_counter() - looked >= LOOK_SECONDS:
            looked = time.perf_counter()
            with contextlib.suppress(*BUSY):
                await note_again(run)
            found = await drift(run.main, run.made.survey, run.made.ddl)
            if found.against != known.against:
                run.emit(_about(found))
            elif found.harmless != known.harmless:
                run.emit(_said(found))
            known = found
        waiting = [blocker for blocker in await blockers(run.main, relations) if blocker.seconds > 1]
        words = IN_THE_WAY + (describe(waiting) if waiting else "nobody")
        if refused:
            words = REFUSED + refused
        tell(StepState.PROGRESS, notes, CHANGED + in_words(known.against) if known.against else words)
        if await run.control.wait_go(INTERVAL_SECONDS):
            break
    await store.record_step(run.main, run.id, tell(StepState.DONE))


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
