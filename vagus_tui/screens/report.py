"""Report: the journal as a story, newest first where it matters, and its export."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable, OptionList
from textual.widgets.option_list import Option

from vagus_tui.events import Event, Status
from vagus_tui.format import duration, moment, plural
from vagus_tui.report.contents import Report, Section, make_report
from vagus_tui.report.files import FORMATS, default_path, folder_words, save
from vagus_tui.report.lines import spelled
from vagus_tui.report.notes import note_in_words
from vagus_tui.report.text import as_text
from vagus_tui.report.words import clean
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.base import StepScreen
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.editing import PathDialog
from vagus_tui.screens.text_view import TextView
from vagus_tui.session.session import Topic
from vagus_tui.settings import whole_path
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.hanging import Hanging
from vagus_tui.widgets.marks import STYLES
from vagus_tui.widgets.pointer import PointedList
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.text import safe, safe_block, safe_str

COLUMNS: dict[str, tuple[tuple[str, ...], tuple[Column, ...]]] = {
    "story": (("at", "what", "who"), (Column("When", 11), Column("What happened"), Column("By", 7, wide_only=44))),
    "proof": (
        ("table", "rows_compared", "outcome", "seconds", "at"),
        (Column("Table"), Column("Rows", 11, right=True), Column("Outcome", 14), Column("Took", 9, right=True),
         Column("When", 16, wide_only=64)),
    ),
    "carried": (
        ("table", "new_rows", "changed_rows", "deleted_in_v2", "rolled_back_at"),
        (Column("Table"), Column("New", 9, right=True), Column("Changed", 9, right=True),
         Column("Deleted", 9, right=True), Column("When", 16, wide_only=64)),
    ),
    "performance": (
        ("page", "before", "after", "status"),
        (Column("Page"), Column("Before", 14), Column("After", 18), Column("Status", 6)),
    ),
    "files": (
        ("file", "bytes", "sha256"),
        (Column("File"), Column("Bytes", 14, right=True), Column("SHA-256", 20, wide_only=64)),
    ),
    "runs": (
        ("kind", "status", "phase", "operator", "seconds", "started_at"),
        (Column("Run", 9), Column("Status", 11), Column("Phase", 9, wide_only=64), Column("By"),
         Column("Took", 9, right=True), Column("Begun", 16)),
    ),
    "steps": (
        ("phase", "step", "state", "rows", "seconds"),
        (Column("Phase", 9), Column("Step"), Column("State", 7), Column("Rows", 11, right=True),
         Column("Took", 9, right=True)),
    ),
    "checks": (
        ("check", "status", "measured", "expected", "at"),
        (Column("Check", 24), Column("Status", 6), Column("Measured"), Column("Expected", 16, wide_only=80),
         Column("When", 16, wide_only=64)),
    ),
    "overrides": (
        ("check", "reason", "operator", "at"),
        (Column("Check", 22), Column("Reason"), Column("By", 10), Column("When", 16, wide_only=64)),
    ),
    "sign_offs": (
        ("title", "ticked", "operator", "at"),
        (Column("Item"), Column("Signed", 6), Column("By", 10), Column("When", 16)),
    ),
    "acceptance": (
        ("step", "verdict", "profile", "operator", "at"),
        (Column("Step"), Column("How", 5), Column("Profile", 26, wide_only=100), Column("By", 10),
         Column("When", 16, wide_only=64)),
    ),
    "backups": (
        ("path", "verified_at", "restored_at", "damage", "at"),
        (Column("Where"), Column("Verified", 16), Column("Restored", 16, wide_only=80),
         Column("Damage", 12, wide_only=64), Column("Made", 16)),
    ),
    "fixes": (
        ("remedy", "action", "table", "rows", "put_back"),
        (Column("Fix"), Column("What", 9), Column("Table", 16, wide_only=64), Column("Rows", 9, right=True),
         Column("Put back", 9, right=True)),
    ),
    "notes": (("topic", "body", "operator", "at"),
              (Column("Topic", 18, wide_only=80), Column("Note"), Column("By", 10, wide_only=64), Column("When", 16))),
}  # fmt: skip
"""Per section which columns are shown, and how."""

FOR_THE_PAGE = ("tone",)
"""Columns that only colour the HTML page."""

IN_ORDER = ("story", "proof", "carried", "checks", "performance", "files")
"""Sections in an order of their own; the others show the latest first."""


def _in_a_line(topic: str, body: str) -> str:
    """What a note says: the program's own in words, as in the story; of any other its topic and what it holds."""
    words, _ = note_in_words(topic, json.loads(body))
    return words or f"{topic}: {'; '.join(line.strip() for line in spelled(body))}"


def _in_full(value: object) -> Content:
    """A value of the selected row; what the journal keeps as JSON line by line, as the written report has it."""
    kept = isinstance(value, str) and value[:1] in ("{", "[", '"')
    return safe_block("\n".join(spelled(str(value)))) if kept else safe(clean(value), limit=2000)


class _Sections(PointedList):
    """Its Enter is told at the bottom."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select", "its entries")]


class ReportScreen(StepScreen):
    """The story first, then the journal's sections; their rows at the right, the selected row in full below."""

    STEP = Step.REPORT
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "save", "write to a file"),
        Binding("t", "read", "read it all"),
        Binding("c", "copy", "copy it all"),
        Binding("p", "put_back", "put back", tooltip="entries that only the copy on this machine still has"),
        Binding("r", "reload", "read again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.report: Report | None = None
        self.shown = "story"
        self.forgotten = 0

    def compose_body(self) -> ComposeResult:
        """The sections and the rows of one."""
        yield _Sections(id="sections", markup=False)
        with Vertical(id="report", classes="split"):
            yield Rows(COLUMNS["story"][1], id="entries")
            yield DetailPanel(id="entry-detail")

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """What was written to the journal meanwhile is read again."""
        written = {Topic.STATE, Topic.SIGN_OFFS, Topic.OVERRIDES, Topic.BACKUPS, Topic.LINK, Topic.PLANNED, Topic.TEXTS}
        ended = Topic.JOB in topics and not self.session.busy
        if self.session.state is not None and self.is_current and (topics & written or ended):
            self.action_reload()

    def action_reload(self) -> None:
        """Read the journal."""
        self.read(self._load, group="report")

    async def _load(self) -> None:
        session = self.session
        if session.database is None:
            return
        async with session.connection("report") as connection:
            self.report = await make_report(connection, session.database, session.settings)
            copy = session.local_copy
            self.forgotten = len(await copy.missing(connection)) if copy is not None else 0
        self._fill_sections()
        self._fill_rows()
        entries = sum(len(section.rows) for section in self.report.sections)
        if self.forgotten:
            words = f"{plural(self.forgotten, 'entry', 'entries')} only in the local copy: p puts back"
            self.say(Content.styled(words, STYLES[Status.WARN]))
        elif session.local_copy is not None and session.local_copy.problem:
            self.say(Content.styled("the local copy cannot be written", STYLES[Status.WARN]))
        else:
            self.say(plural(entries, "entry", "entries"))
        runs = self.report.section("runs").rows
        self.session.set_standing(
            self.STEP, Status.PASS if runs else Status.PENDING, plural(len(runs), "run") if runs else ""
        )
        self.refresh_bindings()

    def _fill_sections(self) -> None:
        assert self.report is not None
        options = self.query_one("#sections", OptionList)
        counts = {section.key: f"{len(section.rows):,}" for section in self.report.sections}
        widest = max(len(count) for count in counts.values())
        lines = [
            (section.key, f"{counts[section.key]:>{widest}}  {section.title.partition(':')[0]}")
            for section in self.report.sections
        ]
        if options.option_count == len(lines):
            for key, line in lines:
                options.replace_option_prompt(key, Content(line))
            return
        options.clear_options()
        options.add_options(Option(Content(line), id=key) for key, line in lines)
        options.highlighted = 0

    @on(OptionList.OptionHighlighted, "#sections")
    def _section_at(self, event: OptionList.OptionHighlighted) -> None:
        self.shown = event.option_id or "story"
        self._fill_rows()

    @on(OptionList.OptionSelected, "#sections")
    def _section_chosen(self) -> None:
        self.query_one("#entries", Rows).focus()

    @property
    def section(self) -> Section | None:
        """The section that is shown."""
        return self.report.section(self.shown) if self.report is not None else None

    def _fill_rows(self) -> None:
        section = self.section
        if section is None:
            return
        names, columns = COLUMNS[self.shown]
        rows: list[Row] = []
        for number, record in enumerate(section.rows):
            values = dict(zip(section.columns, record, strict=True))
            if self.shown == "notes":
                values["body"] = _in_a_line(values["topic"], values["body"])
            rows.append(Row(str(number), tuple(self._shown(name, values.get(name)) for name in names)))
        ordered = rows if self.shown in IN_ORDER else rows[::-1]
        self.query_one("#entries", Rows).set_columns(columns, ordered)
        self._explain()

    def _shown(self, name: str, value: object) -> object:
        zone = self.session.settings.timezone
        if isinstance(value, datetime):
            # The story is long and of few weeks: the year is in the detail.
            return moment(value, zone)[5:] if self.shown == "story" else moment(value, zone)
        if name == "seconds":
            return duration(value)  # type: ignore[arg-type]
        return "–" if value is None else clean(value) if isinstance(value, bool) else value

    @on(DataTable.RowHighlighted, "#entries")
    def _explain(self) -> None:
        section = self.section
        panel = self.query_one("#entry-detail", DetailPanel)
        key = self.query_one("#entries", Rows).selected
        if section is None or key is None or not section.rows or int(key) >= len(section.rows):
            panel.show(Content(section.empty if section is not None else ""))
            return
        known = [
            (safe_str(name).replace("_", " "), value)
            for name, value in zip(section.columns, section.rows[int(key)], strict=True)
            if value not in (None, "", "{}") and name not in FOR_THE_PAGE
        ]
        if section.key == "notes":
            # The table has room for its beginning alone; what may be long stands last.
            topic, body, *rest = known
            known = [("note", _in_a_line(str(topic[1]), str(body[1]))), topic, *rest, body]
        label = max((len(name) for name, _ in known), default=0)
        panel.show(
            Hanging([(Content.styled(f"{name:<{label}}  ", "$text-muted"), _in_full(value)) for name, value in known])
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing to save before anything was read, nothing to put back where nothing is missing."""
        if action == "put_back":
            return self.forgotten > 0
        if action in ("save", "read", "copy"):
            return True if self.report is not None else None
        return True

    def action_put_back(self) -> None:
        """Put back what only the local copy still has."""
        self.attempt(self._put_back, group="save", exclusive=True)

    async def _put_back(self) -> None:
        copy = self.session.local_copy
        if copy is None:
            return
        body = (
            f"The journal in this database does not have {plural(self.forgotten, 'entry', 'entries')} that the copy on "
            "this machine has, as after a restore. They are added as history: told in the report, and counted for "
            "nothing. Nothing is overwritten."
        )
        if await self.ask(ConfirmDialog("Put the entries back?", body, yes="Put them back")):
            async with self.session.connection("journal") as connection:
                await copy.put_back(connection, self.session.settings.operator)
            # In place of a reading that may be under way, of what was there before.
            self.action_reload()

    def action_read(self) -> None:
        """The whole report as text."""
        if self.report is not None:
            self.open_window(TextView("Report", as_text(self.report)))

    def action_copy(self) -> None:
        """The whole report to the clipboard."""
        if self.report is not None:
            self.app.copy_to_clipboard(as_text(self.report))
            self.notify("Copied.", timeout=2, markup=False)

    def action_save(self) -> None:
        """Ask where to, and write it."""
        self.attempt(self._save, group="save", exclusive=True)

    async def _save(self) -> None:
        if self.report is None:
            return
        proposed = default_path(self.report, self.session.settings.backup_dir)
        body = safe_block(
            f"The name decides the form: .html, .json or .txt ({', '.join(FORMATS)}). It holds no secrets."
        )
        named = await self.ask(PathDialog("Write the report", body, yes="Write it", value=str(proposed)))
        if named:
            path = whole_path(named)
            made = folder_words(path)
            save(self.report, path)
            self.notify(f"Written to {path}.{made}", timeout=8 if made else 4, markup=False)
