"""Fixtures for all tests: one server per session, one database per test, cloned from templates.

A test that only needs data takes `database` (as real v1 is, with faults), `clean_database` (without),
`moved_database` (that, migrated) or `empty_database`, and `conn` or `connect` for connections;
`make_database(SandboxOptions(…))` makes any other kind.
Connections are those of an operator, role `postgres`, which is not a superuser.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.databases import Databases, Server, TestDatabase, adopt, outside_loop
from tests.google_store import GoogleStore, google_store
from tests.object_store import KEYS, ObjectStore, object_store
from tests.servers import memory_folder
from vagus_tui.database.connection import Connection
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.server import EmbeddedServer

SMALL = 40
ADOPTING = Path(tempfile.gettempdir()) / "vagus-tests-adopt.lock"

MakeDatabase = Callable[..., Awaitable[TestDatabase]]
Connect = Callable[[str], Awaitable[Connection]]


def pytest_collection_finish() -> None:
    """Look through memory as rarely as the wizard does: a fifth of the time that its tests take went into that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What programs keep for their user goes to a folder of the tests' own, and so does what they make for a while.

    The latter is in memory where there is plenty: every server that a backup is restored into is a thousand files,
    and on a disk it takes seven times as long to make them.
    """
    memory = memory_folder()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("VAGUS_BACKUP_DIR", str(tmp_path_factory.mktemp("backups")))
        if memory is not None:
            memory.mkdir()
            # Servers run as another user, who has to reach what is theirs.
            memory.chmod(0o711)
            patch.setenv("TMPDIR", str(memory))
            patch.setattr(tempfile, "tempdir", str(memory))
        yield
    if memory is not None:
        shutil.rmtree(memory, ignore_errors=True)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The session's server: the embedded one, or that of VAGUS_TEST_DATABASE_URL."""
    address = os.environ.get("VAGUS_TEST_DATABASE_URL")
    if address:
        # Test processes that run side by side adopt it one after the other.
        with ADOPTING.open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            adopted = outside_loop(adopt(address))
        yield adopted
        return
    embedded = outside_loop(
        EmbeddedServer.start(memory_folder(), settings={"autovacuum": "off", "max_prepared_transactions": "4"})
    )
    yield embedded
    embedded.stop_blocking()


@pytest.fixture(scope="session")
def databases(server: Server) -> Iterator[Databases]:
    """The session's templates."""
    found = Databases(server)
    yield found
    outside_loop(found.drop_templates())


@pytest.fixture
async def make_database(databases: Databases) -> AsyncIterator[MakeDatabase]:
    """Make a database for this test: `await make_database(SandboxOptions(…))`; without options the small default.

    With `moved=True` it is migrated already, by an operator “tester”: for tests of what comes afterwards.
    """
    made = []

    async def make(options: SandboxOptions | None = None, *, moved: bool = False) -> TestDatabase:
        database = await databases.clone(options or SandboxOptions(plans=SMALL), moved=moved)
        made.append(database)
        return database

    yield make
    for database in made:
        await databases.drop(database)


@pytest.fixture
async def database(make_database: MakeDatabase) -> TestDatabase:
    """A small v1 with a handful of every data-quality fault in it."""
    return await make_database(SandboxOptions(plans=SMALL))


@pytest.fixture
async def clean_database(make_database: MakeDatabase) -> TestDatabase:
    """A small v1 that no data-quality check has a word about."""
    return await make_database(SandboxOptions(plans=SMALL, clean=True))


@pytest.fixture
async def moved_database(make_database: MakeDatabase) -> TestDatabase:
    """`clean_database`, migrated."""
    return await make_database(SandboxOptions(plans=SMALL, clean=True), moved=True)


@pytest.fixture
async def empty_database(make_database: MakeDatabase) -> TestDatabase:
    """The v1 tables without a row."""
    return await make_database(SandboxOptions(empty=True))


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Open connections that are closed after the test: `conn = await connect(database.url)`."""
    opened: list[Connection] = []

    async def open_one(url: str) -> Connection:
        conn: Connection = await asyncpg.connect(url)
        opened.append(conn)
        return conn

    yield open_one
    for conn in opened:
        # A test may have left it in the middle of something, or lost it.
        conn.terminate()


@pytest.fixture
async def conn(database: TestDatabase, connect: Connect) -> Connection:
    """An operator's connection to `database`."""
    return await connect(database.url)


@pytest.fixture
async def clean_conn(clean_database: TestDatabase, connect: Connect) -> Connection:
    """An operator's connection to `clean_database`."""
    return await connect(clean_database.url)


@pytest.fixture
async def moved_conn(moved_database: TestDatabase, connect: Connect) -> Connection:
    """An operator's connection to `moved_database`."""
    return await connect(moved_database.url)


@pytest.fixture(scope="session")
def cloud() -> Iterator[ObjectStore]:
    """A server that speaks S3's protocol, started by the first test that wants it."""
    with object_store() as running:
        yield running


@pytest.fixture(scope="session")
def google_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GoogleStore]:
    """An emulator of Google Cloud Storage, started by the first test that wants it."""
    with google_store(tmp_path_factory.mktemp("google")) as running:
        yield running


@pytest.fixture
def cloud_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's own credentials for it in the environment, and nobody's own."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "GOOGLE_", "STORAGE_EMULATOR_HOST")):
            monkeypatch.delenv(name)
    nowhere = {"AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONFIG_FILE": "/nonexistent"}
    for name, value in {**nowhere, **KEYS}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def patient_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine makes no page count as slowed down; the tests of slowness set the limit back."""
    monkeypatch.setattr("vagus_tui.checks.performance.speed.NOTICEABLE_SECONDS", 5.0)
