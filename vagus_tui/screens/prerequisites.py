"""Prerequisites: the server, the rights, the environment, and whether the data fits v2, with guided fixes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType

from vagus_tui.checks.base import Check, Group
from vagus_tui.checks.registry import checks_for
from vagus_tui.events import CheckEvent, Status
from vagus_tui.remedies import remedies_for
from vagus_tui.remedies.locking import FIXABLE
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.check_screen import CheckScreen
from vagus_tui.screens.fixes import FixScreen, fix_all_safe
from vagus_tui.screens.undo_list import UndoScreen
from vagus_tui.session.standings import PREREQUISITES

FOUND = (Status.FAIL, Status.WARN)


class PrerequisitesScreen(CheckScreen):
    """Two sections in one table; runs when it is entered first, and again on `r`."""

    STEP = Step.PREREQUISITES
    RUN = PREREQUISITES
    FOOTER_FIRST: ClassVar[tuple[str, ...]] = ("open", "fix", "fix_all", "override", "run")

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "fix", "fix", tooltip="guided fixes for the selected check"),
        Binding("F", "fix_all", "fix all safe", tooltip="every safe fix, after one question"),
        Binding("u", "undo", "undo", tooltip="what was fixed, and putting it back"),
    ]

    def sections(self) -> list[tuple[str, tuple[Check, ...]]]:
        """What the server must be, and what the data must be."""
        return [
            ("Server, rights and environment", checks_for(Group.PREREQUISITES)),
            ("Data quality", checks_for(Group.DATA_QUALITY)),
        ]

    @property
    def _v1_in_use(self) -> bool:
        return self.session.state is not None and self.session.state.state in FIXABLE

    def _fixable(self, event: CheckEvent | None) -> bool:
        return event is not None and event.status in FOUND and self._v1_in_use and bool(remedies_for(event.id))

    def hint(self, event: CheckEvent) -> str:
        """How to get on with the selected check."""
        if not self._fixable(event):
            return super().hint(event)
        fixes = "; ".join(remedy.title for remedy in remedies_for(event.id))
        return f"f fixes it: {fixes}."

    def acts(self, event: CheckEvent) -> dict[str, Callable[[], None]]:
        """The guided fixes too."""
        acts = super().acts(event)
        return {**acts, "fix": lambda: self._fix(event)} if self._fixable(event) else acts

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Fixing needs something to fix, and v1 in place."""
        if not self.is_mounted:
            return True
        if action == "fix":
            return self._fixable(self.table.selected) or None
        if action == "fix_all":
            return any(self._fixable(event) for event in self.table.events) or None
        if action == "undo":
            # Later the rows are v2's: a fix can be put back where it could be made, and nowhere else.
            return self._v1_in_use
        return super().check_action(action, parameters)

    def action_fix(self) -> None:
        """The fixes for the selected check."""
        if (event := self.table.selected) is not None:
            self._fix(event)

    def _fix(self, event: CheckEvent) -> None:
        self.open_window(FixScreen(self.check_of(event), event, self._fixed))

    def action_fix_all(self) -> None:
        """Every safe fix."""
        found = [event for event in self.table.events if self._fixable(event)]
        self.attempt(partial(fix_all_safe, self, found, self._fixed), group="fix", exclusive=True)

    def action_undo(self) -> None:
        """What was fixed."""
        self.open_window(UndoScreen(self._fixed))

    def _fixed(self) -> None:
        """Rows have changed: measure again."""
        self.action_run()
        self.session.wake()
