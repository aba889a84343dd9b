"""What an operator does about a rollback: look at what it would do, choose, start it, stop it, take another way."""

from __future__ import annotations

from functools import partial
from typing import ClassVar
from uuid import UUID

import asyncpg

from vagus_tui.errors import RefusedError
from vagus_tui.journal.state import State, read_state
from vagus_tui.migration.rollback_script import journalled
from vagus_tui.migration.steps import Plan
from vagus_tui.rollback.cost import Cost, cost_of
from vagus_tui.rollback.preview import Preview, preview
from vagus_tui.rollback.quick import roll_back
from vagus_tui.rollback.quick_plan import plan_rollback
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.cleanup import CleanUpScreen
from vagus_tui.screens.finishing import FinishActs
from vagus_tui.screens.rollback_backup import FromBackupScreen
from vagus_tui.screens.rollback_words import what_happens
from vagus_tui.screens.text_view import TextView
from vagus_tui.screens.viewed import ViewedScreen
from vagus_tui.session.job import Job
from vagus_tui.session.leftover import FINISHING


class RollbackActs(FinishActs, ViewedScreen):
    """The acts; the screen itself shows what comes of them.

    Attributes:
        deletions: delete in v1 too what was deleted in v2.
        found, plan, cost: what a rollback would do now; None until it was looked at.
        refused: why there can be none.
        comparing: every row is being compared with v1, before anybody goes back.
    """

    HOME = Step.ROLLBACK
    # The second does or clears away what one that broke off has left.
    jobs: ClassVar[tuple[str, ...]] = ("rollback", FINISHING)

    def __init__(self) -> None:
        super().__init__()
        self.deletions = False
        self.found: Preview | None = None
        self.plan: Plan | None = None
        self.cost: Cost | None = None
        self.refused: RefusedError | None = None
        self.comparing = False
        self._was_back = False
        self._run: UUID | None = None

    def show_found(self) -> None:
        """Bring the views up to date with what was looked up."""
        raise NotImplementedError

    @property
    def job(self) -> Job | None:
        """The rollback, running or ended."""
        if (job := super().job) is None:
            return None
        # Something else was done since, here or by somebody else: what this one tells of itself is no longer so.
        latest = self.session.state.run if self.session.state is not None else None
        return job if not job.ok or self._run is None or (latest is not None and latest.id == self._run) else None

    @property
    def possible(self) -> bool:
        """Whether there is a v2 to go back from."""
        return self.session.state is not None and self.session.state.state is State.MIGRATED

    async def look(self, *, compare: bool = False) -> None:
        """What a rollback would do now, or why there can be none.

        Args:
            compare: compare every row with v1 as it was kept, as the rollback itself does; it takes its time.
        """
        self.comparing = compare
        try:
            await self._look(compare)
        finally:
            self.comparing = False
        self.show_found()

    async def _look(self, compare: bool) -> None:
        async with self.session.looking("rollback preview", statement_timeout="120000") as context:
            if context.state.state is not State.MIGRATED:
                return
            self.refused = None
            try:
                self.plan = await plan_rollback(context.connection, context.settings, context.state)
                self.found = await preview(context.connection, context.state, compare=compare)
                self.cost = await cost_of(context.connection, context.settings, self.found)
            except RefusedError as error:
                # Said where one looks before going back, not in a dialog whenever somebody comes by.
                self.refused, self.plan, self.found, self.cost = error, None, None, None
            except asyncpg.UndefinedTableError:
                # Rolled back while it was looked at, here or by somebody else: then there is nothing to look at.
                if (await read_state(context.connection)).state is State.MIGRATED:
                    raise

    def action_deletions(self) -> None:
        """Keep in v1 what was deleted in v2, or delete it there too."""
        self.deletions = not self.deletions
        self.show_found()

    def action_compare(self) -> None:
        """Compare every row now, and see what the rollback would find."""
        if not self.comparing:
            self.comparing = True
            self.show_found()
            self.attempt(partial(self.look, compare=True), group="preview", exclusive=True)

    def action_sql(self) -> None:
        """The plan, as psql would run it."""
        if self.plan is not None:
            self.open_window(
                TextView("Rollback", journalled(self.plan, self.session.settings).sql_text(), language="sql")
            )

    def action_from_backup(self) -> None:
        """Choose a backup to go back to; possible in every state, also where nothing else is."""
        self.open_window(FromBackupScreen(), self._came_back)

    def _came_back(self, _: None) -> None:
        """What follows is next, where v1 came back meanwhile."""
        if self.session.state is not None and self.session.state.state is State.ROLLED_BACK:
            self.open_view("after")

    def action_clean_up(self) -> None:
        """The guarded removal of v1's kept tables."""
        self.open_window(CleanUpScreen())

    def action_roll_back(self) -> None:
        """Look once more, ask, and do it."""
        self.attempt(self._roll_back, group="start", exclusive=True)

    async def _roll_back(self) -> None:
        session = self.session
        database = session.database
        self.say("looking once more")
        await self.look()
        if database is None or self.found is None:
            return
        body = what_happens(self.found, self.cost, deletions=self.deletions, choosing=False)
        if not await self.confirm_destructive("Roll back to v1", body, yes="Roll back", no="Stay on v2"):
            return
        self.workers.cancel_group(self, "preview")
        self._was_back, self._run = False, None
        session.start_job(
            "rollback",
            partial(roll_back, database, session.settings, apply_deletions=self.deletions),
            title="Rollback",
            on_quit="The transaction is undone as a whole: v2 stays in place.",
        )

    def action_finish(self) -> None:
        """Where it can be watched."""
        self.open_view("quick")
        super().action_finish()

    def about_to_finish(self) -> None:
        """What an earlier one told of itself is no longer so."""
        self._was_back, self._run = False, None

    def action_stop(self) -> None:
        """Stop while it waits for its locks; the transaction itself is undone as a whole."""
        if self.job is not None:
            self.job.control.cancel()
