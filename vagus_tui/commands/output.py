"""The two forms of output: JSON lines for scripts, and text through rich for people."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from vagus_tui.checks.access.matrix import AccessEvent
from vagus_tui.checks.selftest import FaultEvent
from vagus_tui.commands.check_tables import CheckTables
from vagus_tui.commands.fix import FixedEvent, FixEvent
from vagus_tui.commands.keep import BackupEvent
from vagus_tui.commands.move import CarriedEvent, ComparedEvent
from vagus_tui.commands.sign import SignOffEvent
from vagus_tui.commands.words import MARKS, block, measured, one_line
from vagus_tui.events import (
    ChangeEvent,
    CheckEvent,
    Event,
    NoteEvent,
    ProgressEvent,
    ResultEvent,
    RoundEvent,
    SqlEvent,
    Status,
    StatusEvent,
    StepEvent,
    StepState,
    WaitEvent,
)
from vagus_tui.format import clock_time, duration, moment, plural, size
from vagus_tui.journal.state import state_words
from vagus_tui.journal.store import run_words

WHOLE = ""
"""The bar of the whole among those of the steps, whose ids are never empty."""


def amount(count: int, unit: str | None) -> str:
    """An amount of rows, or of what the unit says."""
    if unit == "bytes":
        return size(count)
    return plural(count, "row") if unit in (None, "rows") else f"{count:,} {unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextEvent(Event):
    """Text that is the command's product (SQL, a report), written as it is."""

    kind: ClassVar[str] = "text"

    text: str


class Output(Protocol):
    """Where a job's events go. `lost` once something could not be written, though somebody still wanted it."""

    lost: bool

    def show(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Finish what is shown, such as a progress bar."""


def _mute(error: OSError) -> bool:
    """Nothing can be written any more: the reader went away (`| head`), or the disk of a log is full.

    The work goes on without a word, so that no job is cut off half-way by whoever watches it. True where what is lost
    was wanted.
    """
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - lives as long as the process
    if isinstance(error, BrokenPipeError):
        return False
    with contextlib.suppress(OSError):
        reason = error.strerror or type(error).__name__
        print(f"vagus-tui: the output cannot be written any more ({reason}); the work goes on.", file=sys.stderr)
    return True


class _Console(Console):
    """A console that says so when its reader went away; the original would end the program then and there.

    Into files and pipes it writes what is one line as one line, so that it can be searched for and copied whole.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print; text for a file is not broken into lines of some width."""
        if not self.is_terminal and all(isinstance(item, Text) for item in objects):
            options.setdefault("soft_wrap", True)
        super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Leave it to whoever printed."""
        raise


class JsonOutput:
    """One JSON object per line on stdout; checks once, with their outcome."""

    def __init__(self) -> None:
        self.lost = False

    def show(self, event: Event) -> None:
        """Write the event's line, at once."""
        if isinstance(event, CheckEvent) and event.status in (Status.PENDING, Status.RUNNING):
            if event.waiting is None:
                return
            event = WaitEvent(
                message=f"{event.title}: {event.message}", level="warning", detail={"check": event.id, **event.waiting}
            )
        try:
            print(json.dumps(event.to_json(), ensure_ascii=True), flush=True)
        except OSError as error:
            self.lost |= _mute(error)

    def close(self) -> None:
        """Nothing is left open."""


class HumanOutput:
    """Text for people: tables of checks, a line per step, progress bars on a terminal only."""

    def __init__(self) -> None:
        self.lost = False
        self._console = _Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
        self._errors = _Console(stderr=True, highlight=False, markup=False, emoji=False)
        self._tables = CheckTables(self._console, self._errors)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._product = False
        self._status_said = ""

    @cached_property
    def _zone(self) -> str:
        """The operator's time zone; UTC where the settings cannot be read, which is then the result."""
        from vagus_tui.commands.session import load_settings
        from vagus_tui.errors import ConfigurationError

        try:
            return load_settings().timezone
        except ConfigurationError:
            return "UTC"

    def show(self, event: Event) -> None:
        """Show one event in its own form."""
        try:
            self._show(event)
        except OSError as error:
            self.lost |= _mute(error)

    def _show(self, event: Event) -> None:
        if isinstance(event, CheckEvent):
            self._tables.put(event)
            return
        if isinstance(event, WaitEvent):
            self._errors.print(Text(block(event.message), "yellow"))
            return
        self._tables.flush()
        if isinstance(event, AccessEvent):
            self._tables.hold(event)
            return
        self._tables.flush_cells()
        if isinstance(event, StepEvent):
            self._step(event)
            return
        if isinstance(event, ProgressEvent):
            self._whole(event)
            return
        if isinstance(event, ResultEvent):
            self._end_progress()
            self._result(event)
        elif isinstance(event, NoteEvent):
            style = {"warning": "yellow", "error": "red"}.get(event.level, "dim")
            (self._errors if self._product else self._console).print(Text(block(event.message), style))
        elif isinstance(event, ChangeEvent):
            self._change(event)
        elif isinstance(event, RoundEvent):
            self._round(event)
        elif isinstance(event, StatusEvent):
            self._status(event)
        elif isinstance(event, SqlEvent):
            self._console.print(Text(f"{event.phase.value}  {one_line(event.title)}"))
        elif isinstance(event, ComparedEvent):
            now = "the table is gone" if event.now is None else f"{event.now:,} now"
            fewer = f"; at least {event.fewer:,} would stay in the archive alone" if event.fewer else ""
            self._console.print(
                Text(f"{one_line(event.table)}: {plural(event.backup, 'row')} in the backup, {now}{fewer}")
            )
        elif isinstance(event, CarriedEvent):
            self._console.print(
                Text(
                    f"{one_line(event.table)}: {event.new:,} new and {event.changed:,} changed rows are carried back, "
                )
                + Text(f"{event.deleted:,} were deleted since, {event.not_expressible:,} have no place in v1")
            )
        elif isinstance(event, BackupEvent):
            self._backup(event)
        elif isinstance(event, FaultEvent):
            word, colour = MARKS[event.status]
            said = f"{event.check}: {event.fault} · {event.message or ''}"
            self._console.print(Text(f"{word:<7} ", colour).append(one_line(said, most=500), "default"))
        elif isinstance(event, SignOffEvent):
            self._sign_off(event)
        elif isinstance(event, FixEvent):
            self._fix(event)
        elif isinstance(event, FixedEvent):
            words = f"in place    {event.batch}  {one_line(event.fix)}, {plural(event.rows, 'row')}"
            by = f"{moment(event.at, self._zone)} by {one_line(event.operator)}"
            self._console.print(Text(f"{words}, {by}"))
        elif isinstance(event, TextEvent):
            self._product = True
            sys.stdout.write(event.text if event.text.endswith("\n") else event.text + "\n")
            sys.stdout.flush()

    def _change(self, event: ChangeEvent) -> None:
        """A change from pass to fail cannot be overlooked: a line of its own, in words, with the bell."""
        word, colour = MARKS[event.now]
        style = f"bold {colour}" if event.broke else colour
        tail = "" if event.measured is None else f": {measured(event.measured)}"
        line = Text(f"{clock_time(event.at, self._zone)}  {word}", style)
        line.append(f"  {one_line(event.title)} ({event.id}), was {event.was.value} before{tail}", style)
        self._console.print(line)
        if event.broke and self._console.is_terminal:
            self._console.bell()

    def _round(self, event: RoundEvent) -> None:
        at = clock_time(event.at, self._zone)
        if event.problem is not None:
            self._errors.print(Text(f"{at}  round {event.number}: {block(event.problem)}", "yellow"))
            self._errors.print(Text(f"{at}  Tried again at {clock_time(event.next_at, self._zone)}.", "yellow"))
            return
        fails = f"{event.failing} of {event.checks} fail" if event.failing else f"none of {event.checks} fails"
        style = "red" if event.failing else "dim"
        self._console.print(Text(f"{at}  round {event.number}: {fails}, {duration(event.seconds)}", style))

    def close(self) -> None:
        """Print what is still held and end the progress bars."""
        try:
            self._tables.flush()
            self._tables.flush_cells()
            self._end_progress()
            sys.stdout.flush()
        except OSError as error:
            self.lost |= _mute(error)

    def _step(self, event: StepEvent) -> None:
        if event.state in (StepState.DONE, StepState.FAILED):
            if (task := self._tasks.pop(event.id, None)) is not None and self._progress is not None:
                self._progress.remove_task(task)
            word, colour = ("✓ done", "green") if event.state is StepState.DONE else ("✗ failed", "red")
            parts = [f"{event.phase.value:<9}", one_line(event.title)]
            if event.rows is not None:
                parts.append(amount(event.rows, event.unit))
            if event.seconds is not None:
                parts.append(duration(event.seconds))
            if event.message:
                parts.append(one_line(event.message, most=500))
            line = Text(f"{word:<9} ", colour).append("  ".join(parts), "default")
            self._console.print(line)
        elif self._console.is_terminal:
            if self._progress is None:
                self._progress = Progress(
                    TextColumn("{task.description}", markup=False),
                    BarColumn(bar_width=20),
                    TextColumn("{task.fields[amount]}", markup=False, justify="right"),
                    TimeRemainingColumn(compact=True),
                    console=self._console,
                    transient=True,
                )
                self._progress.start()
            done = "" if event.rows is None else amount(event.rows, event.unit)
            if event.id not in self._tasks:
                self._tasks[event.id] = self._progress.add_task(
                    f"{event.phase.value}  {one_line(event.title)}", total=event.total, amount=done
                )
            self._progress.update(self._tasks[event.id], completed=event.rows or 0, total=event.total, amount=done)

    def _whole(self, event: ProgressEvent) -> None:
        """One bar for the whole, above those of the steps; with its own word on how much longer."""
        if not self._console.is_terminal or self._progress is None:
            return
        words = f"{int(event.share * 100)}%"
        if event.seconds_left:
            words += f"  about {duration(event.seconds_left)} left"
        if WHOLE not in self._tasks:
            self._tasks[WHOLE] = self._progress.add_task("in all", total=1.0, amount=words)
        self._progress.update(self._tasks[WHOLE], completed=event.share, amount=words)

    def _backup(self, event: BackupEvent) -> None:
        whole = "✓ copy" if event.remote else "✓ usable"
        word, colour = (whole, "green") if event.usable else ("! not usable", "yellow")
        proved = "restored" if event.restored else "verified" if event.verified else "not verified"
        if event.problems:
            # That it was read back is no praise for what was found.
            proved = "damaged" if event.verified else "not whole"
        if event.remote:
            proved = "read back when it was made" if event.usable else ""
        elif event.uploaded:
            proved += ", uploaded"
        figures = f"{', '.join(event.kinds)}  {plural(event.rows, 'row')}  {size(event.bytes)}  {proved}"
        self._console.print(
            Text(f"{word:<13}", colour).append(f"{moment(event.created, self._zone)}  {figures}", "default")
        )
        for line in (str(event.path), *event.problems):
            self._console.print(Text(f"             {one_line(line, most=500)}", "dim"))

    def _sign_off(self, event: SignOffEvent) -> None:
        """Whether a message is signed off, by whom and when; else who sends it when, and whether it is insisted on."""
        word, colour = ("✓ signed", "green") if event.signed else ("· open", "")
        line = Text(f"{word:<9} ", colour).append(f"{event.id:<17} {event.when:<9} {one_line(event.title)}", "default")
        self._console.print(line)
        if event.signed:
            note = f": {one_line(event.note, most=300)}" if event.note else ""
            said = f"by {one_line(event.operator or '')} at {moment(event.at, self._zone)}{note}"
        else:
            said = f"{event.owner}{'; a migration waits for it in staging and production' if event.required else ''}"
        self._console.print(Text(f"          {said}", "dim"))

    def _fix(self, event: FixEvent) -> None:
        """What a fix would do, or did, with how many rows; its SQL where it was named."""
        word, colour = ("✓ fixed", "green") if event.batch else ("safe", "green") if event.safe else ("look first", "")
        below = f" + {sum(event.below.values()):,} below" if event.below else ""
        line = Text(f"{word:<11} ", colour).append(f"{plural(event.rows, 'row')}{below}  {event.id}", "default")
        self._console.print(line)
        said = f"vagus-tui fix --undo {event.batch} --yes puts it back." if event.batch else event.description
        self._console.print(Text(f"            {event.title}. {said}", "dim"))
        if event.sql:
            self._console.print(Text(block(event.sql)))

    def _end_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress, self._tasks = None, {}

    def _status(self, event: StatusEvent) -> None:
        self._status_said = event.message or ""
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("State", Text(f"{state_words(event.state)}: {block(event.message or '')}"))
        if event.database:
            table.add_row("Database", Text(one_line(event.database)))
        if event.server:
            table.add_row("Server", Text(one_line(event.server)))
        if event.environment:
            table.add_row("Environment", Text(event.environment))
        for name, count in event.counts.items():
            table.add_row(Text(one_line(name)), Text(plural(count, "row")))
        if event.shape:
            for line in event.shape.get("notes", ()):
                table.add_row("Shape", Text(one_line(line)))
        if event.run:
            run = event.run
            how = "interrupted" if run["interrupted"] else run["status"]
            words = f"{run_words(run['kind'])}, {how} in {run['phase']}, by {run['operator']}"
            table.add_row("Last run", Text(one_line(words)))
        if event.possible:
            table.add_row("Possible", Text(", ".join(event.possible)))
        self._console.print(table)

    def _result(self, event: ResultEvent) -> None:
        if event.ok:
            line = Text(block(event.message))
            if event.seconds is not None:
                line.append(f"  {duration(event.seconds)}", "dim")
            # What the table of the status says already is not said again.
            if event.message != self._status_said:
                (self._errors if self._product else self._console).print(line)
            if event.next_step:
                self._console.print(Text(block(event.next_step), "dim"))
            return
        self._errors.print(Text(block(event.message), "red"))
        # Where it leaves things is a sentence, or the state's own value.
        state = event.state if event.state is None or " " in event.state else state_words(event.state)
        for words in (state, event.next_step):
            if words:
                self._errors.print(Text(block(words)))
