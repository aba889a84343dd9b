"""`rollback`: what it would carry back, and the whole way there and back."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.program import vagus
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection

LATER = "update workout_plans set name = 'written later' where id = (select min(id::text)::uuid from workout_plans)"


async def test_on_v1_there_is_nothing_to_roll_back(clean_database: TestDatabase) -> None:
    for arguments in (("rollback",), ("rollback", "--yes")):
        ran = await vagus(*arguments, "--json", url=clean_database.url)
        assert ran.status == 1
        assert "nothing to roll back" in ran.result["message"]
    for arguments in (("abandon",), ("abandon", "--yes"), ("rollback", "--finish")):
        ran = await vagus(*arguments, "--json", url=clean_database.url)
        assert ran.status == 0 and not ran.of("note"), ran.out
        assert "nothing to clean up" in ran.result["message"].lower() or "Nothing was left" in ran.result["message"]


async def test_there_and_back(clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path) -> None:
    url = clean_database.url
    moved = await vagus("migrate", "--yes", "--json", url=url, VAGUS_JOURNAL_DIR=str(tmp_path))
    assert moved.status == 0 and "vagus-tui check" in moved.result["next_step"]
    # What was done is known on this machine too, should the database be lost the next moment.
    (copy,) = tmp_path.iterdir()
    runs = [entry["row"] for entry in map(json.loads, copy.read_text().splitlines()) if entry["table"] == "runs"]
    assert runs[-1]["status"] == "done" and runs[-1]["finished_at"]
    await clean_conn.execute(LATER)
    shown = await vagus("rollback", "--apply-deletions", "--json", url=url)
    assert shown.status == 2
    assert shown.result["next_step"] == "vagus-tui rollback --apply-deletions --yes does it."
    carried = {line["table"]: line for line in shown.of("carried")}
    assert carried["workout_plans"]["changed"] == 1
    assert shown.of("sql")
    assert await clean_conn.fetchval("select to_regclass('public.workout_weeks')") is not None
    ran = await vagus("rollback", "--yes", "--json", url=url)
    assert ran.status == 0 and "Tell users" in ran.result["next_step"]
    assert {step["phase"] for step in ran.of("step")} <= {"prepare", "prove", "rollback", "settle"}
    # No name is asked for, as scripts depend on it: on what it is about to begin is said first, and kept.
    note = ran.of("note")[0]
    label = await clean_conn.fetchval("select options ->> 'database' from vagus_migration.runs where kind = 'rollback'")
    assert label and note["detail"]["database"] == label and note["detail"]["environment"] == "development"
    assert f"Rollback on {label}, project" in note["message"]
    assert [line["event"] for line in ran.lines].index("note") < [line["event"] for line in ran.lines].index("step")
    assert await clean_conn.fetchval("select count(*) from workout_plans where name = 'written later'") == 1
    status = await vagus("status", "--json", url=url)
    assert status.result["state"] == "rolled-back"
    assert "rolled back: v1 is in place again" in (await vagus("status", url=url, COLUMNS="200")).out
    assert (await vagus("migrate", "--yes", "--json", url=url)).status == 0
    # How long the last one took, where nothing was rehearsed.
    told = await vagus("rollback", url=url, COLUMNS="200")
    assert "The last one took" in told.out and "writes wait" in told.out


async def test_for_people(clean_database: TestDatabase, clean_conn: Connection) -> None:
    await clean_conn.execute("alter table exercises add constraint short check (char_length(name) < 90)")
    assert (await vagus("migrate", "--yes", url=clean_database.url)).status == 0
    await clean_conn.execute(LATER)
    await clean_conn.execute("alter table exercises drop constraint short")
    long = await clean_conn.fetchval("select min(id::text) from exercises_v1")
    await clean_conn.execute("update exercises set name = repeat('x', 99) where id = $1::uuid", long)
    # A set that is saved anew, as an app does that stores a session's sets all at once.
    await clean_conn.execute(
        "with gone as (delete from exercise_logs where id = (select id from exercise_logs limit 1) returning *) "
        "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) "
        "select session_id, exercise_id, set_number, 77, 7 from gone"
    )
    ran = await vagus("rollback", url=clean_database.url, COLUMNS="200")
    assert ran.status == 2
    told = " ".join((ran.out + ran.err).split())
    assert f"v1 cannot hold all of these, for example: exercises {long} (name)." in told, told
    assert "1 of the deleted sets has another in their place" in told, told
    more = await vagus("rollback", "--apply-deletions", url=clean_database.url, COLUMNS="200")
    assert "another in their place" not in more.out + more.err
    assert "workout_plans: 0 new and 1 changed rows" in ran.out
    assert "Not rehearsed" in ran.out and "Undo: until its commit" in ran.out
    assert "vagus-tui rollback --yes does it" in ran.err
    # Without the notes of what was written it is found by comparing, and told wherever one looks.
    await clean_conn.execute("drop table vagus_migration.v2_changes")
    ran = await vagus("rollback", url=clean_database.url, COLUMNS="200")
    assert "workout_plans: 0 new and 1 changed rows" in ran.out
    told = " ".join((ran.out + ran.err).split())
    assert "v2_changes, where every write to v2 since the cut-over was noted, is gone" in told, told
    differ = "4 rows differ from what v1 has though no such write was noted"
    assert f"{differ}: 2 of exercise_logs, 1 of exercises, 1 of workout_plans" in told
    status = " ".join((await vagus("status", url=clean_database.url, COLUMNS="200")).out.split())
    assert "the app's writes to workout_plans, workout_weeks," in status, status


async def test_from_a_backup(clean_database: TestDatabase, clean_conn: Connection, tmp_path: Path) -> None:
    url, folder = clean_database.url, str(tmp_path)
    made = await vagus("backup", "--kind", "tables", "--json", url=url, VAGUS_BACKUP_DIR=folder)
    path = made.result["figures"]["path"]
    assert (await vagus("migrate", "--yes", "--json", url=url, VAGUS_BACKUP_DIR=folder)).status == 0
    await clean_conn.execute(LATER)
    await clean_conn.execute("drop table exercise_logs_v1")
    status = await vagus("status", "--json", url=url)
    assert status.result["state"] == "unknown" and "rollback from a backup" in status.of("status")[0]["possible"]
    shown = await vagus("rollback", "--from", path, "--other-database", "--json", url=url)
    assert shown.status == 2
    compared = {line["table"]: line for line in shown.of("compared")}
    assert compared["workout_plans"]["backup"] == compared["workout_plans"]["now"]
    assert {step["phase"] for step in shown.of("sql")} == {"build", "prove", "rollback", "settle"}
    assert shown.result["next_step"] == f"vagus-tui rollback --from {path} --other-database --yes does it."
    assert await clean_conn.fetchval("select to_regclass('public.workout_weeks')") is not None
    ran = await vagus("rollback", "--from", path, "--yes", "--json", url=url)
    assert ran.status == 0, ran.result
    assert ran.result["state"] == "rolled-back"
    assert await clean_conn.fetchval("select count(*) from workout_plans where name = 'written later'") == 0
    (Path(path) / "proof.json").unlink()
    told = await vagus("rollback", "--from", path, url=url, COLUMNS="200")
    assert "rows in the backup" in told.out and "It was never read back; that is done first." in told.out + told.err
    wrong = await vagus("rollback", "--from", path, "--apply-deletions", "--json", url=url)
    assert wrong.status == 2
    unknown = await vagus("rollback", "--from", str(tmp_path / "none"), url=url)
    assert "another database" not in unknown.out + unknown.err
    nothing = await vagus("rollback", "--from", str(tmp_path / "none"), "--yes", "--json", url=url)
    assert nothing.status == 1
    done = await vagus("rollback", "--finish", "--json", url=url)
    assert done.status == 0 and "Nothing was left to do" in done.result["message"]
