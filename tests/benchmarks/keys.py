"""How long a key takes to show on screen while checks run on large data, in the real wizard in a real terminal.

Run as a program: `python -m tests.benchmarks.keys [--plans 20000] [--url ADDRESS] [--keys 300] [--size 120x36]`. It
presses keys that move the cursor of the table of checks, and takes the time until the terminal has been sent the row
that the cursor must be on: first while nothing runs, then while checks run one after another. Prints percentiles,
asserts nothing about time. Wanted: under 50 ms at the 95th percentile.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pty
import random
import re
import signal
import statistics
import struct
import sys
import termios
import time
from collections.abc import Sequence
from pathlib import Path

from vagus_tui.checks.base import Group
from vagus_tui.checks.registry import checks_for
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sandbox import start_sandbox

TITLES = [check.title for group in (Group.PREREQUISITES, Group.DATA_QUALITY) for check in checks_for(group)]
PREFIX = 8
"""How much of a title tells it from its neighbours, and fits however narrow the table is."""
PATIENCE_SECONDS = 5.0
DOWN, UP, RUN = "j", "k", "r"


class Terminal:
    """The wizard in a pseudo-terminal: keys go in, what would be painted comes out."""

    def __init__(self, url: str, columns: int, rows: int) -> None:
        self.output = bytearray()
        self._arrived = asyncio.Event()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VAGUS_")}
        environment |= {"VAGUS_DATABASE_URL": url, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(sys.executable, [sys.executable, "-m", "vagus_tui"], environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.set_blocking(self.fd, False)
        asyncio.get_running_loop().add_reader(self.fd, self._read)

    def _read(self) -> None:
        try:
            self.output += os.read(self.fd, 65_536)
        except (BlockingIOError, OSError):
            return
        self._arrived.set()

    def text(self, start: int = 0) -> str:
        """What was painted from a position on, without colours and positions."""
        painted = self.output[start:].decode("utf-8", errors="replace")
        return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07)", "", painted)

    def press(self, keys: str) -> int:
        """Press keys; gives the position from which their painting is to be looked for."""
        position = len(self.output)
        os.write(self.fd, keys.encode())
        return position

    async def shows(self, pattern: str, start: int = 0, patience: float = PATIENCE_SECONDS) -> float:
        """Seconds until a pattern is painted after a position.

        Raises:
            TimeoutError: it never is.
        """
        began = time.perf_counter()
        while True:
            self._arrived.clear()
            if re.search(pattern, self.text(start)):
                return time.perf_counter() - began
            async with asyncio.timeout(patience - (time.perf_counter() - began)):
                await self._arrived.wait()

    @property
    def worked(self) -> float:
        """Milliseconds of processor time that the wizard has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def queued(self) -> float:
        """Milliseconds that the wizard and this program have waited for a processor that somebody else was using."""
        files = [*Path(f"/proc/{self.pid}/task").glob("*/schedstat"), *Path("/proc/self/task").glob("*/schedstat")]
        return sum(int(file.read_text().split()[1]) for file in files) / 1e6

    def close(self) -> None:
        """End the wizard."""
        asyncio.get_running_loop().remove_reader(self.fd)
        os.kill(self.pid, signal.SIGTERM)
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def walk(length: int) -> list[tuple[str, int]]:
    """Keys and the rows they lead to, down the whole table and up again, for ever so many keys."""
    last = len(TITLES) - 1
    found: list[tuple[str, int]] = []
    row, step = 0, 1
    for _ in range(length):
        if not 0 <= row + step <= last:
            step = -step
        row += step
        found.append((DOWN if step > 0 else UP, row))
    return found


async def typing(terminal: Terminal, keys: int, *, running: bool) -> list[tuple[float, float]]:
    """Milliseconds from key to paint, and of those in the queue for a processor.

    With `running`, checks are started again whenever a run is over.
    """
    terminal.press("\x1b[H")
    await asyncio.sleep(0.3)
    times: list[tuple[float, float]] = []
    if running:
        started = terminal.press(RUN)
    for key, row in walk(keys):
        queued = terminal.queued
        position = terminal.press(key)
        taken = 1000 * await terminal.shows(rf"▸\S? ?{re.escape(TITLES[row][:PREFIX])}", position)
        times.append((taken, terminal.queued - queued))
        if running and re.search(rf"{len(TITLES)} of {len(TITLES)}", terminal.text(started)):
            started = terminal.press(RUN)
        # As fast as people hold a key or hurry, never in step with anything.
        await asyncio.sleep(random.uniform(0.02, 0.12))
    return times


def report(what: str, times: Sequence[tuple[float, float]], worked: float) -> None:
    """Two lines: as it was, and without the queue for a processor, which tells a slow wizard from a busy machine."""
    plain = [taken for taken, _ in times]
    alone = [max(0.0, taken - queued) for taken, queued in times]
    for words, found in ((what, plain), ("  without the queue", alone)):
        cuts = statistics.quantiles(found, n=100)
        print(
            f"{words:<28} median {cuts[49]:6.1f} ms   95th {cuts[94]:6.1f} ms   99th {cuts[98]:6.1f} ms   "
            f"most {max(found):6.1f} ms",
            flush=True,
        )
    print(f"  {len(times)} keys, {worked / len(times):.1f} ms of processor time each", flush=True)


async def measure(url: str, keys: int, columns: int, rows: int) -> None:
    """Time keys with and without checks running."""
    terminal = Terminal(url, columns, rows)
    try:
        await terminal.shows("Overview")
        await asyncio.sleep(3)
        # An operator who is new here is shown around first.
        terminal.press("\x1b")
        await asyncio.sleep(1)
        terminal.press("2")
        await terminal.shows(rf"{len(TITLES)} of {len(TITLES)}", patience=300)
        await asyncio.sleep(0.5)
        before = terminal.worked
        idle = await typing(terminal, keys, running=False)
        between = terminal.worked
        report(f"{columns}×{rows}, nothing runs", idle, between - before)
        busy = await typing(terminal, keys, running=True)
        report(f"{columns}×{rows}, checks run", busy, terminal.worked - between)
        ratio = statistics.median(taken for taken, _ in busy) / statistics.median(taken for taken, _ in idle)
        print(f"ratio of the medians {ratio:.2f}")
    finally:
        terminal.close()


async def main(arguments: argparse.Namespace) -> None:
    columns, rows = (int(part) for part in arguments.size.split("x"))
    if arguments.url:
        await measure(arguments.url, arguments.keys, columns, rows)
        return
    box = await start_sandbox(SandboxOptions(plans=arguments.plans, clean=True), print)
    try:
        await measure(box.url, arguments.keys, columns, rows)
    finally:
        await box.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", type=int, default=20_000)
    parser.add_argument("--url", default="", help="a database to use instead of a sandbox")
    parser.add_argument("--keys", type=int, default=300)
    parser.add_argument("--size", default="120x36")
    asyncio.run(main(parser.parse_args()))
