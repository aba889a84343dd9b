"""The operator's lock: a second run is refused by name, a session that is just ending is waited for."""

from __future__ import annotations

import asyncio
import platform

import pytest

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.errors import RefusedError
from vagus_tui.events import Phase, StepEvent, StepState
from vagus_tui.journal.lock import at_work, lock_holder, take_lock
from vagus_tui.journal.state import read_state
from vagus_tui.journal.store import RESUMED, record_step, start_run, update_run
from vagus_tui.sandbox.options import SandboxOptions


async def test_a_second_operator_is_told_who_is_first(empty_database: TestDatabase, connect: Connect) -> None:
    first, second = await connect(empty_database.url), await connect(empty_database.url)
    await take_lock(first)
    session = rf"from \S+, PID {first.get_server_pid()}, connected just now"
    with pytest.raises(RefusedError, match=session):
        await take_lock(second)


async def test_who_works_on_another_database_is_in_nobodys_way(
    make_database: MakeDatabase, empty_database: TestDatabase, connect: Connect
) -> None:
    options = SandboxOptions(empty=True)
    first, second = await connect(empty_database.url), await connect((await make_database(options)).url)
    await start_run(second, "migrate", operator="ada", environment="staging", options={})
    await take_lock(first)
    assert await lock_holder(second) is None and (await read_state(second)).interrupted
    # Nor is another lock there taken for it, not even one in two numbers that make up ours.
    await second.execute("select pg_advisory_lock(1), pg_advisory_lock(1, -1225752341)")
    assert await lock_holder(first) is not None and await lock_holder(second) is None
    assert (await read_state(second)).interrupted
    await take_lock(second)
    assert not (await read_state(second)).interrupted


async def test_the_one_at_work_is_named_as_the_journal_knows_them(
    empty_database: TestDatabase, connect: Connect
) -> None:
    first, second = await connect(empty_database.url), await connect(empty_database.url)
    await take_lock(first)
    holder = await lock_holder(second)
    assert holder is not None and holder.pid == first.get_server_pid()
    run = await start_run(first, "rollback", operator="ada", environment="staging", options={})
    who = f"ada on {platform.node()}, quick rollback begun just now ("
    assert (await at_work(second, holder)).startswith(who)
    # A run that broke off before they came is not theirs.
    await first.execute("update vagus_migration.runs set started_at = started_at - interval '2 hours'")
    session = await at_work(second, holder)
    assert "ada" not in session and f"PID {holder.pid}" in session
    # Unless they took it up.
    step = StepEvent(id=RESUMED, phase=Phase.BUILD, title=RESUMED, state=StepState.STARTED)
    await record_step(first, run, step)
    await update_run(first, run, figures={"taken_up_by": "marie", "taken_up_on": "her-laptop"})
    assert (await at_work(second, holder)).startswith("marie on her-laptop, quick rollback begun just now (")
    await update_run(first, run, status="done", finished=True)
    assert await at_work(second, holder) == session


async def test_a_session_that_is_just_ending_is_waited_for(empty_database: TestDatabase, connect: Connect) -> None:
    first, second = await connect(empty_database.url), await connect(empty_database.url)
    await take_lock(first)
    waiting = asyncio.create_task(take_lock(second))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await first.close()
    await waiting
