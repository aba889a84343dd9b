"""The overview, on every kind of database that it may be opened on."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from textual.widgets import Button

from tests.cli.program import vagus
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from tests.wizard.walk import LARGE, SMALL, screen_text, settings_for, until, until_text, walking, wizard
from vagus_tui.app import VagusApp
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import quote
from vagus_tui.events import Status
from vagus_tui.journal import decisions
from vagus_tui.journal.schema import ensure_journal
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.screens import overview_text
from vagus_tui.screens.cleanup import CleanUpScreen
from vagus_tui.screens.dialogs import MessageDialog
from vagus_tui.screens.overview import OverviewScreen
from vagus_tui.screens.rollback_backup import FromBackupScreen
from vagus_tui.session import knowledge, reading
from vagus_tui.session.knowledge import Link
from vagus_tui.session.session import Session
from vagus_tui.widgets.job_view import JobView


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_v1_is_shown_with_its_counts_and_the_next_step(database: TestDatabase, size: tuple[int, int]) -> None:
    async with walking(settings_for(database.url), size=size) as pilot:
        await until_text(pilot, "v1 is in place", "40 plans", "Next: Prerequisites", "  ^p")
        text = screen_text(pilot)
        assert "development" in text
        assert "check · backup · migrate" in text
        assert pilot.app.focused is not None and pilot.app.focused.id == "go"
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.current_mode == "prerequisites")


async def test_a_warning_holds_nobody_back_and_the_next_act_is_on_every_screen(database: TestDatabase) -> None:
    async with walking(settings_for(database.url)) as pilot:
        session = wizard(pilot).session
        await until_text(pilot, "Next: Prerequisites")
        await until(pilot, lambda: session.own_gates)
        session.set_standing(Step.PREREQUISITES, Status.FAIL, "1 fails")
        await until_text(pilot, "Next: Prerequisites")
        session.set_standing(Step.PREREQUISITES, Status.WARN, "warn")
        # The longer name has to fit where the shorter one was.
        await until_text(pilot, "Next: Communications")
        await pilot.press("0")
        await until_text(pilot, "next:", "3 Communications")
        # In development nobody insists on messages: who has a backup goes on.
        session.set_standing(Step.BACKUP, Status.WARN, "just now")
        await until_text(pilot, "next: 5 Migration")


async def test_what_was_let_pass_is_in_sight_with_its_age_until_it_is_taken_back(
    clean_database: TestDatabase, clean_conn: Connection
) -> None:
    await decisions.override(clean_conn, "backup-verified", "trial [/red] run", operator="Kari")
    await decisions.override(clean_conn, "supabase-cli", "not needed", operator="Ola")
    await clean_conn.execute(
        "update vagus_migration.overrides set at = now() - interval '3 days 1 minute' where operator = 'Kari'"
    )
    ran = await vagus("status", "--json", url=clean_database.url)
    notes = [note for note in ran.of("note") if "Let pass by name" in note["message"]]
    assert [note["detail"]["check"] for note in notes] == ["backup-verified", "supabase-cli"]
    assert notes[0]["message"].startswith("Let pass by name, 3 d ago: backup-verified, because: trial [/red] run (Kari")
    async with walking(settings_for(clean_database.url)) as pilot:
        await until_text(pilot, "Let pass by name: A backup is verified (3 d ago)", "Supabase CLI (just now)")
        await pilot.press("5")
        await until_text(pilot, "m starts")
        await pilot.press("m")
        await until_text(pilot, "! A backup is verified, 3 d ago by Kari: trial [/red] run")
        await pilot.press("escape", "1", "o")
        await until_text(pilot, "2 overrides in force", "backup-verified", "Reason: trial [/red] run")
        await pilot.press("enter")
        await until_text(pilot, "Kari let this pass 3 d ago")
        await pilot.press("tab", "enter")
        await until_text(pilot, "1 override in force")
        await pilot.press("enter")
        await until_text(pilot, "Ola let this pass")
        await pilot.press("tab", "enter")
        await until_text(pilot, "Nothing is let pass: every gate counts.")
        await pilot.press("escape")
        await until(pilot, lambda: "Let pass by name" not in screen_text(pilot))
    assert await decisions.overrides(clean_conn) == {}


async def test_renamed_tables_are_recognised(make_database: MakeDatabase) -> None:
    renamed = await make_database(SandboxOptions(plans=40, renamed=True))
    async with walking(settings_for(renamed.url)) as pilot:
        await until_text(pilot, "v1 is in place under *_v1 names", "v1 renamed")


async def test_an_empty_database_says_so(database: TestDatabase) -> None:
    async with database.as_admin() as admin:
        await admin.execute("drop table exercise_logs, workout_sessions, exercises, workout_plans cascade")
    async with walking(settings_for(database.url)) as pilot:
        await until_text(pilot, "This database has no workout tables.", "Try again")


async def test_another_shape_is_refused_with_reasons(database: TestDatabase) -> None:
    async with database.as_admin() as admin:
        await admin.execute("alter table exercises rename column plan_id to workout_id")
    async with walking(settings_for(database.url)) as pilot:
        await until_text(pilot, "not a v1 database", "exercises has no column plan_id")


async def test_a_wrong_password_is_explained_and_can_be_tried_again(database: TestDatabase) -> None:
    wrong = settings_for(database.url.replace("@", "x@"))
    async with walking(wrong, connected=False) as pilot:
        await until_text(pilot, "wrong user", "no connection", "Try again")
        assert database.url.split(":")[2].split("@")[0] not in screen_text(pilot)
        wizard(pilot).session.settings = settings_for(database.url)
        await pilot.press("r")
        await until_text(pilot, "v1 is in place")


async def test_a_user_without_rights_is_told_which(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.authenticator_url)) as pilot:
        # Whoever sees no row would count none.
        await until_text(pilot, "v1 is in place")
        assert " 0 plans" not in screen_text(pilot) and "≈ 40 plans" in screen_text(pilot)
        await pilot.press("5")
        await until_text(pilot, "permission denied", "This user lacks a right", "no plan could be made")
        await pilot.press("enter", "2")
        await until_text(pilot, "✗ Rights", "missing")


async def test_a_state_that_must_not_be_read_is_no_lost_connection(
    clean_database: TestDatabase, clean_conn: Connection
) -> None:
    await ensure_journal(clean_conn)
    async with walking(settings_for(clean_database.authenticator_url), connected=False) as pilot:
        await until_text(pilot, "The state could not be read", "not readable", "This user lacks a right")


async def test_what_is_not_shown_gets_no_keys() -> None:
    async with walking(settings_for(""), connected=False) as pilot:
        await until_text(pilot, "Overview")
        screen = pilot.app.screen
        assert isinstance(screen, OverviewScreen)
        go, other = screen.query_one("#go", Button), screen.query_one("#other", Button)
        go.display = other.display = False
        screen.set_focus(None)
        screen.focus_first()
        await pilot.pause()
        # Before there is a next act, Enter has nothing to press; then it has it.
        assert screen.focused is None
        other.display = True
        screen.focus_first()
        await pilot.pause()
        assert screen.focused is other


@pytest.mark.parametrize("window", [FromBackupScreen, CleanUpScreen])
async def test_a_window_on_a_database_that_cannot_be_read_shows_no_run(
    window: type[FromBackupScreen | CleanUpScreen],
) -> None:
    async with walking(settings_for("postgresql://nobody@127.0.0.1:1/none"), connected=False) as pilot:
        await until_text(pilot, "Try again")
        opened = window()
        await pilot.app.push_screen(opened)
        assert not opened.query_one(JobView).display


async def test_nobody_listening_is_explained() -> None:
    async with walking(settings_for("postgresql://u:p@127.0.0.1:1/postgres"), connected=False) as pilot:
        await until_text(pilot, "No connection to 127.0.0.1:1", "Check the host and port")


def test_what_nobody_has_read_is_not_called_missing() -> None:
    session = Session(settings_for("postgresql://u:p@127.0.0.1:1/postgres"), lambda _: None)
    for section in (overview_text.shape, overview_text.timeline, overview_text.last_run):
        assert section(session).plain.splitlines()[1:] == ["Not read yet."]


async def test_no_address_is_explained() -> None:
    async with walking(settings_for(""), connected=False) as pilot:
        await until_text(pilot, "No database address is set.", "vagus-tui demo")


async def test_what_happens_elsewhere_shows_within_seconds(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url)) as pilot:
        await until_text(pilot, "v1 is in place;")
        async with clean_database.as_admin() as admin:
            for table in ("workout_plans", "exercises", "workout_sessions", "exercise_logs"):
                await admin.execute(f"alter table {table} rename to {table}_v1")
        await until(pilot, lambda: "v1 renamed" in screen_text(pilot), patience=4)


async def test_a_lost_connection_is_said_and_comes_back_by_itself(
    database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(VagusApp, "notify", lambda _app, message, **_how: told.append(message))
    async with walking(settings_for(database.url)) as pilot:
        await until_text(pilot, "v1 is in place")
        async with database.as_admin() as admin:
            # Only this database: others of the server are of tests that run beside this one.
            name = quote(await admin.fetchval("select current_database()"))
            await admin.execute(f"alter database {name} connection limit 0")
            await admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and application_name like 'vagus-tui%'"
            )
            try:
                await until_text(pilot, "no connection")
                await pilot.press("2", "r")
                await until_text(pilot, "not measured")
                await pilot.press("P")
                await until_text(pilot, "That did not work", "Nothing was changed.", "read again once the")
                assert "by name" not in screen_text(pilot)
            finally:
                await admin.execute(f"alter database {name} connection limit -1")
        # What could not be read for want of a connection is, once there is one, and no more is said of it.
        await until_text(pilot, "by name")
        await until(pilot, lambda: not isinstance(pilot.app.screen, MessageDialog))
        await until_text(pilot, "/ search")
        assert [words for words in told if words.startswith("The connection is back after ")]
        await pilot.press("escape")
        # What could not be measured for want of a connection is, once there is one.
        await until(pilot, lambda: "not measured" not in screen_text(pilot))
        await pilot.press("1")
        await until_text(pilot, "v1 is in place", "40 plans")


async def test_a_locked_table_is_no_lost_connection(
    clean_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The self-test holds tables for a moment: what is known still holds, until it has been in the way for long."""
    async with walking(settings_for(clean_database.url)) as pilot, clean_database.as_admin() as admin:
        await until_text(pilot, "v1 is in place")
        session = wizard(pilot).session
        async with admin.transaction():
            await admin.execute("lock table workout_plans in access exclusive mode")
            session._activity = None  # as when rows have come: they are counted again
            async with session._busy:
                # Its look lasts until a busy machine has painted what is said meanwhile.
                assert session._connection is not None
                await session._connection.execute("set lock_timeout = '5s'")
            monkeypatch.setattr(knowledge, "SILENT_SECONDS", 0.05)
            monkeypatch.setattr(reading, "PULSE_SECONDS", 0.05)
            session.wake()
            # What is shown is from before: that no answer comes is said while it does not.
            await until_text(pilot, "no answer for 0:0")
            async with session._busy:
                assert session._connection is not None
                await session._connection.execute("set lock_timeout = '300ms'")
            monkeypatch.undo()
            with pytest.raises(asyncpg.LockNotAvailableError):
                await session.refresh()
            session.wake()
            await asyncio.sleep(1)
            assert session.link is Link.UP
            assert "no connection" not in screen_text(pilot)
            monkeypatch.setattr(reading, "PATIENT_LOOKS", 0)
            session.wake()
            await until_text(pilot, "not readable")
        await until_text(pilot, "v1 is in place")


async def test_production_is_said_in_words(database: TestDatabase) -> None:
    async with walking(settings_for(database.url, environment="production")) as pilot:
        await until_text(pilot, "PRODUCTION")


async def test_the_planned_start_is_set_and_counted_down(clean_database: TestDatabase) -> None:
    async with walking(settings_for(clean_database.url, timezone="Europe/Oslo")) as pilot:
        await until_text(pilot, "v1 is in place")
        await pilot.press("t")
        await until_text(pilot, "Set T−0")
        await pilot.press(*"yesterday", "enter")
        await until_text(pilot, "Write it as")
        for _ in range(20):
            await pilot.press("backspace")
        await pilot.press(*"2099-03-01 22:00", "enter")
        await until_text(pilot, "T−0 in")
    async with clean_database.connect() as conn:
        body = await conn.fetchval("select body from vagus_migration.notes where topic = 'planned_at'")
    assert body == '"2099-03-01T22:00:00+01:00"'


async def test_the_address_is_never_shown(database: TestDatabase) -> None:
    async with walking(settings_for(database.url), size=LARGE) as pilot:
        await until_text(pilot, "v1 is in place")
        password = database.url.split(":")[2].split("@")[0]
        assert password not in screen_text(pilot)
