"""A server that demands TLS: with fitting tools it works verified; without, CSV does, and the package is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.backup.helpers import collect, make, settings_for
from tests.checks.tls_proxy import CA, TlsProxy
from tests.databases import Databases, TestDatabase, adopt, outside_loop
from tests.servers import running
from vagus_tui.backup import BackupOptions, Kind, restore_test
from vagus_tui.control import Control
from vagus_tui.database.tools import ClientTools, find_tools
from vagus_tui.errors import ConnectionFailedError, RefusedError
from vagus_tui.sandbox.binaries import SandboxError
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.settings import Settings

CSV = BackupOptions(kinds=frozenset({Kind.CSV}))
TABLES = BackupOptions(kinds=frozenset({Kind.TABLES}))


def through(proxy: TlsProxy, database: TestDatabase, folder: Path, ca: Path | None = CA) -> Settings:
    """Settings that reach the database through TLS and verify who is there."""
    settings = settings_for(database, folder)
    return settings.model_copy(update={"database_url": SecretStr(proxy.url), "ssl_root_cert": ca})


async def test_without_fitting_tools_the_package_is_named_and_csv_works(
    clean_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the tools here only the embedded PostgreSQL's are new enough, and they were built without TLS."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("vagus_tui.database.tools._SYSTEM_FOLDERS", ())
    async with TlsProxy.before(clean_database.url) as proxy:
        settings = through(proxy, clean_database, tmp_path)
        with pytest.raises(RefusedError, match="without TLS") as caught:
            await make(settings, TABLES)
        assert "Install postgresql" in caught.value.next_step and "CSV" in caught.value.next_step
        done = await make(settings, CSV)
        assert done.result.ok
    assert (await collect(restore_test(done.path, settings_for(clean_database, tmp_path), Control()))).result.ok


async def test_another_authority_is_not_trusted(clean_database: TestDatabase, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text((CA.parent / "server.pem").read_text())
    async with TlsProxy.before(clean_database.url) as proxy:
        with pytest.raises(ConnectionFailedError, match="TLS"):
            await make(through(proxy, clean_database, tmp_path, other), CSV)


@pytest.fixture
def older() -> Iterator[Databases]:
    """A server of a version that the pg_dump on PATH fits, where both are here."""
    found = find_tools(14, needs_tls=True)
    if not isinstance(found, ClientTools):
        pytest.skip("no pg_dump with TLS is installed here")
    try:
        with running(min(found.major, 18)) as url:
            yield Databases(outside_loop(adopt(url)))
    except SandboxError:
        pytest.skip(f"no PostgreSQL {found.major} is to be had here")


@pytest.mark.slow
async def test_with_fitting_tools_it_works_verified(older: Databases, tmp_path: Path) -> None:
    database = await older.clone(SandboxOptions(plans=10, clean=True))
    async with TlsProxy.before(database.url) as proxy:
        settings = through(proxy, database, tmp_path)
        done = await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES, Kind.FULL, Kind.CSV})))
        assert done.result.ok
        settings = through(proxy, database, tmp_path, CA.parent / "server.pem")
        with pytest.raises(ConnectionFailedError, match="TLS"):
            await make(settings, TABLES)
    restored = await collect(restore_test(done.path, settings_for(database, tmp_path), Control()))
    assert restored.result.ok, restored.problems
