"""The wizard and the terminal: it draws on standard output, and says so plainly where there is none."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

from tests.cli.program import environment, vagus

NOWHERE = "postgresql://postgres@127.0.0.1:1/postgres"


def _read_until(terminal: int, wanted: bytes) -> bytes:
    """What is drawn, up to what is looked for; all of it when the program ends first or falls silent."""
    drawn = b""
    while wanted not in drawn and select.select([terminal], [], [], 30)[0]:
        try:
            drawn += os.read(terminal, 65536)
        except OSError:
            break
    return drawn


def test_errors_may_go_into_a_file(tmp_path: Path) -> None:
    terminal, other_end = pty.openpty()
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "vagus_tui"],
            stdin=other_end,
            stdout=other_end,
            stderr=errors,
            env=environment(NOWHERE, HOME=str(tmp_path), TERM="xterm-256color"),
            cwd=tmp_path,
        )
    os.close(other_end)
    try:
        drawn = _read_until(terminal, b"Overview")
        assert b"Overview" in drawn and (tmp_path / "errors").read_bytes() == b""
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(terminal)


async def test_without_a_terminal_it_is_not_painted_into_a_pipe() -> None:
    ran = await vagus(url=NOWHERE)
    assert (ran.status, ran.out) == (2, "") and "The wizard needs a terminal" in ran.err
