"""Verification: checks that run by themselves, checklists that people sign, people proposed for the acceptance test."""

from __future__ import annotations

from uuid import UUID

from tests.databases import TestDatabase
from tests.wizard.moved import migrated
from tests.wizard.walk import LARGE, SMALL, settings_for, until, until_text, walking, wizard
from vagus_tui.checks.base import Context, Group
from vagus_tui.checks.registry import checks_for
from vagus_tui.checks.testers import suggest_testers
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import CheckEvent, Status
from vagus_tui.journal import decisions
from vagus_tui.journal.acceptance import Verdict
from vagus_tui.journal.state import read_state
from vagus_tui.runbook.acceptance import TEST_SCRIPT, TESTER_PROFILES
from vagus_tui.runbook.checklists import find_item
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.acceptance_view import AcceptanceView
from vagus_tui.screens.item_facts import item_entry
from vagus_tui.screens.user_view import UserViewScreen
from vagus_tui.screens.verification import SECTIONS

STEPS = [item.id for item in TEST_SCRIPT.items]


def test_the_screen_has_every_check_of_v2_once() -> None:
    shown = [check.id for _, checks in SECTIONS for check in checks]
    groups = (Group.VERIFICATION, Group.ACCESS, Group.PERFORMANCE)
    assert sorted(shown) == sorted(check.id for group in groups for check in checks_for(group))


async def test_before_the_migration_it_is_locked(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, "Locked by 1 gate. Enter says how to meet it.", "The migration is done")


async def test_checks_run_by_themselves_and_pass(moved_database: TestDatabase) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=SMALL) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, " skipped", "Every row arrived")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.VERIFICATION].word.endswith("done"))


async def test_a_changed_row_turns_it_red(moved_database: TestDatabase) -> None:
    settings = settings_for(moved_database.url)
    async with moved_database.planting() as admin:
        await admin.execute("update exercises set name = name || '!' where id = (select id from exercises limit 1)")
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, "Every row as it", "1 fail")
        await until(pilot, lambda: wizard(pilot).session.standings[Step.VERIFICATION].status is Status.FAIL)


async def test_items_are_signed_off_by_name(moved_database: TestDatabase, moved_conn: Connection) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, " skipped", "r run again")
        await pilot.press("v")
        await until_text(pilot, "Coach features", "The database's part", "✓ Access of coaches: pass")
        # What no run of the table measures is measured here.
        await pilot.press("down", "down", "down", "down")
        await until_text(pilot, "Coach applies a progression", "· Progressions applied:", "r measure")
        await pilot.press("r")
        await until_text(pilot, "– Progressions applied:")
        # A click goes there, a second one on it ticks: who only wants to read does not sign.
        listed = pilot.app.screen.query_one("#manual-list")
        await pilot.click("#manual-list", offset=(4, 2))
        await until_text(pilot, "The first write down the new")
        # What turns the table of checks is not offered where there is none.
        offered = {binding.action for _, binding, _, _ in pilot.app.screen.active_bindings.values()}
        assert "measure" in offered and not {"next_problem", "repeat", "override", "sql"} & offered
        assert listed.has_focus and await decisions.sign_offs(moved_conn) == {}
        await pilot.press("up", "space")
        await until_text(pilot, "Signed off by Ada")
        await pilot.press("down", "e")
        await until_text(pilot, "A note, to be kept with it")
        await pilot.press(*"fine", "enter")
        await until_text(pilot, "fine")
    signed = await decisions.sign_offs(moved_conn)
    assert signed["verification.coach.client-list"].ticked
    assert signed["verification.coach.create-plan"].note == "fine"


async def test_what_is_measured_cannot_be_signed(moved_database: TestDatabase, moved_conn: Connection) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, " skipped")
        await pilot.press("v")
        await until_text(pilot, "Every v1 plan is in v2")
        for _ in range(16):
            await pilot.press("down")
        await until_text(pilot, "Check All plans arrived")
        await pilot.press("space")
        await pilot.pause(0.3)
    assert await decisions.sign_offs(moved_conn) == {}


async def test_people_are_proposed_from_the_data(moved_database: TestDatabase) -> None:
    settings = settings_for(moved_database.url)
    async with walking(settings, size=LARGE) as pilot:
        wizard(pilot).action_go("verification")
        await until_text(pilot, "Every row arrived")
        await pilot.press("v", "v")
        await until_text(pilot, "Everybody", "@example.com", "Coaches with active clients", "Test script")


async def test_every_step_passes_or_fails_for_every_person(
    moved_database: TestDatabase, moved_conn: Connection
) -> None:
    settings = settings_for(moved_database.url)
    async with (
        walking(settings, size=SMALL) as pilot,
        walking(settings_for(moved_database.url, operator="Marie"), size=LARGE) as other,
    ):
        for one in (pilot, other):
            await one.press("6")
            await until_text(one, " skipped")
            await one.press("v", "v")
            await until_text(one, "Everybody", "@example.com")
        screen = pilot.app.screen
        assert isinstance(screen, AcceptanceView)
        await pilot.press("down")
        await until_text(pilot, "Coaches with active clients", "Should see")
        person = screen.person
        assert person is not None
        await pilot.press("enter", "space")
        await until_text(pilot, "pass, Ada")
        await pilot.press("down", "x", "enter")
        await until_text(pilot, "Please say what went wrong")
        await pilot.press(*"blank page", "enter")
        await until_text(pilot, "fail, Ada")
        await until_text(other, "1 pass, 1 fail", "1 of 1 fail")
        # Taken back it is open again; earlier words stay on record.
        await pilot.press("up", "space")
        await until(pilot, lambda: screen.session.now.tries[person.user_id, STEPS[0]].verdict is Verdict.OPEN)
        await pilot.press("u")
        await until_text(pilot, person.email)
        await until(pilot, lambda: isinstance(pilot.app.screen, UserViewScreen))
        await pilot.press("escape")
        # Who has begun stays among the people, whatever has become of their figures.
        await moved_conn.execute("delete from coach_clients where coach_id = $1::uuid", UUID(person.user_id))
        context = Context(Database(settings), moved_conn, settings, await read_state(moved_conn))
        kept = await suggest_testers(context, {person.user_id: person.profile})
        assert person.user_id in {one.user_id for one in kept[person.profile]}
        assert person.user_id not in {one.user_id for one in (await suggest_testers(context))[person.profile]}
    rows = await moved_conn.fetch(
        "select body ->> 'verdict' as verdict from vagus_migration.notes where topic like 'acceptance.%' order by id"
    )
    assert [row["verdict"] for row in rows] == ["pass", "fail", "open"]


async def test_what_the_server_tells_is_ticked_by_evidence_and_the_rest_by_people(
    clean_database: TestDatabase,
) -> None:
    item = find_item("verification.performance.cpu")
    async with walking(settings_for(clean_database.url)) as pilot:
        session = wizard(pilot).session

        def found(status: Status) -> Status:
            session.results["database-cpu"] = CheckEvent(
                id="database-cpu", group="performance", title="", status=status, measured="12 %"
            )
            return item_entry(session, item).status

        assert found(Status.SKIP) is Status.PENDING and item_entry(session, item).words == "DevOps"
        assert found(Status.PASS) is Status.PASS and found(Status.FAIL) is Status.FAIL
        await session.sign(item.id, ticked=True)
        assert found(Status.SKIP) is Status.PASS and found(Status.FAIL) is Status.WARN


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


async def test_the_one_person_with_templates_is_asked_about_them(
    clean_database: TestDatabase, clean_conn: Connection
) -> None:
    """Who trains most would else be spent on the profile of those with completed plans."""
    before = await _testers(clean_database.url, clean_conn)
    busy = before["testers.history"][0]
    await clean_conn.execute("update workout_plans set is_template = false")
    await clean_conn.execute("update workout_plans set is_template = true where user_id::text = $1", busy)
    found = await _testers(clean_database.url, clean_conn)
    assert found["testers.templates"] == [busy] and busy not in found["testers.history"]
    assert len(found["testers.history"]) == len(before["testers.history"])


async def test_proposals_do_without_optional_columns(clean_database: TestDatabase, clean_conn: Connection) -> None:
    await clean_conn.execute("drop table coach_clients cascade")
    await clean_conn.execute("alter table workout_plans drop column is_template cascade, drop column is_active cascade")
    found = await _testers(clean_database.url, clean_conn)
    assert found["testers.clients"] and not found["testers.coaches"] and not found["testers.templates"]
