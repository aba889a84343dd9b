"""Where a command's events go: the one form for scripts, JSON lines, and what it shares with the other, for people."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from typing import ClassVar, Protocol

from vagus_tui.events import CheckEvent, Event, Status, WaitEvent


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


def mute(error: OSError) -> bool:
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
            self.lost |= mute(error)

    def close(self) -> None:
        """Nothing is left open."""
