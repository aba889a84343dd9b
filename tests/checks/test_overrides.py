"""Overrides: by name, with a reason, on record with who and when; and what no override lets pass."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from tests.backup.helpers import make, settings_for
from tests.checks.support import looking_at, outcome
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from tests.wizard.walk import settings_for as wizard_settings
from tests.wizard.walk import until, walking, wizard
from vagus_tui.backup.options import BackupOptions, Kind
from vagus_tui.checks.base import Context, Group, blocking, run_check
from vagus_tui.checks.overrides import overridden, refusal, way_past, words
from vagus_tui.checks.registry import checks_for
from vagus_tui.database.connection import Database
from vagus_tui.errors import ConfigurationError, RefusedError
from vagus_tui.events import CheckEvent, Status
from vagus_tui.journal import decisions
from vagus_tui.journal.state import read_state
from vagus_tui.migration.gates import OWN_GATES, GateId, gates, override_gates
from vagus_tui.settings import Environment, Settings

NEVER = {
    *("plans-migrated", "exercises-migrated", "sessions-migrated", "logs-migrated", "row-proof", "rls-enforced"),
    "access-as-applied",
}
"""The proof, and who sees what: letting these pass would be losing rows or showing them to strangers."""


def test_the_proof_cannot_be_overridden() -> None:
    checks = (*checks_for(Group.VERIFICATION), *checks_for(Group.ACCESS))
    assert {check.id for check in checks if not check.overridable} >= NEVER


def test_what_holds_up_and_what_lets_it_pass() -> None:
    at = datetime(2026, 5, 1, 8, 30, tzinfo=UTC)
    allowed = {"tls": decisions.Override("tls", "a tunnel", "ada", at)}
    fails = CheckEvent(id="tls", group="prerequisites", title="TLS", status=Status.FAIL)
    passes, other = replace(fails, status=Status.PASS), replace(fails, id="rights", overridable=False)
    shown = overridden(fails, allowed)
    assert (shown.overridden or "").startswith("a tunnel (ada, since ") and "08:30 UTC)" in (shown.overridden or "")
    assert words(allowed["tls"], "Europe/Vienna").endswith("10:30)")
    assert overridden(passes, allowed) is passes and overridden(other, allowed | {"rights": allowed["tls"]}) is other
    assert refusal([passes, shown], "a migration") is None
    assert refusal([fails], "a migration") == "1 of the gates before a migration holds it up: tls."
    assert refusal([fails, passes, other], "a rollback") == "2 of the gates before a rollback hold it up: tls, rights."
    assert way_past([fails, other]).endswith("with --override CHECK=REASON: tls.")
    assert "none of them can be let pass" in way_past([passes, other])


async def test_an_override_is_on_record_with_who_why_and_when(clean_database: TestDatabase) -> None:
    async with clean_database.connect() as conn:
        await override_gates(conn, {"tls": " a tunnel ", "backup-verified": "a drill"}, operator="ada")
        rows = await conn.fetch("select * from vagus_migration.overrides order by id")
        assert [(row["check_id"], row["reason"], row["operator"]) for row in rows] == [
            ("tls", "a tunnel", "ada"),
            ("backup-verified", "a drill", "ada"),
        ]
        assert all(row["at"] is not None for row in rows)
        with pytest.raises(ConfigurationError, match="no reason"):
            await override_gates(conn, {"clock": " "}, operator="ada")
        with pytest.raises(ConfigurationError, match="no gate named"):
            await override_gates(conn, {"row-proof": "it is fine"}, operator="ada")
        with pytest.raises(ConfigurationError, match="cannot be overridden"):
            await override_gates(conn, {GateId.STATE.value: "it is fine"}, operator="ada")
        # Whatever writes past the program meets the same rule in the database.
        with pytest.raises(asyncpg.CheckViolationError):
            await decisions.override(conn, "tls", "  ", operator="ada")
        assert await conn.fetchval("select count(*) from vagus_migration.overrides") == 2


async def test_no_word_in_the_journal_lets_the_proof_pass(moved_database: TestDatabase) -> None:
    async with moved_database.planting() as admin:
        await admin.execute("update exercises set name = name || '!' where id = (select id from exercises limit 1)")
        await admin.execute("create policy open on workout_weeks for select to authenticated using (true)")
    async with looking_at(moved_database) as context:
        names = ("row-proof", "rls-enforced", "access-owners")
        for name in names:
            await decisions.override(context.connection, name, "let it be", operator="mallory")
        allowed = await decisions.overrides(context.connection)
        events = [overridden(await outcome(name, context), allowed) for name in names]
        # Nor is there a way to start once more from where everything has been moved.
        await decisions.override(context.connection, GateId.STATE.value, "once more", operator="mallory")
        events += [event async for event in gates(context) if event.status not in (Status.PENDING, Status.RUNNING)]
    assert blocking(events) == events
    assert (events[-1].id, events[-1].measured) == (GateId.STATE, "migrated")


async def test_the_wizard_obeys_the_same_rule(moved_database: TestDatabase) -> None:
    async with moved_database.planting() as admin:
        await admin.execute("update exercises set name = name || '!' where id = (select id from exercises limit 1)")
    async with moved_database.connect() as conn:
        await decisions.override(conn, "row-proof", "let it be", operator="mallory")
    async with walking(wizard_settings(moved_database.url)) as pilot:
        session = wizard(pilot).session
        wizard(pilot).action_go("verification")
        await until(pilot, lambda: "row-proof" in session.results and session.results["row-proof"].status.blocks)
        await until(pilot, lambda: not session.checking("verification"))
        assert session.now.overrides and session.results["row-proof"].overridden is None
        with pytest.raises(RefusedError, match="cannot be overridden"):
            await session.override("row-proof", "let it be")


@asynccontextmanager
async def at_the_gate(settings: Settings) -> AsyncIterator[Context]:
    """A context by settings."""
    database = Database(settings)
    async with database.connection("test") as connection:
        yield Context(database, connection, settings, await read_state(connection))


async def test_another_databases_backup_never_passes_for_ones_own(
    clean_database: TestDatabase, make_database: MakeDatabase, tmp_path: Path
) -> None:
    backup = next(check for check in OWN_GATES if check.id == GateId.BACKUP)
    other = settings_for(await make_database(), tmp_path)
    mine = settings_for(clean_database, tmp_path).model_copy(update={"environment": Environment.STAGING})
    async with at_the_gate(mine) as context:
        # Without any backup it is the operator's decision.
        assert (await run_check(backup, context)).overridable
        assert (await make(other, BackupOptions(kinds=frozenset({Kind.CSV})))).result.ok
        event = await run_check(backup, context)
        assert event.status is Status.FAIL and not event.overridable
        await decisions.override(context.connection, GateId.BACKUP.value, "good enough", operator="mallory")
        assert overridden(event, await decisions.overrides(context.connection)).overridden is None
