"""What stands beside v1's four tables and goes into v2 as well: notification preferences, and who coaches whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.data_quality.rule import COACHES, Names
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.database.impersonation import undone
from vagus_tui.errors import server_words
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.schema.preferences import QUIET, SHAPES, preferences_kind
from vagus_tui.schema.v1 import Column, V1Shape
from vagus_tui.schema.v2 import PREFERENCES, USERS

TRIED_USERS = 200
"""Users for whom a row of preferences is tried; taken back again."""
TRIAL_MS = 15_000
_NO_ROWS = "select null as id where false"
_ENDS = ("coach_id", "client_id")
_IDS = ("uuid", "text", "character varying", "character")
"""Types that an id in auth.users can be read from; of text the values are looked at."""
UUID = "^[{]?([0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}[}]?$"
"""What the server's own cast to uuid takes."""


def _plain(column: Column) -> str:
    return column.plain.split("(")[0].strip()


def _types(columns: Mapping[str, Column], wanted: Mapping[str, str]) -> list[str]:
    return [
        f"{PREFERENCES}.{name} is {columns[name].type}; {type_} is needed."
        for name, type_ in wanted.items()
        if _plain(columns[name]) != type_
    ]


def _relation(context: Context) -> str:
    return qualified(context.shape.schema, PREFERENCES)


def _new_rows(columns: Mapping[str, Column], relation: str, given: tuple[str, ...]) -> list[str]:
    """Why no row of the `given` columns alone can be added, by the table's definition."""
    return [
        f"{PREFERENCES}.{column.name} has no default, and nothing says what a new row shall hold there: give it one "
        f"with alter table {relation} alter {quote(column.name)} set default …;"
        for column in columns.values()
        if column.name not in given
        and column.not_null
        and column.default is None
        and not column.identity
        and not column.generated
    ]


def _quiet_rows(relation: str) -> str:
    return (
        f"insert into {relation} (user_id, preferences)\nselect u.id, {QUIET} from {USERS} u\n"
        f"where not exists (select from {relation} t where t.user_id = u.id)\n"
        f"order by u.created_at desc nulls last limit {TRIED_USERS}"
    )


async def _tried(connection: Connection, relation: str) -> tuple[int, str | None]:
    """For how many users quiet preferences were added, and what the server said where it refused; taken back."""
    try:
        async with undone(connection, timeout_ms=TRIAL_MS):
            done: str = await connection.execute(_quiet_rows(relation))
    except (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError):
        raise
    except asyncpg.PostgresError as error:
        return 0, server_words(error)
    return int(done.rsplit(" ", 1)[-1]), None


def _lost(relation: str, part: str) -> str:
    """Rows per category that do not reach v2's one row per user, or only beside another."""
    nobody = f"o.category is null or not exists (select from {USERS} u where u.id = o.user_id)"
    doubled = (
        f"exists (select from {relation} x where x.user_id = o.user_id and x.category = o.category and x.id <> o.id)"
    )
    return {"nobody": f"({nobody})", "doubled": f"(not ({nobody}) and {doubled})"}[part]


def _rows_counted(relation: str) -> str:
    return (
        f"select count(*) filter (where {_lost(relation, 'nobody')}) as nobody,\n"
        f"  count(*) filter (where {_lost(relation, 'doubled')}) as doubled\nfrom {relation} o"
    )


def _misfits(shape: V1Shape, kind: str | None) -> list[str]:
    """Why the table's definition does not do, a sentence each."""
    columns = shape.preferences or {}
    if kind is None:
        return [f"{PREFERENCES} has the columns {', '.join(columns)}; known are {SHAPES}."]
    if kind == "none":
        return []
    relation = qualified(shape.schema, PREFERENCES)
    if kind == "jsonb":
        given = ("user_id", "preferences")
        return [*_types(columns, {"user_id": "uuid", "preferences": "jsonb"}), *_new_rows(columns, relation, given)]
    # Choices made in v2 are carried back by a rollback, as rows of their own.
    told = ("user_id", "category", "enabled")
    return [*_types(columns, {"user_id": "uuid", "enabled": "boolean"}), *_new_rows(columns, relation, told)]


async def _by_category(context: Context, relation: str) -> Outcome:
    if not await context.connection.fetchval(
        "select pg_has_role(relowner, 'USAGE') from pg_class where oid = to_regclass($1)", relation
    ):
        return Outcome(
            Status.FAIL,
            1,
            f"{PREFERENCES} is not ours to rename: log in as its owner, or be granted its owner's role.",
        )
    row = await context.connection.fetchrow(_rows_counted(relation))
    assert row is not None
    if not row["nobody"] and not row["doubled"]:
        return Outcome(Status.PASS, 0, "A row per category becomes one row per user; the rows are kept as they are.")
    parts = []
    if row["nobody"]:
        parts.append(f"{plural(row['nobody'], 'row')} of no user or no category: kept in v1's table alone.")
    if row["doubled"]:
        parts.append(f"{plural(row['doubled'], 'row')} for a category that the user has twice: what is off counts.")
    both = row["nobody"] + row["doubled"]
    return Outcome(Status.WARN, both, " ".join(parts), rows=both)


async def _preferences(context: Context) -> Outcome:
    kind = preferences_kind(context.shape)
    if reasons := _misfits(context.shape, kind):
        return Outcome(Status.FAIL, len(reasons), " ".join(reasons))
    if kind == "none":
        return Outcome(Status.PASS, 0, "There are none; v2 brings the table, with everything off.")
    relation = _relation(context)
    if kind == "rows":
        return await _by_category(context, relation)
    added, refused = await _tried(context.connection, relation)
    if refused:
        return Outcome(
            Status.FAIL, 1, f"Quiet preferences for users who have none cannot be added. The server said: {refused}"
        )
    tried = f"Quiet ones were added for {plural(added, 'user')} without any, and taken back." if added else ""
    return Outcome(Status.PASS, 0, f"The table is kept as it is. {tried}".strip())


def _measurable_kind(context: Context) -> str | None:
    """The kind of table that statements can be run on; None where there is none or it does not do."""
    kind = preferences_kind(context.shape)
    return None if kind == "none" or _misfits(context.shape, kind) else kind


def _preferences_sql(context: Context) -> str:
    kind = _measurable_kind(context)
    if kind == "rows":
        return _rows_counted(_relation(context))
    return f"begin;\n{_quiet_rows(_relation(context))};\nrollback;" if kind == "jsonb" else "select 0 as found"


def _preferences_rows(context: Context) -> str:
    if _measurable_kind(context) != "rows":
        return _NO_ROWS
    relation = _relation(context)
    columns = ["id", *(name for name in context.shape.preferences or {} if name != "id")]
    listed = ", ".join(f"o.{quote(name)}" for name in columns)
    condition = f"{_lost(relation, 'nobody')} or {_lost(relation, 'doubled')}"
    return f"select {listed} from {relation} o where {condition}"


def text_ids(shape: V1Shape) -> list[str]:
    """The columns of the coach relation whose ids are kept as text."""
    columns = shape.coach_clients or {}
    return [name for name in _ENDS if name in columns and _plain(columns[name]) != "uuid"]


def _unreadable(shape: V1Shape, alias: str = "c") -> str | None:
    """The condition of relations whose ids are no uuid; None where their types rule that out."""
    return " or ".join(f"{alias}.{name}::text !~ '{UUID}'" for name in text_ids(shape)) or None


@dataclass(frozen=True, slots=True)
class CoachRows:
    """The relations whose ids are no uuid, for guided fixes."""

    table: str = COACHES
    title: str = "Who coaches whom"

    def missing(self, shape: V1Shape) -> tuple[str, ...]:
        """The columns, where there are none of text in which ids could be put right."""
        if shape.coach_clients is None or _coach_problems(shape) or not text_ids(shape):
            return tuple(name for name in _ENDS if name not in (shape.coach_clients or {})) or _ENDS
        return ()

    def offending(self, names: Names, part: str = "all") -> str:
        """They all fail; none of them warns."""
        return (_unreadable(names.shape, "t") if part != "warns" else None) or "false"

    def listed(self, names: Names) -> str:
        """Who coaches whom first, then the rest."""
        return ", ".join(f"t.{quote(name)}" for name in dict.fromkeys((*_ENDS, *names.columns(COACHES))))


COACH_ROWS = CoachRows()


def _coach_problems(shape: V1Shape) -> list[str]:
    columns = shape.coach_clients or {}
    problems = [
        f"{COACHES} has no column {name}, by which v2's rules know who coaches whom."
        for name in _ENDS
        if name not in columns
    ]
    problems += [
        f"{COACHES}.{name} is {columns[name].type}; uuid is needed."
        for name in _ENDS
        if name in columns and _plain(columns[name]) not in _IDS
    ]
    return problems


async def _coaches(context: Context) -> Outcome:
    shape = context.shape
    if shape.coach_clients is None:
        return Outcome(Status.PASS, 0, "There is no such relation: in v2 too, everybody sees their own rows alone.")
    if problems := _coach_problems(shape):
        return Outcome(Status.FAIL, len(problems), " ".join(problems))
    condition = _unreadable(shape)
    rows = await context.connection.fetchval(_coaches_counted(shape, condition)) if condition else 0
    if rows:
        return Outcome(
            Status.FAIL,
            rows,
            f"{plural(rows, 'row names', 'rows name')} somebody by what is no uuid. v2's rules read that with every "
            "page and would fail. Put the users' ids there, or set the rows aside; then make the columns uuid, so that "
            "no more come.",
            rows=rows,
        )
    return Outcome(Status.PASS, 0)


def _coaches_counted(shape: V1Shape, condition: str | None) -> str:
    return f"select count(*) from {qualified(shape.schema, COACHES)} c where {condition or 'false'}"


def _coaches_sql(context: Context) -> str:
    if context.shape.coach_clients is None or _coach_problems(context.shape):
        return "select 0 as found"
    return _coaches_counted(context.shape, _unreadable(context.shape))


def _coaches_rows(context: Context) -> str:
    condition = _unreadable(context.shape)
    if condition is None or _coach_problems(context.shape):
        return _NO_ROWS
    return (
        f"select c.coach_id::text as id, c.client_id::text as client_id from "
        f"{qualified(context.shape.schema, COACHES)} c where {condition}"
    )


CHECKS = (
    Check(
        id="notification-preferences",
        group=Group.DATA_QUALITY,
        title="Notification preferences",
        why="v2 has one row per user, with everything off for whoever has none. A table that refuses such rows would "
        "stop the migration after the cut-over; one of another shape, before it.",
        expected="0",
        probe=_preferences,
        guide="Troubleshooting · OneSignal Notifications Not Sending",
        sql=_preferences_sql,
        rows_sql=_preferences_rows,
        needs_v1=True,
        overridable=False,
    ),
    Check(
        id="coach-clients",
        group=Group.DATA_QUALITY,
        title=COACH_ROWS.title,
        why="v2's access rules read this relation with every page of everybody: it must say who coaches whom by the "
        "users' own ids.",
        expected="0",
        probe=_coaches,
        sql=_coaches_sql,
        rows_sql=_coaches_rows,
        needs_v1=True,
        overridable=False,
    ),
)
