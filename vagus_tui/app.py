"""The wizard: one app, ten screens, one session that outlives them all.

Started by `run_wizard` on the database of the settings, or by `run_demo` on an embedded one that it starts and,
however it ends, stops.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import Screen

from vagus_tui.errors import VagusError
from vagus_tui.events import Event, NoteEvent, Status
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.runbook.view_help import VIEW_HELP
from vagus_tui.screens.crash import crash_text, killed_text
from vagus_tui.screens.demo import Demo
from vagus_tui.screens.dialogs import ConfirmDialog, LossDialog, MessageDialog
from vagus_tui.screens.messages import SessionChanged
from vagus_tui.screens.moving import STEPS, Moving
from vagus_tui.screens.palette import WizardCommands
from vagus_tui.session.pauses import LOOK_SECONDS, Pauses
from vagus_tui.session.session import Link, Session, Topic, ended
from vagus_tui.settings import Settings
from vagus_tui.widgets.terminal import die_of, drawing_driver
from vagus_tui.widgets.text import safe_str
from vagus_tui.widgets.theme import DARK, LIGHT

if TYPE_CHECKING:
    from vagus_tui.sandbox import SandboxOptions


def _stylesheet() -> Path:
    """`screens.css`: beside the package in the source tree, inside it once installed."""
    here = Path(__file__).parent
    inside = here / "screens.css"
    return inside if inside.exists() else here.parent / "screens.css"


OPENING_SECONDS = 0.5
"""From the first painting on, until what is opened has come to rest."""
TOUR_RETRY_SECONDS = 0.2
"""How long until it is looked again whether the connection stands."""


class VagusApp(Moving):
    """The wizard as a Textual app.

    Args:
        settings: the operator's settings; in a demo the address comes from the sandbox.
        sandbox: start an embedded database and work on that.
        traffic_rate: let made-up users work on the sandbox meanwhile, so many requests per second.
        tour: show the first-time tour to an operator who has not seen it.
    """

    TITLE = "vagus-tui"
    CSS_PATH = _stylesheet()
    COMMANDS: ClassVar[set[Any]] = {WizardCommands}
    COMMAND_PALETTE_BINDING = "ctrl+p"
    ENABLE_COMMAND_PALETTE = True
    NOTIFICATION_TIMEOUT = 4

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str((number + 1) % 10), f"go('{step.value}')", step.label, show=False)
            for number, step in enumerate(STEPS)
        ),
        Binding("ctrl+down", "turn(1)", "Next screen", show=False),
        Binding("ctrl+up", "turn(-1)", "Previous screen", show=False),
        Binding("G", "guide", "The whole guide, and how it stands", show=False),
        Binding("i", "runbook", "Runbook: contacts, questions, risks", show=False),
        Binding("T", "timeline", "Timeline: what is due when", show=False),
        Binding("P", "plans", "Look at plans: v1 beside v2", show=False),
        Binding("W", "watch", "Watch: checks that run by themselves", show=False),
        Binding("A", "acknowledge", "seen", tooltip="acknowledge the alarm"),
        Binding("question_mark", "help", "help", key_display="?"),
        Binding("ctrl+p", "command_palette", "palette", key_display="^p"),
        Binding("q,ctrl+q", "quit", "Quit", show=False),
        Binding("ctrl+c", "quit", "Quit", show=False, system=True),
    ]

    def __init__(
        self,
        settings: Settings,
        *,
        sandbox: SandboxOptions | None = None,
        traffic_rate: float | None = None,
        tour: bool = False,
    ) -> None:
        super().__init__(driver_class=drawing_driver())
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (70, "-normal"), (110, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-medium"), (32, "-tall")]
        self.settings = settings
        self.demo = Demo(sandbox, traffic_rate) if sandbox is not None else None
        self.tour_wanted = tour
        self.session = Session(settings, self._session_changed)
        self.pauses = Pauses()
        self.guide_at = ""
        self._rung = 0
        self._said: dict[str, float] = {}
        self._starting: asyncio.Task[None] | None = None
        self._ending = False
        self.opened = False
        self._ended = False
        self._end_lock = asyncio.Lock()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name

    def get_default_screen(self) -> Screen[Any]:
        """The demo opens with the sandbox starting; the wizard goes straight to its overview."""
        from vagus_tui.screens.starting import StartingScreen

        return StartingScreen()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own colours, so that the stylesheet parses under any theme."""
        return {"production": "#a3222c", "production-text": "#ffffff", "rule": "#333c45"}

    def on_mount(self) -> None:
        """Start what is to be worked on."""
        self.set_interval(LOOK_SECONDS, self.pauses.look)
        self.call_after_refresh(self.set_timer, OPENING_SECONDS, self._has_opened)
        self.session.set_standing(Step.OVERVIEW, Status.RUNNING, "reading")
        if self.demo is not None:
            self.start_demo()
        else:
            self.session.connect()
            self.switch_mode(Step.OVERVIEW.value)
            self.call_after_refresh(self._offer_tour)

    # The demo

    def start_demo(self) -> None:
        """Start the embedded database in the background; the starting screen shows how it goes."""
        if self.demo is not None and (self._starting is None or self._starting.done()):
            self.demo.lines.clear()
            self._starting = asyncio.create_task(self._start_demo(self.demo), name="start sandbox")

    async def _start_demo(self, demo: Demo) -> None:
        from vagus_tui.screens.starting import SandboxNews

        screen = self.screen_stack[0]
        try:
            settings = await demo.start(self.settings, lambda: screen.post_message(SandboxNews()))
        except Exception as error:
            screen.post_message(SandboxNews(error))
            return
        self.session.connect(settings)
        await demo.let_users_work()
        self.switch_mode(Step.OVERVIEW.value)
        self.call_after_refresh(self._offer_tour)

    # The session

    def _session_changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        if not self.is_running or self._ending:
            return
        if self.session.rung > self._rung:
            self._rung = self.session.rung
            self.bell()
        if Topic.SAID in topics:
            for event in events:
                if isinstance(event, NoteEvent):
                    self.notify(event.message, timeout=8, markup=False)
        if Topic.LINK in topics and self.session.link is Link.UP and isinstance(self.screen, LossDialog):
            self.screen.answer(None)
        for screen in self.screen_stack:
            screen.post_message(SessionChanged(topics, events))

    async def on_event(self, event: events.Event) -> None:
        """Keys and the mouse tell that somebody waits for an answer."""
        if isinstance(event, events.InputEvent):
            self.pauses.touch()
        await super().on_event(event)

    def notify(self, message: str, **options: Any) -> None:
        """Say something in passing: harmless whatever is in it, and once as long as it is there.

        A key that is held down would cover the window with it.
        """
        said, now = safe_str(message, limit=2000, lines=True), time.monotonic()
        self._said = {words: until for words, until in self._said.items() if until > now}
        if said not in self._said:
            self._said[said] = now + (options.get("timeout") or self.NOTIFICATION_TIMEOUT)
            super().notify(said, **{**options, "markup": False})

    def clear_notifications(self) -> None:
        """Whatever was said may be said again."""
        self._said.clear()
        super().clear_notifications()

    def show_error(self, error: BaseException) -> None:
        """What happened, what state it left, what to do next; once, where a key that is held down meets it again."""
        from vagus_tui.screens.base import error_text

        said = error_text(error)
        if not (isinstance(self.screen, MessageDialog) and self.screen.body == said):
            self.push_screen(MessageDialog("That did not work", said, danger=True))
        self.session.wake()

    def show_loss(self, error: BaseException) -> None:
        """What could not be read for want of a connection: once, however much could not, and as long as it is gone."""
        from vagus_tui.screens.base import error_text

        if not any(isinstance(screen, LossDialog) for screen in self.screen_stack):
            said = Content("\n\n").join((error_text(error), Content("It is read again once the connection is back.")))
            self.push_screen(LossDialog("That did not work", said, danger=True))
        self.session.wake()

    # What every screen has

    def action_acknowledge(self) -> None:
        """Every alarm has been seen."""
        self.session.acknowledge()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is something to acknowledge only while there is an alarm."""
        if action == "acknowledge":
            return bool(self.session.alarms)
        return super().check_action(action, parameters)

    def _offer_tour(self) -> None:
        """The tour, once per operator; never over an error that should be read first."""
        from vagus_tui.screens.toured import has_toured, remember

        if not self.tour_wanted or has_toured(self.settings.operator):
            return
        if self.session.link is Link.CONNECTING:
            self.set_timer(TOUR_RETRY_SECONDS, self._offer_tour)
        elif self.session.link is Link.UP and self.current_mode == Step.OVERVIEW.value:
            remember(self.settings.operator)
            self.action_tour()

    def action_tour(self) -> None:
        """The tour, as often as wanted."""
        from vagus_tui.screens.tour import TourScreen

        self.push_screen(TourScreen())

    def action_help(self) -> None:
        """What the screen is for and what its keys do."""
        from vagus_tui.screens.help import HelpScreen, keys_of

        topic: str = getattr(self.screen, "HELP", "") or VIEW_HELP.get(type(self.screen).__name__, "")
        step = Step(self.current_mode) if self.current_mode in self.MODES and not topic else None
        self.push_screen(HelpScreen(step, keys_of(self.screen), topic=topic))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """None of the toolkit's own: the palette shows what the wizard can do."""
        yield from ()

    def action_light(self) -> None:
        """For terminals with a light background, and back."""
        self.theme = LIGHT.name if self.theme == DARK.name else DARK.name

    def action_picture(self) -> None:
        """Save the window as an SVG picture beside the backups, for a ticket or a hand-over."""
        folder = self.session.settings.backup_dir
        try:
            folder.mkdir(parents=True, exist_ok=True)
            saved = self.save_screenshot(path=str(folder))
        except OSError as error:
            self.notify(f"Not saved: {error.strerror}.", severity="error", markup=False)
            return
        self.notify(f"Saved {saved}", markup=False)

    # The end

    def _fatal_error(self) -> None:
        """A defect of ours has ended the program: say so, without what Textual would print.

        That is every local variable of every frame, and the address with its password is one of them.
        """
        error = sys.exc_info()[1]
        assert error is not None
        self.bell()
        self._return_code = VagusError.exit_status
        self._exit_renderables.append(Text(crash_text(error)))
        self._close_messages_no_wait()

    def _has_opened(self) -> None:
        self.opened = True

    async def action_quit(self) -> None:
        """Quit; where a job runs, say first what happens to it."""
        job = self.session.job
        if any(isinstance(screen, ConfirmDialog) and screen.id == "quit" for screen in self.screen_stack):
            return
        if job is None or not job.running:
            self.exit(0)
            return

        def answered(quit_now: bool | None) -> None:
            if quit_now:
                self.exit(0)

        dialog = ConfirmDialog(
            f"Quit? {job.title} is running",
            job.on_quit or "It is stopped at the next point where it can stop cleanly.",
            yes="Stop it and quit",
            no="Stay",
            danger=True,
        )
        dialog.id = "quit"
        self.push_screen(dialog, answered)

    async def on_unmount(self) -> None:
        """The app has ended, in whatever way."""
        await self.close_everything()

    async def close_everything(self) -> None:
        """Stop the job, the session and the sandbox. Whoever calls second waits until the first is through."""
        self._ending = True
        async with self._end_lock:
            if self._ended:
                return
            if self._starting is not None and not self._starting.done():
                await ended([self._starting])
            try:
                await self.session.close()
            finally:
                if self.demo is not None:
                    await self.demo.stop()
                self._ended = True


def _die(app: VagusApp, number: int, words: str) -> None:
    die_of(number, app._driver, words)


def _interrupted(app: VagusApp) -> None:
    """Quit; at once where nothing is at work yet, or where quitting takes too long for whoever asks again.

    An app that is told to end while its first screen is being put together may never come to its end.
    """
    if app.opened and not app._ending:
        app.call_later(app.action_quit)
    else:
        _die(app, signal.SIGINT, killed_text("Ctrl-C"))


def _die_in_order(app: VagusApp) -> None:
    """Whoever ends the program from outside gets their terminal back; Python would leave it in the wizard's mode.

    Ctrl-C is the key, also where it comes from outside: Python would cut off whatever is at work, in the middle of what
    is just being shown too.
    """
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, RuntimeError):
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGINT, _interrupted, app)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Not every system has both, nor can every loop hear them; what nohup has silenced stays silent.
        with contextlib.suppress(NotImplementedError, RuntimeError):
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, _die, app, number, killed_text(name))


async def _run(app: VagusApp) -> int:
    _die_in_order(app)
    app.pauses.begin()
    try:
        return await app.run_async() or app.return_code or 0
    finally:
        await app.close_everything()
        app.pauses.end()


def run_wizard(settings: Settings) -> int:
    """Run the wizard on the database of the settings; returns the exit status."""
    return asyncio.run(_run(VagusApp(settings, tour=True)))


def run_demo(settings: Settings, options: SandboxOptions, *, traffic_rate: float | None = None) -> int:
    """Run the wizard on an embedded PostgreSQL filled with sample data; returns the exit status."""
    app = VagusApp(settings, sandbox=options, traffic_rate=traffic_rate, tour=True)
    status = asyncio.run(_run(app))
    if options.keep and app.demo is not None and app.demo.sandbox is not None:
        print(f"The database's files and its backups are in {app.demo.sandbox.server.folder}")
    return status
