"""The quick rollback (the guide's option B, made safe): one short transaction, nothing dropped, later writes kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database, execute_all, fetch_named
from vagus_tui.errors import RefusedError, UndoneError
from vagus_tui.events import Event, NoteEvent, Phase, ResultEvent, StepEvent, StepState
from vagus_tui.format import plural
from vagus_tui.jobs import Emit, streamed
from vagus_tui.journal import store
from vagus_tui.journal.lock import take_lock
from vagus_tui.journal.progress import published
from vagus_tui.journal.state import State, read_state
from vagus_tui.migration import maintenance
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.migration.noting import read_noting
from vagus_tui.migration.slow_line import share_of_the_line
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.work import open_session, with_retries
from vagus_tui.rollback import finish, guarded, kept_rows
from vagus_tui.rollback.archive import archive_name, bound_note, bound_to
from vagus_tui.rollback.around import Around
from vagus_tui.rollback.beforehand import Beforehand
from vagus_tui.rollback.carry_back import CarryBack
from vagus_tui.rollback.cost import ANSWERS
from vagus_tui.rollback.kept import read_kept
from vagus_tui.rollback.looks import looked
from vagus_tui.rollback.preview import SHOWN, Preview, counts, replaced_words
from vagus_tui.rollback.quick_plan import (
    LOCKED_SETTINGS,
    WayBack,
    quick_steps,
    settle_steps,
    way_back,
)
from vagus_tui.rollback.swap_back import LOCKED
from vagus_tui.schema import v1
from vagus_tui.schema.identifiers import qualified
from vagus_tui.settings import Settings

T = TypeVar("T")

LIMIT_SECONDS = 60.0
"""How long the transaction may hold its locks before it is taken back, with little to carry."""

SECONDS_PER_CHANGE = 0.002
"""So much longer for every change that is carried back: some forty times what a quick server takes. A limit that did
not grow with them would make the way back impossible some hours after the cut-over."""

WORDS = finish.Words(
    untouched="The rollback was undone as a whole: v2 is in place and in use.",
    refused="See the rows it names; they may hold something that v1's constraints refuse.",
    slow="The rollback took too long and was taken back: try again when less goes on.",
)

MESSAGE = "Workout features are being restored. This takes a moment; your data is safe."


class _Rollback:
    """One quick rollback. Create it, then `await run(emit)`."""

    def __init__(self, database: Database, settings: Settings, control: Control, *, deletions: bool) -> None:
        self.database = database
        self.settings = settings
        self.control = control
        self.deletions = deletions

    async def run(self, emit: Emit) -> ResultEvent:
        started = time.perf_counter()
        async with open_session(self.database, "roll back") as connection:
            await take_lock(connection)
            said = await finish.take_up(connection, emit, self.settings.operator)
            state = await self._looked(connection, partial(read_state, connection), emit)
            if said and state.state is State.ROLLED_BACK:
                return ResultEvent(ok=True, message=f"{said} {state.summary}", state=state.state.value, exit_status=0)
            if said:
                emit(NoteEvent(message=said))
            way = await self._looked(connection, partial(way_back, connection, state), emit)
            run_id = await store.start_run(
                connection,
                "rollback",
                operator=self.settings.operator,
                environment=self.settings.environment.value,
                options={"deletions": self.deletions, "of": way.run.id, "database": self.database.label},
            )
            figures: dict[str, Any] = {"archive": archive_name(datetime.now(UTC))}
            async with finish.undone_on_failure(self.database, connection, run_id, WORDS, self.control):
                before = Beforehand(self.database, connection, self.settings, self.control, emit, run_id)
                was = way
                if await before.put_back(was, figures):
                    way = await self._looked(connection, partial(way_back, connection, state, mended=True), emit)
                before.tell(was, way, figures)
                await self._swap(connection, run_id, way, figures, emit)
            if bound := await bound_to(connection, figures["archive"]):
                figures["bound_to_archive"] = bound
                emit(bound_note(bound))
            steps = settle_steps(way.around)
            if unchecked := await finish.settle(connection, run_id, steps, emit, figures=figures):
                figures["unchecked"] = unchecked
            place = (
                "in place, but for what was changed by hand"
                if figures.get("changed_by_hand") or figures.get("not_bound_back")
                else "in place as before"
            )
            return ResultEvent(
                ok=True,
                message=f"Rolled back: v1 is {place}; v2 is kept in {figures['archive']}.",
                state=State.ROLLED_BACK.value,
                exit_status=0,
                seconds=time.perf_counter() - started,
                figures=figures,
            )

    async def _looked(self, connection: Connection, look: Callable[[], Awaitable[T]], emit: Emit) -> T:
        return await looked(
            connection,
            self.settings,
            self.control,
            look,
            emit=emit,
            doing="Looking at what points at v1 and v2",
            state="Nothing was changed: v2 is in place.",
        )

    async def _swap(
        self, connection: Connection, run_id: UUID, way: WayBack, figures: dict[str, Any], emit: Emit
    ) -> None:
        """The one transaction, tried again while somebody is in the way."""
        kept = await read_kept(connection, way.survey)
        steps, carry = quick_steps(way.around, way.run, figures["archive"], kept, deletions=self.deletions)
        await store.update_run(connection, run_id, phase=Phase.ROLLBACK.value)
        await maintenance.switch_flag(connection, enabled=True, message=MESSAGE)

        async def attempt() -> None:
            try:
                figures.update(await self._transaction(connection, run_id, way.around, steps, carry, emit))
            except TimeoutError as error:
                if connection.is_closed():
                    raise
                line = await share_of_the_line(connection, ANSWERS, LIMIT_SECONDS)
                raise TimeoutError(f"{error}{line}.") from error

        await with_retries(
            attempt,
            connection,
            [qualified(way.survey.shape.schema, table) for table in LOCKED],
            attempts=self.settings.lock_attempts,
            control=self.control,
            emit=emit,
            doing="The rollback",
            state="Nothing was changed: v2 is in place.",
        )

    async def _transaction(
        self,
        connection: Connection,
        run_id: UUID,
        around: Around,
        steps: list[PlanStep],
        carry: CarryBack,
        emit: Emit,
    ) -> dict[str, Any]:
        """The one transaction: carry back, prove, swap. Returns the figures for the report."""
        events: list[StepEvent] = []
        found: Preview | None = None
        figures: dict[str, Any] = {}
        changes = int(await connection.fetchval(f"select count(*) from {V2_CHANGES}"))
        limit = LIMIT_SECONDS + SECONDS_PER_CHANGE * changes
        locked = time.perf_counter()
        async with connection.transaction(), _within(limit, changes):
            patience = f"set local lock_timeout = {self.settings.lock_timeout_ms}"
            await execute_all(connection, [patience, *LOCKED_SETTINGS])
            for step in steps:
                started = time.perf_counter()
                emit(step.event(StepState.STARTED))
                if step.id == "carry-back":
                    found = await counts(connection, around.survey, carry)
                    figures |= await self._figures(connection, found, carry)
                await self._do(connection, step, carry)
                if step.id == kept_rows.AGAIN:
                    figures["kept_rows"] = [one.words for one in await kept_rows.read_put_back(connection)]
                if step.id == "lock":
                    locked = time.perf_counter()
                done = step.event(StepState.DONE, since=started)
                events.append(done)
                emit(done)
            left_out = await connection.fetch(guarded.READ)
            figures["not_bound_back"] = [guarded.in_words(row) for row in left_out]
            # Committed together with the swap, so that whoever looks next sees what happened and what is owed.
            await store.update_run(
                connection,
                run_id,
                status="done",
                phase=Phase.SETTLE.value,
                figures=figures,
                catalog=finish.owed_record(settle_steps(around)),
            )
            await execute_all(connection, (store.recording(run_id, *events), "notify pgrst, 'reload schema'"))
        figures["writes_waited_seconds"] = round(time.perf_counter() - locked, 3)
        for words in figures["not_bound_back"]:
            emit(NoteEvent(level="warning", message=words))
        for note in _left(figures, found):
            emit(note)
        return figures

    async def _do(self, connection: Connection, step: PlanStep, carry: CarryBack) -> None:
        if step.id == "prove":
            await self._prove(connection, carry)
            return
        await execute_all(connection, step.statements)
        if step.id == "lock":
            # From the comparison up to here too.
            noting = await read_noting(connection, carry.survey.shape.schema)
            if not noting.intact:
                raise RefusedError(
                    f"Something happened meanwhile. {noting.words}",
                    state="Nothing was changed: v2 is in place and in use.",
                    next_step="Start the rollback again: it looks for what was written before anything else.",
                )

    async def _figures(self, connection: Connection, found: Preview, carry: CarryBack) -> dict[str, Any]:
        figures: dict[str, Any] = {
            "carried_back": {item.table: {"new": item.new, "changed": item.changed} for item in found.carried},
            "deleted_in_v2": {item.table: item.deleted for item in found.carried if item.deleted},
            "deletions": "applied" if self.deletions else "kept in v1",
            "not_expressible": sum(item.not_expressible for item in found.carried),
            "kept_values": sum(item.kept_values for item in found.carried),
            "only_in_archive": found.only_in_v2,
        }
        if found.replaced and not self.deletions:
            figures["replaced_sets_aside"] = found.replaced
        if self.deletions:
            figures["deletions_withheld"] = await connection.fetchval(carry.withheld())
        return figures

    async def _prove(self, connection: Connection, carry: CarryBack) -> None:
        found = await fetch_named(connection, {base: carry.proof(base) for base in v1.TABLES})
        wrong = [f"{plural(rows, 'row')} of {base}" for base, rows in found if rows]
        if wrong:
            raise UndoneError(
                f"{', '.join(wrong)} did not arrive in v1 as v2 has them.",
                state="The rollback was undone as a whole: v2 is in place and in use.",
                next_step="Keep the report; roll back from a backup if you must.",
            )


@asynccontextmanager
async def _within(limit: float, changes: int) -> AsyncIterator[None]:
    """Take the transaction back after so many seconds.

    Raises:
        TimeoutError: with words about it.
    """
    try:
        async with asyncio.timeout(limit) as timer:
            yield
    except TimeoutError as error:
        if not timer.expired():
            raise
        raise TimeoutError(
            f"The rollback took longer than {limit:.0f} s, with {plural(changes, 'change')} to carry back, and was "
            "taken back: see what else keeps the server busy, and try again when less goes on"
        ) from error


def _left(figures: dict[str, Any], found: Preview | None) -> Iterator[NoteEvent]:
    """What did not come back into v1, and where it is."""
    if figures["not_expressible"]:
        yield NoteEvent(
            level="warning",
            message=f"{figures['not_expressible']:,} new rows have no place in v1; they are in the archive.",
        )
    if figures["kept_values"]:
        yield NoteEvent(
            level="warning",
            message=f"{figures['kept_values']:,} changed values do not fit v1's columns or checks: v1 keeps its own, "
            "the new ones are in the archive.",
        )
    if replaced := figures.get("replaced_sets_aside"):
        yield NoteEvent(level="warning", message=replaced_words(replaced))
    if withheld := figures.get("deletions_withheld"):
        yield NoteEvent(
            level="warning",
            message=f"{withheld:,} of the rows deleted in v2 stay in v1: others belong to them, which v1 cannot hold "
            "where v2 has them.",
        )
    if found is not None and found.kept_out:
        more = " …" if len(found.kept_out) == SHOWN else ""
        yield NoteEvent(message=f"Table kept_out_of_v1 of the archive names them: {'; '.join(found.kept_out)}{more}")


def roll_back(
    database: Database, settings: Settings, control: Control, *, apply_deletions: bool = False
) -> AsyncIterator[Event]:
    """Roll back quickly: v1 in place as before, with what was written since; v2 archived.

    Args:
        apply_deletions: also delete from v1 what was deleted in v2 after the cut-over (default: keep it).
    """
    return streamed(published(database, _Rollback(database, settings, control, deletions=apply_deletions).run))
