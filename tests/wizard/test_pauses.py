"""Memory is cleared between keys, and what the program is made of is left out of it."""

from __future__ import annotations

import gc
import weakref

import pytest

from vagus_tui.session import pauses
from vagus_tui.session.pauses import Pauses


class Ring:
    """Garbage that only a collection finds: it names itself."""

    def __init__(self) -> None:
        self.itself = self


def test_cleared_in_a_pause_and_never_between_a_key_and_its_painting(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Pauses()
    before = gc.get_threshold()
    found.begin()
    try:
        assert gc.get_freeze_count() > 0
        monkeypatch.setattr(pauses, "WORTH_IT", 0)
        left = weakref.ref(Ring())
        found.touch()
        assert not found.look()
        assert left() is not None
        monkeypatch.setattr(pauses, "QUIET_SECONDS", 0.0)
        assert found.look()
        assert left() is None
    finally:
        found.end()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
