"""Over a long line every answer is waited for, and under locks the app waits too. Answers are counted, not timed."""

from __future__ import annotations

import re

import pytest
from pydantic import SecretStr

from tests.conftest import MakeDatabase
from tests.line import line_to
from tests.migration.support import collected, settings_for
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.migration.cut_over import ANSWERS
from vagus_tui.migration.phases import cut_over
from vagus_tui.migration.runner import migrate
from vagus_tui.rollback import cost
from vagus_tui.rollback.quick import roll_back
from vagus_tui.sandbox.options import SandboxOptions


@pytest.mark.timeout(60)
async def test_few_answers_are_waited_for_under_locks(
    make_database: MakeDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a server a fifth of a second away, a cut-over still comes to its end within the 3 s that writes may wait.

    Where it does not, it is said that it was the line.
    """
    database = await make_database(SandboxOptions(plans=10, clean=True))
    async with line_to(database, seconds=0.025) as slow:
        settings = settings_for(database).model_copy(update={"database_url": SecretStr(slow.url)})
        with monkeypatch.context() as patch:
            # Long enough for a busy machine: a session that stands still as long is ended.
            patch.setattr(cut_over, "LIMIT_SECONDS", 0.2)
            ran = await collected(migrate(Database(settings), settings, control := Control(), hold=False), control)
        said = rf"taken back\. The line is slow: it waits for {ANSWERS} answers of the server, and each takes \d+ ms "
        assert not ran.result.ok and re.search(said, ran.result.message), ran.result
    async with line_to(database) as line:
        settings = settings_for(database).model_copy(update={"database_url": SecretStr(line.url)})
        for job in (
            migrate(Database(settings), settings, control := Control(), hold=False),
            roll_back(Database(settings), settings, control),
        ):
            ran = await collected(job, control)
            assert ran.result.ok, ran.result
    # A step of the build waits for two answers, whatever it does; the plan and its proof for a few for each thing.
    main, *lanes = sorted(slow.connections, reverse=True)[:3]
    assert main <= 330 and sum(lanes) <= 230, slow.connections
    there, back = line.answers
    assert ANSWERS - 2 <= there <= ANSWERS and cost.ANSWERS - 2 <= back <= cost.ANSWERS, line.answers
