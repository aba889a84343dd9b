"""What a quick rollback does before it locks anything: what was changed by hand is put back, and rows are compared."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database, is_lost
from vagus_tui.events import NoteEvent, StepState
from vagus_tui.jobs import Emit
from vagus_tui.migration.capture import V2_UNNOTED
from vagus_tui.migration.kept_v1 import new_name
from vagus_tui.migration.noting_kept import anything_noted
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.work import run_step, with_retries
from vagus_tui.rollback import kept_rows
from vagus_tui.rollback.comparing import compare
from vagus_tui.rollback.kept import read_kept
from vagus_tui.rollback.quick_plan import COMPARED, NEEDED, WayBack
from vagus_tui.rollback.unnoted import COMPARING, DECIDED, UNDECIDED, read_unnoted
from vagus_tui.rollback.v2_altered import added_words
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.settings import Settings

ROUNDS = 3
"""So often every row is compared, where users leave meanwhile who have handed something over."""


class Beforehand:
    """The steps before the one transaction, on the connection that holds the lock."""

    def __init__(
        self,
        database: Database,
        connection: Connection,
        settings: Settings,
        control: Control,
        emit: Emit,
        run_id: UUID,
    ) -> None:
        self.database = database
        self.connection = connection
        self.settings = settings
        self.control = control
        self.emit = emit
        self.run_id = run_id

    async def put_back(self, way: WayBack, figures: dict[str, Any]) -> bool:
        """Put back what was changed by hand about the kept v1 tables, before anything of v2 is touched, and compare.

        What cannot be made again, since rows are in its way, is said; the rollback does not hang on it. It does on the
        notes of what was written: without them nothing is carried back.

        Returns:
            Whether something was done about it, so that the way back has to be looked for again.

        Raises:
            RefusedError: rows differ, and somebody has to say what they are.
        """
        missed = not way.noting.intact
        if missed:
            self.emit(NoteEvent(level="warning", message=f"{way.noting.words} {COMPARED}"))
        before = way.before(await read_kept(self.connection, way.survey))
        comparing = [step for step in before if step.id in COMPARING]
        waiting, in_vain, rounds = list(before), list[PlanStep](), ROUNDS
        while waiting:
            step = waiting.pop(0)
            if step.id in COMPARING:
                if step is comparing[0]:
                    names = [*v2.TABLES, *(new_name(way.survey, base) for base in v1.TABLES)]
                    read = [qualified(way.survey.shape.schema, name) for name in names]
                    await compare(self.database, self.connection, comparing, read, self.run_id, self.control, self.emit)
                continue
            try:
                if step.id == kept_rows.STEP:
                    # What was just made again of them is theirs too.
                    rows = kept_rows.KeptRows(way.survey, await read_kept(self.connection, way.survey))
                    step = rows.step(step.id, step.phase)
                if step.id == DECIDED and (undecided := await read_unnoted(self.connection, UNDECIDED)).total:
                    rounds -= 1
                    if rounds and await anything_noted(self.connection):
                        # Somebody left while rows were compared.
                        waiting[:0] = before[[one.id for one in before].index(kept_rows.STEP) :]
                        continue
                    undecided.refuse()
                await with_retries(
                    partial(
                        run_step,
                        self.connection,
                        step,
                        self.run_id,
                        self.emit,
                        lock_timeout_ms=self.settings.lock_timeout_ms,
                    ),
                    self.connection,
                    list(step.tables),
                    attempts=self.settings.lock_attempts,
                    control=self.control,
                    emit=self.emit,
                    doing=step.title.capitalize(),
                    state="Nothing of v2 was changed: it is in place.",
                )
            except asyncpg.PostgresError as error:
                if is_lost(error) or step.id in NEEDED:
                    raise
                self.emit(step.event(StepState.FAILED, message=str(error)))
                in_vain.append(step)
            if step.id == kept_rows.STEP:
                # What rows were in the way of may come back by now.
                waiting[:0], in_vain = in_vain, []
                for words in kept_rows.put_back_words(await kept_rows.read_put_back(self.connection)):
                    self.emit(NoteEvent(level="warning", message=words))
        unnoted = await read_unnoted(self.connection, V2_UNNOTED)
        if unnoted.total:
            figures["not_noted"] = unnoted.rows
        if missed:
            self.emit(NoteEvent(level="warning", message=unnoted.carried()))
        return bool(way.altered.mends) or missed

    def tell(self, was: WayBack, way: WayBack, figures: dict[str, Any]) -> None:
        """Say, and put into the figures, what was put back and what was not: `was` is what was before."""
        mends, missing = was.altered.mends, way.altered.mends if was.altered.mends else ()
        about_v1 = [*(f"{mend.what} could not be put back" for mend in missing), *way.altered.stays]
        again = [] if was.noting.intact else ["the noting of what is written to v2"]
        figures["put_back"] = [*again, *(mend.what for mend in mends if mend not in missing), *way.around.back]
        figures["changed_by_hand"] = [*about_v1, *way.around.left]
        if way.added:
            figures["columns_only_in_archive"] = list(way.added)
        for words in added_words(way.added):
            self.emit(NoteEvent(level="warning", message=words))
        for words in about_v1:
            self.emit(NoteEvent(level="warning", message=f"The kept v1 tables were changed by hand: {words}."))
        for words in way.around.left:
            self.emit(NoteEvent(level="warning", message=f"Not bound to v1 again: {words}."))
