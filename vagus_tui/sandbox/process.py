"""One PostgreSQL server process in a folder of its own: a place found, a configuration, a watchdog, an end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vagus_tui.sandbox import binaries
from vagus_tui.sandbox.binaries import RunAs, SandboxError
from vagus_tui.sandbox.leftovers import PREFIX

_HBA = """\
local   all          all                  scram-sha-256
local   replication  all                  scram-sha-256
host    all          all  127.0.0.1/32    scram-sha-256
host    replication  all  127.0.0.1/32    scram-sha-256
"""

_START_SECONDS = 30.0
_PORT_ATTEMPTS = 5


def _default_settings() -> dict[str, str]:
    return {
        "listen_addresses": "127.0.0.1",
        "unix_socket_permissions": "0700",
        "max_connections": "100",
        "password_encryption": "scram-sha-256",
        "wal_level": "logical",
        "statement_timeout": "120s",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] %q%u@%d %a ",
        # Everything below trades durability for speed: these servers hold nothing that has to survive.
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "shared_buffers": "128MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "30min",
        "bgwriter_delay": "1s",
        "dynamic_shared_memory_type": "posix" if _roomy_shared_memory() else "mmap",
    }


def _roomy_shared_memory() -> bool:
    """Containers often have 64 MB of /dev/shm, which one parallel query can exhaust."""
    try:
        room = os.statvfs("/dev/shm")
    except OSError:
        return True
    return room.f_bavail * room.f_frsize >= 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server lives and as whom.

    Attributes:
        folder: its own folder in the temp folder: socket, log, and usually the data.
        data_dir: the data folder; does not exist yet or is empty.
        install: an installation that `user` can run.
    """

    folder: Path
    data_dir: Path
    user: RunAs
    install: Path


def find_place(user: RunAs, data_dir: Path | None = None, *, keep: bool = False) -> Place:
    """Find a place for a server.

    Raises:
        SandboxError: no folder works, or `data_dir` holds something.
    """
    if data_dir is not None and data_dir.exists() and any(data_dir.iterdir()):
        raise SandboxError(
            f"The folder {data_dir} is not empty.", next_step="Name a new or an empty folder for the data."
        )
    for parent in binaries.run_folder_parents(user):
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        if keep:
            (folder / "keep").touch()
        user.takes(folder)
        install = binaries.reachable_install(user, folder)
        if install is not None:
            return Place(folder, data_dir or folder / "data", user, install)
        shutil.rmtree(folder, ignore_errors=True)
    raise SandboxError(
        "No folder was found in which the embedded PostgreSQL can run.",
        next_step="Set TMPDIR to a folder that other users may enter and that allows programs to run.",
    )


class ServerProcess:
    """The server of one place. All of it blocks; call it from a thread where a loop runs."""

    def __init__(self, place: Place, *, keep: bool = False) -> None:
        self.place = place
        self.keep = keep
        self.port = 0
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def log_file(self) -> Path:
        return self.place.folder / "postgres.log"

    @property
    def ready(self) -> bool:
        """Whether the server takes connections."""
        return self._watchdog is not None and self._watchdog.poll() is None and self._says_ready()

    def launch(self, settings: Mapping[str, str], *, tcp: bool = True) -> None:
        """Write the configuration into the data folder and start the server on it.

        Raises:
            SandboxError: it did not start.
        """
        (self.place.data_dir / "pg_hba.conf").write_text(_HBA)
        tail = ""
        merged = _default_settings() | {"unix_socket_directories": str(self.place.folder)} | dict(settings)
        if not tcp:
            merged["listen_addresses"] = ""
        for _ in range(_PORT_ATTEMPTS):
            self.port = _free_port()
            merged["port"] = str(self.port)
            lines = [f"{name} = {_setting(value)}\n" for name, value in merged.items()]
            (self.place.data_dir / "sandbox.conf").write_text("".join(lines))
            (self.place.data_dir / "postgresql.conf").write_text("include = 'sandbox.conf'\n")
            self.place.user.takes(self.place.data_dir)
            self._start_watchdog()
            if self._wait_until_ready():
                return
            tail = self._log_tail()
            self._end_watchdog(keep=True)
            # Somebody may take the port between our look and the server's start.
            if "Address already in use" not in tail:
                break
            self.log_file.unlink()
        raise SandboxError(
            "The embedded PostgreSQL did not start.",
            state="Nothing is left running.",
            next_step="The end of its log: " + (tail or "(empty)"),
        )

    def stop(self) -> None:
        """Shut down and, unless kept, remove the files. Safe to call twice."""
        self._end_watchdog()
        if not self.keep:
            # The watchdog did this, unless it was killed itself.
            self.remove_files()

    def remove_files(self) -> None:
        """Remove the data and the folder of a stopped server."""
        shutil.rmtree(self.place.data_dir, ignore_errors=True)
        shutil.rmtree(self.place.folder, ignore_errors=True)

    def _start_watchdog(self) -> None:
        command = [str(self.place.install / "bin" / "postgres"), "-D", str(self.place.data_dir)]
        orders = {
            "command": command,
            "uid": self.place.user.uid,
            "gid": self.place.user.gid,
            "log": str(self.log_file),
            "data": str(self.place.data_dir),
            "lock": str(self.place.folder / "lock"),
            "remove": [] if self.keep else [str(self.place.data_dir), str(self.place.folder)],
        }
        watchdog = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("watchdog.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        self._watchdog = watchdog
        assert watchdog.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            watchdog.stdin.write(json.dumps(orders).encode() + b"\n")
            watchdog.stdin.flush()

    def _wait_until_ready(self) -> bool:
        watchdog = self._watchdog
        assert watchdog is not None and watchdog.stdout is not None
        if not watchdog.stdout.readline().startswith(b"pid "):
            return False
        os.set_blocking(watchdog.stdout.fileno(), False)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self._says_ready():
                return True
            if watchdog.poll() is not None or watchdog.stdout.readline():
                return False
            time.sleep(0.01)
        return False

    def _says_ready(self) -> bool:
        try:
            lines = (self.place.data_dir / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # The eighth line is the server's own word on whether it takes connections.
        return len(lines) >= 8 and lines[7].strip() == "ready"

    def _end_watchdog(self, *, keep: bool = False) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is None:
            return
        with contextlib.suppress(BrokenPipeError):
            assert watchdog.stdin is not None
            if keep:
                watchdog.stdin.write(b"keep\n")
            watchdog.stdin.close()
        watchdog.wait()
        if watchdog.stdout is not None:
            watchdog.stdout.close()

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return self.log_file.read_text(errors="replace")[-2000:].strip()
        return ""


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _setting(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
