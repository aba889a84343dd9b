"""The small process that owns one embedded PostgreSQL and outlives whoever started it by a moment.

It is run as a file by a bare interpreter (`python -I -S watchdog.py`), so it uses the standard library alone and
imports nothing of the package. Its orders come as one JSON line on stdin:

    command   the server's argument list
    uid, gid  whom to run it as, or null for the same user
    log       the file that takes the server's output
    data      the data folder
    remove    folders to remove at the end

Then stdin is a lifeline: when it closes, because the starter stopped, crashed or was killed, the server is shut
down and the folders go, unless the last word on it was `keep`. On stdout it says `pid N` once and `exited N` if the
server ends by itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
KEEP = b"keep\n"
# A fast shutdown takes well under a second; longer than this and it is stuck.
FAST_SHUTDOWN_SECONDS = 10.0
IMMEDIATE_SHUTDOWN_SECONDS = 5.0


def die_with_watchdog() -> Callable[[], None] | None:
    """What the child runs before exec so that the server ends if this process is itself killed (Linux only).

    The kernel forgets the request at a change of credentials, so this must come after it; subprocess does so.
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)

    return ask


def start(orders: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start the server as the user it is to run as."""
    log = os.open(orders["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            orders["command"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=orders["data"],
            user=orders["uid"],
            group=orders["gid"],
            extra_groups=None if orders["uid"] is None else [],
            start_new_session=True,
            preexec_fn=die_with_watchdog(),
        )
    finally:
        os.close(log)


def shut_down(server: subprocess.Popen[bytes]) -> None:
    """Fast shutdown, then immediate, then by force; returns when the server is gone."""
    for order, patience in (
        (signal.SIGINT, FAST_SHUTDOWN_SECONDS),
        (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_SECONDS),
        (signal.SIGKILL, None),
    ):
        if server.poll() is not None:
            return
        server.send_signal(order)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(patience)


def remove(folders: list[str]) -> None:
    """Remove the folders; a backend that is still closing its files gets a moment."""
    for folder in folders:
        for _ in range(20):
            shutil.rmtree(folder, ignore_errors=True)
            if not Path(folder).exists():
                break
            time.sleep(0.1)


def say(line: str) -> None:
    """Tell the starter, who may be gone."""
    with contextlib.suppress(OSError):
        os.write(1, line.encode() + b"\n")


def watch(server: subprocess.Popen[bytes], starter: int, wake: int) -> bool:
    """Wait for the end of the lifeline and return whether the folders go.

    A fork of the starter may hold the lifeline open, so the starter's pid is looked at too.
    """
    told = False
    heard = b""
    while os.getppid() == starter:
        ready, _, _ = select.select([0, wake], [], [], 1.0)
        if wake in ready:
            os.read(wake, 512)
        if not told and server.poll() is not None:
            told = True
            say(f"exited {server.returncode}")
        if 0 in ready:
            piece = os.read(0, 512)
            if not piece:
                break
            heard += piece
    return heard != KEEP


def read_orders() -> dict[str, Any] | None:
    """The first line of stdin, or None if the starter is gone already."""
    data = b""
    while not data.endswith(b"\n"):
        piece = os.read(0, 65536)
        if not piece:
            return None
        data += piece
    orders: dict[str, Any] = json.loads(data)
    return orders


def main() -> None:
    # The starter's terminal and service manager talk to the starter; it tells us by closing the lifeline.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    starter = os.getppid()
    orders = read_orders()
    if orders is None:
        return
    if orders.get("lock"):
        # Held while we live: another start may sweep away what is left of folders whose lock is free.
        lock = os.open(orders["lock"], os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    try:
        server = start(orders)
    except OSError as error:
        say(f"failed {error.strerror or error}")
        remove(orders["remove"])
        return
    say(f"pid {server.pid}")
    clear = True
    try:
        clear = watch(server, starter, wake_read)
    finally:
        shut_down(server)
        if clear:
            remove(orders["remove"])


if __name__ == "__main__":
    main()
