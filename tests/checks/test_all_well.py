"""A database where all is well: every group, before and after the migration, passes without a word of warning.

Nor does it keep anybody waiting whose server is far away: answers are counted, not timed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.checks.support import looking_at
from tests.checks.test_verification import migrated
from tests.databases import TestDatabase
from tests.line import line_to
from vagus_tui.checks.base import Group, run_checks
from vagus_tui.checks.performance import speed
from vagus_tui.checks.registry import checks_for
from vagus_tui.events import CheckEvent, Status

QUIET = (Status.PASS, Status.SKIP)
ANSWERS = {
    Group.PREREQUISITES: 70,
    Group.DATA_QUALITY: 90,
    Group.VERIFICATION: 150,
    Group.ACCESS: 135,
    Group.PERFORMANCE: 120,
}
"""How many answers of the server a group may wait for, the state it begins with among them. At 80 ms each, 125 of them
take 10 s."""


async def words(database: TestDatabase, group: Group, folder: Path) -> dict[str, str | None]:
    """What a group has to say besides that all is well."""
    async with line_to(database) as line, looking_at(line.url, backup_dir=folder) as context:
        found: list[CheckEvent] = [
            event
            async for event in run_checks(checks_for(group), context)
            if event.status not in (Status.PENDING, Status.RUNNING)
        ]
    assert len(found) == len(checks_for(group)) > 0
    # The first connection is the checks' own.
    assert line.connections[0] <= ANSWERS[group], group
    return {event.id: event.message for event in found if event.status not in QUIET}


async def test_nothing_to_say(clean_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What depends on this machine is made as it should be: a tool that is there, and time that is not scarce.
    monkeypatch.setattr(speed, "NOTICEABLE_SECONDS", 60.0)
    program = tmp_path / "supabase"
    program.write_text("#!/bin/sh\necho 3.1.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    for group in (Group.PREREQUISITES, Group.DATA_QUALITY, Group.PERFORMANCE):
        assert await words(clean_database, group, tmp_path) == {}, group
    await migrated(clean_database)
    for group in (Group.VERIFICATION, Group.ACCESS, Group.PERFORMANCE, Group.PREREQUISITES):
        assert await words(clean_database, group, tmp_path) == {}, group
