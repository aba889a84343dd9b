"""Whether v2's defaults, functions and updated_at triggers are as the migration made them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import asyncpg

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.fault import Fault, changed_table
from vagus_tui.checks.verification.base import SCHEMA, on_v2, recorded, relation
from vagus_tui.database.connection import Connection, execute_all, fetch_together
from vagus_tui.database.identifiers import quote
from vagus_tui.database.impersonation import undone
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.functions import signatures

_MODEL = "pg_temp"
"""The schema in which everything is made once more, to be spelled by the server, and is gone again at once."""

_TOUCH = "workout_touch_updated_at"

_DEFAULTS = """
select c.relname::text || '.' || a.attname as name, case when a.attidentity <> '' then 'generated as identity'
  else case when a.attgenerated <> '' then 'generated as ' else 'default ' end || pg_get_expr(d.adbin, d.adrelid) end
  as body
from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where c.relnamespace = $1::text::regnamespace and c.relname = any($2::text[])
"""

_FUNCTIONS = """
select p.proname::text || w.arguments as name, pg_get_functiondef(p.oid) as body, array(
    select coalesce(a.grantee::regrole::text, '') from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    where a.grantee <> p.proowner and (a.grantee = 0 or a.grantee::regrole::text = any($5::text[])) order by 1) as roles
from unnest($3::text[], $4::text[]) w (name, arguments)
join pg_proc p on p.oid = to_regprocedure(pg_catalog.format('%s.%I%s', $1::text, w.name, w.arguments))
"""

_TRIGGERS = """
select t.tgname::text || ' of ' || c.relname as name, pg_get_triggerdef(t.oid)
  || case when t.tgenabled in ('O', 'A') then '' else ', switched off' end as body
from pg_trigger t join pg_class c on c.oid = t.tgrelid
where c.relnamespace = $1::text::regnamespace and c.relname = any($2::text[]) and not t.tgisinternal
"""

_HOME = re.compile(r"\b(?:public|pg_temp(?:_\d+)?)\.")
"""The schema before a name: here and in the model it is another one, and nothing else tells the two apart."""


@dataclass(frozen=True, slots=True)
class _Behaviour:
    """What tables do by themselves, by name: of columns, functions and triggers, as the server spells it."""

    defaults: Mapping[str, str]
    functions: Mapping[str, str]
    triggers: Mapping[str, str]


async def _read(connection: Connection, schema: str, routines: Mapping[str, str]) -> _Behaviour:
    tables = list(v2.TABLES)
    home = (
        schema
        if schema != _MODEL
        else await connection.fetchval("select nspname::text from pg_namespace where oid = pg_my_temp_schema()")
    )

    queries = {"defaults": _DEFAULTS, "functions": _FUNCTIONS, "triggers": _TRIGGERS}
    found = await fetch_together(
        connection, queries, home, tables, list(routines), list(routines.values()), [*v2.API_ROLES]
    )
    defaults, functions, triggers = (
        {row["name"]: _HOME.sub("", row["body"]) for row in rows if row["body"] is not None} for rows in found.values()
    )
    for row in found["functions"]:
        functions[row["name"]] += f"\nfor {', '.join(role or 'everybody' for role in row['roles'])}"
    return _Behaviour(defaults, functions, triggers)


async def _model(connection: Connection, ddl: V2Ddl, routines: Mapping[str, str]) -> _Behaviour:
    """Everything made once more as temporary things, and spelled by the server.

    Raises:
        asyncpg.PostgresError: what v2 rests on is gone, such as a type of v1's or the table of who coaches whom.
    """
    made = replace(ddl, schema=_MODEL)
    statements = [*map(made.create_table, v2.TABLES), made.touch_function()]
    statements += [function.sql for function in made.functions()]
    await execute_all(connection, (*statements, *map(made.touch_trigger, _touched())))
    return await _read(connection, _MODEL, routines)


def _touched() -> list[str]:
    return [table for table in v2.TABLES if v2.MODEL[table].touch]


def _apart(kind: str, expected: Mapping[str, str], there: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What is missing or otherwise, in words, and its name."""
    for name, body in expected.items():
        found = there.get(name)
        if found is None:
            yield name, f"{kind} {name} is missing"
        elif found != body:
            told = f", was “{body}”, is “{found}”" if "\n" not in body else ", in what it does or who may call it"
            yield name, f"{kind} {name} was altered{told}"


async def _behaviour(context: Context) -> Outcome:
    connection = context.connection
    record = await recorded(context)
    if record is None:
        return Outcome(Status.SKIP, "–", "No record says how v2 was made, so there is nothing to compare it with.")
    ddl = V2Ddl(SCHEMA, record[1].shape, record[1].taken, preferences=False)
    routines = signatures(ddl)
    # The temporary schema is behind the other, or its tables would hide those that bodies are about.
    async with undone(connection, f"set local search_path = {SCHEMA}, pg_temp"):
        there = await _read(connection, SCHEMA, routines)
        try:
            expected = await _model(connection, ddl, routines)
        except asyncpg.PostgresError as error:
            return Outcome(Status.FAIL, "not as made", f"What v2 rests on is gone: {error}.", rows=1)
    triggers = {f"{table}_touch_updated_at of {table}" for table in _touched()}
    new = {name: body for name, body in there.defaults.items() if name not in expected.defaults}
    problems = [
        *_apart("the default of", expected.defaults, there.defaults),
        *((name, f"column {name} has a {body} that is new") for name, body in new.items()),
        *_apart("function", expected.functions, there.functions),
        *_apart("trigger", {name: expected.triggers[name] for name in sorted(triggers)}, there.triggers),
    ]
    total = len(expected.defaults) + len(expected.functions) + len(triggers)
    measured = f"{total - len(problems)} of {total}"
    if not problems:
        return Outcome(Status.PASS, measured, expected=total)
    told = "; ".join(words for _, words in problems)
    again = tuple(_again(ddl, expected, [name for name, _ in problems]))
    return Outcome(
        Status.FAIL, measured, f"{told[:1].upper()}{told[1:]}.", rows=len(problems), expected=total, detail=again
    )


def _again(ddl: V2Ddl, expected: _Behaviour, names: list[str]) -> Iterator[str]:
    """The statements that make it as it was, one line of words before them."""
    yield f"{plural(len(names), 'difference')}; as the migration made it:"
    functions = {function.name: function.sql for function in ddl.functions()} | {_TOUCH: ddl.touch_function()}
    for name in names:
        table, _, column = name.partition(".")
        if (body := expected.defaults.get(name, "")).startswith("default "):
            yield f"alter table {relation(table)} alter column {quote(column)} set {body};"
        elif column and name not in expected.defaults:
            yield f"alter table {relation(table)} alter column {quote(column)} drop default;"
        elif (sql := functions.get(name.partition("(")[0])) is not None:
            yield f"{sql.replace('create function', 'create or replace function', 1)};"
        elif " of " in name:
            trigger = ddl.touch_trigger(name.rpartition(" of ")[2])
            yield f"{trigger.replace('create trigger', 'create or replace trigger', 1)};"


def _sql(_: Context) -> str:
    return "\n".join(
        f"-- {what}: $1 is the schema, {rest}\n{query.strip()};\n"
        for what, rest, query in (
            ("defaults", "$2 v2's tables", _DEFAULTS),
            ("functions", "$3 and $4 their names and arguments, $5 the app's roles", _FUNCTIONS),
            ("triggers", "$2 v2's tables", _TRIGGERS),
        )
    )


CHECKS = (
    Check(
        id="v2-behaviour",
        group=Group.VERIFICATION,
        title="Defaults, functions, triggers",
        why="What the app leaves out v2 fills in; its functions say who reaches what and add up volumes; its triggers "
        "keep updated_at. One that was lost or altered breaks the app, or shows rows to others, without a word.",
        expected="as made",
        probe=on_v2(_behaviour),
        guide="Post-Migration Verification",
        sql=_sql,
        faults=(
            changed_table("a default is gone", f"alter table {relation(v2.PLANS)} alter status drop default", v2.PLANS),
            changed_table(
                "a trigger that keeps updated_at is switched off",
                f"alter table {relation(v2.DAYS)} disable trigger workout_days_touch_updated_at",
                v2.DAYS,
            ),
            Fault(
                "a function lets everybody see every plan",
                lambda context: (
                    f"create or replace function {SCHEMA}.workout_coached_users() returns setof uuid "
                    "language sql stable security definer set search_path = '' "
                    f"begin atomic select p.user_id from {relation(v2.PLANS)} p; end"
                ),
                v2.PLANS,
            ),
            Fault(
                "a function may be called by everybody",
                f"grant execute on function {SCHEMA}.detect_prs(uuid, text) to anon",
                v2.PLANS,
            ),
        ),
    ),
)
"""Its one check."""
