"""Programs started many times over: a process that has everything imported forks one for each.

Half of the time that a command takes here went into imports. What is forked is a process of its own like any other:
its own arguments, environment, folder, standard streams, signals and exit status.

Run as a program it is that process; it ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

IMPORTED = (
    "vagus_tui.cli",
    "vagus_tui.backup",
    "vagus_tui.checks.registry",
    "vagus_tui.commands.human",
    "vagus_tui.journal.store",
    "vagus_tui.migration.runner",
    "vagus_tui.report",
    "vagus_tui.rollback.from_backup",
    "vagus_tui.rollback.quick",
)


@dataclass
class Forked:
    """A running process.

    Attributes:
        pid: its process id.
        stdout, stderr: what it writes.
    """

    pid: int
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    ended: socket.socket

    async def wait(self) -> int:
        """Its exit status; minus the signal that ended it."""
        status = await _number(self.ended)
        self.ended.close()
        return os.waitstatus_to_exitcode(status)

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


class Forks:
    """The process that forks, started when the first is wanted."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._asking: socket.socket | None = None

    def _started(self) -> socket.socket:
        """Where it is asked."""
        if self._asking is None:
            self._asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            with asked:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "tests.forks", str(asked.fileno())],
                    cwd=Path(__file__).parents[1],
                    stdin=subprocess.PIPE,
                    pass_fds=[asked.fileno()],
                )
            atexit.register(self.stop)
        return self._asking

    def stop(self) -> None:
        """End the process; what it forked goes on."""
        if self._process is not None and self._asking is not None:
            self._process.communicate()
            self._asking.close()
            self._process = self._asking = None

    async def run(
        self, arguments: Sequence[str], *, code: str = "", cwd: Path | None = None, env: Mapping[str, str]
    ) -> Forked:
        """Fork one that runs the command line, or a piece of code, with these arguments."""
        asked = {"arguments": list(arguments), "code": code, "cwd": str(cwd or Path.cwd()), "env": dict(env)}
        outs = [os.pipe(), os.pipe()]
        nothing = os.open(os.devnull, os.O_RDONLY)
        told, tell = socket.socketpair()
        given = [nothing, outs[0][1], outs[1][1], tell.fileno()]
        socket.send_fds(self._started(), [json.dumps(asked).encode()], given)
        tell.close()
        for descriptor in given[:3]:
            os.close(descriptor)
        told.setblocking(False)
        return Forked(await _number(told), await _reader(outs[0][0]), await _reader(outs[1][0]), told)


async def _number(told: socket.socket) -> int:
    return int.from_bytes(await asyncio.get_running_loop().sock_recv(told, 4), "big")


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb"))
    return reader


FORKS = Forks()


def _become(asked: dict[str, object], descriptors: Sequence[int]) -> Callable[[], object]:
    """Turn the forked process into what was asked for; returns what it has to do."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(str(asked["cwd"]))
    os.environ.clear()
    environment, arguments = asked["env"], asked["arguments"]
    assert isinstance(environment, dict) and isinstance(arguments, list)
    os.environ.update(environment)
    time.tzset()
    tempfile.tempdir = None
    code = str(asked["code"])
    if code:
        sys.argv = ["-c", *arguments]
        return lambda: exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    sys.argv = ["vagus-tui", *arguments]
    from vagus_tui.cli import main

    return main


def serve(asked: socket.socket) -> Callable[[], object]:
    """Fork on request until standard input ends; returns, in each process, what it has to do from here."""
    woken, wake = socket.socketpair()
    woken.setblocking(False)
    wake.setblocking(False)
    running: dict[int, socket.socket] = {}
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    # Who presses Ctrl-C means the tests, and what they have started; this one ends with them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        for source in (asked, woken, sys.stdin):
            selector.register(source, selectors.EVENT_READ)
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if woken in ready:
                woken.recv(4096)
            for pid in list(running):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    with contextlib.suppress(OSError), running.pop(pid) as told:
                        told.send(status.to_bytes(4, "big"))
            if sys.stdin in ready:
                return lambda: None
            if asked not in ready:
                continue
            message, descriptors, _, _ = socket.recv_fds(asked, 2**20, 4)
            told = socket.socket(fileno=descriptors.pop())
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for left in (told, asked, woken, wake, *running.values()):
                    left.close()
                return _become(json.loads(message), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            running[pid] = told
            told.send(pid.to_bytes(4, "big"))


if __name__ == "__main__":
    for module in IMPORTED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1])))())  # type: ignore[arg-type]
