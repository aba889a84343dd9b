"""Runs the app update's commands in a checkout of the app ("Update Application Code"), one after the other.

They are other people's programs: they get no terminal, none of this program's settings, and nothing of what they print
is believed but their exit status.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shlex
import shutil
import signal
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection
from vagus_tui.errors import CancelledByOperatorError, RefusedError, VagusError
from vagus_tui.events import Event, OutputEvent, ResultEvent
from vagus_tui.jobs import Emit, streamed
from vagus_tui.journal import store
from vagus_tui.runbook.rollout import Command

TOPIC = "app-update."
LINE_LIMIT = 2_000
TAIL_LINES = 40
END_SECONDS = 5.0
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one item of the app's update came to; kept in the journal for everybody.

    Attributes:
        ok: every command ended with status 0.
        status: the exit status of the last command that ran; negative for a signal.
        tail: the last lines that it printed.
    """

    ok: bool
    status: int
    seconds: float
    folder: str
    tail: tuple[str, ...]


def check_folder(folder: Path | None) -> Path:
    """The checkout to run in.

    Raises:
        RefusedError: none is set, or it is no folder.
    """
    if folder is None:
        raise RefusedError(
            "There is no checkout of the app to run this in.",
            state="Nothing was run.",
            next_step="Set VAGUS_APP_DIR to the folder of the app's repository and start again, or copy the command.",
        )
    if not folder.is_dir():
        raise RefusedError(
            f"VAGUS_APP_DIR is no folder: {folder}.", state="Nothing was run.", next_step="Correct it and start again."
        )
    return folder


def run_command(command: Command, folder: Path | None, control: Control) -> AsyncIterator[Event]:
    """Run an item's commands in order, stopping at the first that fails. Yields OutputEvents, then a ResultEvent whose
    figures are an `Outcome`."""

    async def job(emit: Emit) -> ResultEvent:
        return await _run(command, check_folder(folder), control, emit)

    return streamed(job)


async def _run(command: Command, folder: Path, control: Control, emit: Emit) -> ResultEvent:
    started, tail = time.perf_counter(), deque[str](maxlen=TAIL_LINES)
    status = 0
    for line in command.commands:
        emit(OutputEvent(text=f"$ {line}", heading=True))
        status = await _run_line(line, folder, control, emit, tail)
        if status != 0:
            break
    seconds = time.perf_counter() - started
    outcome = Outcome(status == 0, status, round(seconds, 2), str(folder), tuple(tail))
    how = f"status {status}" if status >= 0 else signal.Signals(-status).name
    return ResultEvent(
        ok=outcome.ok,
        message=f"{command.title}: done." if outcome.ok else f"{command.title}: it ended with {how}.",
        next_step=None if outcome.ok else "Read what it printed, mend it in the checkout, and run it again.",
        seconds=seconds,
        figures=asdict(outcome),
        exit_status=0 if outcome.ok else 1,
    )


async def _run_line(line: str, folder: Path, control: Control, emit: Emit, tail: deque[str]) -> int:
    words = shlex.split(line)
    if shutil.which(words[0]) is None:
        raise VagusError(
            f"{words[0]} was not found on the PATH.",
            state="Nothing was run.",
            next_step=f"Install it, or run “{line}” where it is installed and sign the item off.",
        )
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # The database's address is among our settings, and none of their business.
        env={name: value for name, value in os.environ.items() if not name.startswith(("VAGUS_", "PG"))},
        start_new_session=True,
    )
    reading = asyncio.create_task(_read(process, emit, tail))
    stop = asyncio.create_task(control.wait_cancelled())
    try:
        await asyncio.wait({reading, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not reading.done():
            raise CancelledByOperatorError(
                "Stopped by the operator.", state="What the command had done in the checkout is still there."
            )
        return await process.wait()
    finally:
        stop.cancel()
        await asyncio.shield(asyncio.ensure_future(_end(process)))
        reading.cancel()
        await asyncio.gather(reading, stop, return_exceptions=True)


async def _read(process: asyncio.subprocess.Process, emit: Emit, tail: deque[str]) -> None:
    """Pass on what it prints, line by line; a carriage return begins a line too, a line of any length is cut."""
    assert process.stdout is not None
    rest = b""
    while piece := await process.stdout.read(65_536):
        *lines, rest = re.split(rb"[\r\n]+", rest + piece)
        rest = rest[-65_536:]
        for line in lines:
            _say(line, emit, tail)
    if rest:
        _say(rest, emit, tail)


def _say(line: bytes, emit: Emit, tail: deque[str]) -> None:
    text = _ESCAPES.sub("", line.decode("utf-8", "replace"))[:LINE_LIMIT]
    tail.append(text)
    emit(OutputEvent(text=text))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Make sure that it and whatever it started are gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_SECONDS)
            return


async def keep_outcome(connection: Connection, command: Command, figures: Any, *, operator: str) -> None:
    """Keep what an item came to, for the list and the report."""
    await store.note(connection, TOPIC + command.id, figures, operator=operator)


async def outcomes(connection: Connection) -> dict[str, Outcome]:
    """The latest outcome of every item that was ever run from a wizard, by the command's id."""
    kept = await store.notes_by_topic(connection, TOPIC)
    return {key: Outcome(**{**body, "tail": tuple(body["tail"])}) for key, body in kept.items()}
