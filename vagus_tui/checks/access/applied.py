"""Holds the figures against the server itself: the same people's real SELECT, UPDATE and DELETE, counted.

UPDATE and DELETE are given a last condition that counts a row and is never true. The server asks it only about rows
that the policies have let through, so it is the server that says how many those are; no row is written or locked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from vagus_tui.checks.access.evaluation import FOUND, SETTINGS, STATEMENT_MS, Ground, block
from vagus_tui.checks.access.guards import Guard
from vagus_tui.checks.access.matrix import Kind, Person
from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import acting_as, undone
from vagus_tui.format import plural
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified, quote

_COUNTER = """
create temporary sequence vagus_access_passed;
create function pg_temp.vagus_access_counted(id text) returns boolean language plpgsql volatile as $$
begin
  perform nextval('pg_temp.vagus_access_passed');
  return false;
end $$;
grant usage, select on sequence pg_temp.vagus_access_passed to anon, authenticated, service_role;
grant execute on function pg_temp.vagus_access_counted(text) to anon, authenticated, service_role
"""

_SET = {
    v2.PLANS: "user_id",
    v2.WEEKS: "plan_id",
    v2.DAYS: "week_id",
    v2.GROUPS: "day_id",
    v2.EXERCISES: "day_id",
    v2.SESSIONS: "user_id",
    v2.LOGS: "session_id",
}
"""A column per table for an UPDATE that would change nothing."""


def spokespeople(people: Sequence[Person]) -> list[Person]:
    """The first of every kind whose access is decided by policies."""
    return list({person.kind: person for person in reversed(people) if person.kind is not Kind.SERVICE}.values())[::-1]


async def _passed(connection: Connection, relation: str, command: str, column: str) -> int:
    """How many rows the server lets through, for whoever the connection acts as."""
    if command == "select":
        return int(await connection.fetchval(f"select count(*) from {relation}"))
    counted = "where pg_temp.vagus_access_counted(id::text)"
    if command == "update":
        await connection.execute(f"update {relation} set {quote(column)} = {quote(column)} {counted}")
    else:
        await connection.execute(f"delete from {relation} {counted}")
    row = await connection.fetchrow("select last_value, is_called from pg_temp.vagus_access_passed")
    assert row is not None
    return int(row["last_value"]) if row["is_called"] else 0


async def _try(connection: Connection, person: Person, relation: str, command: str, column: str) -> int:
    try:
        async with acting_as(connection, person.role, person.user_id):
            return await _passed(connection, relation, command, column)
    except asyncpg.InsufficientPrivilegeError:
        return 0
    finally:
        # A sequence keeps its count over a rollback.
        await connection.execute("select setval('pg_temp.vagus_access_passed', 1, false)")


def _writes_as_it_reads(guard: Guard, role: str) -> bool:
    """Whether what an UPDATE may leave behind is what it may touch; only the latter can be tried without writing."""
    return all(
        policy.writes in (None, policy.reads)
        for policy in guard.for_command(role, "update")
        if role in guard.enforced and policy.reads is not None
    )


async def compare_with_server(
    connection: Connection, people: Sequence[Person], ground: Ground, *, schema: str = "public"
) -> tuple[int, list[str]]:
    """Try one person of every kind with real statements; how many were tried, and where the server disagrees.

    Must run where `prepared` has made its tables.
    """
    tried, disagreements = 0, []
    for person in spokespeople(people):
        async with undone(connection, timeout_ms=STATEMENT_MS):
            await connection.execute(SETTINGS)
            await connection.execute(block(person.role, [person], ground))
            await connection.execute("reset role")
            rows = await connection.fetch(f"select * from {FOUND}")
            worked_out: Mapping[tuple[str, str], Any] = {(row["table_name"], row["command"]): row for row in rows}
            await connection.execute(_COUNTER)
            places = [(table, ground.new[table], "now", _SET[table]) for table in ground.new]
            places += [
                (table, guard, "had", {v1.EXERCISES: "plan_id"}.get(base, _SET[table]))
                for table, base in v2.V1_BASES.items()
                if table in ground.new and (guard := ground.old.get(base)) is not None
            ]
            for table, guard, figure, column in places:
                for command in ("select", "update", "delete"):
                    if command == "update" and not _writes_as_it_reads(guard, person.role):
                        continue
                    relation = qualified(schema, guard.relation)
                    passed = await _try(connection, person, relation, command, column)
                    tried += 1
                    expected = worked_out[table, command][figure]
                    if passed != expected:
                        disagreements.append(
                            f"{person.name}: {command} on {guard.relation} reaches {plural(passed, 'row')}, "
                            f"by its policies {expected:,}"
                        )
    return tried, disagreements
