"""A settings object per test database, and a backup of it made once per test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backup.helpers import Made, make, settings_for
from tests.databases import TestDatabase
from vagus_tui.backup import BackupOptions, Kind
from vagus_tui.settings import Settings


@pytest.fixture
def settings(clean_database: TestDatabase, tmp_path: Path) -> Settings:
    """Settings that name `clean_database` and a folder of the test's own."""
    return settings_for(clean_database, tmp_path)


@pytest.fixture
async def made(settings: Settings) -> Made:
    """A backup of `clean_database`: the workout tables and CSV."""
    return await make(settings, BackupOptions(kinds=frozenset({Kind.TABLES, Kind.CSV})))
