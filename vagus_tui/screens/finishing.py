"""What a rollback or a clean-up that broke off has left: its last steps are done, or it is cleared away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.content import Content

from vagus_tui.journal.state import DatabaseState
from vagus_tui.rollback.finish import finish
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.job_acts import JobActs
from vagus_tui.session.leftover import DROP, Leftover, leftover
from vagus_tui.widgets.text import safe_block


class FinishActs(JobActs):
    """The acts, for the screens on which such a run is at home.

    `HOME` is the one of the ten that it belongs to; the last of `jobs` is the job that finishes it.
    """

    HOME: ClassVar[Step]

    @property
    def left(self) -> Leftover | None:
        """What is done here about a run that broke off."""
        left = leftover(self.session.state)
        return left if left is not None and left.screen is self.HOME and not self.running else None

    def can_finish(self, action: str) -> bool:
        """Whether `finish` or `clear_away` does something now."""
        busy = self.session.busy or self.session.now.lock is not None
        return self.left is not None and (self.left.key == DROP) is (action == "clear_away") and not busy

    def action_finish(self) -> None:
        """Do the last steps of what broke off after its commit."""
        self.attempt(self._finish, group="start", exclusive=True)

    def action_clear_away(self) -> None:
        """Clear away what broke off before it changed anything."""
        self.action_finish()

    async def _finish(self) -> None:
        session = self.session
        database, state, left = session.database, session.state, self.left
        if database is None or state is None or left is None:
            return
        rest = "What it had made aside is dropped" if left.key == DROP else "Its last steps are done"
        body = f"{state.summary}\n\n{rest}, and the maintenance flag goes down. Nothing that users see changes."
        if not await self.ask(ConfirmDialog(left.label, body, yes=left.label)):
            return
        self.about_to_finish()
        session.start_job(
            self.jobs[-1],
            lambda _: finish(database, session.settings),
            title=left.label,
            on_quit="What is done by then stays done; the rest can be done later.",
        )

    def about_to_finish(self) -> None:
        """It was agreed to, and is started next."""


def interrupted_text(left: Leftover | None, state: DatabaseState | None, told: Sequence[Content] = ()) -> list[Content]:
    """What broke off, and the key for what is done about it; nothing where none did, or something else.

    What was `told` already is not said again.
    """
    if state is None or left is None:
        return []
    key = Content.assemble((left.key, "bold $accent"), " ", left.does)
    if any(state.summary in part.plain for part in told):
        return [key]
    return [Content("\n").join((safe_block(state.summary, "bold"), key))]
