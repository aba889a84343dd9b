"""`sign`: messages to users listed, signed off and taken back, on record as the wizard has it."""

from __future__ import annotations

from tests.cli.program import vagus
from tests.databases import TestDatabase
from vagus_tui.database.connection import Connection
from vagus_tui.journal import decisions

ANNOUNCED = "communications.announce-email"


async def test_a_script_signs_off_what_a_migration_waits_for(
    clean_database: TestDatabase, clean_conn: Connection
) -> None:
    url = clean_database.url
    listed = await vagus("sign", "--json", url=url)
    assert listed.status == 0 and not any(line["signed"] for line in listed.of("sign-off"))
    assert await clean_conn.fetchval("select to_regnamespace('vagus_migration') is null"), "looking leaves no trace"
    required = [line["id"] for line in listed.of("sign-off") if line["required"]]
    wrong = await vagus("sign", required[0], "nothing-such", "--json", url=url)
    assert (
        wrong.status == 2 and "“nothing-such”" in wrong.result["message"] and required[0] in wrong.result["next_step"]
    )
    assert (await vagus("sign", "--note", "x", "--json", url=url)).status == 2
    assert await decisions.sign_offs(clean_conn) == {}
    note = "sent [/red] to all"
    one = await vagus("sign", "announce-email", "--note", note, url=url, VAGUS_OPERATOR="Kari", COLUMNS="120")
    assert one.status == 0 and "✓ signed" in one.out and "by Kari at 20" in one.out and note in one.out
    rest = await vagus("sign", "--required", "--json", url=url, VAGUS_OPERATOR="Ola")
    assert "5 of 5" in rest.result["message"] and f"{len(required) - 1} messages" in rest.result["message"]
    found = await decisions.sign_offs(clean_conn)
    # The first keeps its name and its note.
    assert (found[ANNOUNCED].operator, found[ANNOUNCED].note) == ("Kari", note)
    assert {one.operator for item, one in found.items() if item != ANNOUNCED} == {"Ola"}
    gates = await vagus("migrate", "--json", url=url, VAGUS_ENVIRONMENT="staging")
    (gate,) = [line for line in gates.of("check") if line["id"] == "communications-signed"]
    assert gate["status"] == "pass"
    back = await vagus("sign", ANNOUNCED, "--take-back", "--json", url=url)
    assert back.result["message"].startswith("1 sign-off taken back.") and "4 of 5" in back.result["message"]
    # Wherever one looks before a migration, but where nothing waits for it.
    for environment, told in (("staging", ["Messages to users: 4 of 5 are signed off."]), ("development", [])):
        status = await vagus("status", "--json", url=url, VAGUS_ENVIRONMENT=environment)
        assert [line["message"][:41] for line in status.of("note")] == told
    again = await vagus("sign", ANNOUNCED, "--take-back", "--note", "not sent", "--json", url=url)
    assert again.result["message"].startswith("Nothing was changed") and not again.of("note")
    assert not (await decisions.sign_offs(clean_conn))[ANNOUNCED].ticked
