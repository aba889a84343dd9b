"""What others have measured and tried: the latest word on each, as long as it says something of what is there now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection
from vagus_tui.events import Status
from vagus_tui.journal import acceptance, store
from vagus_tui.journal.acceptance import Verdict
from vagus_tui.journal.measured import Measured, latest_measured
from vagus_tui.journal.schema import ensure_journal

BEGUN = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)

OUTCOMES = (
    # Before the run, which began at minute 10: what was found of v2 then is history, and of the server it is not.
    ("weeks-complete", 5, "pass"),
    ("rls-enforced", 5, "fail"),
    ("history", 5, "pass"),
    ("activity", 5, "pass"),
    ("tls", 4, "pass"),
    ("tls", 5, "warn"),
    # Since: what failed last, failed between, or was found good all the time.
    ("row-proof", 5, "pass"),
    ("row-proof", 11, "fail"),
    ("row-proof", 12, "error"),
    ("row-proof", 13, "pass"),
    ("row-proof", 14, "warn"),
    ("clock", 11, "pass"),
    ("clock", 12, "fail"),
    ("plans-migrated", 11, "pass"),
    ("plans-migrated", 12, "pass"),
    # Of another version of the program.
    ("encoding", 11, "perhaps"),
    ("a-check-of-old", 11, "pass"),
)


def at(minutes: float) -> datetime:
    return BEGUN + timedelta(minutes=minutes)


async def begun_at(conn: Connection, minutes: float) -> store.Run:
    """A migration that began then."""
    begun = await store.start_run(conn, "migrate", operator="ada", environment="staging", options={})
    await conn.execute("update vagus_migration.runs set started_at = $2 where id = $1", begun, at(minutes))
    run = await store.latest_run(conn)
    assert run is not None
    return run


async def test_the_latest_outcome_counts_and_since_when_it_is_good(
    empty_database: TestDatabase, connect: Connect
) -> None:
    conn = await connect(empty_database.url)
    assert await latest_measured(conn, None) == {}
    await ensure_journal(conn)
    await conn.executemany(
        "insert into vagus_migration.checks (check_id, at, status, check_group, operator) "
        "values ($1, $2, $3, '', 'ada')",
        [(check, at(minutes), status) for check, minutes, status in OUTCOMES],
    )
    await conn.execute("update vagus_migration.checks set measured = repeat('x', 300) where check_id = 'row-proof'")
    run = await begun_at(conn, 10)

    def told(found: dict[str, Measured]) -> dict[str, tuple[str, datetime, datetime | None]]:
        return {id: (one.status.value, one.at, one.good_since) for id, one in found.items()}

    of_the_run = {
        "row-proof": ("warn", at(14), at(13)),
        "clock": ("fail", at(12), None),
        "plans-migrated": ("pass", at(12), at(11)),
        "tls": ("warn", at(5), None),
    }
    found = await latest_measured(conn, run)
    assert told(found) == of_the_run
    assert (found["row-proof"].measured, found["row-proof"].operator) == ("x" * 200, "ada")
    assert found["row-proof"].status is Status.WARN and found["tls"].measured == ""
    # Without a run nothing is history.
    assert told(await latest_measured(conn, None)) == of_the_run | {
        "tls": ("warn", at(5), at(4)),
        "weeks-complete": ("pass", at(5), at(5)),
        "rls-enforced": ("fail", at(5), None),
        "history": ("pass", at(5), at(5)),
        "activity": ("pass", at(5), at(5)),
    }


async def test_the_latest_word_on_a_persons_step_counts(empty_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(empty_database.url)
    assert await acceptance.tries(conn, None) == {}
    for person, step, verdict, words in (
        ("anna", "log-in", Verdict.FAIL, "no page"),
        ("anna", "log-in", Verdict.PASS, ""),
        ("anna", "see-plans", Verdict.FAIL, "one is missing"),
        ("ben", "log-in", Verdict.PASS, ""),
        ("ben", "see-plans", Verdict.OPEN, "taken back"),
    ):
        await acceptance.record(conn, person, step, verdict, profile="clients", note=words, operator="grace")
    await conn.execute("update vagus_migration.notes set at = $1", at(5))
    await acceptance.record(conn, "ben", "log-in", Verdict.FAIL, profile="clients", note="again", operator="ada")
    for body in ("of another time", {"person": "ben", "verdict": "perhaps"}):
        await store.note(conn, "acceptance.else/ben", body, operator="ada")
    found = await acceptance.tries(conn, None)
    assert {key: (one.verdict.value, one.note, one.operator) for key, one in found.items()} == {
        ("anna", "log-in"): ("pass", "", "grace"),
        ("anna", "see-plans"): ("fail", "one is missing", "grace"),
        ("ben", "log-in"): ("fail", "again", "ada"),
        ("ben", "see-plans"): ("open", "taken back", "grace"),
    }
    assert acceptance.count(found.values()) == (1, 2)
    # What was found before the run says nothing of it.
    since = await acceptance.tries(conn, await begun_at(conn, 10))
    assert [(one.person, one.step, one.profile) for one in since.values()] == [("ben", "log-in", "clients")]
