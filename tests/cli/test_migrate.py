"""`migrate` and `sql`: what would happen, the gates, the run, and every way it can end."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.program import vagus
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection

PHASES = ["prepare", "build", "catch-up", "prove", "cut-over", "settle"]


@pytest.fixture(autouse=True)
def backups_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the home folder."""
    monkeypatch.setattr(os, "environ", {**os.environ, "HOME": str(tmp_path)})


async def _state(url: str) -> str:
    ran = await vagus("status", "--json", url=url)
    return str(ran.of("status")[0]["state"])


async def test_without_yes_nothing_happens(clean_database: TestDatabase, clean_conn: Connection) -> None:
    ran = await vagus("migrate", "--json", url=clean_database.url)
    assert ran.status == 2
    assert ran.of("sql") and ran.of("check")
    assert ran.result["ok"] is False and "--yes" in ran.result["next_step"]
    assert await clean_conn.fetchval("select to_regnamespace('vagus_migration')") is None
    assert await clean_conn.fetchval("select to_regnamespace('workout_v2')") is None


async def test_the_whole_way(clean_database: TestDatabase, clean_conn: Connection) -> None:
    plans = await clean_conn.fetchval("select count(*) from workout_plans")
    ran = await vagus("migrate", "--yes", "--json", url=clean_database.url, VAGUS_OPERATOR="ada")
    assert ran.status == 0
    assert ran.result["ok"] is True
    steps = ran.of("step")
    # Scripts are asked for no name: what was about to begin, where and in whose name is in their logs.
    assert any(re.match("Migration on .*, development, by ada", note["message"]) for note in ran.of("note"))
    assert "vagus-tui rollback" in ran.result["next_step"]
    seen = list(dict.fromkeys(step["phase"] for step in steps))
    assert seen == PHASES
    assert {step["state"] for step in steps} <= {"started", "progress", "done"}
    assert all({"id", "phase", "title", "state"} <= step.keys() for step in steps)
    assert await _state(clean_database.url) == "migrated"
    assert await clean_conn.fetchval("select count(*) from workout_plans") == plans
    # What the gates said before it is in its journal.
    gates = await clean_conn.fetch("select distinct check_id from vagus_migration.checks")
    assert {line["id"] for line in ran.of("check")} == {row["check_id"] for row in gates}
    again = await vagus("migrate", "--yes", "--json", url=clean_database.url)
    assert again.status == 1


async def test_for_people(clean_database: TestDatabase) -> None:
    ran = await vagus("migrate", "--yes", url=clean_database.url)
    assert ran.status == 0
    assert "✓ done" in ran.out and "Migrated" in ran.out
    assert "\x1b" not in ran.out


async def test_faulty_data_is_refused(database: TestDatabase, conn: Connection) -> None:
    ran = await vagus("migrate", "--yes", "--json", url=database.url)
    assert ran.status == 1
    assert "orphaned-exercises" in ran.result["message"]
    assert "vagus-tui fix" in ran.result["next_step"]
    assert not ran.of("step")
    assert await conn.fetchval("select to_regnamespace('workout_v2')") is None


async def test_production_insists_on_backup_and_messages(clean_database: TestDatabase, clean_conn: Connection) -> None:
    url = clean_database.url
    ran = await vagus("migrate", "--yes", "--json", url=url, VAGUS_ENVIRONMENT="production")
    assert ran.status == 1
    failing = {line["id"] for line in ran.of("check") if line["status"] in ("fail", "error")}
    assert {"backup-verified", "communications-signed", "tls"} <= failing
    # What to do about messages that cannot be signed off here is said wherever one comes from.
    said = next(line["message"] for line in ran.of("check") if line["id"] == "communications-signed")
    for command in (("status",), ("check", "prerequisites")):
        looked = await vagus(*command, "--json", url=url, VAGUS_ENVIRONMENT="production")
        (note,) = looked.of("note")
        assert "0 of 5 are signed off" in note["message"] and note["message"].rpartition("off. ")[2] in said
        assert '--override communications-signed="why"' in note["message"] and "key 3" in note["message"]
    assert set(ran.result["next_step"].rpartition(": ")[2].rstrip(".").split(", ")) == failing
    shown = await vagus("migrate", "--json", url=url, VAGUS_ENVIRONMENT="production")
    assert (shown.status, shown.result["next_step"]) == (1, ran.result["next_step"])
    # Shown as they would be with the overrides that are typed; a misspelt one is refused here already.
    reasons = [word for check in sorted(failing) for word in ("--override", f"{check}=a trial")]
    shown = await vagus("migrate", "--json", *reasons, url=url, VAGUS_ENVIRONMENT="production")
    assert shown.status == 2 and "--override 'tls=a trial'" in shown.result["next_step"]
    assert {line["id"] for line in shown.of("check") if "overridden" in line} == failing
    shown = await vagus("migrate", "--json", "--override", "tsl=a trial", url=url)
    assert shown.status == 2 and "no gate named" in shown.result["message"]
    shown = await vagus("migrate", "--json", "--override", "tls", url=url)
    assert shown.status == 2 and shown.result["message"] == "--override tls gives no reason."
    assert await clean_conn.fetchval("select count(*) from vagus_migration.overrides") == 0


async def test_gates_let_pass_by_name_are_recorded(clean_database: TestDatabase, clean_conn: Connection) -> None:
    url = clean_database.url
    first = await vagus("migrate", "--yes", "--json", url=url, VAGUS_ENVIRONMENT="staging")
    failing = [line["id"] for line in first.of("check") if line["status"] in ("fail", "error")]
    assert {"backup-verified", "communications-signed"} <= set(failing)
    reasons = [word for check in failing for word in ("--override", f"{check}=a trial, nobody works on it")]
    ran = await vagus(
        "migrate", "--yes", "--json", *reasons, url=url, VAGUS_ENVIRONMENT="staging", VAGUS_OPERATOR="ada"
    )
    assert ran.status == 0
    rows = await clean_conn.fetch("select check_id, reason, operator from vagus_migration.overrides")
    assert {row["check_id"] for row in rows} == set(failing)
    assert {(row["reason"], row["operator"]) for row in rows} == {("a trial, nobody works on it", "ada")}
    told = {note["message"] for note in ran.of("note") if note["level"] == "warning"}
    assert {f"Override recorded: {check}, because: a trial, nobody works on it" for check in failing} <= told
    for line in ran.of("check"):
        assert ("overridden" in line) == (line["id"] in failing)


@pytest.mark.parametrize("name", ["no-such-gate", "state-allows"])
async def test_what_cannot_be_overridden(clean_database: TestDatabase, clean_conn: Connection, name: str) -> None:
    ran = await vagus("migrate", "--yes", "--json", "--override", f"{name}=because", url=clean_database.url)
    assert ran.status == 2
    assert name in ran.result["message"]
    assert "backup-verified" in ran.result["next_step"]
    assert await clean_conn.fetchval("select to_regclass('vagus_migration.overrides')") is None


async def test_an_override_without_a_reason(clean_database: TestDatabase) -> None:
    ran = await vagus("migrate", "--yes", "--json", "--override", "backup-verified= ", url=clean_database.url)
    assert ran.status == 2
    assert ran.result["next_step"].startswith("Say why")


async def test_an_empty_database_is_refused(clean_database: TestDatabase, clean_conn: Connection) -> None:
    await clean_conn.execute("drop table workout_plans, exercises, workout_sessions, exercise_logs cascade")
    for arguments in (("migrate",), ("migrate", "--yes"), ("sql", "migrate")):
        ran = await vagus(*arguments, "--json", url=clean_database.url)
        assert ran.status == 1
        assert ran.result["message"]
    # Whose database this is, nobody knows: it gets no journal.
    assert not await clean_conn.fetchval("select to_regnamespace('vagus_migration') is not null")


async def test_ctrl_c_undoes(clean_database: TestDatabase, clean_conn: Connection) -> None:
    # Reading goes on under this lock, but change capture has to wait for it: there the run can be stopped.
    async with clean_conn.transaction():
        await clean_conn.execute("lock table exercise_logs in share update exclusive mode")
        ran = await vagus(
            *("migrate", "--yes", "--json"),
            url=clean_database.url,
            interrupt_at='"phase": "prepare"',
            VAGUS_LOCK_ATTEMPTS="100",
        )
    assert ran.status == 3
    assert ran.result["ok"] is False
    assert any("Stopping and undoing; Ctrl-C again" in note["message"] for note in ran.of("note"))
    assert await clean_conn.fetchval("select to_regnamespace('workout_v2')") is None
    assert await _state(clean_database.url) == "v1"


async def test_sql_is_the_plan(clean_database: TestDatabase) -> None:
    ran = await vagus("sql", "migrate", url=clean_database.url)
    assert ran.status == 0
    assert "workout_v2" in ran.out and "begin;" in ran.out
    assert "nothing was run" in ran.err
    lines = await vagus("sql", "--json", url=clean_database.url)
    assert lines.status == 0
    for step in lines.of("sql"):
        assert {"id", "phase", "title", "sql"} <= step.keys()
        assert step["sql"] in ran.out


async def test_there_is_nothing_to_roll_back_on_v1(clean_database: TestDatabase) -> None:
    ran = await vagus("sql", "rollback", "--json", url=clean_database.url)
    assert ran.status == 1
