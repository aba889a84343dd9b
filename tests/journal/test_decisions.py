"""What people signed off and let pass: how long it counts."""

from __future__ import annotations

import asyncpg
import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.journal import decisions, store
from vagus_tui.journal.schema import journal_exists
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


async def test_a_gate_is_let_pass_by_name_until_that_is_taken_back(
    empty_database: TestDatabase, connect: Connect
) -> None:
    conn = await connect(empty_database.url)
    assert await decisions.overrides(conn) == {} and await decisions.sign_offs(conn) == {}
    # Nothing was let pass yet, so there is nothing to take back, nor a journal to say so in.
    await decisions.withdraw_override(conn, "tls", operator="ada")
    assert not await journal_exists(conn)

    async def in_force() -> dict[str, tuple[str, str]]:
        return {id: (one.reason, one.operator) for id, one in (await decisions.overrides(conn)).items()}

    await decisions.override(conn, "tls", "a tunnel", operator="ada")
    await decisions.override(conn, "tls", "another tunnel", operator="bob")
    await decisions.override(conn, "clock", "it is right", operator="ada")
    assert await in_force() == {"tls": ("another tunnel", "bob"), "clock": ("it is right", "ada")}
    for _ in range(2):
        await decisions.withdraw_override(conn, "tls", operator="grace")
        assert await in_force() == {"clock": ("it is right", "ada")}
    assert await store.latest_notes(conn, "override-withdrawn") == [{"check": "tls"}]
    await decisions.override(conn, "tls", "a new one", operator="ada")
    assert await in_force() == {"tls": ("a new one", "ada"), "clock": ("it is right", "ada")}


async def test_what_is_signed_in_spite_of_its_criteria_says_why_or_is_not_signed(
    empty_database: TestDatabase, connect: Connect
) -> None:
    conn = await connect(empty_database.url)
    for reason in ("", " "):
        with pytest.raises(asyncpg.CheckViolationError):
            await decisions.sign_in_spite(conn, LASTING, ["slow", "new"], reason, operator="ada")
        assert await decisions.overrides(conn) == {} and await decisions.sign_offs(conn) == {}
    await decisions.sign_in_spite(conn, LASTING, ["slow", "new"], "a drill", operator="ada")
    assert {id: one.reason for id, one in (await decisions.overrides(conn)).items()} == {
        "slow": "a drill",
        "new": "a drill",
    }
    signed = (await decisions.sign_offs(conn))[LASTING]
    assert (signed.ticked, signed.note, signed.operator) == (True, "a drill", "ada")
    await decisions.sign(conn, LASTING, ticked=False, operator="bob")
    assert not (await decisions.sign_offs(conn))[LASTING].ticked
