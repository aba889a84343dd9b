"""Trying definitions on v2 before there is a v2: against empty tables, in a transaction that is rolled back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from vagus_tui.database.connection import Connection, execute_all
from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.errors import RefusedError, server_words
from vagus_tui.migration.binding import translated
from vagus_tui.migration.compat import compat_views
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.v1 import V1Shape

TRIAL = "workout_v2_trial"
TRIAL_COMPAT = "workout_v2_trial_compat"

_COLUMNS = (
    "(select array_agg(row(a.attname, a.atttypid, a.atttypmod, a.attcollation)::text order by a.attnum) "
    "from pg_attribute a where a.attrelid = {}::regclass and a.attnum > 0 and not a.attisdropped)"
)


def _same_columns(made: str, wanted: str) -> str:
    """A statement that fails, with the reason, where two relations have not the same columns."""
    columns = [_COLUMNS.format(literal(name)) for name in (made, wanted)]
    body = (
        f"begin if {' is distinct from '.join(columns)} then "
        "raise exception 'its columns would not be the same as before'; end if; end"
    )
    return f"do {literal(body)}"


class Trial:
    """Empty v2 tables, and v1's shape over them, to try definitions on. Use it within `trial()`."""

    def __init__(self, connection: Connection, shape: V1Shape) -> None:
        self.connection = connection
        self.shape = shape

    async def attempt(self, statements: list[str]) -> str:
        """Run statements and take them back. Returns what is wrong with them, "" when nothing is."""
        wrong = ""
        try:
            await execute_all(self.connection, ("savepoint vagus_attempt", *statements))
        except asyncpg.PostgresError as error:
            wrong = server_words(error)
        await self.connection.execute("rollback to savepoint vagus_attempt; release savepoint vagus_attempt")
        return wrong

    async def view(self, view: Dependent, bases: tuple[str, ...], options: tuple[str, ...]) -> str:
        """Try a view's query, with some of v1's tables given in v1's shape."""
        body = translated(self.shape, view.definition, bases, TRIAL)
        listed = f" with ({', '.join(options)})" if options and view.kind is Kind.VIEW else ""
        trial = f"{quote(TRIAL)}.vagus_trial"
        return await self.attempt(
            [
                self._path(TRIAL),
                f"create view {trial}{listed} as\n{body}",
                _same_columns(trial, qualified(view.schema, view.name)),
            ]
        )

    async def policy(self, policy: Dependent, *, compat: bool) -> str:
        """Try a policy's conditions on an empty table like its own."""
        table = f"pg_temp.{quote(policy.on)}"
        clauses = [f"using ({text})" for text in policy.all("using")]
        clauses += [f"with check ({text})" for text in policy.all("check")]
        return await self.attempt(
            [
                self._path(TRIAL_COMPAT if compat else TRIAL),
                f"create temporary table {quote(policy.on)} (like {qualified(policy.schema, policy.on)})",
                f"create policy vagus_trial on {table} {' '.join(clauses)}",
            ]
        )

    async def function(self, function: Dependent, definition: str, *, compat: bool) -> str:
        """Try a function's definition in another schema. Its name stays: its body may say it before a parameter's."""
        word = "PROCEDURE" if function.fact("prokind") == "p" else "FUNCTION"
        head, parenthesis, rest = definition.partition("(")
        if not head.startswith(f"CREATE OR REPLACE {word} "):
            return "its definition could not be read"
        return await self.attempt(
            [
                self._path(TRIAL_COMPAT if compat else TRIAL),
                f"create or replace {word} {qualified(TRIAL, function.name)}{parenthesis}{rest}",
            ]
        )

    async def statement(self, statement: str) -> str:
        """Try any one statement that names v2's tables in the schema `TRIAL`."""
        return await self.attempt([statement])

    def _path(self, schema: str) -> str:
        return f"set local search_path = {quote(schema)}, {quote(self.shape.schema)}, pg_temp"


@asynccontextmanager
async def trial(connection: Connection, shape: V1Shape) -> AsyncIterator[Trial]:
    """Empty v2 tables for as long as the block lasts; nothing of them remains.

    Raises:
        RefusedError: the role may not make schemas, which the migration itself needs.
    """
    ddl = V2Ddl(TRIAL, shape, preferences=False)
    transaction = connection.transaction()
    await transaction.start()
    try:
        # One at a time: the schema of a second one would wait for the first one's end, and be cut off.
        await connection.execute(
            "set local lock_timeout = '30s'; select pg_advisory_xact_lock(hashtextextended('vagus_migration trial', 0))"
        )
        try:
            # Nothing else here waits for anybody, and nobody waits for it.
            await connection.execute(f"set local lock_timeout = '1s'; create schema {quote(TRIAL)}")
        except asyncpg.InsufficientPrivilegeError as error:
            raise RefusedError(
                "Whether views, policies and functions can follow cannot be tried: no right to create schemas.",
                next_step="See the check “rights”.",
            ) from error
        made = [f"create schema {quote(TRIAL_COMPAT)}"]
        for table in ddl.tables:
            indexes = (index.sql for index in ddl.unique_indexes(table))
            made += [ddl.create_table(table), *indexes, *ddl.key_constraints(table)]
        made += compat_views(shape, TRIAL, TRIAL_COMPAT, connection.get_server_version().major)
        await execute_all(connection, made)
        yield Trial(connection, shape)
    finally:
        if not connection.is_closed():
            await transaction.rollback()
