"""Fixtures for the tests of checks: poolers and a TLS end in front of the test server."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.checks.pgbouncer import PgBouncer, find_pgbouncer
from tests.checks.tls_proxy import TlsProxy
from tests.databases import TestDatabase

MakePooler = Callable[..., Awaitable[str]]


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker here, beside what it depends on."""
    config.addinivalue_line("markers", "needs_pgbouncer: runs where the program pgbouncer is installed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and count as deselected, what needs a program that is no Python package."""
    if find_pgbouncer() is not None:
        return
    without = [item for item in items if item.get_closest_marker("needs_pgbouncer")]
    if without:
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]
        # Said once in the summary, so that nobody takes them for passed.
        config.stash[_LEFT_OUT] = len(without)


_LEFT_OUT = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was left out and why."""
    if number := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(f"{number} tests were left out: pgbouncer is not installed here.")


@pytest.fixture
async def make_pooler() -> AsyncIterator[MakePooler]:
    """Put a real PgBouncer in front of a database: `await make_pooler(database, "transaction")` gives its address."""
    running: list[PgBouncer] = []

    async def make(database: TestDatabase, mode: str, *, strict: bool = False) -> str:
        pooler = await PgBouncer.start(database.url, mode, strict=strict)
        running.append(pooler)
        return pooler.url

    yield make
    for pooler in running:
        pooler.stop()
        shutil.rmtree(pooler.folder, ignore_errors=True)


@pytest.fixture
async def tls_url(clean_database: TestDatabase) -> AsyncIterator[str]:
    """The address of a TLS end in front of `clean_database`, with a certificate for localhost and 127.0.0.1."""
    async with TlsProxy.before(clean_database.url) as proxy:
        yield proxy.url
