"""Prove: every mapped column of every row, v1 against v2, both ways, each table in one snapshot.

Nothing writes to v2 meanwhile, and what changes in v1 is noted: the tables need no snapshot in common.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg

from vagus_tui.database.connection import Connection, execute_all
from vagus_tui.errors import UndoneError, server_words
from vagus_tui.events import NoteEvent, Phase, StepState
from vagus_tui.format import plural
from vagus_tui.journal import store
from vagus_tui.journal.state import STAGING
from vagus_tui.migration import catch_up, vigil
from vagus_tui.migration.capture import CHANGE_LOG, captured
from vagus_tui.migration.proof import WRONG_ROWS, TableProof, compare, proof_mapping, unexcused
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.scheduler import run_graph
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.work import run_step, with_retries


async def prove(run: MigrationRun) -> None:
    """Compare every row, tables side by side. Rows touched since the last round are left to the delta's proof.

    Raises:
        UndoneError: rows differ; a sample of them has been emitted.
    """
    await run.enter(Phase.PROVE)
    shape = run.made.survey.shape
    await with_retries(
        lambda: note_again(run),
        run.main,
        vigil.relations(shape, list(captured(shape))),
        attempts=run.settings.lock_attempts,
        control=run.control,
        emit=run.emit,
        doing="Putting change capture back",
        state="v1 is untouched.",
    )
    await prove_everything(run, resting=True)


async def note_again(run: MigrationRun) -> None:
    """Put change capture back where somebody took it off; what was written meanwhile the next proof will find.

    Raises:
        LockNotAvailableError: somebody is in the way.
    """
    shape = run.made.survey.shape
    bases = await vigil.not_noted(run.main, shape)
    if not bases:
        return
    async with run.main.transaction():
        await run.main.execute(f"set local lock_timeout = {run.settings.lock_timeout_ms}")
        await execute_all(run.main, vigil.noted_again(shape, bases))
    names = ", ".join(captured(shape)[base] for base in bases)
    message = (
        f"Somebody switched off what notes the changes to {names}. It is on again, and every row is proved after that."
    )
    run.emit(NoteEvent(level="warning", message=message))


async def prove_everything(run: MigrationRun, *, resting: bool = False) -> None:
    """The proof itself, in whatever phase.

    Args:
        resting: rest between tables as the throttle asks; a proof right before the swap had better be young.

    Raises:
        UndoneError: as for `prove`.
    """
    await run.lanes.open()
    # Before the first look at a row: what goes unnoted from here on makes this proof one of the past.
    run.noted = await vigil.mark(run.main, run.made.survey.shape)
    proofs: list[TableProof] = []

    async def one(lane: int, step: PlanStep) -> None:
        await run.control.checkpoint()
        started = time.perf_counter()
        if step.table:
            proofs.append(await _prove_step(run, run.lanes[lane], step))
        else:
            try:
                await run_step(run.lanes[lane], step, run.id, run.emit)
            except asyncpg.RaiseError as error:
                # Preferences have no rows of their own to compare: their proof counts, and stops by itself.
                raise UndoneError(f"The proof found: {server_words(error)}.", next_step=WRONG_ROWS) from error
        if resting:
            await run.rest(time.perf_counter() - started)

    await run.control.or_cancelled(run_graph(run.made.plan.of(Phase.PROVE), set(), len(run.lanes), one, run.at_once))
    _stop_on_differences(run, proofs)
    run.proved = time.perf_counter()
    run.rows = {proof.table: proof.compared for proof in proofs}
    run.figures["proved_at"] = datetime.now(UTC).isoformat()
    run.figures["proved_rows"] = sum(run.rows.values())
    await store.update_run(run.main, run.id, figures=run.figures)


async def _prove_step(run: MigrationRun, connection: Connection, step: PlanStep) -> TableProof:
    started = time.perf_counter()
    run.emit(step.event(StepState.STARTED))
    proof = await _look(run, connection, step)
    if proof.differences:
        # Of a table that somebody writes anew (ALTER TABLE, pg_repack) between a look's snapshot and its reading, the
        # snapshot sees no row. What really differs does so in a second look as well.
        proof = await _look(run, connection, step)
    done = step.event(
        StepState.FAILED if proof.differences else StepState.DONE,
        since=started,
        rows=proof.compared,
        total=proof.compared,
        message=plural(proof.differences, "difference"),
    )
    await store.record_step(connection, run.id, done)
    run.emit(done)
    return proof


async def _look(run: MigrationRun, connection: Connection, step: PlanStep) -> TableProof:
    async with connection.transaction(isolation="repeatable_read"):
        mapping = run.made.mapping
        # While the app writes, changes are waiting to be brought over, and explain what differs.
        waiting = bool(await connection.fetchval(f"select exists(select from {CHANGE_LOG})"))
        if waiting:
            await _peek(run, connection, step.table)
        proof = await compare(connection, proof_mapping(mapping, step.table), STAGING, step.table, excusing=waiting)
        if proof.differences:
            if not waiting:
                await _peek(run, connection, step.table)
            proof = await unexcused(connection, mapping, STAGING, proof)
    return proof


async def _peek(run: MigrationRun, connection: Connection, table: str) -> None:
    await execute_all(connection, catch_up.peek(run.made.mapping, STAGING, table))


def _stop_on_differences(run: MigrationRun, proofs: Sequence[TableProof]) -> None:
    wrong = [proof for proof in proofs if proof.differences]
    if not wrong:
        return
    for proof in wrong:
        for difference in proof.sample:
            run.emit(
                NoteEvent(
                    level="error",
                    message=f"{difference.table} {difference.id}: {difference.difference}",
                    detail={"expected": difference.expected, "found": difference.found},
                )
            )
    listed = ", ".join(f"{proof.table} {proof.differences:,}" for proof in wrong)
    raise UndoneError(f"The proof found rows that differ: {listed}.", next_step=WRONG_ROWS)
