"""What the planner needs to know of the database, read in one go and kept so that a resumed run plans the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from vagus_tui.database.catalog import TableNames, read_names
from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_reader import read_dependents
from vagus_tui.database.dependents import Dependent
from vagus_tui.database.encoding import refuse_unless_utf8
from vagus_tui.database.privileges import Grant, read_grants
from vagus_tui.errors import RefusedError
from vagus_tui.migration.carried import Bound, read_bound
from vagus_tui.migration.fates import decide
from vagus_tui.migration.otherwise import otherwise
from vagus_tui.migration.plain_tables import ODDITIES_NEXT, no_room, table_oddities
from vagus_tui.migration.tuning import Places
from vagus_tui.rollback.later_columns import LaterColumn, read_later_columns
from vagus_tui.rollback.take_up import archive_to_take_up
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.functions import signatures
from vagus_tui.schema.identifiers import free_name, literal
from vagus_tui.schema.preferences import SHAPES, preferences_kind
from vagus_tui.schema.v1 import V1Shape

PREFERENCES = v2.PREFERENCES


@dataclass(frozen=True, slots=True)
class Rename:
    """One thing of v1 that takes a `_v1` name: a table, index, constraint, sequence, function or statistics."""

    kind: str
    table: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Everything about the database that shapes the plan.

    Args:
        rows: exact rows per v1 table (by base name), and of v2's weeks, days and users to be.
        log_blocks: blocks of the logs table, for cutting the copy into parts.
        preferences: "none", "jsonb" or "rows": the shape of notification_preferences.
        whole_rows: v1 tables (base names) with REPLICA IDENTITY FULL, which subscribers to old values need.
        bound: checks and indexes that carried-over columns have a part in, and whatever else keeps rows apart.
        repeat_exercises: the mapping makes several rows of v2 of one exercise of v1.
        otherwise: what v2 does otherwise than v1, one line each.
        archive: the archive of the rollback that was done last, whose v2-only data is taken up again; "" for none.
        later: columns that v2's tables had been given before that rollback.
    """

    shape: V1Shape
    rows: Mapping[str, int]
    log_blocks: int
    renames: tuple[Rename, ...]
    taken: frozenset[str]
    dependents: tuple[Dependent, ...]
    grants: tuple[Grant, ...]
    owners: Mapping[str, str]
    me: str
    preferences: str
    functions_in_the_way: tuple[Rename, ...] = ()
    server_version: int = 0
    whole_rows: frozenset[str] = frozenset()
    archive: str = ""
    bound: tuple[Bound, ...] = ()
    repeat_exercises: bool = False
    otherwise: tuple[str, ...] = ()
    later: tuple[LaterColumn, ...] = ()

    def places(self, ddl: V2Ddl) -> Places:
        """Where v2, made by this DDL, has a place for what was set on v1's tables."""
        return Places(self.shape, self.bound, ddl, self.repeat_exercises)


def plan_renames(tables: Mapping[str, TableNames], shape: V1Shape, relations: set[str]) -> tuple[Rename, ...]:
    """The `_v1` names of every table, index, constraint and sequence that has none yet."""
    taken = set(relations)
    taken_statistics = {name for found in tables.values() for name in found.statistics_there}
    renames: list[Rename] = []

    def add(kind: str, table: str, old: str, *names: set[str]) -> None:
        if v1.SUFFIX in old:
            return
        new = free_name(old, set().union(*names), v1.SUFFIX)
        for space in names:
            space.add(new)
        renames.append(Rename(kind, table, old, new))

    for base in (*v1.TABLES, PREFERENCES):
        name = shape.tables[base].name if base in shape.tables else base
        if name not in tables:
            continue
        found = tables[name]
        # Constraints need only be told apart within their table; an index may have one that goes by its name.
        constraints = set(found.constraints_there)
        add("table", name, name, taken)
        kept = renames[-1].new if renames and renames[-1].old == name else name
        for index in found.indexes:
            add("index", kept, index, taken, constraints)
        for constraint in found.constraints:
            add("constraint", kept, constraint, constraints)
        for sequence in found.sequences:
            add("sequence", kept, sequence, taken)
        for statistics in found.statistics:
            add("statistics", kept, statistics, taken_statistics)
    return tuple(renames)


def preferences_shape(shape: V1Shape) -> str:
    """Which of the three shapes notification_preferences has.

    Raises:
        RefusedError: it has a fourth one.
    """
    kind = preferences_kind(shape)
    if kind is None:
        raise RefusedError(
            "notification_preferences has a shape that is not known: " + ", ".join(shape.preferences or ()) + ".",
            next_step=f"Known are {SHAPES}.",
        )
    return kind


_RELATIONS = ("table", "index", "sequence")
"""Kinds of things that share one name space."""

IN_THE_WAY = "v2, or v1 after the cut-over, must go"


async def _plan_names(
    connection: Connection, shape: V1Shape, names: list[str]
) -> tuple[tuple[Rename, ...], frozenset[str]]:
    """What is renamed, and which names of the schema's relations are taken before and all the same after that."""
    relations = {
        row["relname"]
        for row in await connection.fetch(
            "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 "
            # A table brings a type of its name, so a domain or an enum of that name is in its way too.
            "union select t.typname from pg_type t join pg_namespace n on n.oid = t.typnamespace "
            "where n.nspname = $1 and t.typrelid = 0 and t.typcategory <> 'A'",
            shape.schema,
        )
    }
    tables = await read_names(connection, shape.schema, names)
    renames = plan_renames(tables, shape, relations)
    return renames, frozenset(relations - {rename.old for rename in renames if rename.kind in _RELATIONS})


def _in_the_way(shape: V1Shape, taken: frozenset[str]) -> list[str]:
    wanted = [*v2.TABLES, *([PREFERENCES] if shape.preferences is None else [])]
    # By these names v1 is known after the cut-over: another table of that name would be taken for it.
    wanted += [table.name + v1.SUFFIX for table in shape.tables.values() if not shape.renamed]
    return [name for name in wanted if name in taken]


async def names_in_the_way(connection: Connection, shape: V1Shape) -> list[str]:
    """Names in v1's schema that something else has, and that v2 or the kept v1 needs."""
    names = [table.name for table in shape.tables.values()]
    if preferences_kind(shape) == "rows":
        names.append(PREFERENCES)
    _, taken = await _plan_names(connection, shape, names)
    return _in_the_way(shape, taken)


async def survey(
    connection: Connection, shape: V1Shape, *, repeat_exercises: bool = False, like: Survey | None = None
) -> Survey:
    """Read everything that shapes the plan.

    Args:
        like: an earlier survey, to be compared with this one: what is costly, its rows, is taken from there, and
            nothing is decided about the dependents.

    Raises:
        RefusedError: something in the database stands where v2 must go, or is of a shape not known.
    """
    if like is not None:
        repeat_exercises = like.repeat_exercises
    await refuse_unless_utf8(connection)
    names = [table.name for table in shape.tables.values()]
    if oddities := await table_oddities(connection, shape):
        raise RefusedError(" ".join(oddities), next_step=ODDITIES_NEXT)
    if like is None and (lacking := await no_room(connection, shape)):
        raise RefusedError(" ".join(lacking))
    preferences = preferences_shape(shape)
    if preferences == "rows":
        names.append(PREFERENCES)
    renames, taken = await _plan_names(connection, shape, names)
    if in_the_way := _in_the_way(shape, taken):
        raise RefusedError(
            f"There is something named {', '.join(in_the_way)} in schema {shape.schema} where {IN_THE_WAY}.",
            next_step="Rename it or move it to another schema, then start again.",
        )
    dependents = await read_dependents(connection, shape)
    archive = await archive_to_take_up(connection)
    tables = {row["name"]: row for row in await connection.fetch(_TABLES, shape.schema, names)}
    return Survey(
        shape=shape,
        rows=await count_rows(connection, shape) if like is None else like.rows,
        log_blocks=tables[shape.logs.name]["blocks"],
        renames=renames,
        # Names that v1 is to get are no more free for v2 than those that others have.
        taken=taken | {rename.new for rename in renames if rename.kind in _RELATIONS},
        dependents=await decide(connection, shape, dependents, repeat_exercises=repeat_exercises)
        if like is None
        else tuple(dependents),
        grants=tuple(await read_grants(connection, shape.schema, names)),
        owners={name: row["owner"] for name, row in tables.items()},
        me=tables[shape.logs.name]["me"],
        preferences=preferences,
        functions_in_the_way=await _functions_in_the_way(connection, shape),
        server_version=connection.get_server_version().major,
        whole_rows=frozenset(
            base for base, table in shape.tables.items() if table.name in tables and tables[table.name]["whole_rows"]
        ),
        archive=archive,
        later=await read_later_columns(connection, shape, archive),
        bound=await read_bound(connection, shape, repeat_exercises=repeat_exercises),
        repeat_exercises=repeat_exercises,
        otherwise=await otherwise(connection, shape),
    )


async def _functions_in_the_way(connection: Connection, shape: V1Shape) -> tuple[Rename, ...]:
    """Functions with the names of v2's own, and what they are called from the cut-over on."""
    rows = await connection.fetch(
        "select p.proname as name, pg_get_function_identity_arguments(p.oid) as arguments, "
        "array(select o.proname::text from pg_proc o where o.pronamespace = n.oid) as routines from pg_proc p "
        "join pg_namespace n on n.oid = p.pronamespace where n.nspname = $1 and p.proname = any($2::text[])",
        shape.schema,
        sorted(signatures(V2Ddl(shape.schema, shape))),
    )
    return tuple(
        Rename("function", row["arguments"], row["name"], free_name(row["name"], set(row["routines"]), v1.SUFFIX))
        for row in rows
    )


_TABLES = """
select c.relname as name, pg_get_userbyid(c.relowner)::text as owner, c.relreplident = 'f' as whole_rows,
  (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::integer as blocks, current_user::text as me
from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relname = any($2::text[])
"""
"""Whose each table is, whether it publishes whole rows, and how many blocks it takes; and who we are."""


def v1_tables(shape: V1Shape) -> str:
    """FROM and WHERE that give v1's tables, as `c`; for a script too, so without parameters."""
    names = ", ".join(literal(table.name).strip() for table in shape.tables.values())
    return (
        "pg_class c join pg_namespace n on n.oid = c.relnamespace "
        f"where n.nspname = {literal(shape.schema).strip()} and c.relname in ({names})"
    )


async def count_rows(connection: Connection, shape: V1Shape) -> dict[str, int]:
    """Exact rows per v1 table, and how many weeks, days and preference rows v2 will have.

    Raises:
        RefusedError: there are values that v2 has no room for, so that there is nothing to count.
    """
    try:
        return await _counted(connection, shape)
    except asyncpg.DataError as error:
        raise RefusedError(
            f"v1 holds values that v2 has no place for, so its rows cannot be counted: {error}.",
            next_step="vagus-tui check data-quality names them, and vagus-tui fix what mends them.",
        ) from error


async def _counted(connection: Connection, shape: V1Shape) -> dict[str, int]:
    from vagus_tui.schema.mapping import WorkoutMapping

    mapping = WorkoutMapping(shape)
    counts = {base: f"select count(*) from {mapping.source(base)}" for base in v1.TABLES}
    # Added up, not made: some plan may be meant to last for a billion weeks.
    plans = mapping.select(v2.PLANS)
    counts[v2.WEEKS] = f"select coalesce(sum(greatest(total_weeks, 0)), 0) from (\n{plans}\n) p"
    counts[v2.DAYS] = mapping.count_days()
    counts[PREFERENCES] = "select count(*) from auth.users"
    found = await connection.fetchrow(f"select {', '.join(f'({query})' for query in counts.values())}")
    assert found is not None
    return {name: int(number) for name, number in zip(counts, found.values(), strict=True)}
