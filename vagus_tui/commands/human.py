"""Text for people, through rich: tables of checks, a line per step, progress bars on a terminal only."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from vagus_tui.checks.access.matrix import AccessEvent
from vagus_tui.commands.check_tables import CheckTables
from vagus_tui.commands.lines import lines
from vagus_tui.commands.output import TextEvent, mute
from vagus_tui.commands.words import block, one_line
from vagus_tui.events import (
    ChangeEvent,
    CheckEvent,
    Event,
    NoteEvent,
    ProgressEvent,
    ResultEvent,
    RoundEvent,
    StatusEvent,
    StepEvent,
    StepState,
    WaitEvent,
)
from vagus_tui.format import clock_time, duration, plural, size
from vagus_tui.journal.state import state_words
from vagus_tui.journal.store import run_words

WHOLE = ""
"""The bar of the whole among those of the steps, whose ids are never empty."""


def amount(count: int, unit: str | None) -> str:
    """An amount of rows, or of what the unit says."""
    if unit == "bytes":
        return size(count)
    return plural(count, "row") if unit in (None, "rows") else f"{count:,} {unit}"


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
            self.lost |= mute(error)

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
        match event:
            case StepEvent():
                self._step(event)
            case ProgressEvent():
                self._whole(event)
            case ResultEvent():
                self._end_progress()
                self._result(event)
            case NoteEvent():
                style = {"warning": "yellow", "error": "red"}.get(event.level, "dim")
                self._beside_product.print(Text(block(event.message), style))
            case RoundEvent():
                self._round(event)
            case StatusEvent():
                self._status(event)
            case TextEvent():
                self._product = True
                sys.stdout.write(event.text if event.text.endswith("\n") else event.text + "\n")
                sys.stdout.flush()
            case _:
                for line in lines(event, self._zone):
                    self._console.print(line)
        if isinstance(event, ChangeEvent) and event.broke and self._console.is_terminal:
            self._console.bell()

    @property
    def _beside_product(self) -> _Console:
        """Where a word goes that must not get into the SQL or report that a command was asked for."""
        return self._errors if self._product else self._console

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
            self.lost |= mute(error)

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
            # What was done is done in all phases.
            where = "" if how == "done" else f" in {run['phase']}"
            again = f", taken up by {run['taken_up_by']}" if run["taken_up_by"] else ""
            words = f"{run_words(run['kind'])}, {how}{where}, by {run['operator']}{again}"
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
                self._beside_product.print(line)
            if event.next_step:
                self._console.print(Text(block(event.next_step), "dim"))
            return
        self._errors.print(Text(block(event.message), "red"))
        # Where it leaves things is a sentence, or the state's own value.
        state = event.state if event.state is None or " " in event.state else state_words(event.state)
        for words in (state, event.next_step):
            if words:
                self._errors.print(Text(block(words)))
