"""Binding a definition that was written for v1 to v2: straight where v2 has the same columns, else through v1's shape.

A definition is bound to tables, not to their names, so it has to be read again. Where every column that it uses of a
table is in v2 under the same name and type, the table's name alone leads to v2. Where not, the query gets that table
as a WITH query in front, which gives v1's columns out of v2's tables: whoever reads needs no more rights than before,
and row level security sees the same reader as before.
"""

from __future__ import annotations

import re

from vagus_tui.database.dependents import Dependent
from vagus_tui.database.search_path import OWN_PATH
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.inverse import LONG_NAMES, InverseMapping
from vagus_tui.schema.v1 import V1Shape

_CONSTANTS = re.compile(r"'(?:[^']|'')*'")


def same_columns(shape: V1Shape, base: str) -> frozenset[str]:
    """The columns of a v1 table that its v2 successor has under the same name, type and meaning.

    None when v1 is named *_v1 already: then a definition's table names do not lead to v2.
    """
    table = shape.tables[base]
    if table.name != base:
        return frozenset()
    types = v2.id_types(shape)
    there = {column.name: column.type.format(**types) for column in v2.MODEL[base].columns}
    carried = v2.carried_columns(base, table)
    found = {old for old, new in carried.items() if old == new}
    for name in (*v1.REQUIRED[base], *v1.OPTIONAL[base]):
        if table.has(name) and name in there:
            column_type = LONG_NAMES.get(there[name], there[name])
            if table.columns[name].type == column_type:
                found.add(name)
    return frozenset(found)


def whole_row(definition: str) -> bool:
    """Whether a definition looks at a table's row as a whole, as the server prints it (`p.*`)."""
    return ".*" in _CONSTANTS.sub("''", definition)


def foreign_bases(shape: V1Shape, tables: tuple[str, ...], uses: tuple[str, ...], definition: str) -> tuple[str, ...]:
    """Which of the v1 tables a definition reads have to be given in v1's shape: those of which it uses other columns.

    A whole row (`p.*`) is v1's row: then all of them.
    """
    if whole_row(definition):
        return tables
    other = set()
    for use in uses:
        base, _, column = use.partition(".")
        if column not in same_columns(shape, base):
            other.add(base)
    return tuple(base for base in tables if base in other or shape.tables[base].name != base)


def v1_rows(shape: V1Shape, base: str, schema: str) -> str:
    """A SELECT with v1's columns, in v1's types, out of the v2 tables of a schema."""
    table = shape.tables[base]
    inverse = InverseMapping(shape, lambda name: qualified(schema, name))
    carried = v2.carried_columns(base, table)
    # v1 works these out itself, so nothing is ever written to them; here they are only read.
    generated = {
        column.name: f"({InverseMapping.alias(base)}.{quote(carried[column.name])})::{column.type}"
        for column in table.columns.values()
        if column.generated and column.name in carried
    }
    return inverse.select(base, extra=generated)


def translated(shape: V1Shape, definition: str, bases: tuple[str, ...], schema: str) -> str:
    """A query with some of v1's tables given in v1's shape, out of the v2 tables of a schema."""
    if not bases:
        return definition
    given = ",\n".join(
        f"{quote(shape.tables[base].name)} as not materialized (\n{v1_rows(shape, base, schema)}\n)" for base in bases
    )
    return f"with {given}\nselect * from (\n{definition}\n) as read_from_v2"


def publication_columns(shape: V1Shape, publication: Dependent) -> tuple[str, ...] | None:
    """The columns of a publication's list that v2 has, () for all; None where nothing of v2 may go out.

    Never more is published than was: of a column list what v2 has is kept, and without its filter nothing goes out.
    """
    source = shape.tables[publication.base]
    carried = v2.carried_columns(publication.base, source)
    there = {column.name for column in v2.MODEL[publication.base].columns} | set(carried.values())
    same = there - {name for old, name in carried.items() if old != name}
    words = set(re.findall(r"[^\W]\w*", _CONSTANTS.sub("", publication.definition)))
    if words & source.columns.keys() - same:
        return None
    columns = tuple(column for column in publication.options if column in same)
    return None if publication.options and not columns else columns


def in_path(path: str, statement: str) -> list[str]:
    """A statement whose unqualified names are looked up along a path."""
    return [f"set local search_path = {path}", statement, OWN_PATH]
