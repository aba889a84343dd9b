"""Holds the figures against the server itself: the same people's real SELECT, UPDATE and DELETE, counted.

UPDATE and DELETE are given a last condition that counts a row and is never true. The server asks it only about rows
that the policies have let through, so it is the server that says how many those are; no row is written or locked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vagus_tui.checks.access.evaluation import FOUND, SETTINGS, STATEMENT_MS, Ground, block
from vagus_tui.checks.access.guards import Guard
from vagus_tui.checks.access.matrix import Kind, Person
from vagus_tui.database.connection import Connection, execute_all
from vagus_tui.database.impersonation import Asked, answers_of, undone
from vagus_tui.format import plural
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified, quote

_COUNTER = """
create temporary sequence vagus_access_passed;
select nextval('pg_temp.vagus_access_passed');
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


def _passing(relation: str, command: str, column: str) -> str:
    """How many rows the server lets through, for whoever is asked."""
    if command == "select":
        return f"answer := (select count(*) from {relation});"
    counted = "where pg_temp.vagus_access_counted(id::text)"
    tried = (
        f"update {relation} set {quote(column)} = {quote(column)} {counted};"
        if command == "update"
        else f"delete from {relation} {counted};"
    )
    # Whatever comes of it, the sequence has counted: only what has been added since is this one's.
    passed = "(select last_value from pg_temp.vagus_access_passed)"
    return f"answer := {passed};\n{tried}\nanswer := {passed} - answer::bigint;"


def _writes_as_it_reads(guard: Guard, role: str) -> bool:
    """Whether what an UPDATE may leave behind is what it may touch; only the latter can be tried without writing."""
    return all(
        policy.writes in (None, policy.reads)
        for policy in guard.for_command(role, "update")
        if role in guard.enforced and policy.reads is not None
    )


@dataclass(frozen=True, slots=True)
class _Trial:
    """One statement that is tried: on the relation of that guard, held against that figure of the table's."""

    table: str
    guard: Guard
    command: str
    figure: str
    column: str


def _trials(person: Person, ground: Ground) -> Iterator[_Trial]:
    places = [(table, guard, "now", _SET[table]) for table, guard in ground.new.items()]
    places += [
        (table, guard, "had", {v1.EXERCISES: "plan_id"}.get(base, _SET[table]))
        for table, base in v2.V1_BASES.items()
        if table in ground.new and (guard := ground.old.get(base)) is not None
    ]
    for table, guard, figure, column in places:
        for command in ("select", "update", "delete"):
            if command != "update" or _writes_as_it_reads(guard, person.role):
                yield _Trial(table, guard, command, figure, column)


async def compare_with_server(
    connection: Connection, people: Sequence[Person], ground: Ground, *, schema: str = "public"
) -> tuple[int, list[str]]:
    """Try one person of every kind with real statements; how many were tried, and where the server disagrees.

    Must run where `prepared` has made its tables.
    """
    tried, disagreements = 0, []
    for person in spokespeople(people):
        trials = list(_trials(person, ground))
        questions = tuple(
            _passing(qualified(schema, trial.guard.relation), trial.command, trial.column) for trial in trials
        )
        async with undone(connection, SETTINGS, timeout_ms=len(trials) * STATEMENT_MS):
            await execute_all(connection, (block(person.role, [person], ground), "reset role", _COUNTER))
            (answers,) = await answers_of(connection, [Asked(person.role, person.user_id, questions)])
            rows = await connection.fetch(f"select * from {FOUND}")
        worked_out: Mapping[tuple[str, str], Any] = {(row["table_name"], row["command"]): row for row in rows}
        tried += len(trials)
        for trial, answer in zip(trials, answers, strict=True):
            passed, expected = int(answer or 0), worked_out[trial.table, trial.command][trial.figure]
            if passed != expected:
                disagreements.append(
                    f"{person.name}: {trial.command} on {trial.guard.relation} reaches {plural(passed, 'row')}, "
                    f"by its policies {expected:,}"
                )
    return tried, disagreements
