"""Fixtures for the tests of migrating."""

from __future__ import annotations

import pytest

from vagus_tui.migration.phases import cut_over


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof is old at once: nobody wants to hold for ten seconds in a test."""
    monkeypatch.setattr(cut_over, "PROOF_GOOD_FOR_SECONDS", 0.0)
