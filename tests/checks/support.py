"""What the tests of checks share: a context for a database, and one check run to its outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr

from tests.databases import TestDatabase
from vagus_tui.checks.base import Check, Context, offending_rows, run_check
from vagus_tui.checks.registry import check_by_id
from vagus_tui.database.connection import Database
from vagus_tui.events import CheckEvent
from vagus_tui.journal.state import read_state
from vagus_tui.settings import Settings


def settings_for(url: str, **values: Any) -> Settings:
    """Settings of one test."""
    return Settings(database_url=SecretStr(url), operator="tester", **values)


@asynccontextmanager
async def looking_at(database: TestDatabase | str, **values: Any) -> AsyncIterator[Context]:
    """A context for a database or an address."""
    settings = settings_for(database if isinstance(database, str) else database.url, **values)
    opened = Database(settings)
    async with opened.connection("test") as connection:
        yield Context(opened, connection, settings, await read_state(connection))


async def outcome(check_id: str, context: Context) -> CheckEvent:
    """One check's outcome."""
    return await run_check(check_by_id(check_id), context)


async def measured(check_id: str, database: TestDatabase | str, **values: Any) -> CheckEvent:
    """One check's outcome on a connection of its own."""
    async with looking_at(database, **values) as context:
        return await outcome(check_id, context)


async def offending_ids(check: Check, context: Context) -> list[str | None]:
    """The ids of the rows that a check objects to."""
    return [row[0] for row in (await offending_rows(check, context)).rows]
