"""The wizard and the terminal: it draws on standard output, and says so plainly where there is none."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

from tests.cli.program import environment, vagus
from tests.databases import TestDatabase

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


@contextlib.contextmanager
def _wizard(folder: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The wizard on a terminal, which it has to leave as it was; its errors go into a file."""
    terminal, other_end = pty.openpty()
    before = termios.tcgetattr(other_end)
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "vagus_tui"],
            stdin=other_end,
            stdout=other_end,
            stderr=errors,
            env=environment(NOWHERE, HOME=str(folder), TERM="xterm-256color", **variables),
            cwd=folder,
        )
    try:
        yield process, terminal
        assert termios.tcgetattr(other_end) == before
    finally:
        process.kill()
        process.wait()
        os.close(other_end)
        os.close(terminal)


def test_errors_may_go_into_a_file_and_a_signal_gives_the_terminal_back(tmp_path: Path) -> None:
    """Python would leave it without an echo and in the wizard's own screen, and say nothing."""
    with _wizard(tmp_path) as (process, terminal):
        drawn = _read_until(terminal, b"Overview")
        assert b"\x1b[?1049h" in drawn and b"Overview" in drawn and (tmp_path / "errors").read_bytes() == b""
        process.send_signal(signal.SIGTERM)
        assert b"\x1b[?1049l" in _read_until(terminal, b"\x1b[?1049l")
        assert process.wait(10) == -signal.SIGTERM
        assert "ended by SIGTERM" in (tmp_path / "errors").read_text()


def test_ctrl_c_while_the_wizard_opens_ends_it(tmp_path: Path) -> None:
    """The terminal is not yet, or not quite, in the wizard's mode: it is a signal and no key."""
    with _wizard(tmp_path) as (process, terminal):
        assert _read_until(terminal, b"\x1b[?1049h")
        process.send_signal(signal.SIGINT)
        assert b"\x1b[?1049l" in _read_until(terminal, b"\x1b[?1049l")
        # Opened by then, on a machine that stood still, it quits as by the key.
        assert process.wait(10) in (0, -signal.SIGINT)
        assert "defect" not in (tmp_path / "errors").read_text()


def test_a_terminal_in_which_every_mark_looks_the_same_is_refused(tmp_path: Path) -> None:
    with _wizard(tmp_path, PYTHONIOENCODING="ascii") as (process, _):
        assert process.wait(30) == 2
        said = (tmp_path / "errors").read_text()
        assert "the encoding of this terminal is ascii" in said and "Set LC_ALL to C.UTF-8" in said


async def test_without_a_terminal_it_is_not_painted_into_a_pipe() -> None:
    ran = await vagus(url=NOWHERE)
    assert (ran.status, ran.out) == (2, "") and "The wizard needs a terminal" in ran.err


def _into(sink: str, *arguments: str, url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a shell does, its output led elsewhere; the status is the program's own."""
    line = f"set -o pipefail; {sys.executable} -m vagus_tui {' '.join(arguments)} {sink}"
    return subprocess.run(
        ["bash", "-c", line],
        env=environment(url, **variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_reader_who_leaves_ends_no_work(clean_database: TestDatabase) -> None:
    """A migration that is watched through `| head` is done all the same, and says so by its status."""
    ran = _into("| true", "migrate", "--yes", url=clean_database.url)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert '"state": "migrated"' in _into("| tail -1", "status", "--json", url=clean_database.url).stdout


def test_output_that_cannot_be_written_is_no_success_of_what_only_looks(clean_database: TestDatabase) -> None:
    for arguments in (("sql",), ("status", "--json")):
        ran = _into("> /dev/full", *arguments, url=clean_database.url)
        assert ran.returncode == 4 and "Traceback" not in ran.stderr
        assert "the output cannot be written any more (No space left on device)" in ran.stderr
    done = _into("> /dev/full", "migrate", "--yes", url=clean_database.url)
    assert done.returncode == 0 and "No space left" in done.stderr


def test_a_closed_stream_and_a_narrow_one(clean_database: TestDatabase) -> None:
    assert _into(">&-", "status", url=clean_database.url).returncode == 0
    ran = _into("", "check", "data-quality", url=clean_database.url, PYTHONIOENCODING="ascii")
    assert ran.returncode == 0 and "? pass" in ran.stdout and "Traceback" not in ran.stderr
