"""The checks tested: every fault is seen, nothing of it stays, and a check that cannot fail is found out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.checks.support import looking_at
from tests.checks.test_verification import migrated
from tests.conftest import MakeDatabase
from tests.databases import TestDatabase
from vagus_tui.checks.base import Check, Context, Group, Outcome, run_checks
from vagus_tui.checks.fault import Fault, changed_rows, changed_table
from vagus_tui.checks.registry import checks_for
from vagus_tui.checks.selftest import FaultEvent, SelfTest, cost, last_self_test, self_test, with_faults
from vagus_tui.errors import VagusError
from vagus_tui.events import Status
from vagus_tui.sandbox.options import SandboxOptions

CHECKS = (*checks_for(Group.VERIFICATION), *checks_for(Group.ACCESS))

A_FORMER_COACH = (
    "insert into coach_clients (coach_id, client_id, status) select u.id, p.user_id, 'inactive' from "
    "(select id from auth.users where id not in (select coach_id from coach_clients) order by id limit 1) u, "
    "(select id as user_id from auth.users order by id desc limit 1) p"
)


async def shown(database: TestDatabase, checks: Sequence[Check], **values: object) -> tuple[list[FaultEvent], SelfTest]:
    """Test checks; what became of every fault, and the sum."""
    async with looking_at(database, **values) as context:
        items = [item async for item in self_test(context, checks)]
    last = items[-1]
    assert isinstance(last, SelfTest)
    return [item for item in items if isinstance(item, FaultEvent)], last


async def everything(database: TestDatabase) -> list[object]:
    """Digests of all that a fault could have left behind."""
    tables = (
        *("workout_plans", "workout_weeks", "workout_days", "exercise_groups", "exercises", "workout_sessions"),
        *("exercise_logs", "exercises_v1", "vagus_migration.v2_changes", "coach_clients"),
    )
    catalogs = ("pg_policy", "pg_constraint", "pg_trigger", "pg_class where relnamespace = 'public'::regnamespace")
    async with database.as_admin() as admin:
        found: list[object] = [
            await admin.fetchval(f"select md5(string_agg(t::text, ',' order by t::text)) from {table} t")
            for table in tables
        ]
        for catalog in catalogs:
            what = "relname, relacl, relrowsecurity, relhasindex" if "pg_class" in catalog else "oid"
            found.append(
                await admin.fetchval(
                    f"select md5(string_agg(t::text, ',' order by t::text)) from (select {what} from {catalog}) t"
                )
            )
        return found


def test_every_check_of_v2_says_how_to_see_it_fail() -> None:
    assert [check.id for check in CHECKS if not check.faults] == []
    for check in CHECKS:
        titles = [fault.title for fault in check.faults]
        assert len(titles) == len(set(titles)), check.id
    assert str(sum(len(check.faults) for check in CHECKS)) in cost(CHECKS)


@pytest.mark.parametrize(
    "options",
    [
        SandboxOptions(plans=40, clean=True),
        SandboxOptions(plans=40, clean=True, bigint_ids=True, renamed=True, default_privileges=False),
    ],
    ids=["uuid", "bigint"],
)
async def test_every_fault_is_seen_and_nothing_of_it_stays(
    options: SandboxOptions, make_database: MakeDatabase
) -> None:
    database = await make_database(options)
    async with database.connect() as conn:
        await conn.execute(A_FORMER_COACH)
    await migrated(database)
    before = await everything(database)
    events, found = await shown(database, CHECKS)
    assert [(event.check, event.fault, event.message) for event in events if event.status is not Status.PASS] == []
    assert found.ok and found.figures["seen"] == sum(len(check.faults) for check in CHECKS)
    assert await everything(database) == before
    async with database.connect() as conn:
        kept = await last_self_test(conn)
        assert kept == found
    # In short: the first fault of each check, seen in the table that has it alone.
    async with looking_at(database) as context:
        healthy = {event.id: event async for event in run_checks(CHECKS, context)}
        *_, short = [item async for item in self_test(context, CHECKS, short=True, healthy=healthy)]
    assert isinstance(short, SelfTest) and short.seen == {check.id: 1 for check in CHECKS} and not short.missed
    assert await everything(database) == before
    async with database.connect() as conn:
        assert await conn.fetchval("select count(*) from pg_class where relname like 'vagus_access_%'") == 0


async def test_a_fault_is_not_taken_for_what_users_have_written_since(moved_database: TestDatabase) -> None:
    written = {"workout_plans": "name", "exercises": "name", "workout_sessions": "notes", "exercise_logs": "notes"}
    for table, column in written.items():
        first = f"select id from {table} order by id limit 3"
        await moved_database.execute(f"update {table} set {column} = 'theirs' where id in ({first})")
    ids = ("row-proof", "weeks-complete", "sessions-linked")
    rows = [check for check in CHECKS if check.id in ids or check.id.endswith("-migrated")]
    _, found = await shown(moved_database, rows)
    assert found.missed == {} and found.figures["seen"] == sum(len(check.faults) for check in rows)


async def test_an_empty_database_has_nothing_to_break(make_database: MakeDatabase) -> None:
    events, found = await shown(await make_database(SandboxOptions(empty=True), moved=True), CHECKS)
    assert found.missed == {} and found.seen
    messages = " ".join(event.message or "" for event in events)
    assert "no row to plant it in" in messages and "is empty" in messages


async def _always(context: Context) -> Outcome:
    return Outcome(Status.PASS, "fine")


def blind(*faults: Fault) -> Check:
    """A check that passes whatever happens."""
    return Check(
        id="blind", group=Group.VERIFICATION, title="Blind", why="", expected="fine", probe=_always, faults=faults
    )


RLS_OFF = changed_table("rls off", "alter table public.exercises disable row level security", "exercises")


async def test_a_check_that_cannot_fail_is_found_out(moved_database: TestDatabase) -> None:
    events, found = await shown(moved_database, [blind(RLS_OFF)])
    assert [event.status for event in events] == [Status.FAIL]
    assert not found.ok and found.missed == {"blind": ["rls off"]}


async def test_what_cannot_be_tried_is_told(moved_database: TestDatabase) -> None:
    checks = [
        blind(
            changed_rows("no such row", "delete from public.exercises where name = 'there is none'", "exercises"),
            changed_table("not ours", "alter table auth.users disable row level security", "auth.users"),
        )
    ]
    events, found = await shown(moved_database, checks)
    assert {event.status for event in events} == {Status.SKIP} and not found.ok
    assert "no row" in (events[0].message or "") and "must be owner" in (events[1].message or "")


async def test_a_table_in_use_is_not_waited_for(moved_database: TestDatabase) -> None:
    async with moved_database.connect() as other, other.transaction():
        await other.execute("select count(*) from exercises")
        events, _ = await shown(moved_database, [blind(RLS_OFF)])
    assert events[0].status is Status.SKIP and "in use" in (events[0].message or "")


async def test_users_are_not_kept_waiting_by_a_slow_check(
    moved_database: TestDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vagus_tui.checks.selftest.LONGEST_SECONDS", 0.0)
    events, _ = await shown(moved_database, with_faults(checks_for(Group.VERIFICATION)), environment="production")
    assert {event.status for event in events} == {Status.SKIP}
    assert "would be held" in (events[0].message or "") and "restored copy" in (events[0].message or "")
    # A check that has become slow only with its fault is stopped.
    slow = blind(changed_rows("slow", "select pg_sleep(30)", "exercises"))
    monkeypatch.setattr("vagus_tui.checks.selftest.LONGEST_SECONDS", 0.2)
    events, _ = await shown(moved_database, [slow], environment="production")
    assert events[0].status is Status.SKIP and "stopped after" in (events[0].message or "")


async def test_a_fault_that_would_stay_is_told(moved_database: TestDatabase) -> None:
    committing = blind(
        Fault("commits", "select 1; commit; drop policy exercises_select on public.exercises", "exercises")
    )
    with pytest.raises(VagusError, match="not rolled back"):
        await shown(moved_database, [committing])


async def test_checks_that_are_red_or_skipped_are_not_tried(clean_database: TestDatabase) -> None:
    events, found = await shown(clean_database, checks_for(Group.VERIFICATION))
    assert {event.message for event in events} == {"the check does not apply here"} and not found.ok
    async with clean_database.connect() as conn:
        assert await last_self_test(conn) is None
