"""Prepare and build: change capture onto v1, then v2 aside, from one snapshot, on several connections."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from vagus_tui.database.connection import Connection
from vagus_tui.errors import UndoneError
from vagus_tui.events import NoteEvent, Phase
from vagus_tui.format import plural
from vagus_tui.journal import store
from vagus_tui.migration import staged
from vagus_tui.migration.link import ALIGN, ALIGN_USERS
from vagus_tui.migration.phases.begin import drop_half_built_logs
from vagus_tui.migration.run import MigrationRun
from vagus_tui.migration.scheduler import run_graph
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.work import ChangedError, open_session, run_step, with_retries
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import literal, qualified

USERS = "auth.users"


async def prepare(run: MigrationRun) -> None:
    """The steps that put something onto v1's tables, each under a short lock that is tried again."""
    await run.enter(Phase.PREPARE)
    for step in run.made.plan.of(Phase.PREPARE):
        if step.id in run.done:
            continue

        async def attempt(step: PlanStep = step) -> None:
            await run_step(run.main, step, run.id, run.emit, lock_timeout_ms=run.settings.lock_timeout_ms)

        await with_retries(
            attempt,
            run.main,
            [qualified(run.made.survey.shape.schema, table) for table in step.tables],
            attempts=run.settings.lock_attempts,
            control=run.control,
            emit=run.emit,
            doing=f"Setting up {step.title}",
            state="v1 is untouched.",
        )
        run.done.add(step.id)


async def build(run: MigrationRun) -> None:
    """Every step of the build that is not done, first those that read v1 in one snapshot; what came of it is kept.

    Raises:
        UndoneError: somebody has altered it meanwhile.
    """
    await run.enter(Phase.BUILD)
    steps = run.made.plan.of(Phase.BUILD)
    if any(step.id not in run.done for step in steps):
        await run.lanes.open()
    await _from_one_snapshot(run, steps)
    await _graph(run, steps)
    if not run.staged:
        run.staged = await staged.words(run.main)
        # After those words were taken: what is altered from here on is not in them.
        if changes := await staged.by_others(run.main, run.id, steps):
            raise UndoneError(
                staged.altered_by_hand(changes),
                next_step="See that nobody works on what a migration builds, then run migrate again.",
            )
        await store.update_run(run.main, run.id, catalog={staged.KEPT_AS: run.staged})


async def _from_one_snapshot(run: MigrationRun, steps: Sequence[PlanStep]) -> None:
    """The steps that read v1 in one snapshot, and what can be done beside them.

    Logs are read in parts, by place in their file. Whoever writes the table anew between two parts (VACUUM FULL,
    CLUSTER, pg_repack) moves rows out of one part into another: the parts are read again then, from a new snapshot.

    Raises:
        UndoneError: somebody does so again and again.
    """
    logs = run.made.survey.shape.logs
    relation = literal(qualified(run.made.survey.shape.schema, logs.name)).strip()
    file_now = f"select pg_relation_filenode({relation}::regclass)"

    for attempt in range(1, run.settings.lock_attempts + 1):
        if all(step.id in run.done for step in steps if step.snapshot):
            return
        # Before the snapshot: of a file that is made after it, little or nothing may be seen in it.
        file = await run.main.fetchval(file_now)

        async def same_file(connection: Connection, file: int = file) -> None:
            # Whoever has read a table holds it until the transaction ends, so nothing can come after this.
            if await connection.fetchval(file_now) != file:
                raise ChangedError(f"{logs.name} was written anew meanwhile (VACUUM FULL, CLUSTER or the like)")

        try:
            async with (
                open_session(run.database, "snapshot") as holder,
                holder.transaction(isolation="repeatable_read", readonly=True),
            ):
                snapshot = await holder.fetchval("select pg_export_snapshot()")
                await _graph(run, [step for step in steps if not _after_align(step)], snapshot, same_file)
        except ChangedError as error:
            if attempt == run.settings.lock_attempts:
                raise UndoneError(
                    f"{error}, each of {plural(attempt, 'time')} that it was read.",
                    next_step="See who does that, pg_cron perhaps, then run migrate again.",
                ) from None
            run.emit(NoteEvent(level="warning", message=f"{error}: its rows are read again."))
            run.done -= await drop_half_built_logs(run.main, run.id, run.made, run.done)


def _after_align(step: PlanStep) -> bool:
    return step.id in (ALIGN, ALIGN_USERS, "behaviour", "compat") or step.id.startswith(("link-", "validate-"))


async def _graph(
    run: MigrationRun,
    steps: Sequence[PlanStep],
    snapshot: str | None = None,
    same_file: Callable[[Connection], Awaitable[None]] | None = None,
) -> None:
    """Run steps side by side, stopping at once when the operator says so.

    Args:
        same_file: raises if the logs are not in the file any more of which the snapshot's parts are.
    """

    async def once(lane: int, step: PlanStep) -> None:
        await run.control.checkpoint()
        started = time.perf_counter()
        run.working[step.id] = run.lanes[lane].get_server_pid()
        await run_step(
            run.lanes[lane],
            step,
            run.id,
            run.emit,
            isolation="repeatable_read" if step.snapshot or step.one_moment else "read_committed",
            snapshot=snapshot if step.snapshot else None,
            lock_timeout_ms=run.settings.lock_timeout_ms if USERS in step.tables else None,
            assured=same_file if step.snapshot and step.table == v2.LOGS else None,
        )
        await run.rest(time.perf_counter() - started)

    async def with_patience(lane: int, step: PlanStep) -> None:
        if USERS not in step.tables and not step.one_moment:
            await once(lane, step)
            return
        await with_retries(
            lambda: once(lane, step),
            run.main,
            [USERS],
            attempts=run.settings.lock_attempts,
            control=run.control,
            emit=run.emit,
            doing=step.title.capitalize(),
            state="v1 is untouched.",
        )

    await run.control.or_cancelled(run_graph(steps, run.done, len(run.lanes), with_patience, run.at_once))
