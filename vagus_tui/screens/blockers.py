"""Who is in the way: whoever holds a lock on the workout tables, looked at again every second."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable

from vagus_tui.database.connection import APPLICATION_NAME
from vagus_tui.format import clock, plural
from vagus_tui.migration.blockers import Blocker
from vagus_tui.remedies.sessions import cancel, in_the_way
from vagus_tui.screens.base import WizardScreen
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.text import safe_block, safe_str
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

INTERVAL_SECONDS = 1.0
LINGERS_SECONDS = 3.0
"""So long do our own looks at the tables take at most, as a rule."""
COLUMNS = (
    Column("PID", 8, right=True),
    Column("Who", 22),
    Column("State", 20),
    Column("Open for", 9, right=True),
    Column("Query", wide_only=100),
)


_OURS = (
    "This is vagus-tui: a run or checks in another window or on another machine, or what a killed one has left in the "
    "server. Ask whoever runs it before you end it. Before its commit all that it did is undone."
)
_PREPARED = (
    "It has no session, and never ends by itself: it holds its locks, over restarts too, until somebody ends it by its "
    "name. Ask its owner whether it is to be committed. e rolls it back, where you may."
)


def _is_vagus(one: Blocker) -> bool:
    return one.application.startswith(APPLICATION_NAME)


def _prepared_facts(one: Blocker) -> str:
    return f"Prepared transaction {one.gid} · owner {one.user}\nPrepared {clock(one.seconds)} ago · {one.query}"


class BlockersScreen(WizardScreen):
    """The sessions, the longest transaction first; each can be cancelled or ended after a question."""

    AUTO_FOCUS = "#blockers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("c", "cancel_query", "cancel its query", tooltip="what it runs now is stopped; it stays connected"),
        Binding("e", "end_session", "end the session", tooltip="its transaction is rolled back by the server"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found: tuple[Blocker, ...] = ()
        self._prepared = False

    def compose(self) -> ComposeResult:
        """The table, and below or beside it the one under the cursor."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("In the way of the cut-over")
            yield WaitLine(self.session)
            with Vertical(classes="split"):
                yield Rows(COLUMNS, id="blockers")
                yield DetailPanel(id="blocker-detail")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Look now, and again and again."""
        self._look()
        self.set_interval(INTERVAL_SECONDS, self._look)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The acts need somebody to act on; a prepared transaction runs nothing that could be cancelled."""
        if action == "cancel_query":
            return self.selected is not None and not self.selected.gid
        return bool(self.found) if action == "end_session" else True

    def _look(self) -> None:
        if self.is_current:
            self.attempt(self._read, group="look", exclusive=True)

    async def _read(self) -> None:
        # Not a context: reading the state would wait for the very lock that is asked about.
        async with self.session.connection("who is in the way") as connection:
            everybody = await in_the_way(connection)
        had = bool(self.found)
        self.found = tuple(one for one in everybody if not (_is_vagus(one) and self._passing(one)))
        self.query_one("#blockers", Rows).set_rows(
            [
                Row(
                    one.key,
                    (
                        "–" if one.gid else str(one.pid),
                        one.gid or one.application or one.user,
                        one.state,
                        clock(one.seconds),
                        one.query,
                    ),
                )
                for one in self.found
            ]
        )
        summary = (
            f"{plural(len(self.found), self._what())} with a lock on the workout tables" if self.found else "nobody"
        )
        self.query_one(TitleLine).set_summary(summary)
        self._explain()
        if had != bool(self.found):
            self.refresh_bindings()

    def _passing(self, one: Blocker) -> bool:
        """Whether a session of the program is that of our own run, or of a look that is over in a moment."""
        return self.session.lock_ours or one.seconds < LINGERS_SECONDS

    def _what(self) -> str:
        return "transaction" if any(one.gid for one in self.found) else "session"

    @property
    def selected(self) -> Blocker | None:
        """The session under the cursor."""
        key = self.query_one("#blockers", Rows).selected
        return next((one for one in self.found if one.key == key), None)

    @on(DataTable.RowHighlighted, "#blockers")
    def _explain(self) -> None:
        one = self.selected
        if (kind := bool(one and one.gid)) != self._prepared:
            self._prepared = kind
            self.refresh_bindings()
        panel = self.query_one("#blocker-detail", DetailPanel)
        if one is None:
            panel.show(Content("Nobody holds a lock on the workout tables: the cut-over would get its own at once."))
            return
        if one.gid:
            panel.show(Content("\n\n").join((safe_block(_prepared_facts(one), "bold"), safe_block(_PREPARED))))
            return
        facts = (
            f"PID {one.pid} · user {one.user or 'unnamed'} · {one.application or 'no application name'}\n"
            f"{one.state or 'at work'} · its transaction has been open for {clock(one.seconds)}"
        )
        parts = [safe_block(facts, "bold")]
        if _is_vagus(one):
            parts.append(Content(_OURS))
        panel.show(Content("\n\n").join((*parts, safe_block(one.query or "No query is shown."))))

    def action_cancel_query(self) -> None:
        """Stop what the selected session runs."""
        self.attempt(self._stop(self.selected, end=False), group="act", exclusive=False)

    def action_end_session(self) -> None:
        """End the selected session."""
        self.attempt(self._stop(self.selected, end=True), group="act", exclusive=False)

    async def _stop(self, one: Blocker | None, *, end: bool) -> None:
        if one is None:
            return
        who = safe_str(one.gid or one.application or one.user or "unnamed", limit=60)
        idle = one.state.startswith("idle")
        words = "is ended; the server rolls its transaction back, and its client has to connect again"
        if not end and not idle:
            words = "loses the query it runs now, which its client sees as an error; it stays connected"
        elif not end:
            words = f"runs nothing that could be cancelled, so it {words}"
        title = f"End PID {one.pid}" if end or idle else f"Cancel the query of PID {one.pid}"
        if one.gid:
            title = "Roll the prepared transaction back"
            words = "is rolled back: what its application had promised to commit is lost, so ask its owner first"
        ours = f"{_OURS}\n\n" if _is_vagus(one) else ""
        body = (
            f"{who}, {one.state or 'at work'}, {clock(one.seconds)}: it {words}.\n\n"
            f"{ours}{safe_str(one.query, limit=400)}"
        )
        if self.session.production:
            sure = await self.confirm_destructive(title, safe_block(body), yes=title, no="Leave it")
        else:
            # Not “Cancel”: beside an act that cancels it could be taken for either.
            sure = await self.ask(ConfirmDialog(title, safe_block(body), yes=title, no="Leave it", danger=True))
        if sure:
            async with self.session.connection("stop a session") as connection:
                await cancel(connection, one, end=end)
            self.notify("It was rolled back." if one.gid else f"PID {one.pid} was told to stop.", markup=False)

    def action_back(self) -> None:
        """Back to the migration."""
        if self.is_active:
            self.dismiss(None)
