"""A settings object per test database, and a backup of it: a copy of one that was made once, or one of its own."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
from pathlib import Path

import pytest

from tests.backup.helpers import Made, Store, make, settings_for
from tests.conftest import SMALL
from tests.databases import Databases, TestDatabase, outside_loop
from tests.object_store import ObjectStore
from vagus_tui.backup import BackupOptions, Kind
from vagus_tui.backup.manifest import read_manifest
from vagus_tui.journal import backup_records
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.settings import Settings

_numbers = itertools.count(1)

TABLES_AND_CSV = BackupOptions(kinds=frozenset({Kind.TABLES, Kind.CSV}))


@pytest.fixture
def settings(clean_database: TestDatabase, tmp_path: Path) -> Settings:
    """Settings that name `clean_database` and a folder of the test's own."""
    return settings_for(clean_database, tmp_path)


@pytest.fixture(scope="session")
def made_once(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """One backup of a database with the rows of every `clean_database`."""

    async def once() -> Made:
        database = await databases.clone(SandboxOptions(plans=SMALL, clean=True))
        made = await make(settings_for(database, tmp_path_factory.mktemp("once")), TABLES_AND_CSV)
        await databases.drop(database)
        return made

    return outside_loop(once())


@pytest.fixture
async def made(made_once: Made, settings: Settings, clean_database: TestDatabase) -> Made:
    """A backup with the rows of `clean_database`, which its journal knows of: the workout tables and CSV.

    It is a copy, and names another database as the one that it is of. Where that matters, take `made_here`.
    """
    path = settings.backup_dir.joinpath(*made_once.path.parts[-2:])
    shutil.copytree(made_once.path, path)
    manifest = read_manifest(path).model_dump(mode="json")
    async with clean_database.connect() as conn:
        await backup_records.record_backup(conn, str(path), manifest, operator="tester", verified=True)
    result = dataclasses.replace(made_once.result, figures={**(made_once.result.figures or {}), "path": str(path)})
    return Made([*made_once.events[:-1], result])


@pytest.fixture
async def made_here(settings: Settings) -> Made:
    """The same, of `clean_database` itself."""
    return await make(settings, TABLES_AND_CSV)


@pytest.fixture
def bucket(cloud: ObjectStore) -> str:
    name = f"bucket{next(_numbers)}"
    cloud.bucket(name)
    return name


@pytest.fixture(params=["s3", "gs"])
def place(request: pytest.FixtureRequest) -> tuple[str, Store]:
    """Either cloud: the address of a new bucket, and the server that has it."""
    store: Store = request.getfixturevalue("cloud" if request.param == "s3" else "google_cloud")
    name = f"bucket{next(_numbers)}"
    store.bucket(name)
    return f"{request.param}://{name}", store
