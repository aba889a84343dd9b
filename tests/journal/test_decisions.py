"""What people signed off: how long it counts."""

from __future__ import annotations

import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.journal import decisions, store
from vagus_tui.migration.gates import due_before_start
from vagus_tui.runbook import aftermath, communications

MESSAGE = due_before_start()[0].id
FOLLOW_UP = aftermath.GROUPS[0].items[0].id
LASTING = "prerequisites.something"


def test_every_message_and_what_follows_a_rollback_is_about_one_attempt() -> None:
    groups = (*communications.GROUPS, *aftermath.GROUPS)
    assert {item.id.partition(".")[0] for group in groups for item in group.items} < set(decisions.OF_AN_ATTEMPT)


@pytest.mark.parametrize("way", ["rollback", "restore"])
async def test_a_rollback_ends_what_was_said_of_its_migration(
    way: str, empty_database: TestDatabase, connect: Connect
) -> None:
    """Users were told of another day: before the next migration they are told again."""
    conn = await connect(empty_database.url)

    async def run(kind: str) -> None:
        begun = await store.start_run(conn, kind, operator="ada", environment="staging", options={})
        await store.update_run(conn, begun, finished=True, status="done")

    for item in (MESSAGE, FOLLOW_UP, LASTING):
        await decisions.sign(conn, item, ticked=True, operator="ada")
    # Nothing was rolled back: what was restored was v1, before any migration.
    await run("restore")
    assert set(await decisions.sign_offs(conn)) == {MESSAGE, FOLLOW_UP, LASTING}
    await run("migrate")
    assert set(await decisions.sign_offs(conn)) == {MESSAGE, FOLLOW_UP, LASTING}
    await run(way)
    assert set(await decisions.sign_offs(conn)) == {LASTING}
    await decisions.sign(conn, MESSAGE, ticked=True, operator="bob")
    await run("migrate")
    signed = await decisions.sign_offs(conn)
    assert set(signed) == {MESSAGE, LASTING} and signed[MESSAGE].operator == "bob"
