"""The report of a run that was killed, taken up again, overridden, cut over and rolled back is a true story."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from tests.conftest import Connect, MakeDatabase
from tests.migration.support import migrated, rolled_back
from tests.migration.test_stopped import killed_at
from vagus_tui.backup.forecast import TOPIC, Forecast
from vagus_tui.checks.access.matrix import AccessMatrix, Cell, Kind, Person, Totals, keep_matrix
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import CheckEvent, Phase, Status, StepEvent, StepState
from vagus_tui.journal import acceptance, backup_records, decisions, store
from vagus_tui.journal.progress import read_progress
from vagus_tui.migration.announcement import Announcement, announce
from vagus_tui.report.contents import Report, make_report
from vagus_tui.report.files import save
from vagus_tui.report.page import as_html
from vagus_tui.report.text import as_text
from vagus_tui.sandbox.options import SandboxOptions

HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202e"


async def report_of(conn: Connection, url: str) -> Report:
    """The report of a test's database."""
    from pydantic import SecretStr

    from vagus_tui.settings import Settings

    settings = Settings(_env_file=None, database_url=SecretStr(url), operator="ada")  # type: ignore[call-arg]
    return await make_report(conn, Database(settings), settings)


def in_order(lines: list[str], *wanted: str) -> None:
    """Each is in a line of its own, one after the other."""
    place = 0
    for words in wanted:
        found = next((number for number in range(place, len(lines)) if words in lines[number]), None)
        assert found is not None, f"{words!r} is not after line {place} of:\n" + "\n".join(lines)
        place = found + 1


async def test_killed_resumed_overridden_cut_over_and_rolled_back(
    make_database: MakeDatabase, connect: Connect
) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    await store.note(conn, "planned_at", "2026-12-01T22:00:00+01:00", operator="ada")
    await decisions.sign(conn, "communications.reminder-email", ticked=True, operator="grace", note=HOSTILE)
    await decisions.override(conn, "tls", "a tunnel is in between", operator="ada")
    await decisions.override(conn, "clock", "it is right", operator="ada")
    await decisions.withdraw_override(conn, "clock", operator="grace")
    await announce(conn, Announcement("Soon", None, None), operator="grace")
    await killed_at(database, "build-exercise_logs-1", "started")
    broken = await report_of(conn, database.url)
    assert "has not ended" in broken.story[-1].what
    await migrated(database)
    # Who watches sees no step of the killed attempt going on for ever, and whose run it is now.
    run = await store.latest_run(conn, "migrate")
    assert run is not None and run.at_work.startswith("tester on ") and run.operator == "killed"
    open_steps = [step.event.id for step in await read_progress(conn, run.id) if step.ended_at is None]
    assert open_steps == []
    for step, verdict, words in (("log-in", "pass", ""), ("see-plans", "pass", ""), ("check-plan", "fail", HOSTILE)):
        await acceptance.record(
            conn,
            "5f7c2a9e-0000-4000-8000-000000000001",
            f"verification.script.{step}",
            acceptance.Verdict(verdict),
            profile="testers.coaches",
            note=words,
            operator="grace",
        )
    await store.note(conn, "maintenance", {"on": True, "fence": True, "message": "x"}, operator="ada")
    plan = await conn.fetchval("select id from workout_plans limit 1")
    await conn.execute("update workout_plans set name = 'changed in v2' where id = $1", plan)
    await conn.execute("drop index idx_exercises_plan_id_v1")
    await rolled_back(database)
    stopped = await store.start_run(conn, "restore", operator="tester", environment="development", options={})
    loaded = StepEvent(
        id="restore-load-exercises", phase=Phase.BUILD, title="rows", state=StepState.DONE, seconds=0.1, rows=1234
    )
    await store.record_step(conn, stopped, loaded)
    await store.update_run(conn, stopped, status="interrupted", finished=True)
    report = await report_of(conn, database.url)
    lines = [f"{line.who} {line.what}" for line in report.story]
    in_order(
        lines,
        "ada Set T−0 to 2026-12-01 22:00 (UTC+0100)",
        "grace Signed off: Send the reminder e-mail",
        "ada Overrode tls: a tunnel is in between",
        "ada Overrode clock: it is right (withdrawn since)",
        "grace Took the override of clock back",
        "grace Wrote the banner into the app's maintenance row",
        "killed Began the migration",
        "The run broke off during",
        "Taken up again by tester",
        "Built v2 beside v1",
        "Proved every row, both ways",
        "Cut over, writes waited",
        "The migration is done",
        "grace Acceptance test, Coaches with active clients (5f7c2a9e): 2 steps passed",
        "grace Acceptance test, Coaches with active clients (5f7c2a9e): “Open a plan: every exercise is there” failed",
        "ada Switched maintenance and the write fence on by hand",
        "tester Began the rollback",
        "Put back what was changed by hand, if anything",
        "Compared every row with v1 as it was kept",
        "The rollback is done: v1 is in place, v2 is archived; 1 changed row carried back; changed by hand since the "
        "cut-over: index idx_exercises_plan_id_v1 of exercises_v1",
        "tester Began to restore a backup",
        "Made v1 again aside, 1,234 rows",
        "The restore was stopped by force, and cleared away; no table was replaced",
    )
    tested = report.section("acceptance").records()
    assert [row["verdict"] for row in tested] == ["pass", "pass", "fail"] and tested[0]["step"] == "Log in to the app"
    # What was found before the next run began says nothing about what is there then.
    assert await acceptance.tries(conn, await store.latest_run(conn)) == {}
    proof = report.section("proof")
    assert {row[0] for row in proof.rows} >= {"workout_plans", "exercises", "workout_sessions", "exercise_logs"}
    carried = [dict(zip(report.section("carried").columns, row, strict=True)) for row in report.section("carried").rows]
    assert [row["changed_rows"] for row in carried if row["table"] == "workout_plans"] == [1]
    page, text = as_html(report), as_text(report)
    for words in ("Signed off", "Overrode tls", "broke off", "carried back"):
        assert words in page and words in text
    assert "<img" not in page and "\x1b" not in page + text and "\u202e" not in page + text
    assert "postgresql://" not in page + text
    phases = [span.phase for span in report.timelines[0].spans]
    assert list(dict.fromkeys(phases)) == ["prepare", "build", "catch-up", "prove", "cut-over", "settle"]


async def test_forecast_access_files_and_checks_are_in_it(
    make_database: MakeDatabase, connect: Connect, tmp_path: Path
) -> None:
    database = await make_database(SandboxOptions(plans=20, clean=True))
    conn = await connect(database.url)
    forecast = Forecast(
        rehearsed_at=datetime.now(UTC),
        complete=True,
        backup="one",
        server_major=18,
        rows={"workout_plans": 20},
        phases={"prepare": 0.1, "build": 2.0, "cut-over": 0.05},
        writes_blocked_seconds=0.04,
    )
    # What counts is the latest rehearsal before the run, of those that can be read.
    other = forecast.model_copy(update={"phases": {"build": 9.0}, "rehearsed_at": datetime(2026, 1, 1, tzinfo=UTC)})
    for body in (other.model_dump(mode="json"), forecast.model_dump(mode="json"), "of another time"):
        await store.note(conn, TOPIC, body, operator="ada")
    manifest = {"files": [{"name": "plans.csv.gz", "bytes": 12, "sha256": "ab" * 32}]}
    await backup_records.record_backup(conn, "/backups/20261124", manifest, operator="ada", verified=True)
    await migrated(database)
    await store.note(conn, TOPIC, other.model_dump(mode="json"), operator="ada")
    person = Person("5f7c2a9e-0000-4000-8000-000000000001", "authenticated", Kind.OWNER, HOSTILE)
    commands = ("select", "insert", "update", "delete")
    cells = {(person.id, "workout_plans", command): Cell(before=3, now=2, lost=1) for command in commands}
    matrix = AccessMatrix((person,), ("workout_plans",), cells, {Kind.OWNER: Totals(1, 4, 0, 0, 1, 0)}, operator="ada")
    await keep_matrix(conn, matrix)
    for when, measured in (("before", "12 ms"), ("after", "15 ms, 1.2×")):
        timed = CheckEvent(id="history", group="performance", title="", status=Status.PASS, measured=measured)
        await store.record_checks(conn, [timed], operator="ada")
        if when == "before":
            await conn.execute("update vagus_migration.checks set at = at - interval '1 day'")
    failing = CheckEvent(id="rls-enforced", group="verification", title="RLS", status=Status.FAIL)
    await store.record_checks(conn, [failing], operator="ada")
    await store.record_checks(conn, [failing], operator="ada")
    for kind, left in (("rollback", "v2 is in place as it was"), ("clean-up", "nothing was removed")):
        run_id = await store.start_run(conn, kind, operator="ada", environment="staging", options={})
        await store.update_run(conn, run_id, status="failed", error="Somebody was in the way.")
        told = [line.what for line in (await report_of(conn, database.url)).story]
        assert f"The {kind} failed and was undone; {left}: Somebody was in the way" in told
    report = await report_of(conn, database.url)
    told = [line.what for line in report.story]
    assert sum("Checked verification: 0 pass, 1 fail (rls-enforced)" in what for what in told) == 1
    assert any("4 rows lost, 0 gained" in what for what in told)
    assert any("Read every byte of the backup 20261124 back" in what for what in told)
    (run, *others) = report.timelines
    assert {item.id for item in run.comparisons} == {"prepare", "build", "cut-over", "writes-waited"}
    assert run.rehearsed_at == forecast.rehearsed_at and run.comparisons[1].forecast == 2.0
    assert [one.comparisons for one in others] == [(), ()]
    [speed] = report.section("performance").records()
    assert (speed["page"], speed["before"], speed["after"]) == ("history", "12 ms", "15 ms, 1.2×")
    page = as_html(report)
    assert "ab" * 32 in page and "Forecast by the rehearsal" in page and '<td class="bad" title="3 rows in v1' in page
    assert "<img" not in page
    whole = json.loads(save(report, tmp_path / "report.json").read_text())
    assert whole["access"]["totals"]["owner"][1] == 4
    assert whole["timelines"][0]["spans"] and whole["files"][0]["sha256"] == "ab" * 32
