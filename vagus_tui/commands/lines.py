"""What one event says, as lines for people; where they are printed is not known here.

Checks, steps and all that is shown as a table or a bar take more than one event: they are in `human`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import singledispatch

from rich.text import Text

from vagus_tui.checks.selftest import FaultEvent
from vagus_tui.commands.fix import FixedEvent, FixEvent
from vagus_tui.commands.keep import BackupEvent
from vagus_tui.commands.move import CarriedEvent, ComparedEvent
from vagus_tui.commands.sign import SignOffEvent
from vagus_tui.commands.words import MARKS, block, measured, one_line
from vagus_tui.events import ChangeEvent, Event, SqlEvent
from vagus_tui.format import clock_time, moment, plural, size


@singledispatch
def lines(event: Event, zone: str) -> Iterator[Text]:
    """The lines of an event; none of one that people are not shown.

    Args:
        zone: the operator's time zone, for the moments in it.
    """
    yield from ()


@lines.register
def _sql(event: SqlEvent, zone: str) -> Iterator[Text]:
    yield Text(f"{event.phase.value}  {one_line(event.title)}")


@lines.register
def _compared(event: ComparedEvent, zone: str) -> Iterator[Text]:
    now = "the table is gone" if event.now is None else f"{event.now:,} now"
    fewer = f"; at least {event.fewer:,} would stay in the archive alone" if event.fewer else ""
    yield Text(f"{one_line(event.table)}: {plural(event.backup, 'row')} in the backup, {now}{fewer}")


@lines.register
def _carried(event: CarriedEvent, zone: str) -> Iterator[Text]:
    yield Text(
        f"{one_line(event.table)}: {event.new:,} new and {event.changed:,} changed rows are carried back, "
        f"{event.deleted:,} were deleted since, {event.not_expressible:,} have no place in v1"
    )


@lines.register
def _backup(event: BackupEvent, zone: str) -> Iterator[Text]:
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
    yield Text(f"{word:<13}", colour).append(f"{moment(event.created, zone)}  {figures}", "default")
    for line in (str(event.path), *event.problems):
        yield Text(f"             {one_line(line, most=500)}", "dim")


@lines.register
def _fault(event: FaultEvent, zone: str) -> Iterator[Text]:
    word, colour = MARKS[event.status]
    said = f"{event.check}: {event.fault} · {event.message or ''}"
    yield Text(f"{word:<7} ", colour).append(one_line(said, most=500), "default")


@lines.register
def _sign_off(event: SignOffEvent, zone: str) -> Iterator[Text]:
    """Whether a message is signed off, by whom and when; else who sends it when, and whether it is insisted on."""
    word, colour = ("✓ signed", "green") if event.signed else ("· open", "")
    yield Text(f"{word:<9} ", colour).append(f"{event.id:<17} {event.when:<9} {one_line(event.title)}", "default")
    if event.signed:
        note = f": {one_line(event.note, most=300)}" if event.note else ""
        said = f"by {one_line(event.operator or '')} at {moment(event.at, zone)}{note}"
    else:
        said = f"{event.owner}{'; a migration waits for it in staging and production' if event.required else ''}"
    yield Text(f"          {said}", "dim")


@lines.register
def _fix(event: FixEvent, zone: str) -> Iterator[Text]:
    """What a fix would do, or did, with how many rows; its SQL where it was named."""
    word, colour = ("✓ fixed", "green") if event.batch else ("safe", "green") if event.safe else ("look first", "")
    below = f" + {sum(event.below.values()):,} below" if event.below else ""
    yield Text(f"{word:<11} ", colour).append(f"{plural(event.rows, 'row')}{below}  {event.id}", "default")
    said = f"vagus-tui fix --undo {event.batch} --yes puts it back." if event.batch else event.description
    yield Text(f"            {event.title}. {said}", "dim")
    if event.sql:
        yield Text(block(event.sql))


@lines.register
def _fixed(event: FixedEvent, zone: str) -> Iterator[Text]:
    words = f"in place    {event.batch}  {one_line(event.fix)}, {plural(event.rows, 'row')}"
    yield Text(f"{words}, {moment(event.at, zone)} by {one_line(event.operator)}")


@lines.register
def _change(event: ChangeEvent, zone: str) -> Iterator[Text]:
    """A change from pass to fail cannot be overlooked: a line of its own, in words."""
    word, colour = MARKS[event.now]
    style = f"bold {colour}" if event.broke else colour
    tail = "" if event.measured is None else f": {measured(event.measured)}"
    line = Text(f"{clock_time(event.at, zone)}  {word}", style)
    yield line.append(f"  {one_line(event.title)} ({event.id}), was {event.was.value} before{tail}", style)
