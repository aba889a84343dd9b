"""What every wizard screen has in common. How a screen is made:

1. Put one class into `screens/<step>.py`: `class BackupScreen(StepScreen)`, with `STEP = Step.BACKUP`. The app finds
   it by that name (`screens/backup.py`, `BackupScreen`) when it is first visited.
2. Yield the content in `compose_body`: header, rail, title, lock panel and footer are there already. Everything from
   outside passes `widgets.text.safe` (Content for Static, Label, Button, DataTable cells) or `safe_str`.
3. `changed(topics, events)` is called on the first visit, on every return (with every topic and no events) and whenever
   the session has news: bring the widgets up to date there from `self.session`, never from memory of one's own.
   `events` are CheckEvents (Topic.CHECKS) and the job's events (Topic.JOB). `entered()` is called on each visit.
4. Keys are `Binding("b", "back_up", "back up")` on the class and `action_back_up`; the description goes into footer,
   `?` and palette. `check_action` hides (False) or dims (None) them; call `self.refresh_bindings()` after a change.
5. What awaits the database goes through `self.attempt(self._do_it())`: a worker of this screen whose errors become a
   dialog; what only reads, through `self.read(self._load)`: once a lost connection is back, it is read again. Inside,
   dialogs are asked with `await self.ask(ConfirmDialog(…))`, destructive ones in production with
   `await self.confirm_destructive(…)`.
6. What takes long is a job of the session: `self.session.start_job("backup", lambda control: make_backup(…, control),
   title="Backup", on_quit="The unfinished backup is deleted.")`. Then read `self.session.job` (steps, notes, result,
   error, elapsed, control) in `changed`. It goes on when the screen is left.
7. `self.session.set_standing(Step.BACKUP, Status.PASS, "verified")` puts the mark and the word on the rail;
   `self.say("26 min old")` fills the title line's right end. `self.session.locks(step)` are the gates in the way.
8. Check tables: `widgets.check_table.CheckTable` with `widgets.detail_panel.DetailPanel`, or `CheckScreen` of
   `screens/check_screen.py` for a whole screen of checks. Put the pair into a `Vertical(classes="split")`: it stands
   side by side from 110 columns on and one above the other below that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import asyncpg
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.css.query import NoMatches
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.worker import Worker

from vagus_tui.errors import RIGHTS_ELSEWHERE, ConnectionFailedError, ConnectionLostError, VagusError, account
from vagus_tui.events import Event
from vagus_tui.format import first_upper
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.dialogs import ConfirmDialog, Dialog, MessageDialog, TypedConfirmDialog
from vagus_tui.screens.messages import SessionChanged
from vagus_tui.session.session import Link, Session, Topic
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.lock_panel import LockPanel
from vagus_tui.widgets.rail import Rail
from vagus_tui.widgets.text import safe_block
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.too_small import TooSmall
from vagus_tui.widgets.wait_line import WaitLine

if TYPE_CHECKING:
    from vagus_tui.app import VagusApp

Answer = TypeVar("Answer")
READING_SECONDS = 0.3
"""What is read within this time is there as soon as its window; of what takes longer it is said that it comes."""
EVERYTHING = frozenset(Topic)


def error_text(error: BaseException) -> Content:
    """What happened, what state it left, what to do: one paragraph each."""
    if isinstance(error, VagusError):
        parts = [part for part in (error.happened, error.state, error.next_step) if part]
        return Content("\n\n").join(safe_block(part) for part in parts)
    if isinstance(error, asyncpg.PostgresError):
        next_step = "The overview shows the state as it is now."
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            next_step = RIGHTS_ELSEWHERE
        return safe_block(f"{account(error)}\n\nThe statement was undone by the server.\n\n{next_step}")
    return safe_block(
        f"This should not have happened. {account(error)}\n\n"
        "What was under way in the database was undone by the server.\n\n"
        "The overview shows the state as it is now; please report this."
    )


def first_shown(widgets: Iterable[Widget]) -> Widget | None:
    """The first of them that takes the focus and is shown: Textual gives it to what is not displayed, too."""
    return next(
        (one for one in widgets if one.focusable and all(node.display for node in one.ancestors_with_self)), None
    )


class WizardScreen(Screen[None]):
    """A full window with the session at hand: header, content, footer. Steps and detail views build on it."""

    HELP: ClassVar[str] = ""
    """What `?` says about a view that is not one of the ten steps."""

    def __init__(self) -> None:
        super().__init__()
        self._unread: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {}
        self._under_way: set[object] = set()
        self._slow_reads: set[object] = set()

    @property
    def wizard(self) -> VagusApp:
        """The app, as what it is."""
        from vagus_tui.app import VagusApp

        assert isinstance(self.app, VagusApp)
        return self.app

    @property
    def session(self) -> Session:
        """What the wizard knows."""
        return self.wizard.session

    def on_key(self, event: events.Key) -> None:
        """A key always answers: one that is this screen's and does nothing now says so."""
        bound = self.active_bindings.get(event.key)
        if bound is not None and not bound.enabled and bound.binding.description:
            self.notify(f"{first_upper(bound.binding.description)}: not possible here now.", timeout=2, markup=False)

    @on(SessionChanged)
    def _header_follows(self, message: SessionChanged) -> None:
        """Alarms, and whose lock is waited for, are shown wherever one is."""
        if message.topics & {Topic.WATCH, Topic.LINK, Topic.STATE, Topic.WAITING, Topic.WRITING}:
            for header in self.query(HeaderLine):
                header.follow()
        if Topic.LINK in message.topics and self.session.link is Link.UP:
            for group, work in tuple(self._unread.items()):
                self.read(work, group=group)
        if Topic.WAITING in message.topics:
            for line in self.query(WaitLine):
                line.follow()

    def attempt(
        self,
        work: Coroutine[Any, Any, None] | Callable[[], Coroutine[Any, Any, None]],
        *,
        group: str = "attempt",
        exclusive: bool = False,
    ) -> Worker[None]:
        """Do something that may fail, without stopping the keys; a failure becomes a dialog.

        With `exclusive`, give a function rather than a coroutine: what is replaced may not have begun yet, and a
        coroutine that never begins is a fault.
        """
        return self.run_worker(partial(self._attempted, work), group=group, exclusive=exclusive, exit_on_error=False)

    async def _attempted(self, work: Coroutine[Any, Any, None] | Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await (work() if callable(work) else work)
        except Exception as error:
            # A window that was closed meanwhile has no place left for what was read for it.
            if self.is_attached or not isinstance(error, NoMatches):
                self.wizard.show_error(error)

    def read(self, work: Callable[[], Coroutine[Any, Any, None]], *, group: str = "read") -> Worker[None]:
        """As `attempt`, for what only reads: the latest of its group counts.

        What found no connection is read once it is back, so that no window stays empty for that.
        """
        self._unread.pop(group, None)
        return self.attempt(partial(self._reading, work, group), group=group, exclusive=True)

    async def _reading(self, work: Callable[[], Coroutine[Any, Any, None]], group: str) -> None:
        try:
            with self._said_if_slow():
                await work()
        except (ConnectionFailedError, ConnectionLostError) as error:
            self._unread[group] = work
            self.wizard.show_loss(error)

    @contextmanager
    def _said_if_slow(self) -> Iterator[None]:
        reading = object()

        def say(known: Callable[[object], None]) -> None:
            known(reading)
            for title in self.query(TitleLine):
                title.set_reading(bool(self._slow_reads))

        slow = self.set_timer(READING_SECONDS, partial(say, self._slow_reads.add))
        try:
            yield
        finally:
            slow.stop()
            say(self._slow_reads.discard)

    def open_window(self, window: Screen[Any], closed: Callable[[Any], None] | None = None) -> None:
        """Open a window over this one, unless something lies over it: a key that is held down comes again meanwhile."""
        # Not `is_current`: for Textual the screen right below the uppermost is current too.
        if self.is_active:
            self.app.push_screen(window, closed)

    @contextmanager
    def once(self, what: object) -> Iterator[None]:
        """What is begun again by a key that is held down is under way once; only inside `attempt`.

        Raises:
            CancelledError: it is under way already.
        """
        if what in self._under_way:
            raise asyncio.CancelledError
        self._under_way.add(what)
        try:
            yield
        finally:
            self._under_way.discard(what)

    async def ask(self, dialog: ModalScreen[Answer]) -> Answer:
        """Show a dialog and wait for its answer; only inside `attempt`.

        Raises:
            CancelledError: the same question is open already; or whoever began it is on another of the ten screens by
                now, and a question that comes up there would be answered with keys that were meant for something else.
        """
        if self not in self.app.screen_stack:
            self.app.notify("You had gone on to another screen: nothing was done.", markup=False)
            raise asyncio.CancelledError
        with self.once((type(dialog), dialog.dialog_title if isinstance(dialog, Dialog) else "")):
            return await self.app.push_screen_wait(dialog)

    async def confirm_destructive(self, title: str, body: Content | str, *, yes: str, no: str = "Cancel") -> bool:
        """Ask before an act that takes something away; in production the project's name has to be typed."""
        if self.session.production:
            return await self.ask(TypedConfirmDialog(title, body, expected=self.session.project, yes=yes, no=no))
        return await self.ask(ConfirmDialog(title, body, yes=yes, no=no, danger=True))

    async def tell(self, title: str, body: Content | str) -> None:
        """Something to be read; only inside `attempt`."""
        await self.ask(MessageDialog(title, body))


class StepScreen(WizardScreen):
    """One of the ten screens. See the module's text for how one is made."""

    STEP: ClassVar[Step]
    SHOW_BODY_WHEN_LOCKED: ClassVar[bool] = True
    AUTO_FOCUS = ""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back to the overview", show=False)]

    wanted: str = ""
    """What the cursor is to be put on as soon as it is there, see `reveal`."""

    def __init__(self) -> None:
        super().__init__()
        # Textual takes a new screen for one that missed a change of theme, and reads every stylesheet anew, twice.
        # It is Textual's own count: where a version of it has none, screens are slower and nothing else.
        self._css_update_count = getattr(self.app, "_css_update_count", -1)

    def compose(self) -> ComposeResult:
        """The frame around the step's own content."""
        yield HeaderLine(self.session)
        yield TooSmall()
        with Horizontal(id="frame"):
            yield Rail(self.session, self.STEP)
            with Vertical(id="content"):
                yield TitleLine(self.STEP.label)
                yield WaitLine(self.session)
                yield LockPanel(self.session, self.STEP)
                with Vertical(id="body"):
                    yield from self.compose_body()
        yield KeyFooter()

    def compose_body(self) -> ComposeResult:
        """The step's own content."""
        raise NotImplementedError

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Bring the widgets up to date; see the module's text."""

    def entered(self) -> None:
        """The screen is shown, for the first time or again."""

    def focus_first(self) -> None:
        """Put the focus where the next act is. By default: the first thing in the body that takes it."""
        if (first := first_shown(self.query("#body *"))) is not None:
            first.focus()

    def reveal(self, ref: str) -> bool:
        """Put focus and cursor on what an entry of the guide leads to; False where it is not there, or not yet."""
        return False

    def want(self, ref: str) -> None:
        """Put the cursor on something once it is there; what is read first comes a moment later."""
        self.wanted = ref
        self.reveal_wanted()

    def reveal_wanted(self) -> None:
        """After something was filled: it may be what is wanted."""
        if self.wanted and self.is_mounted and self.reveal(self.wanted):
            self.wanted = ""

    def on_screen_suspend(self) -> None:
        """Whoever leaves wants it no more."""
        self.wanted = ""

    def say(self, summary: Content | str) -> None:
        """What matters most right now, at the right end of the title line."""
        self.query_one(TitleLine).set_summary(summary)

    def on_mount(self) -> None:
        """Show what is known at once."""
        self._update(EVERYTHING, ())
        self.call_after_refresh(self._settle_focus)

    def on_resize(self) -> None:
        """The window has another size."""
        for line in self.query(TooSmall):
            line.decide()

    def _settle_focus(self) -> None:
        if self.focused is None and self.is_attached:
            panel = self.query_one(LockPanel)
            if panel.display:
                panel.focus_gates()
            else:
                self.focus_first()

    def on_screen_resume(self) -> None:
        """Shown again: what happened meanwhile is brought up to date."""
        if self.is_mounted:
            self._update(EVERYTHING, ())
            self.entered()
            self.call_after_refresh(self._settle_focus)

    @on(SessionChanged)
    def _session_changed(self, message: SessionChanged) -> None:
        self._update(message.topics, message.events)

    def _update(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        self.query_one(HeaderLine).follow()
        self.query_one(Rail).follow()
        self.query_one(WaitLine).follow()
        panel = self.query_one(LockPanel)
        locked = panel.update_gates()
        if not locked and self.focused is not None and panel in self.focused.ancestors:
            # The gates have opened, and with them went what had the keys.
            self.set_focus(None)
            self.call_after_refresh(self._settle_focus)
        self.query_one("#body").display = self.SHOW_BODY_WHEN_LOCKED or not locked
        self.changed(topics, events)
        self.reveal_wanted()
        self.refresh_bindings()

    @on(Rail.Chosen)
    def _chosen(self, message: Rail.Chosen) -> None:
        self.wizard.action_go(message.step.value)

    @on(LockPanel.OverrideAsked)
    def _override_asked(self, message: LockPanel.OverrideAsked) -> None:
        from vagus_tui.screens.acts import override_check

        self.attempt(override_check(self, message.event))

    @on(LockPanel.ToldMore)
    def _told_more(self, message: LockPanel.ToldMore) -> None:
        self.open_window(MessageDialog(message.event.title, message.text))

    def action_back(self) -> None:
        """One step back: from a step to the overview."""
        if self.STEP is not Step.OVERVIEW:
            self.wizard.action_go(Step.OVERVIEW.value)
