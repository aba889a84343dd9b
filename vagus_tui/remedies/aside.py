"""Setting rows aside: they and every row that hangs on them go whole into the journal, then leave their tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from vagus_tui.checks.base import Context, read_page
from vagus_tui.checks.data_quality.rule import Names
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import literal, qualified, quote
from vagus_tui.errors import RefusedError, VagusError
from vagus_tui.remedies.locking import EXACT_TEXT, quieten
from vagus_tui.remedies.model import Action, Applied, Preview, Remedy
from vagus_tui.remedies.originals import Relation, read_relation
from vagus_tui.remedies.record import record
from vagus_tui.remedies.shown import digest_sql, refuse_if_moved
from vagus_tui.schema import v1

ASIDE = "pg_temp.vagus_aside"
LOOSENED = "pg_temp.vagus_loosened"

Table = tuple[str, str]
"""Schema and name."""


@dataclass(frozen=True, slots=True)
class Link:
    """That rows of `child` hang on rows of `parent`; `columns` are pairs of child's and parent's columns.

    `loosens`: the child stays, and its key sets the columns to NULL or their default when the parent goes.
    """

    child: Table
    parent: Table
    columns: tuple[tuple[str, str], ...]
    loosens: bool = False


_FOREIGN_KEYS = """
select cn.nspname::text as child_schema, c.relname::text as child, k.confdeltype in ('n', 'd') as loosens,
  array(select a.attname::text from unnest(k.conkey) with ordinality x(attnum, place)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = x.attnum order by x.place) as columns,
  array(select a.attname::text from unnest(k.confkey) with ordinality x(attnum, place)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = x.attnum order by x.place) as parents
from pg_constraint k
join pg_class c on c.oid = k.conrelid join pg_namespace cn on cn.oid = c.relnamespace
where k.contype = 'f' and k.conparentid = 0 and k.confrelid = $1::regclass
order by 1, 2, k.conname
"""

_V1_LINKS = (
    (v1.EXERCISES, "plan_id", v1.PLANS),
    (v1.SESSIONS, "plan_id", v1.PLANS),
    (v1.LOGS, "session_id", v1.SESSIONS),
    (v1.LOGS, "exercise_id", v1.EXERCISES),
)
"""What hangs on what in v1, with or without foreign keys that say so."""


@dataclass(slots=True)
class Below:
    """A table and everything that can hang on its rows. `depth` orders the tables: parents before children."""

    start: Table
    links: list[Link] = field(default_factory=list)
    depth: dict[Table, int] = field(default_factory=dict)

    def settle(self) -> None:
        """Put every table deeper than all that it hangs on; tables that hang on each other stop at the bottom."""
        for _ in self.depth:
            for link in self.links:
                if link.child not in (self.start, link.parent):
                    deeper = min(self.depth[link.parent] + 1, len(self.depth))
                    self.depth[link.child] = max(self.depth[link.child], deeper)

    def tables(self) -> list[Table]:
        """Every table involved, parents first."""
        return sorted(self.depth, key=lambda table: (self.depth[table], table))


async def read_below(connection: Connection, names: Names, base: str) -> Below:
    """Find out what can hang on rows of a v1 table: v1's own structure, and every foreign key of any table."""
    mine = {name: (names.shape.schema, names.name(name)) for name in {*v1.TABLES, base}}
    known = [Link(mine[child], mine[parent], ((column, "id"),)) for child, column, parent in _V1_LINKS]
    below = Below(mine[base], depth={mine[base]: 0})
    waiting = [mine[base]]
    while waiting:
        parent = waiting.pop(0)
        links = [link for link in known if link.parent == parent]
        for row in await connection.fetch(_FOREIGN_KEYS, qualified(*parent)):
            child = (row["child_schema"], row["child"])
            pairs = tuple(zip(row["columns"], row["parents"], strict=True))
            if not any(link.child == child and link.columns == pairs for link in links):
                links.append(Link(child, parent, pairs, loosens=row["loosens"]))
        for link in links:
            below.links.append(link)
            if link.child not in below.depth:
                below.depth[link.child] = 0
                waiting.append(link.child)
    below.settle()
    return below


async def collect(connection: Connection, below: Below, condition: str) -> dict[Table, int]:
    """Fill the temporary tables with the rows to go (and those whose link loosens); counts by table."""
    await connection.execute(
        "create temp table vagus_aside (rel text, tid tid, primary key (rel, tid)) on commit drop;"
        "create temp table vagus_loosened (rel text, tid tid, primary key (rel, tid)) on commit drop"
    )
    start = qualified(*below.start)
    await connection.execute(f"insert into {ASIDE} select $1, t.ctid from {start} t where {condition}", start)
    moved = True
    while moved:
        moved = False
        for link in below.links:
            child, parent = qualified(*link.child), qualified(*link.parent)
            keys = " and ".join(f"c.{quote(mine)} = p.{quote(theirs)}" for mine, theirs in link.columns)
            done = await connection.execute(
                f"insert into {LOOSENED if link.loosens else ASIDE} select $1, c.ctid from {child} c "
                f"join {parent} p on {keys} join {ASIDE} a on a.rel = $2 and a.tid = p.ctid on conflict do nothing",
                child,
                parent,
            )
            moved = moved or not done.endswith(" 0")
    # What goes as a whole need not be loosened.
    await connection.execute(f"delete from {LOOSENED} l using {ASIDE} a where a.rel = l.rel and a.tid = l.tid")
    by_name = {qualified(*table): table for table in below.depth}
    rows = await connection.fetch(f"select rel, count(*) as rows from {ASIDE} group by rel")
    counts: dict[Table, int] = defaultdict(int, {by_name[row["rel"]]: row["rows"] for row in rows})
    return counts


def table_label(names: Names, table: Table) -> str:
    """What the journal calls a table: v1's own by the name it has in v1, so that a rename does not matter."""
    for base, found in names.shape.tables.items():
        if table == (names.shape.schema, found.name):
            return base
    return qualified(*table)


async def preview_aside(remedy: Remedy, context: Context) -> Preview:
    """What would go: how many rows, which, and what goes with them."""
    names, connection = Names(context.shape), context.connection
    below = await read_below(connection, names, remedy.rule.table)
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        page = await read_page(connection, _whole_rows(names, remedy), limit=50)
        counts = await collect(connection, below, remedy.condition(names))
        going = [await _relation(connection, names, table) for table in below.tables() if counts.get(table)]
        await connection.execute(EXACT_TEXT)
        digest = await _digest(connection, going)
    finally:
        await transaction.rollback()
    return Preview(
        counts.get(below.start, 0),
        page,
        _sql(below, going, remedy.condition(names)),
        _labelled(names, counts, below.start),
        digest,
    )


async def _digest(connection: Connection, going: Sequence[Relation]) -> str:
    """A digest of the rows to go, those below included, by what the journal would call them."""
    parts = [
        f"select row({literal(relation.sql).strip()}, {relation.row_id('t')})::text as what from {relation.sql} t "
        f"join {ASIDE} a on a.rel = {literal(relation.sql).strip()} and a.tid = t.ctid"
        for relation in going
    ]
    return str(await connection.fetchval(digest_sql("\nunion all ".join(parts)))) if parts else ""


def _whole_rows(names: Names, remedy: Remedy) -> str:
    listed = remedy.rule.listed(names)
    return f"select {listed} from {names.table(remedy.rule.table)} t where {remedy.condition(names)}"


def _sql(below: Below, going: Sequence[Relation], condition: str) -> str:
    """The statements as a person reads them; how the rows below are found is said in words."""
    parts = [
        "begin",
        f"lock table {', '.join(qualified(*table) for table in below.tables())} in share row exclusive mode",
        f"-- {ASIDE} (rel, tid): these rows, and all that hang on them through the keys of the tables above\n"
        f"select t.ctid from {qualified(*below.start)} t\nwhere {condition}",
    ]
    chosen = {relation.sql: f"(select tid from {ASIDE} where rel = {literal(relation.sql)})" for relation in going}
    parts += [
        "insert into vagus_migration.quarantine (batch, remedy, action, table_name, row_id, original, operator)\n"
        f"select $1, $2, 'set-aside', $3, {relation.row_id('t')}, {relation.original('t')}, $4\n"
        f"from {relation.sql} t where t.ctid in {chosen[relation.sql]}"
        for relation in going
    ]
    parts += [f"delete from {relation.sql} t where t.ctid in {chosen[relation.sql]}" for relation in reversed(going)]
    return ";\n\n".join([*parts, "commit"]) + ";"


async def apply_aside(
    remedy: Remedy,
    connection: Connection,
    names: Names,
    below: Below,
    batch: UUID,
    operator: str,
    expected: Preview | None,
) -> Applied:
    """Set the rows aside. Runs inside the locked transaction.

    Raises:
        RefusedError: other rows than expected, or rows of a table without a key would be loosened.
        VagusError: a row could not be kept exactly, or not every row went.
    """
    counts = await collect(connection, below, remedy.condition(names))
    rows = counts.get(below.start, 0)
    going = [table for table in below.tables() if counts.get(table)]
    loosened = await _loosened(connection, below)
    relations = {table: await _relation(connection, names, table) for table in {*going, *loosened}}
    refuse_if_moved(rows, await _digest(connection, [relations[table] for table in going]), expected)
    for table in loosened:
        if not relations[table].key:
            raise RefusedError(
                f"Rows of {qualified(*table)} point at rows to be set aside, and the table has no primary key.",
                next_step="Mend those rows by hand first.",
            )
        await _record(connection, relations[table], LOOSENED, batch, remedy, "changed", table, names, operator)
    for table in going:
        await _record(connection, relations[table], ASIDE, batch, remedy, "set-aside", table, names, operator)
    quiet = await quieten(connection, [qualified(*table) for table in {*going, *loosened}])
    for table in reversed(going):
        name = qualified(*table)
        done = await connection.execute(
            f"delete from {name} t using {ASIDE} a where a.rel = $1 and a.tid = t.ctid", name
        )
        if done != f"DELETE {counts[table]}":
            raise VagusError(f"Not every row of {name} could be taken out.", state="Everything was undone.")
    for table in loosened:
        relation = relations[table]
        await connection.execute(
            f"update vagus_migration.quarantine q set result = {relation.whole('t')} from {relation.sql} t "
            f"where q.batch = $1 and q.action = 'changed' and q.table_name = $2 and {relation.is_row('t', 'q.row_id')}",
            batch,
            table_label(names, table),
        )
    await quiet.wake(connection)
    return Applied(batch, rows, _labelled(names, counts, below.start))


def _labelled(names: Names, counts: Mapping[Table, int], start: Table) -> dict[str, int]:
    return {table_label(names, table): count for table, count in counts.items() if table != start}


async def _loosened(connection: Connection, below: Below) -> list[Table]:
    rows = await connection.fetch(f"select distinct rel from {LOOSENED}")
    found = {row["rel"] for row in rows}
    return [table for table in below.tables() if qualified(*table) in found]


async def _relation(connection: Connection, names: Names, table: Table) -> Relation:
    own: Iterable[Table] = ((names.shape.schema, found.name) for found in names.shape.tables.values())
    return await read_relation(connection, *table, key=("id",) if table in own else ())


async def _record(
    connection: Connection,
    relation: Relation,
    rows: str,
    batch: UUID,
    remedy: Remedy,
    action: Action,
    table: Table,
    names: Names,
    operator: str,
) -> None:
    await record(
        connection,
        relation,
        f"(select tid from {rows} where rel = {literal(qualified(*table))}) chosen",
        batch,
        remedy.id,
        action,
        table_label(names, table),
        operator,
    )
