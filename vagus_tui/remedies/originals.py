"""Rows as jsonb that can be turned back into exactly the same rows.

`to_jsonb` alone is not exact: it loses the spelling of json, the difference between NULL and JSON's null, the sign of
a floating zero. So every column of a type that is not known to survive is kept as the server's own text besides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import literal, qualified, quote

TEXTS = "vagus:text"
"""The key under which the texts are kept within the original."""

_EXACT = re.compile(
    r"(boolean|smallint|integer|bigint|numeric|text|character varying|uuid|date|timestamp|time)\b[^\[]*"
)

_COLUMNS = """
with recursive parts as (
  select a.attnum as of, a.atttypid as type from pg_attribute a
  where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped
  union
  select p.of, within.type from parts p join pg_type t on t.oid = p.type cross join lateral (
    select t.typbasetype as type union all select t.typelem
    union all select m.atttypid from pg_attribute m where m.attrelid = t.typrelid and m.attnum > 0
    union all select r.rngsubtype from pg_range r where t.oid in (r.rngtypid, r.rngmultitypid)) within
  where within.type <> 0)
select a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type,
  a.attgenerated <> '' as generated, a.attidentity::text as identity, a.attnotnull as required,
  exists(select from parts p where p.of = a.attnum and p.type = 'json'::regtype) as json
from pg_attribute a where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum
"""

_KEY = """
select a.attname::text from pg_index i cross join unnest(i.indkey) with ordinality k(attnum, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
where i.indrelid = $1::regclass and i.indisprimary order by k.place
"""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as restoring needs it. `types` are of the columns that can be written, by name.

    `key` names the columns that tell its rows apart; empty where there is no primary key. `identity`: ids are always
    made by the server unless it is told otherwise. `nullable`: a row may be without a key. `lasting`: fixes have left
    the keys as they were, so that rows are found by them. `json`: the columns that hold json, be it within a domain, an
    array or a composite, generated ones included.
    """

    schema: str
    name: str
    types: Mapping[str, str]
    key: tuple[str, ...]
    identity: bool = False
    nullable: bool = False
    lasting: bool = True
    json: frozenset[str] = frozenset()

    @property
    def sql(self) -> str:
        """The quoted name."""
        return qualified(self.schema, self.name)

    def row_id(self, alias: str) -> str:
        """An expression for what the journal calls the row: its key as text."""
        if not self.key:
            return f"md5(({alias}.*)::text)"
        return "pg_catalog.concat_ws(',', " + ", ".join(f"{alias}.{quote(name)}::text" for name in self.key) + ")"

    def is_row(self, alias: str, row_id: str) -> str:
        """A condition: the row is the one that the journal calls so; by way of the key's index where it can be."""
        if len(self.key) != 1 or self.types[self.key[0]] not in ("uuid", "bigint", "integer"):
            return f"{self.row_id(alias)} = {row_id}"
        # A row without an id has an empty name, and cannot be found by its key.
        by_key = f"{alias}.{quote(self.key[0])} = nullif({row_id}, '')::{self.types[self.key[0]]}"
        return f"({by_key} or ({row_id} = '' and {alias}.{quote(self.key[0])} is null))" if self.nullable else by_key

    def whole(self, alias: str) -> str:
        """An expression for the row as jsonb, to tell whether it is still the same.

        json goes in as text: it may hold what jsonb refuses. A bare alias would mean a column of that name, if any.
        """
        if not self.json:
            return f"to_jsonb({alias}.*)"
        values = (
            f"{alias}.{quote(name)}{'::text' if name in self.json else ''} as {quote(name)}" for name in self.types
        )
        return f"(select to_jsonb(w.*) from (select {', '.join(values)}) w)"

    def original(self, alias: str) -> str:
        """An expression for the whole row as jsonb, from which it can be made again."""
        inexact = [name for name, type_ in self.types.items() if not _EXACT.fullmatch(type_)]
        if not inexact:
            return self.whole(alias)
        names = ", ".join(literal(name) for name in inexact)
        values = ", ".join(f"{alias}.{quote(name)}::text" for name in inexact)
        texts = f"jsonb_object(array[{names}]::text[], array[{values}]::text[])"
        return f"{self.whole(alias)} || jsonb_build_object('{TEXTS}', {texts})"

    def restored(self, original: str) -> dict[str, str]:
        """Expressions that make each column's value again from an expression for the original, by column."""
        values = {}
        for name, type_ in self.types.items():
            source = original if _EXACT.fullmatch(type_) else f"({original} -> '{TEXTS}')"
            values[name] = f"({source} ->> {literal(name).strip()})::{type_}"
        return values

    def differs(self, alias: str, original: str) -> str:
        """A condition: the row is not, byte for byte, what its original would make."""
        values = self.restored(original)
        ours = ", ".join(f"{alias}.{quote(name)}" for name in values)
        # As records, or the server would compare column by column, for which few types have this operator.
        return f"row({ours})::record *<> row({', '.join(values.values())})::record"


async def read_relation(connection: Connection, schema: str, name: str, *, key: Sequence[str] = ()) -> Relation:
    """A table's writable columns and key.

    Args:
        key: its key where that is known better than from a primary key.
    """
    table = qualified(schema, name)
    columns = await connection.fetch(_COLUMNS, table)
    found_key = tuple(key) or tuple(row["attname"] for row in await connection.fetch(_KEY, table))
    return Relation(
        schema,
        name,
        {row["name"]: row["type"] for row in columns if not row["generated"]},
        found_key,
        identity=any(row["identity"] == "a" for row in columns),
        nullable=any(row["name"] in found_key and not row["required"] for row in columns),
        json=frozenset(row["name"] for row in columns if row["json"]),
    )


def listed(names: Iterable[str]) -> str:
    """Quoted column names, separated by commas."""
    return ", ".join(quote(name) for name in names)
