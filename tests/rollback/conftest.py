"""Databases for the tests of the way back."""

from __future__ import annotations

import pytest

from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.sandbox.options import SandboxOptions


@pytest.fixture
async def moved(make_database: MakeDatabase) -> TestDatabase:
    """A small database; each test migrates it."""
    return await make_database(SandboxOptions(plans=20, clean=True))
