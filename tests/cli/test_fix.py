"""`fix`: faulty data mended from the command line alone, seen before, done by name, taken back to the byte."""

from __future__ import annotations

from tests.cli.program import vagus
from tests.databases import TestDatabase
from vagus_tui.commands.fix import hint
from vagus_tui.database.connection import Connection

_DIGEST = "select md5(string_agg(l::text, chr(10) order by l::text)) from exercise_logs l"


async def _failing(url: str) -> list[str]:
    ran = await vagus("check", "data-quality", "--json", url=url)
    return [line["id"] for line in ran.of("check") if line["status"] in ("fail", "error")]


async def test_listed_shown_and_refused_before_anything_is_done(database: TestDatabase, conn: Connection) -> None:
    url = database.url
    listed = await vagus("fix", "--json", url=url)
    assert listed.status == 0
    offered = {line["id"]: line for line in listed.of("fix")}
    assert all(line["rows"] > 0 and "batch" not in line for line in offered.values())
    assert listed.result["message"] == f"{len(offered)} fixes with rows to mend."
    assert set(await _failing(url)) <= {line["check"] for line in offered.values()}
    name = "orphaned-exercises-set-aside"
    shown = await vagus("fix", name, "--json", url=url)
    assert shown.status == 2
    (line,) = shown.of("fix")
    assert line["rows"] == offered[name]["rows"] and "delete from" in line["sql"]
    for arguments in (("no-such-fix",), ("--yes",), ("--safe", name), ("--undo", "last", "--safe")):
        assert (await vagus("fix", *arguments, "--json", url=url)).status == 2
    assert (await vagus("fix", "--undo", "last", "--yes", "--json", url=url)).status == 1
    two = (name, "logs-rpe-clear", "--yes", "--json")
    asked = await vagus("fix", *two, url=url, VAGUS_ENVIRONMENT="production", VAGUS_PROJECT="vagus live")
    assert asked.status == 2 and asked.result["next_step"] == "Add --confirm 'vagus live'."
    # Where rows hold a migration up, that they can be mended is said.
    held = await vagus("migrate", "--json", url=url)
    assert held.status == 1 and "vagus-tui fix lists what mends the rows of v1." in held.result["next_step"]
    assert hint([]) is None
    # Whatever was looked at or refused, nothing was written: not even the journal.
    assert await conn.fetchval("select to_regnamespace('vagus_migration')") is None


async def test_all_that_is_safe_and_taken_back(database: TestDatabase, conn: Connection) -> None:
    url, before = database.url, await conn.fetchval(_DIGEST)
    offered = [line for line in (await vagus("fix", "--json", url=url)).of("fix") if line["safe"]]
    ran = await vagus("fix", "--safe", "--yes", "--json", url=url, VAGUS_OPERATOR="ada")
    assert ran.status == 0
    fixed = {line["id"]: line for line in ran.of("fix")}
    assert fixed.keys() == {line["id"] for line in offered}
    figures = {"fixes": len(fixed), "rows": sum(line["rows"] for line in fixed.values())}
    assert ran.result["figures"] == figures and ran.result["message"].startswith("Fixed: ")
    again = await vagus("fix", "--safe", "--yes", "--json", url=url)
    assert again.status == 0 and "nothing was changed" in again.result["message"] and not again.of("fix")
    # Two safe fixes of one check are both applied.
    assert {"logs-rpe-round", "logs-rpe-clear"} <= fixed.keys()
    assert not any(line["safe"] for line in (await vagus("fix", "--json", url=url)).of("fix"))
    for line in reversed(ran.of("fix")):
        undone = await vagus("fix", "--undo", "last", "--yes", "--json", url=url)
        assert undone.status == 0 and undone.result["figures"]["batch"] == line["batch"]
    assert await conn.fetchval(_DIGEST) == before
    # What somebody has changed since is left, and said; the others come back where that is asked for.
    (line,) = (await vagus("fix", "logs-rpe-clear", "--yes", "--json", url=url, VAGUS_OPERATOR="ada")).of("fix")
    changed = await conn.fetchval(
        "update exercise_logs set rpe = 7 where id = (select row_id::uuid from vagus_migration.quarantine "
        "where batch = $1 order by id limit 1) returning id::text",
        line["batch"],
    )
    shown = await vagus("fix", "--undo", "last", "--partly", "--json", url=url)
    assert shown.status == 2 and "fixed by ada" in shown.result["message"]
    assert shown.result["next_step"] == f"vagus-tui fix --undo {line['batch']} --partly --yes does it."
    refused = await vagus("fix", "--undo", line["batch"], "--yes", "--json", url=url)
    assert refused.status == 1 and f"--undo {line['batch']} --partly --yes" in refused.result["next_step"]
    undone = await vagus("fix", "--undo", line["batch"], "--partly", "--yes", "--json", url=url)
    assert undone.status == 0 and undone.result["figures"] == {
        "rows": line["rows"] - 1,
        "left": 1,
        "batch": line["batch"],
    }
    (note,) = undone.of("note")
    assert note["level"] == "warning" and changed in note["message"] and "1 row left" in undone.result["state"]


async def test_from_faulty_to_migrated(database: TestDatabase) -> None:
    """Every fault has a fix that can be named, and then nothing is in the way."""
    url = database.url
    offered = (await vagus("fix", "--json", url=url)).of("fix")
    aside = [line["id"] for line in offered if line["action"] == "set-aside"]
    # A name is asked for only where rows leave, and only in production.
    assert (await vagus("fix", "--safe", "--yes", url=url, VAGUS_ENVIRONMENT="production")).status == 0
    assert (await vagus("fix", aside.pop(), "--yes", url=url)).status == 0
    named = ("--yes", "--confirm", "vagus")
    done = await vagus("fix", *aside, *named, url=url, VAGUS_ENVIRONMENT="production", VAGUS_PROJECT="vagus")
    assert done.status == 0 and "✓ fixed" in done.out and "look first" not in done.out
    assert await _failing(url) == []
    shown = await vagus("fix", url=url)
    assert "in place" in shown.out
    assert (await vagus("migrate", "--yes", "--json", url=url)).status == 0
    # After the cut-over v1's rows are no longer what anybody works with.
    assert (await vagus("fix", "--safe", "--yes", "--json", url=url)).status == 1
