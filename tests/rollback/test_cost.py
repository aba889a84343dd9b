"""What going back costs is told by what there is to carry back now: a rehearsal had nothing to carry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.databases import TestDatabase
from tests.migration.support import settings_for
from vagus_tui.journal.state import read_state
from vagus_tui.rollback.cost import LOCKED_PER_LOOK, Cost, cost_of
from vagus_tui.rollback.preview import preview


def test_much_to_carry_back_is_told_beside_what_was_rehearsed() -> None:
    little = Cost(10, 0, 0, seconds=5.0, blocked_seconds=0.5, expected=1.9)
    assert little.time == "Rehearsed: 5.0 s, writes wait 0.50 s of it; the v1 app's way to users comes on top."
    much = Cost(10**6, 0, 0, seconds=5.0, blocked_seconds=0.5, expected=95.0)
    assert much.time == f"{little.time} By what was written until now, v2 is closed for about 1 min 35 s."
    rehearsed_worse = Cost(10, 0, 0, seconds=120.0, blocked_seconds=100.0, expected=95.0)
    assert "closed for" not in rehearsed_worse.time
    assert Cost(10, 0, 0, expected=95.0).time.startswith("Not rehearsed, so nobody knows how long it takes. By what")


async def test_what_looking_took_is_what_is_expected(moved_database: TestDatabase) -> None:
    async with moved_database.connect() as conn:
        await conn.execute("update exercises set notes = 'later'")
        found = await preview(conn, await read_state(conn))
        assert 0 < found.answer_seconds < found.seconds < 30
        settings = settings_for(moved_database)
        # Of what it took five answers' way is taken off, and 22 come on top, as many as there are under the locks.
        far = replace(found, seconds=1.0, answer_seconds=0.1)
        assert (await cost_of(conn, settings, far)).expected == pytest.approx(LOCKED_PER_LOOK * 0.5 + 2.2)
        assert (await cost_of(conn, settings, replace(far, seconds=0.4))).expected == pytest.approx(2.2)
