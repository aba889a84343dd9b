"""What hangs on the tables of a backup, in the catalog's own words: what a restore has to bring back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vagus_tui.backup.tables import BackupTable
from vagus_tui.backup.wording import canonical
from vagus_tui.database.connection import Connection
from vagus_tui.database.definitions import Inventory, read_definitions

_FOREIGN = """
select n.nspname as schema, c.relname as name, rn.nspname as to_schema, r.relname as to_name,
       array(select a.attname::text from unnest(k.conkey) with ordinality as u(num, pos)
             join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.num order by u.pos) as columns,
       array(select a.attname::text from unnest(k.confkey) with ordinality as u(num, pos)
             join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.num order by u.pos) as to_columns
from pg_constraint k
join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
join pg_class r on r.oid = k.confrelid join pg_namespace rn on rn.oid = r.relnamespace
where k.contype = 'f' and k.convalidated
  and (n.nspname, c.relname) in (select * from unnest($1::text[], $2::text[]))
  and (rn.nspname, r.relname) not in (select * from unnest($1::text[], $2::text[]))
order by n.nspname, c.relname, k.conname
"""


def _pairs(tables: Sequence[BackupTable]) -> tuple[list[str], list[str]]:
    return [table.schema for table in tables], [table.name for table in tables]


async def read_inventory(connection: Connection, tables: Sequence[BackupTable]) -> Inventory:
    """Everything that hangs on the tables: columns, keys, indexes, triggers, policies, grants, sequences."""
    return await read_definitions(connection, [(table.schema, table.name) for table in tables])


@dataclass(frozen=True, slots=True)
class OutsideKey:
    """A foreign key to a table that is not in the backup, such as auth.users."""

    schema: str
    name: str
    columns: tuple[str, ...]
    to_schema: str
    to_name: str
    to_columns: tuple[str, ...]


async def read_outside_keys(connection: Connection, tables: Sequence[BackupTable]) -> tuple[OutsideKey, ...]:
    """The foreign keys that lead out of the backup: what they name has to be there before a restore adds them."""
    return tuple(
        OutsideKey(
            schema=row["schema"],
            name=row["name"],
            columns=tuple(row["columns"]),
            to_schema=row["to_schema"],
            to_name=row["to_name"],
            to_columns=tuple(row["to_columns"]),
        )
        for row in await connection.fetch(_FOREIGN, *_pairs(tables))
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that a restore brought back otherwise, or not at all.

    `worded` means that it is there, and that only the server's wording of it differs: two major versions may print
    the same expression differently.
    """

    kind: str
    name: str
    expected: str
    found: str
    worded: bool = False

    def __str__(self) -> str:
        if not self.found:
            return f"{self.kind}: {self.name} is missing"
        if not self.expected:
            return f"{self.kind}: {self.name} was not there before"
        return f"{self.kind}: {self.name} is “{self.found}”, was “{self.expected}”"


_LEFT_OUT = frozenset({"statistics", "statistics targets", "statistics comments"})
"""What pg_dump leaves out when it is asked for single tables; a rollback makes it from the inventory."""

_WORDED = frozenset({"columns", "keys", "indexes", "triggers", "policies"})


def _plain(text: str) -> str:
    """A definition without what two versions print differently though it means the same."""
    return re.sub(r"[\s()]+", "", text).lower()


def differences(
    expected: Mapping[str, Mapping[str, str]], found: Mapping[str, Mapping[str, str]], *, same_major: bool
) -> Iterator[Difference]:
    """Compare what hangs on one table before and after.

    Args:
        same_major: both were read from the same major version, so every word counts.
    """
    for kind in sorted({*expected, *found} - _LEFT_OUT):
        before, after = expected.get(kind, {}), found.get(kind, {})
        for name in sorted({*before, *after}):
            was, now = before.get(name, ""), after.get(name, "")
            if was == now or (was and now and kind in _WORDED and canonical(was) == canonical(now)):
                continue
            worded = bool(was and now and not same_major and kind in _WORDED and _plain(was) == _plain(now))
            yield Difference(kind, name, was, now, worded)
