"""Running pg_dump and pg_restore: no secret in their arguments, stoppable, and plain words when they fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from vagus_tui.backup.address import ToolAddress
from vagus_tui.backup.folder import AGAIN, REMOVED, STOPPED
from vagus_tui.control import Control
from vagus_tui.errors import CancelledByOperatorError, ConnectionLostError, UndoneError, VagusError

TERMINATION_SECONDS = 5.0
_KEPT_LINES = 400
_LINE_LIMIT = 2000


CRASHES = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL})
"""Signals that end a program for what it did itself."""


class ToolFailedError(UndoneError):
    """A client program ended with an error; what it had written is gone."""


LOST_WORDS = ("server closed the connection", "terminating connection", "Connection reset", "SSL connection has been")
"""What pg_dump and pg_restore say when their connection broke."""


class ToolRun:
    """One run of a client program, as a block: whatever ends the block ends the program and its workers.

    Args:
        environment: how it reaches the database, if it does.
        read_output: its stdout is wanted (`read`); otherwise it goes nowhere.
    """

    def __init__(
        self, program: Path, arguments: Sequence[str], environment: ToolAddress, *, read_output: bool = False
    ) -> None:
        self.name = program.name
        self._command = [str(program), *arguments]
        self._address = environment
        self._read_output = read_output
        self._errors: deque[str] = deque(maxlen=_KEPT_LINES)
        self._process: asyncio.subprocess.Process | None = None
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> ToolRun:
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self._read_output else asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env=self._address.environment,
                # Its workers belong to its group, and a terminal's Ctrl-C is ours to pass on.
                start_new_session=True,
                umask=0o077,
                limit=1 << 20,
            )
        except OSError as error:
            raise ToolFailedError(
                f"{self.name} could not be started: {error.strerror or type(error).__name__}.",
                next_step=f"Check the installation in {Path(self._command[0]).parent}.",
            ) from None
        self._listener = asyncio.create_task(self._listen())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.ensure_future(self.end()))

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def errors(self) -> list[str]:
        """The last lines it wrote to stderr, free of secrets."""
        return list(self._errors)

    async def _listen(self) -> None:
        """Keep the end of what it says; a line of any length is cut, none stops it."""
        assert self._process is not None and self._process.stderr is not None
        rest = b""
        while piece := await self._process.stderr.read(65536):
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[-(1 << 20) :]
            self._errors.extend(self._clean(line) for line in lines if line)
        if rest:
            self._errors.append(self._clean(rest))

    def _clean(self, line: bytes) -> str:
        return self._address.scrubbed(line.decode("utf-8", "replace"))[:_LINE_LIMIT].rstrip()

    async def read(self, size: int = 1 << 20) -> bytes:
        """The next piece of its stdout; empty at the end."""
        assert self._process is not None and self._process.stdout is not None
        return await self._process.stdout.read(size)

    async def wait(self, timeout: float, control: Control | None = None) -> int | None:
        """Its exit status, or None while it runs on; returns early when a stop is asked for.

        Raises:
            CancelledByOperatorError: a stop was asked for.
        """
        assert self._process is not None and self._listener is not None
        waits: list[asyncio.Task[object]] = [asyncio.ensure_future(self._process.wait())]
        if control is not None:
            waits.append(asyncio.ensure_future(control.wait_cancelled()))
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        if control is not None and control.cancelled:
            raise CancelledByOperatorError(STOPPED, state=REMOVED)
        if self._process.returncode is not None:
            await self._listener
        return self._process.returncode

    async def finish(self, control: Control | None = None) -> int:
        """Wait for its end."""
        while (status := await self.wait(3600, control)) is None:
            pass
        return status

    async def end(self) -> None:
        """Make sure that it and its workers are gone."""
        process, listener = self._process, self._listener
        if process is None or listener is None:
            return
        if process.returncode is None:
            self._signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), TERMINATION_SECONDS)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await process.wait()
        else:
            # Workers that outlive a killed leader.
            self._signal(signal.SIGTERM)
        if process.stdout is not None:
            with contextlib.suppress(ValueError, OSError):
                while await asyncio.wait_for(process.stdout.read(1 << 20), 1):
                    pass
        try:
            await asyncio.wait_for(listener, TERMINATION_SECONDS)
        except TimeoutError:
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def failure(self, status: int) -> VagusError:
        """Why it failed, in plain words."""
        text = "\n".join(self.errors)
        if status < 0:
            try:
                name = signal.Signals(-status).name
            except ValueError:
                name = str(-status)
            if -status in CRASHES:
                return ToolFailedError(
                    f"{self.name} crashed ({name}).",
                    state=REMOVED,
                    next_step="Start again; if it crashes again, install another release of PostgreSQL's programs.",
                )
            return ToolFailedError(
                f"{self.name} was ended from outside ({name}).",
                state=REMOVED,
                next_step="See whether the machine ran out of memory or space, or somebody ended it; then start again.",
            )
        if "No space left on device" in text or "Disk quota exceeded" in text or "File too large" in text:
            return ToolFailedError(
                "The disk is full.", state=REMOVED, next_step="Free space or set VAGUS_BACKUP_DIR to a roomier place."
            )
        if any(words in text for words in LOST_WORDS):
            return ConnectionLostError(
                f"{self.name} lost its connection to the database.",
                state=REMOVED,
                next_step=AGAIN,
            )
        said = next((line for line in self.errors if "error:" in line), self.errors[-1] if self.errors else "")
        said = said.partition("error: ")[2] or said or f"exit status {status}"
        if "no password supplied" in said or "password authentication failed" in said:
            step = "The password must be in VAGUS_DATABASE_URL (or in ~/.pgpass)."
        elif "permission denied" in said:
            step = "Log in as the owner of what is backed up (on Supabase: postgres)."
        elif any(words in text for words in ("statement timeout", "lock timeout", "could not obtain lock")):
            step = "Somebody changes a table's structure right now; start again when they are done."
        else:
            step = "Mend what it says, then start again."
        return ToolFailedError(f"{self.name} failed: {said.rstrip('.')}.", state=REMOVED, next_step=step)
