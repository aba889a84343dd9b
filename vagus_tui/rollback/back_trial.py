"""Trying beforehand whether what pointed at v1 can be read on it again: on empty copies of the kept v1 tables.

All of it is taken back. What a definition stands on besides v1's tables may be gone or be called otherwise by now;
that is told before a rollback, which does not fail on it.
"""

from __future__ import annotations

from collections.abc import Container

import asyncpg

from vagus_tui.database.connection import Connection, execute_all
from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.errors import server_words
from vagus_tui.migration.binding import in_path
from vagus_tui.migration.kept_v1 import new_name
from vagus_tui.migration.repoint import functions, of_kind, policies, read_again
from vagus_tui.migration.surroundings import Thing, thing
from vagus_tui.migration.survey import Survey
from vagus_tui.migration.trial import TRIAL, Trial
from vagus_tui.schema.identifiers import qualified, quote

_KEY = "select pg_get_constraintdef(oid) from pg_constraint where conrelid = to_regclass($1) and contype = 'p'"


async def try_back(
    connection: Connection, survey: Survey, missing: Container[Thing], aside: Container[Thing]
) -> list[str]:
    """What cannot be bound to v1 again, and why, in words; nothing where it cannot be tried just now."""
    wanted = [
        *(one for one in of_kind(survey, Kind.VIEW) if thing(one) in missing or thing(one) in aside),
        *read_again(survey),
        *functions(survey),
        *policies(survey),
    ]
    if not wanted:
        return []
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("set local lock_timeout = '1s'")
        await connection.execute("set local check_function_bodies = off")
        await connection.execute(f"create schema {quote(TRIAL)}")
        for base, table in survey.shape.tables.items():
            kept = qualified(survey.shape.schema, new_name(survey, base))
            # Bare but for the key, on which a view may group: constraints may be of a kind that cannot be copied.
            copied = qualified(TRIAL, table.name)
            await connection.execute(f"create table {copied} (like {kept})")
            if key := await connection.fetchval(_KEY, kept):
                await connection.execute(f"alter table {copied} add {key}")
        return await _Trials(connection, survey, missing, aside).all()
    except asyncpg.PostgresError:
        # Locks, rights, or something nobody thought of: a rollback does not fail on its being tried beforehand.
        return []
    finally:
        if not connection.is_closed():
            await transaction.rollback()


class _Trials:
    """Tries one after another, what others read first."""

    def __init__(
        self, connection: Connection, survey: Survey, missing: Container[Thing], aside: Container[Thing]
    ) -> None:
        self.connection = connection
        self.survey = survey
        self.missing, self.aside = missing, aside
        self.trial = Trial(connection, survey.shape)
        self.path = f"{quote(TRIAL)}, {quote(survey.shape.schema)}, pg_temp"

    async def all(self) -> list[str]:
        """Every view, function and policy that is bound again."""
        wrong = []
        again = {thing(one) for one in read_again(self.survey)}
        for view in of_kind(self.survey, Kind.VIEW):
            key = thing(view)
            if key in self.missing or key in self.aside:
                wrong.append((view, await self._lasting(view)))
            elif key in again and not self._reads_another(view):
                wrong.append((view, await self.trial.view(view, (), view.options)))
        for function in functions(self.survey):
            if not function.fact("materialized"):
                wrong.append((function, await self.trial.attempt(in_path(self.path, function.definition))))
        for policy in policies(self.survey):
            if not self._reads_another(policy):
                wrong.append((policy, await self.trial.policy(policy, compat=False)))
        return [f"{one.kind.value} {one.title}: {words}" for one, words in wrong if words]

    def _reads_another(self, one: Dependent) -> bool:
        """Whether it names, with its schema, something that is made again: that is not there to be tried yet."""
        others = (view for view in self.survey.dependents if thing(view) in self.missing or thing(view) in self.aside)
        return any(f"{view.schema}.{view.name}" in one.definition for view in others)

    async def _lasting(self, view: Dependent) -> str:
        """Make a view that others may read, for as long as the trial lasts."""
        options = f" with ({', '.join(view.options)})" if view.options else ""
        own = view.schema == self.survey.shape.schema or thing(view) in self.aside
        relation = qualified(TRIAL if own else view.schema, view.name)
        try:
            async with self.connection.transaction():
                made = in_path(self.path, f"create view {relation}{options} as\n{view.definition}")
                await execute_all(self.connection, made)
        except asyncpg.PostgresError as error:
            return server_words(error)
        return ""
