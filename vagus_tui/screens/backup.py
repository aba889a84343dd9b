"""Backup: take one from one snapshot, read it back, restore it as a test; and those that there are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import ClassVar

import asyncpg
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, ContentSwitcher, DataTable, Static

from vagus_tui.backup.forecast import Forecast, read_forecast
from vagus_tui.backup.identity import Identity, read_identity
from vagus_tui.backup.listing import BackupInfo, list_backups
from vagus_tui.backup.make import make_backup
from vagus_tui.backup.options import ArchiveFormat, BackupOptions, Kind
from vagus_tui.backup.restore import restore_test
from vagus_tui.backup.upload import upload_backup
from vagus_tui.backup.verify import verify_backup
from vagus_tui.errors import VagusError
from vagus_tui.events import CheckEvent, Event, Phase
from vagus_tui.format import ago, duration, moment, plural, size
from vagus_tui.journal.state import State
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.backup_words import backup_text, can_be_rehearsed, checks_text
from vagus_tui.screens.base import StepScreen
from vagus_tui.screens.job_acts import JobActs
from vagus_tui.screens.rehearsal import JOB as REHEARSAL
from vagus_tui.screens.rehearsal import RehearsalScreen, job_title
from vagus_tui.session.job import BACKUP_JOBS, Job
from vagus_tui.session.session import Link, Topic
from vagus_tui.session.standings import stand_by_state
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.job_view import JobView, PhaseLine
from vagus_tui.widgets.outcome import job_outcome
from vagus_tui.widgets.pointer import ActButton
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.text import safe_str
from vagus_tui.widgets.tick import Tick

PHASES = (
    PhaseLine(Phase.BACKUP, "from one snapshot, the app goes on", "undo: deleted", "from one snapshot"),
    PhaseLine(Phase.VERIFY, "every byte read back"),
)
RESTORE_PHASES = (PhaseLine(Phase.VERIFY, "into a local database, compared with the manifest"),)
UPLOAD_PHASES = (
    PhaseLine(Phase.BACKUP, "off this machine, in parts", "undo: stays there", "in parts"),
    PhaseLine(Phase.VERIFY, "every byte of the copy read back", short="all read back"),
)
COLUMNS = (
    Column("", 1),
    Column("Made", 16),
    Column("Holds"),
    Column("Size", 8, right=True),
    Column("Rows", 11, right=True, wide_only=64),
    Column("Proved", 8),
)
KINDS = (
    (Kind.TABLES, "tables", "the workout tables, with keys, policies and all that hangs on them"),
    (Kind.CSV, "CSV", "the workout tables for people and spreadsheets"),
    (Kind.FULL, "all", "everything but Supabase's own schemas, as the guide has it"),
)
ONE_FILE = "pg_dump's custom format, as in the guide: one file per archive, but slower"


def _of_another(info: BackupInfo, identity: Identity) -> bool:
    """Whether it is of another database, or of a server that is a copy of this one.

    One that was never finished is in no journal, and is ours by its identifiers all the same.
    """
    if info.manifest is None:
        return False
    ours = info.manifest.fingerprint.vouches_for(identity.fingerprint)
    return not ours or (info.usable and not identity.vouches_for(info.manifest))


class BackupScreen(JobActs, StepScreen):
    """The choice and the list; while one runs, and until it has been read, its progress."""

    STEP = Step.BACKUP
    # A rehearsal has a window of its own.
    jobs: ClassVar[tuple[str, ...]] = tuple(name for name in BACKUP_JOBS if name != REHEARSAL)
    FOOTER_FIRST: ClassVar[tuple[str, ...]] = ("close",)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("b", "back_up", "back up now"),
        Binding("v", "verify", "verify", tooltip="read every byte of the selected backup back"),
        Binding("t", "restore_test", "restore test", tooltip="restore the selected backup locally and compare"),
        Binding("e", "rehearse", "rehearse", tooltip="migrate, roll back and migrate again on a restored copy"),
        Binding("u", "upload", "upload", tooltip="copy the selected backup off this machine and read the copy back"),
        Binding("x", "stop", "stop"),
        Binding("l", "log", "log"),
        Binding("enter", "close", "back to the list"),
        Binding("r", "reload", "look again"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.infos: dict[str, BackupInfo] = {}
        self.forecasts: dict[str, Forecast | None] = {}
        self.others: frozenset[str] = frozenset()
        self._read: Job | None = None
        self._led = False
        self._followed: Job | None = None

    def compose_body(self) -> ComposeResult:
        """The list with the choice above it, or the run."""
        with ContentSwitcher(initial="list-pane", id="panes"):
            with Vertical(id="list-pane"):
                with Horizontal(id="kinds"):
                    for kind, words, told in KINDS:
                        yield Tick(Content(words), value=True, id=f"kind-{kind.value}", compact=True, tooltip=told)
                    yield Tick(Content("one file"), value=False, id="one-file", compact=True, tooltip=ONE_FILE)
                    yield ActButton(Content("Back up now"), id="back-up", compact=True)
                with Vertical(classes="split"):
                    yield Rows(COLUMNS, id="backups")
                    yield DetailPanel(id="backup-detail")
            with Vertical(id="run-pane"):
                yield JobView(PHASES, id="run")
                yield Static(id="ended")

    def on_mount(self) -> None:
        """Count the time while one runs."""
        self.follow_clock(self._show_run)

    # What is the case

    @property
    def rehearsing(self) -> bool:
        """Whether a rehearsal runs, which has a window of its own."""
        job = self.session.job
        return job is not None and job.name == REHEARSAL and job.running

    @property
    def _to_rehearse(self) -> bool:
        """Whether a rehearsal is still of use, and begins with v1 on the selected backup."""
        state = self.session.state
        if state is not None and state.state is State.CLEANED:
            return False
        info = self.selected
        return info is None or can_be_rehearsed(info)

    @property
    def selected(self) -> BackupInfo | None:
        """The backup under the cursor."""
        return self.infos.get(self.query_one("#backups", Rows).selected or "")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the keys that do something now."""
        if not self.is_mounted:
            return True
        busy = self.session.busy
        showing_run = self.query_one("#panes", ContentSwitcher).current == "run-pane"
        if action == "stop":
            return self.stoppable
        if action == "log":
            return showing_run
        if action == "close":
            return showing_run and not self.running
        if showing_run and (self.running or action not in ("restore_test", "upload", "rehearse")):
            return action not in ("back_up", "verify", "restore_test", "upload", "rehearse", "reload")
        if action == "back_up":
            return None if busy else True
        if action == "upload" and not self.session.settings.upload_url:
            return False
        if action == "rehearse" and self.rehearsing:
            return True
        if action == "rehearse" and not self._to_rehearse:
            return False
        if action in ("verify", "restore_test", "upload", "rehearse"):
            return True if not busy and self.selected is not None and self.selected.manifest else None
        return True

    # Showing it

    def entered(self) -> None:
        """Files come and go without us."""
        self.action_reload()

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Choose the pane and bring it up to date."""
        job = self.job
        if job is not None and (job.running or job is not self._read):
            self._show_run(job)
            if not job.running and Topic.JOB in topics:
                self.action_reload()
        else:
            self.query_one("#panes", ContentSwitcher).current = "list-pane"
            if topics & {Topic.BACKUPS, Topic.STATE}:
                self.action_reload()
        stand_by_state(self.session)

    def _show_run(self, job: Job) -> None:
        view = self.query_one("#run", JobView)
        view.phases = {"backup": PHASES, "verify": PHASES[1:], "upload": UPLOAD_PHASES}.get(job.name, RESTORE_PHASES)
        view.show(job)
        switcher = self.query_one("#panes", ContentSwitcher)
        if switcher.current != "run-pane":
            switcher.current = "run-pane"
            self.set_focus(None)
        checks = [event for event in job.events if isinstance(event, CheckEvent)]
        parts = [part for part in (checks_text(checks), job_outcome(job, only=("path", "url", "files"))) if part]
        self.query_one("#ended", Static).update(Content("\n\n").join(parts))
        took = duration(job.elapsed)
        how = job.at if job.running else f"done in {took}" if job.ok else f"ended after {took}"
        self.say(f"{safe_str(job.title)} · {how}")

    def action_reload(self) -> None:
        """Read the backup folder."""
        self.read(self._load, group="list")

    async def _load(self) -> None:
        found = await asyncio.to_thread(list_backups, self.session.settings)
        first = not self.infos
        self.infos = {str(info.path): info for info in found}
        self.forecasts = await asyncio.to_thread(lambda: {str(info.path): read_forecast(info.path) for info in found})
        self.others = await self._of_others(found)
        zone = self.session.settings.timezone
        rows = []
        for info in found:
            mark, style = ("✓", "") if info.usable else ("✗", "") if info.problems else ("!", "")
            if str(info.path) in self.others:
                mark, style = "–", "dim"
            proved = "restored" if info.restored else "verified" if info.verified else "not yet"
            holds = "all parts" if len(info.kinds) == len(Kind) else ", ".join(kind.value for kind in info.kinds)
            proved = "damaged" if info.problems else proved
            cells = (mark, moment(info.created, zone), holds or "unreadable", size(info.bytes), info.rows, proved)
            rows.append(Row(str(info.path), cells, style))
        self.query_one("#backups", Rows).set_rows(rows)
        self._follow()
        if first and not self._led and self.is_current and self.focused is self.query_one("#back-up"):
            # One arrives before the folder has been read; the arrows are to move in what was found.
            self.focus_first()
        self._explain()
        if not self.running and self.query_one("#panes", ContentSwitcher).current == "list-pane":
            ours = [info for info in found if str(info.path) not in self.others]
            usable = next((info for info in ours if info.usable), None)
            newest = f" · newest {ago(usable.created)}" if usable else ""
            others = f" · {len(self.others)} of other databases" if self.others else ""
            words = f"{plural(len(ours), 'backup')}{newest}{others}"
            self.say(f"{words} · rehearsing: e" if self.rehearsing else words)
        stand_by_state(self.session)
        self.refresh_bindings()

    async def _of_others(self, found: Sequence[BackupInfo]) -> frozenset[str]:
        """The paths of those that are of another database; none while this one cannot be asked which it is."""
        database = self.session.database
        if database is None or not found or self.session.link is not Link.UP:
            return frozenset()
        with contextlib.suppress(VagusError, asyncpg.PostgresError):
            async with self.session.connection("backups") as connection:
                identity = await read_identity(connection, database.label)
            return frozenset(str(info.path) for info in found if _of_another(info, identity))
        return frozenset()

    def _follow(self) -> None:
        """The cursor goes to what was just made or tried, once: what comes next is about that one."""
        job = self.job
        if job is None or job.running or job is self._followed:
            return
        self._followed = job
        if job.result is not None and job.result.ok and (path := (job.result.figures or {}).get("path")):
            self.query_one("#backups", Rows).select(str(path))

    @on(DataTable.RowHighlighted, "#backups")
    def _explain(self) -> None:
        info = self.selected
        folder = safe_str(self.session.settings.backup_dir, limit=200)
        panel = self.query_one("#backup-detail", DetailPanel)
        panel.show(
            backup_text(
                info,
                self.session.settings.timezone,
                self.forecasts.get(str(info.path)),
                other=str(info.path) in self.others,
            )
            if info is not None
            else Content(f"No backup yet in {folder}. b makes one; the app goes on meanwhile.")
        )
        self.refresh_bindings()

    def focus_first(self) -> None:
        """The list where there is one, else the act."""
        if self.query_one("#panes", ContentSwitcher).current == "list-pane":
            self.query_one("#backups" if self.infos else "#back-up").focus()

    def reveal(self, ref: str) -> bool:
        """A kind of backup, the button that makes one, or the list of those there are."""
        if self.query_one("#panes", ContentSwitcher).current == "list-pane":
            self._led = ref != "backups"
            self.query_one(f"#{ref}" if self._led or self.infos else "#back-up").focus()
        return True

    # Acting

    @on(Button.Pressed, "#back-up")
    def action_back_up(self) -> None:
        """Make one of the chosen kinds."""
        self.attempt(self._back_up, group="start", exclusive=True)

    async def _back_up(self) -> None:
        session = self.session
        kinds = frozenset(kind for kind, *_ in KINDS if self.query_one(f"#kind-{kind.value}", Tick).value)
        if not kinds:
            await self.tell("Nothing chosen", "Tick at least one kind of backup.")
            return
        database = session.database
        if database is None:
            return
        one_file = self.query_one("#one-file", Tick).value
        form = ArchiveFormat.CUSTOM if one_file else ArchiveFormat.DIRECTORY
        options = BackupOptions(kinds=kinds, format=form)
        session.start_job(
            "backup",
            lambda control: make_backup(database, session.settings, options, control),
            title="Backup",
            on_quit="The unfinished backup is deleted. The database is not touched by it.",
        )

    def action_verify(self) -> None:
        """Read the selected backup back."""
        if (info := self.selected) is not None:
            settings = self.session.settings
            self.session.start_job(
                "verify",
                lambda control: verify_backup(info.path, control, settings),
                title="Verification of the backup",
                on_quit="The reading is stopped; the backup stays as it is.",
            )

    def action_restore_test(self) -> None:
        """Restore the selected backup into a local database and compare."""
        if (info := self.selected) is not None:
            settings = self.session.settings
            self.session.start_job(
                "restore-test",
                lambda control: restore_test(info.path, settings, control),
                title="Restore test",
                on_quit="The local copy is removed; the backup stays as it is.",
            )

    def action_upload(self) -> None:
        """Copy the selected backup to the upload target."""
        if (info := self.selected) is not None:
            settings = self.session.settings
            self.session.start_job(
                "upload",
                lambda control: upload_backup(info.path, settings, control),
                title="Upload",
                on_quit="What has arrived there stays, and need not be sent again; the backup stays as it is.",
            )

    def action_rehearse(self) -> None:
        """Open the rehearsal of the selected backup, or the one that runs."""
        info = self.selected
        if self.rehearsing and self.session.job is not None:
            running = self.session.job.title
            info = next((known for known in self.infos.values() if job_title(known) == running), info)
        if info is not None:
            self.open_window(RehearsalScreen(info))

    def action_close(self) -> None:
        """What came of it has been read: back to the list."""
        self._read = self.job
        self.query_one("#panes", ContentSwitcher).current = "list-pane"
        self.action_reload()
        self.call_after_refresh(self.focus_first)
        self.refresh_bindings()

    def action_back(self) -> None:
        """From an ended run to the list, from there to the overview."""
        if self.query_one("#panes", ContentSwitcher).current == "run-pane" and not self.running:
            self.action_close()
        else:
            super().action_back()
