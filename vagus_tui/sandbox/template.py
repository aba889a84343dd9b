"""The cached cluster: initdb and the Supabase roles done once per version, copied for every server after that."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import hashlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import asyncpg
import platformdirs

from vagus_tui.sandbox import binaries
from vagus_tui.sandbox.binaries import SandboxError
from vagus_tui.sandbox.process import Place, ServerProcess, find_place

# As on Supabase: the bootstrap superuser, which customers never see.
ADMIN = "supabase_admin"
LOCALE = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""The builtin provider's C.UTF-8 sorts and folds case the same on every machine; there is none before 17."""

# Raised when what initdb is asked for changes; the SQL is in the key by its content.
_REVISION = 1
_BUILD_SECONDS = 3600
_UNUSED_SECONDS = 60 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Cluster:
    """A stopped cluster on disk that is only ever copied."""

    folder: Path

    @property
    def password(self) -> str:
        """The superuser's password in the copy, until the copy gets its own."""
        return (self.folder / "password").read_text().strip()

    def copy_to(self, data_dir: Path) -> None:
        """Copy the data folder to a new or empty place, readable by its owner alone."""
        shutil.copytree(self.folder / "data", data_dir, symlinks=True, dirs_exist_ok=True)
        data_dir.chmod(0o700)


def sql(name: str) -> str:
    """The text of one of the package's SQL files."""
    return resources.files("vagus_tui.sandbox").joinpath("sql", name).read_text(encoding="utf-8")


def cache_key() -> str:
    """What the cached cluster depends on."""
    parts = (str(_REVISION), binaries.server_version(), sql("roles.sql"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def cache_dir() -> Path:
    """The user's cache folder for clusters."""
    return platformdirs.user_cache_path("vagus-tui") / "clusters"


def cached_cluster() -> Cluster:
    """The cluster from the cache, built on first use. Any number of processes may call this at once.

    Raises:
        SandboxError: initdb or the roles failed.
    """
    final = cache_dir() / cache_key()
    if (final / "password").exists():
        return Cluster(final)
    try:
        cache_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
        _prune()
        aside = Path(tempfile.mkdtemp(prefix=".building-", dir=cache_dir()))
    except OSError:
        # A home that cannot be written to only costs time.
        return _uncached()
    try:
        _build(aside)
        # The rename is the moment it exists, whole. If another process was quicker, theirs is as good.
        with contextlib.suppress(OSError):
            aside.rename(final)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    if not (final / "password").exists():
        return _uncached()
    return Cluster(final)


def _prune() -> None:
    """Remove clusters of versions no longer used, and what killed builds left."""
    for folder in cache_dir().iterdir():
        limit = _BUILD_SECONDS if folder.name.startswith(".building-") else _UNUSED_SECONDS
        if time.time() - folder.stat().st_mtime > limit:
            shutil.rmtree(folder, ignore_errors=True)


@cache
def _uncached() -> Cluster:
    """A cluster for this process alone, removed when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="vagus-cluster-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _build(folder)
    return Cluster(folder)


def _build(target: Path) -> None:
    """Make the cluster and put its data folder and password into `target`."""
    password = secrets.token_urlsafe(24)
    process = ServerProcess(find_place(binaries.ordinary_user()), keep=True)
    try:
        initdb(process.place, password)
        process.launch({}, tcp=False)
        run_script(process, password, sql("roles.sql"))
        process.stop()
        shutil.copytree(process.place.data_dir, target / "data", symlinks=True)
        (target / "password").touch(mode=0o600)
        (target / "password").write_text(password)
    finally:
        process.keep = False
        process.stop()


def initdb(place: Place, password: str, locale: tuple[str, ...] = LOCALE) -> None:
    """Run initdb, which wants the password in a file.

    Raises:
        SandboxError: it made no data folder; says why.
    """
    file = place.folder / "password"
    file.touch(mode=0o600)
    file.write_text(password)
    place.user.takes(file)
    command: list[str | Path] = [place.install / "bin" / "initdb", "-D", place.data_dir, "-U", ADMIN, "-E", "UTF8"]
    command += ["--auth=scram-sha-256", f"--pwfile={file}", "--no-sync", "--no-instructions"]
    command += locale
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=place.folder,
        env={name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))},
        user=place.user.uid,
        group=place.user.gid,
        extra_groups=None if place.user.uid is None else [],
        check=False,
    )
    file.unlink()
    if done.returncode != 0:
        raise SandboxError(
            "The embedded PostgreSQL could not make its data folder.",
            state="Nothing is left running.",
            next_step=done.stderr.strip()[-2000:],
        )


def run_script(process: ServerProcess, password: str, script: str) -> None:
    """Run SQL as the superuser over the server's unix socket. Blocks, in a loop of its own."""

    async def run() -> None:
        conn = await asyncpg.connect(
            host=str(process.place.folder),
            port=process.port,
            user=ADMIN,
            password=password,
            database="postgres",
            timeout=30,
        )
        try:
            await conn.execute(script)
        finally:
            await conn.close()

    asyncio.run(run())
