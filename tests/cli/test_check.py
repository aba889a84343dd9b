"""`check`: one line per check with its outcome, and an exit status that says whether any holds things up."""

from __future__ import annotations

import pytest

from tests.cli.program import vagus
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection
from vagus_tui.journal import decisions, store

STATUSES = {"pass", "warn", "fail", "skip", "error"}


@pytest.mark.parametrize("group", ["prerequisites", "data-quality"])
async def test_the_contract_of_a_line(clean_database: TestDatabase, group: str) -> None:
    ran = await vagus("check", group, "--json", url=clean_database.url)
    checks = ran.of("check")
    assert checks
    for line in checks:
        assert line["group"] == group
        assert line["status"] in STATUSES
        assert {"id", "title", "measured", "expected", "overridable"} <= line.keys()
        assert isinstance(line["overridable"], bool)
    ids = [line["id"] for line in checks]
    assert len(ids) == len(set(ids))


async def test_clean_data_passes(clean_database: TestDatabase) -> None:
    ran = await vagus("check", "data-quality", "--json", url=clean_database.url)
    assert ran.status == 0
    assert ran.result["ok"] is True
    assert {line["status"] for line in ran.of("check")} <= {"pass", "skip"}


async def test_a_group_of_which_nothing_could_be_measured_does_not_pass(clean_database: TestDatabase) -> None:
    ran = await vagus("check", "verification", "--json", url=clean_database.url)
    assert {line["status"] for line in ran.of("check")} == {"skip"}
    assert ran.status == 1
    assert ran.result["ok"] is False
    assert ran.result["message"].endswith("could be measured. v2 is not in place yet.")


async def test_faulty_data_fails_and_is_named(database: TestDatabase) -> None:
    ran = await vagus("check", "data-quality", "--json", url=database.url)
    assert ran.status == 1
    failed = {line["id"] for line in ran.of("check") if line["status"] in ("fail", "error")}
    assert "orphaned-exercises" in failed
    assert all(check in ran.result["message"] for check in failed)
    assert ran.result["figures"]["fail"] == len(failed)
    assert "vagus-tui fix" in ran.result["next_step"]


async def test_for_people(database: TestDatabase) -> None:
    ran = await vagus("check", "data-quality", url=database.url, COLUMNS="200")
    assert ran.status == 1
    assert "✗ fail" in ran.out and "orphaned-exercises" in ran.out
    assert "\x1b" not in ran.out


async def test_an_overridden_failure_counts_no_more(database: TestDatabase, conn: Connection) -> None:
    first = await vagus("check", "data-quality", "--json", url=database.url)
    failing = [line for line in first.of("check") if line["status"] == "fail"]
    for line in failing:
        await decisions.override(conn, line["id"], "known and harmless", operator="ada")
    second = await vagus("check", "data-quality", "--json", url=database.url)
    still = {line["id"] for line in failing if not line["overridable"]}
    assert second.status == (1 if still else 0)
    for line in second.of("check"):
        assert (line.get("overridden") is not None) == (line["status"] == "fail" and line["id"] not in still)


async def test_looking_makes_no_journal_but_keeps_one(clean_database: TestDatabase, clean_conn: Connection) -> None:
    await vagus("check", "data-quality", "--json", url=clean_database.url)
    assert await clean_conn.fetchval("select to_regnamespace('vagus_migration')") is None
    await store.note(clean_conn, "planned_at", "2026-03-01T22:00", operator="ada")
    await vagus("check", "data-quality", "--json", url=clean_database.url)
    assert await clean_conn.fetchval("select count(*) from vagus_migration.checks") > 0


async def test_an_empty_database(clean_database: TestDatabase, clean_conn: Connection) -> None:
    await clean_conn.execute("drop table workout_plans, exercises, workout_sessions, exercise_logs cascade")
    ran = await vagus("check", "prerequisites", "--json", url=clean_database.url)
    assert ran.status == 1
    assert any(line["status"] == "fail" for line in ran.of("check"))


async def test_access_gives_its_matrix_cell_by_cell(clean_database: TestDatabase) -> None:
    refused = await vagus("check", "access", "--everyone", "--json", url=clean_database.url)
    assert refused.status == 1
    ran = await vagus("migrate", "--yes", "--json", url=clean_database.url)
    assert ran.status == 0
    for arguments in (("access",), ("access", "--everyone")):
        ran = await vagus("check", *arguments, "--json", url=clean_database.url)
        assert ran.status == 0
        assert {line["group"] for line in ran.of("check")} == {"access"}
        cells = ran.of("access")
        assert {line["verdict"] for line in cells} == {"same"}
        assert {"user", "who", "role", "table", "command", "before", "now", "lost", "gained"} <= cells[0].keys()
    assert ran.of("step")[-1]["rows"] == ran.of("step")[-1]["total"]
    people = await vagus("check", "access", url=clean_database.url, COLUMNS="120")
    assert people.status == 0 and "✓✓✓✓" in people.out and "by design" in people.out and "anon" in people.out


async def test_everyone_goes_with_access_alone(clean_database: TestDatabase) -> None:
    ran = await vagus("check", "data-quality", "--everyone", "--json", url=clean_database.url)
    assert ran.status == 2


async def test_the_checks_are_tested_by_their_faults(clean_database: TestDatabase) -> None:
    refused = await vagus("check", "--self-test", "--json", url=clean_database.url)
    assert refused.status == 1
    assert (await vagus("migrate", "--yes", "--json", url=clean_database.url)).status == 0
    asked = await vagus("check", "--self-test", "--json", url=clean_database.url, VAGUS_ENVIRONMENT="production")
    assert asked.status == 1 and "--yes" in asked.result["next_step"] and not asked.of("self-test")
    ran = await vagus("check", "verification", "--self-test", "--json", url=clean_database.url)
    assert ran.status == 0, ran.out
    assert {line["status"] for line in ran.of("self-test")} == {"pass"}
    assert {"check", "fault", "status", "message", "seconds"} <= ran.of("self-test")[0].keys()
    assert ran.result["figures"]["missed"] == 0
