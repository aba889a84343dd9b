"""Rolling back from a backup: which backups there are, what each would cost, the act, how it ended."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from vagus_tui.events import Phase
from vagus_tui.format import duration, plural
from vagus_tui.rollback.backup_plan import plan_from_backup
from vagus_tui.rollback.candidates import Candidate, candidates
from vagus_tui.rollback.from_backup import roll_back_from
from vagus_tui.screens.cut_off import read_again
from vagus_tui.screens.job_acts import JobActs, show_choice
from vagus_tui.screens.messages import SessionChanged
from vagus_tui.screens.rollback_words import candidate_row, candidate_text, from_backup_happens
from vagus_tui.screens.text_view import TextView
from vagus_tui.session.job import Job
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.footer import KeyFooter
from vagus_tui.widgets.header import HeaderLine
from vagus_tui.widgets.job_view import JobView, PhaseLine
from vagus_tui.widgets.outcome import job_outcome
from vagus_tui.widgets.rows import Column, Rows
from vagus_tui.widgets.title import TitleLine
from vagus_tui.widgets.wait_line import WaitLine

JOB = "restore"
PHASES = (
    PhaseLine(Phase.VERIFY, "every byte read, restored locally, compared", "undo: no need", "read, compared"),
    PhaseLine(Phase.BUILD, "v1 made again aside", "undo: dropped", "v1 made aside"),
    PhaseLine(Phase.PROVE, "every row as the manifest has it", short="every row compared"),
    PhaseLine(Phase.ROLLBACK, "put in place; reads and writes wait", "undo: automatic", "put in place"),
    PhaseLine(Phase.SETTLE, "references checked"),
)
BACKUPS = (
    Column("", 1),
    Column("Backup"),
    Column("Age", 11),
    Column("State", 11, wide_only=100),
    Column("Proof", 10),
    Column("Rows fewer", 11, right=True),
)
FIGURES = ("writes_waited_seconds",)


class FromBackupScreen(JobActs):
    """The backups above, all about the selected one beside or below; while it runs, its phases."""

    jobs: ClassVar[tuple[str, ...]] = (JOB,)
    AUTO_FOCUS = "#backups"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "back", key_display="esc"),
        Binding("b", "roll_back", "roll back", tooltip="to the selected backup, after a question"),
        Binding("r", "reload", "look again"),
        Binding("s", "sql", "SQL"),
        Binding("x", "stop", "stop"),
        Binding("l", "log", "log"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Candidate] | None = None
        self._asked_after: Job | None = None

    def compose(self) -> ComposeResult:
        """List and detail; or the run, and how it ended."""
        yield HeaderLine(self.session)
        with Vertical(id="detail"):
            yield TitleLine("Roll back from a backup")
            yield WaitLine(self.session)
            with Vertical(classes="split", id="choice"):
                yield Rows(BACKUPS, id="backups")
                yield DetailPanel(id="backup-detail")
            with VerticalScroll(id="quick-text-scroll", can_focus=True):
                yield Static(id="quick-text")
            yield JobView(PHASES, id="run")
        yield KeyFooter()

    def on_mount(self) -> None:
        """Look for backups, and count the time while it runs."""
        self.follow_clock(lambda _: self._show())
        self._show()
        self.read(self._load, group="load")

    # What is the case

    @property
    def selected(self) -> Candidate | None:
        """The backup under the cursor."""
        key = self.query_one("#backups", Rows).selected
        return next((one for one in self.found or () if str(one.path) == key), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys that do something now."""
        if not self.is_mounted:
            return True
        busy = self.session.busy
        if action == "stop":
            return self.stoppable
        if action == "log":
            return self.job is not None
        if action in ("roll_back", "sql"):
            chosen = self.selected
            return False if self.running else (chosen is not None and chosen.usable and not busy) or None
        return not self.running if action == "reload" else True

    # Showing it

    async def _load(self) -> None:
        async with self.session.looking("backups to go back to", statement_timeout="120000") as context:
            self.found = await candidates(context.connection, context.database, context.settings)
        self._show()

    @on(SessionChanged)
    def _session_changed(self, message: SessionChanged) -> None:
        self.query_one(HeaderLine).refresh()
        self._show()
        job = self.job
        if job is not None and not job.running and self._asked_after is not job:
            self._asked_after = job
            self.read(self._load, group="load")

    def _show(self) -> None:
        if not self.is_attached:
            return
        job, view, text = self.job, self.query_one("#run", JobView), self.query_one("#quick-text", Static)
        show_choice(self.query_one("#choice"), self.query_one("#backups"), shown=not self.running)
        view.display = self.running
        self.query_one("#quick-text-scroll").display = job is not None and not job.running
        if job is not None:
            view.show(job)
            text.update(job_outcome(job, only=FIGURES, read_again=read_again(self.session, job)))
        self.query_one("#backups", Rows).set_rows([candidate_row(one) for one in self.found or ()])
        self.query_one(TitleLine).set_summary(self._summary())
        self._explain()
        self.refresh_bindings()

    def _summary(self) -> str:
        if self.job is not None and self.job.running:
            return f"elapsed {self.job.at}"
        if self.job is not None and self.job.ok:
            return f"done in {duration(self.job.elapsed)} · esc: what follows"
        if self.found is None:
            return "looking"
        return f"{plural(len(self.found), 'backup')} of this database"

    @on(DataTable.RowHighlighted, "#backups")
    def _explain(self) -> None:
        panel = self.query_one("#backup-detail", DetailPanel)
        chosen = self.selected
        if chosen is not None:
            panel.show(candidate_text(chosen, self.session.settings.timezone))
        elif self.found is not None:
            where = self.session.settings.backup_dir
            panel.show(Content(f"There is no backup of this database in {where}."))
        else:
            panel.show(Content("Looking at the backups, and counting the rows in use now."))
        self.refresh_bindings()

    # Acting

    def action_reload(self) -> None:
        """Look again: backups come and go, and rows are written."""
        self.read(self._load, group="load")

    def action_sql(self) -> None:
        """The plan, as far as it is known before the backup was restored."""
        self.attempt(self._sql, group="sql", exclusive=True)

    async def _sql(self) -> None:
        chosen = self.selected
        if chosen is None:
            return
        async with self.session.looking("rollback plan") as context:
            plan = await plan_from_backup(context.connection, chosen.path)
        self.open_window(TextView("Rollback from a backup", plan.sql_text(), language="sql"))

    def action_roll_back(self) -> None:
        """Ask, and do it."""
        self.attempt(self._roll_back, group="start", exclusive=True)

    async def _roll_back(self) -> None:
        session, chosen = self.session, self.selected
        database = session.database
        if chosen is None or database is None:
            return
        body = from_backup_happens(chosen)
        if not await self.confirm_destructive("Roll back from a backup", body, yes="Roll back", no="Leave it"):
            return
        session.start_job(
            JOB,
            lambda control: roll_back_from(database, session.settings, control, chosen.path),
            title=f"Rollback from {chosen.path.name}",
            on_quit="What was made aside is dropped; until the last moment nothing in use is touched.",
        )

    def action_back(self) -> None:
        """Back to where it was opened; a running rollback goes on."""
        if self.is_active:
            self.dismiss(None)
