"""`report`: the journal as a record, in three forms, with nothing in it that could do harm."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.program import vagus
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection
from vagus_tui.journal import backup_records, decisions, store

HOSTILE = "<script>alert(1)</script>\x1b[31m & \u202etxet"


async def _history(conn: Connection) -> None:
    await decisions.sign(conn, "communications.reminder-email", ticked=True, operator="ada", note=HOSTILE)
    await decisions.override(conn, "tls", HOSTILE, operator="ada")
    run = await store.start_run(conn, "migrate", operator="ada", environment="staging", options={})
    await store.update_run(conn, run, status="failed", error="a lock did not come")
    await backup_records.record_backup(conn, "/backups/one", {"tables": {}}, operator="ada", verified=True)


async def test_before_anything_was_done(database: TestDatabase) -> None:
    ran = await vagus("report", url=database.url)
    assert ran.status == 0
    assert "Nothing has been run." in ran.out


async def test_as_json(database: TestDatabase, conn: Connection) -> None:
    await _history(conn)
    ran = await vagus("report", "--json", url=database.url)
    assert ran.status == 0
    (line,) = ran.of("report")
    report = line["report"]
    assert report["runs"][0]["error"] == "a lock did not come"
    assert report["overrides"][0]["reason"] == HOSTILE
    assert report["sign_offs"][0]["title"] == "Send the reminder e-mail"
    assert report["backups"][0]["verified_at"]


async def test_as_text_for_a_terminal(database: TestDatabase, conn: Connection, tmp_path: Path) -> None:
    await _history(conn)
    words = " ".join(f"word{number}" for number in range(1500))
    await store.note(conn, "self-test", {"seen": {"a": ["some fault"] * 30}, "missed": {}}, operator="ada")
    body = {"body": words, "n": [1, 2], "to": {"who": "all"}, "o": [{"a": 1, "b": 2}]}
    await store.note(conn, "text.communications.reminder-email", body, operator="ada")
    await decisions.sign(conn, "communications.reminder-email", ticked=True, operator="ada", note=f"{HOSTILE} {words}")
    ran = await vagus("report", url=database.url)
    assert "\x1b" not in ran.out and "\u202e" not in ran.out
    assert "a lock did not come" in ran.out
    # What is long is wrapped into lines of its own, spelled out rather than as JSON, and what is left out is said.
    lines = ran.out.splitlines()
    assert max(len(line) for line in lines) < 400 and '"body"' not in ran.out
    at = lines.index("    body:", lines.index("Notes"))
    assert lines[at + 1].startswith("      Tested the checks with planted faults: 30 seen, none missed; its")
    at = lines.index("    body:", at + 1)
    assert lines[at - 1].startswith("topic text.communications.reminder-email; operator")
    assert lines[at + 1 : at + 4] == ["      n: 1, 2", "      o:", "        - a: 1"]
    assert lines[at + 4 : at + 7] == ["          b: 2", "      to:", "        who: all"]
    assert "some fault" not in ran.out
    assert lines[at + 7].startswith("      body: word0 word1")
    assert max(len(line) for line in lines[at : at + 42]) <= 100
    assert [line for line in lines[at:] if "more lines: whole in the report as HTML and as JSON" in line]
    # There it is whole.
    page = tmp_path / "report.html"
    await vagus("report", "--output", str(page), url=database.url)
    assert page.read_text().count("word1499") == 2
    ran = await vagus("report", "--json", url=database.url)
    (line,) = ran.of("report")
    assert json.loads(line["report"]["notes"][1]["body"])["body"] == words


async def test_as_a_page(database: TestDatabase, conn: Connection, tmp_path: Path) -> None:
    await _history(conn)
    target = tmp_path / "deep" / "report.html"
    ran = await vagus("report", "--json", "--output", str(target), url=database.url)
    # A folder that nobody meant does not come unseen.
    assert ran.status == 0 and ran.result["message"].endswith(f"folder {target.parent} was not there and was made.")
    again = await vagus("report", "--json", "--output", str(target), url=database.url)
    assert again.result["message"] == f"Written to {target}."
    page = target.read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert target.stat().st_mode & 0o077 == 0


async def test_the_files_name_decides_the_form(database: TestDatabase, tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    await vagus("report", "--output", str(target), url=database.url)
    assert json.loads(target.read_text())["state"] == "v1"
    ran = await vagus("report", "--json", "--output", str(tmp_path / "report.pdf"), url=database.url)
    assert ran.status == 2 and "--format" in ran.result["next_step"]
    assert not (tmp_path / "report.pdf").exists()


async def test_a_place_that_cannot_be_written(database: TestDatabase, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = await vagus("report", "--json", "--output", str(tmp_path / "file" / "report.html"), url=database.url)
    assert ran.status == 4
    assert "could not be written" in ran.result["message"]
    ran = await vagus("report", "--json", "--output", "~nobody-of-that-name/report.html", url=database.url)
    assert ran.status == 2 and "the home folder of a user who is not known here" in ran.result["message"]


async def test_the_passwords_place_is_not_in_it(database: TestDatabase, conn: Connection) -> None:
    await _history(conn)
    ran = await vagus("report", "--json", url=database.url)
    assert "postgresql://" not in ran.out
