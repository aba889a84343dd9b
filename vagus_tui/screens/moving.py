"""Moving about the wizard: the ten screens, the windows over them, and the very place where something is done."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual.actions import parse
from textual.app import App
from textual.screen import ModalScreen, Screen

from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.demo import Demo
from vagus_tui.session.session import Session

if TYPE_CHECKING:
    from vagus_tui.screens.base import StepScreen
    from vagus_tui.screens.handbook import HandbookScreen
    from vagus_tui.screens.spots import Spot
    from vagus_tui.screens.timeline import TimelineScreen

STEPS: tuple[Step, ...] = tuple(Step)


def make_screen(step: Step) -> StepScreen:
    """The screen of a step, imported when it is first visited, so that the first window comes up at once."""
    module = importlib.import_module(f"vagus_tui.screens.{step.value}")
    screen: StepScreen = getattr(module, f"{step.value.capitalize()}Screen")()
    return screen


class Moving(App[int]):
    """The part of the app that knows what leads where. Before there is a database, only some of it leads anywhere."""

    session: Session
    demo: Demo | None

    MODES: ClassVar[dict[str, Any]] = {step.value: partial(make_screen, step) for step in STEPS}

    def action_go(self, step: str) -> None:
        """To one of the ten screens; on the same screen, back to its first view."""
        if self.demo is not None and self.session.database is None:
            # Nothing to look at before there is a database.
            self.bell()
            return
        if self.current_mode == step:
            while len(self.screen_stack) > 1:
                self.pop_screen()
            return
        self.switch_mode(step)

    async def go_to(self, spot: Spot) -> None:
        """To the very place where something is done."""
        from vagus_tui.screens.base import StepScreen
        from vagus_tui.screens.spots import Window

        if spot.window is Window.RUNBOOK:
            from vagus_tui.screens.handbook import HandbookScreen

            self._open_at(HandbookScreen(at=spot.ref))
        elif spot.window is Window.TIMELINE:
            from vagus_tui.screens.timeline import TimelineScreen

            self._open_at(TimelineScreen(at=spot.ref))
        elif isinstance(spot.window, Step):
            if self.current_mode != spot.window.value:
                await self.switch_mode(spot.window.value)
            self.action_go(spot.window.value)
            screen = self.screen_stack[0]
            if spot.ref and isinstance(screen, StepScreen):
                screen.call_after_refresh(screen.want, spot.ref)

    def _open_at(self, window: HandbookScreen | TimelineScreen) -> None:
        """A window at one of its rows, unless it is there already: Enter that is held down comes again."""
        shown = self.screen
        if not (isinstance(shown, type(window)) and shown.at == window.at):
            self.push_screen(window)

    def action_turn(self, direction: int) -> None:
        """To the next or previous screen on the rail."""
        if self.current_mode in self.MODES:
            here = STEPS.index(Step(self.current_mode))
            self.action_go(STEPS[(here + direction) % len(STEPS)].value)

    def _open(self, window: type[Screen[Any]], *, offline: bool = False) -> None:
        """A window over whatever is shown, unless it is the one; all but an `offline` one need a database."""
        if self.session.database is None and not offline:
            self.bell()
        elif not isinstance(self.screen, window):
            self.push_screen(window())

    def action_plans(self) -> None:
        """Any plan, v1 beside v2."""
        from vagus_tui.screens.plans import PlansScreen

        self._open(PlansScreen)

    def action_timeline(self) -> None:
        """What is due when."""
        from vagus_tui.screens.timeline import TimelineScreen

        self._open(TimelineScreen)

    def action_runbook(self) -> None:
        """Contacts, questions, risks; it needs no database."""
        from vagus_tui.screens.handbook import HandbookScreen

        self._open(HandbookScreen, offline=True)

    def action_watch(self) -> None:
        """The watch, over whatever is shown."""
        from vagus_tui.screens.monitor import MonitorScreen

        if isinstance(self.screen, ModalScreen):
            self.bell()
        else:
            self._open(MonitorScreen)

    def action_guide(self) -> None:
        """Every item of the guide, and how it stands."""
        from vagus_tui.screens.guide_view import GuideScreen

        self._open(GuideScreen)

    async def action_elsewhere(self, step: str, action: str) -> None:
        """An action of another screen: go there, and do it if it can be done now."""
        if self.current_mode != step:
            await self.switch_mode(step)
        elif len(self.screen_stack) > 1:
            self.action_go(step)
        _, name, parameters = parse(action)
        if self.screen.check_action(name, parameters):
            await self.run_action(action, self.screen)
        else:
            self.notify("That is not possible as things stand now.", severity="warning", markup=False)
