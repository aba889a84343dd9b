"""Verification: checks that run by themselves, checklists that people sign, people proposed for the acceptance test."""

from __future__ import annotations

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.wizard.moved import migrated
from tests.wizard.walk import LARGE, SMALL, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.base import Context
from vagus_tui.checks.testers import suggest_testers
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import Status
from vagus_tui.journal import store
from vagus_tui.journal.state import read_state
from vagus_tui.runbook.acceptance import TESTER_PROFILES
from vagus_tui.runbook.model import Screen as Step


async def test_before_the_migration_it_is_locked(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, "Locked by 1 gate", "The migration is done")


async def test_checks_run_by_themselves_and_pass(clean_database: TestDatabase) -> None:
    settings = settings_for(clean_database.url)
    await migrated(settings)
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, "all pass", "Every row arrived")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.VERIFICATION].word.startswith("by hand"))


async def test_a_changed_row_turns_it_red(clean_database: TestDatabase, connect: Connect) -> None:
    settings = settings_for(clean_database.url)
    await migrated(settings)
    conn = await connect(clean_database.admin_url)
    await conn.execute("set session_replication_role = replica")
    await conn.execute("update exercises set name = name || '!' where id = (select id from exercises limit 1)")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, "Every row as it", "1 fail")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.VERIFICATION].status is Status.FAIL)


async def test_items_are_signed_off_by_name(clean_database: TestDatabase, clean_conn: Connection) -> None:
    settings = settings_for(clean_database.url)
    await migrated(settings)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, "all pass")
        await pilot.press("v")
        await until_text(pilot, "Coach features")
        await pilot.press("space")
        await until_text(pilot, "Signed off by Ada")
        await pilot.press("down", "e")
        await until_text(pilot, "A note, to be kept with it")
        await pilot.press(*"fine", "enter")
        await until_text(pilot, "fine")
    signed = await store.sign_offs(clean_conn)
    assert signed["verification.coach.client-list"].ticked
    assert signed["verification.coach.create-plan"].note == "fine"


async def test_what_is_measured_cannot_be_signed(clean_database: TestDatabase, clean_conn: Connection) -> None:
    settings = settings_for(clean_database.url)
    await migrated(settings)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, "all pass")
        await pilot.press("v")
        await until_text(pilot, "Every v1 plan is in v2")
        for _ in range(16):
            await pilot.press("down")
        await until_text(pilot, "Check plans-migrated")
        await pilot.press("space")
        await pilot.pause(0.3)
    assert await store.sign_offs(clean_conn) == {}


async def test_people_are_proposed_from_the_data(clean_database: TestDatabase) -> None:
    settings = settings_for(clean_database.url)
    await migrated(settings)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, "Every row arrived")
        await pilot.press("v", "v")
        await until_text(pilot, "active plans", "@example.com", "active clients")


async def _testers(url: str, conn: Connection) -> dict[str, list[str]]:
    settings = settings_for(url)
    context = Context(Database(settings), conn, settings, await read_state(conn))
    return {name: [one.user_id for one in people] for name, people in (await suggest_testers(context)).items()}


async def test_nobody_stands_for_two_profiles(clean_database: TestDatabase, clean_conn: Connection) -> None:
    before = await _testers(clean_database.url, clean_conn)
    everybody = [user for people in before.values() for user in people]
    assert len(everybody) == len(set(everybody)) >= 5
    for profile in TESTER_PROFILES:
        assert len(before[profile.id]) <= profile.wanted
    await migrated(settings_for(clean_database.url))
    assert await _testers(clean_database.url, clean_conn) == before


async def test_proposals_do_without_optional_columns(clean_database: TestDatabase, clean_conn: Connection) -> None:
    await clean_conn.execute("drop table coach_clients cascade")
    await clean_conn.execute("alter table workout_plans drop column is_template cascade, drop column is_active cascade")
    found = await _testers(clean_database.url, clean_conn)
    assert found["testers.clients"] and not found["testers.coaches"] and not found["testers.templates"]
