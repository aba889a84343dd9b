"""What the journal holds, row by row, and what the story makes of it: every kind of row, in its words and its tone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.conftest import Connect
from tests.databases import TestDatabase
from tests.report.test_story import report_of
from vagus_tui.database.connection import Connection
from vagus_tui.journal.schema import ensure_journal
from vagus_tui.migration.phases.cut_over import TAKEN_OVER, TRIED
from vagus_tui.report import page
from vagus_tui.report.page import as_html
from vagus_tui.report.story import tell

BEGUN = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return BEGUN + timedelta(minutes=minutes)


async def put(conn: Connection, table: str, **values: Any) -> None:
    """A row of the journal."""
    spelt = [json.dumps(value) if isinstance(value, dict) else value for value in values.values()]
    places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await conn.execute(f"insert into vagus_migration.{table} ({', '.join(values)}) values ({places})", *spelt)


async def told(conn: Connection) -> list[str]:
    """The story: when, in minutes; the tone; who; what."""
    lines = await tell(conn)
    return [f"{(line.at - BEGUN).total_seconds() / 60:g} {line.tone or '-'} {line.who}: {line.what}" for line in lines]


async def run(
    conn: Connection, minutes: float, kind: str, status: str, *, ended: float | None = None, **more: Any
) -> UUID:
    run_id = uuid4()
    values = {"operator": "ada", "environment": "staging", "started_at": at(minutes), "phase": "settle", **more}
    finished = None if ended is None else at(ended)
    await put(conn, "runs", id=run_id, kind=kind, status=status, finished_at=finished, **values)
    return run_id


async def test_checks_are_told_once_a_run_and_where_they_came_out_otherwise(
    empty_database: TestDatabase, connect: Connect
) -> None:
    conn = await connect(empty_database.url)
    await ensure_journal(conn)
    for minutes, group, check, status, operator in (
        # Together, since they ended within half a minute of each other; not with what somebody else ran.
        (0.0, "data-quality", "one", "pass", "ada"),
        (0.4, "data-quality", "two", "warn", "ada"),
        (0.5, "data-quality", "three", "pass", "grace"),
        # The same again, which is not told; then a check that could not run, which fails.
        (5.0, "data-quality", "one", "pass", "ada"),
        (6.0, "data-quality", "one", "error", "ada"),
        (6.1, "data-quality", "two", "fail", "ada"),
        (7.0, "rollout", "four", "skip", "ada"),
        *((8.0, "access", f"a{number}", "fail", "ada") for number in range(4)),
    ):
        await put(conn, "checks", check_id=check, check_group=group, status=status, operator=operator, at=at(minutes))
    assert await told(conn) == [
        "0.4 good ada: Checked data quality: 1 pass, 1 warning",
        "0.5 good grace: Checked data quality: 2 pass, 1 warning",
        "6.1 bad ada: Checked data quality: 1 pass, 2 fail (one, two)",
        "7 - ada: Checked rollout: nothing to look at yet",
        "8 bad ada: Checked access: 0 pass, 4 fail (a0, a1, a2 …)",
    ]
    latest = (await report_of(conn, empty_database.url)).section("checks").records()
    assert [(row["group"], row["check"], row["status"], row["operator"]) for row in latest] == [
        *(("access", f"a{number}", "fail", "ada") for number in range(4)),
        ("data-quality", "one", "error", "ada"),
        ("data-quality", "three", "pass", "grace"),
        ("data-quality", "two", "fail", "ada"),
        ("rollout", "four", "skip", "ada"),
    ]


async def test_runs_are_told_as_they_ended(empty_database: TestDatabase, connect: Connect) -> None:
    conn = await connect(empty_database.url)
    await ensure_journal(conn)
    held = await run(conn, 0, "migrate", "ready", phase="hold", error="Held again.", client="a laptop")
    for minutes, step, phase, state, message in (
        (1, "build-exercises", "build", "failed", "No room."),
        (2, TRIED, "cut-over", "failed", "An attempt came to nothing"),
        (3, TAKEN_OVER, "cut-over", "started", "Taken over from v1: a comment."),
    ):
        await put(
            conn,
            "steps",
            run_id=held,
            step=step,
            phase=phase,
            state=state,
            seconds=1.0,
            message=message,
            at=at(minutes),
        )
    await run(conn, 10, "migrate", "running", phase="build")
    await run(conn, 20, "migrate", "failed", ended=21, error="Somebody was in the way.", figures={"ended_by": "grace"})
    await run(conn, 30, "migrate", "cancelled", ended=31)
    await run(conn, 40, "migrate", "done", ended=41)
    await run(conn, 50, "rollback", "done", ended=51)
    await run(conn, 60, "rollback", "done", ended=61, figures={"carried_back": {"exercises": {"new": 0, "changed": 0}}})
    figures = {
        "carried_back": {"exercises": {"new": 2, "changed": 1}, "workout_plans": {"new": 1}},
        "not_expressible": 4,
        "kept_values": 1,
        "not_noted": {"exercises": 2},
        "put_back": ["an index"],
        "changed_by_hand": ["a policy"],
        "not_bound_back": ["a view"],
        "columns_only_in_archive": ["exercises.mood"],
        "deleted_in_v2": {"exercises": 3},
        "deletions": "keep",
        "archive": "workout_v2_archive_1",
    }
    await run(conn, 70, "rollback", "done", ended=71, figures=figures)
    await run(conn, 80, "restore", "interrupted", ended=81)
    rolled_back = "The rollback is done: v1 is in place, v2 is archived; "
    assert await told(conn) == [
        "0 - ada: Began the migration on staging, from a laptop",
        "1 bad : build-exercises failed: No room",
        "2 warn : An attempt came to nothing",
        "3 - : Taken over from v1: a comment",
        "3 warn : Ready to cut over, and waiting: Held again",
        "10 - ada: Began the migration on staging",
        "10 warn : The migration has not ended: it is under way, or broke off during build",
        "20 - ada: Began the migration on staging",
        "21 bad grace: The migration failed and was undone; v1 is as it was: Somebody was in the way",
        "30 - ada: Began the migration on staging",
        "31 bad : The migration was stopped and undone; v1 is as it was",
        "40 - ada: Began the migration on staging",
        "41 good : The migration is done: v2 is in place, v1 is kept",
        "50 - ada: Began the rollback on staging",
        f"51 good : {rolled_back}psql ran the plan, and nobody counted what was carried back",
        "60 - ada: Began the rollback on staging",
        f"61 good : {rolled_back}nothing had been written in v2",
        "70 - ada: Began the rollback on staging",
        f"71 good : {rolled_back}3 new rows carried back, 1 changed row carried back, 4 new rows that v1 has no place "
        "for kept in the archive, 1 value that v1 has no place for kept in the archive; 2 rows of which no write was "
        "noted found by comparing; changed by hand since the cut-over: an index, a policy; not bound to v1 again: "
        "a view; columns that v2 had been given, in the archive alone: exercises.mood",
        "80 - ada: Began to restore a backup on staging",
        "81 bad : The restore was stopped by force, and cleared away; no table was replaced",
    ]
    report = await report_of(conn, empty_database.url)
    assert [row["kind"] for row in report.section("runs").records()] == [*["migrate"] * 5, *["rollback"] * 3, "restore"]
    # What was only begun is no outcome.
    assert [(row["step"], row["state"]) for row in report.section("steps").records()] == [
        ("build-exercises", "failed"),
        (TRIED, "failed"),
    ]
    carried = [tuple(row.values())[1:] for row in report.section("carried").records()]
    assert carried == [
        ("exercises", 0, 0, 0, None, None),
        ("exercises", 2, 1, 3, "keep", "workout_v2_archive_1"),
        ("workout_plans", 1, None, 0, "keep", "workout_v2_archive_1"),
    ]


async def test_what_was_kept_and_put_back(
    empty_database: TestDatabase, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = await connect(empty_database.url)
    await ensure_journal(conn)
    await put(conn, "backups", path="/b/20260301/one/", manifest={}, operator="ada", at=at(0))
    await put(
        conn, "backups", path="/b/two", manifest={}, operator="ada", at=at(1), verified_at=at(2), restored_at=at(3)
    )
    beside = '"public"."plan_favourites"'
    for minutes, action, rows, restored in ((4, "changed", 1, None), (5, "set-aside", 2, at(6))):
        batch = uuid4()
        for row in range(rows):
            await put(
                conn,
                "quarantine",
                batch=batch,
                remedy="orphans",
                action=action,
                table_name=beside if rows == 2 else "exercises",
                row_id=str(row),
                original={},
                operator="ada",
                at=at(minutes),
                restored_at=restored,
                restored_by="grace" if restored else None,
            )
    for ticked in (True, False):
        await put(conn, "sign_offs", item="nobody's", ticked=ticked, operator="ada", note="seen.", at=at(7 + ticked))
    assert await told(conn) == [
        "0 - ada: Made the backup one",
        "1 - ada: Made the backup two",
        "2 good : Read every byte of the backup two back",
        "3 good : Restored the backup two as a test: equal",
        "4 - ada: Repaired 1 row of exercises (orphans)",
        "5 - ada: Set aside 2 rows of plan_favourites (orphans)",
        "6 - grace: Put back 2 rows of plan_favourites (orphans)",
        "7 - ada: Took back: nobody's: seen",
        "8 - ada: Signed off: nobody's: seen",
    ]
    report = await report_of(conn, empty_database.url)
    assert [(row["rows"], row["put_back"]) for row in report.section("fixes").records()] == [(1, 0), (2, 2)]
    # Of a section that is longer than a page shows, it says how many rows there are besides.
    assert "in the report as JSON" not in as_html(report)
    monkeypatch.setattr(page, "MOST_ROWS", 1)
    assert "1 more row is in the report as JSON" in as_html(report)
