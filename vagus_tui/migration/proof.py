"""The proof: every mapped column of every row, v1 against v2, both ways. It must find no difference at all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.journal.state import STAGING
from vagus_tui.migration.aligned import aligned_count_sql, only
from vagus_tui.migration.build import prepared_tables
from vagus_tui.migration.difference import EXCUSED, counted, differences, first_of
from vagus_tui.migration.generated import GENERATED, generated_count_sql
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.mapping import WorkoutMapping

PROOF_KEYS = "prove-day-keys"

SAMPLE = 20

WRONG_ROWS = (
    f"If somebody wrote to schema {STAGING} by hand, begin anew; otherwise keep the report and do not migrate with it."
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that is not as it must be. `expected` and `found` hold the columns that differ, or the whole row."""

    table: str
    id: str
    difference: str
    expected: Mapping[str, Any] | None
    found: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class TableProof:
    """The proof of one table.

    Args:
        compared: rows on either side.
        differences: those that differ.
        among: ids of the few rows among which all differences are; None if that is not known.
    """

    table: str
    compared: int
    differences: int
    sample: tuple[Difference, ...] = ()
    among: tuple[str, ...] | None = None


def proof_mapping(mapping: WorkoutMapping, table: str) -> WorkoutMapping:
    """The mapping as the proof of a table uses it: with the days and weeks that the proof itself worked out.

    They are a moment older than what the table is compared with. Where that, or a change that waits to be brought over,
    makes a difference, the table is compared anew without them: see `unexcused`.
    """
    return mapping if table == v2.LOGS else dataclasses.replace(mapping, prepared=prepared_tables("proof"))


def proof_sql(mapping: WorkoutMapping, schema: str, table: str, *, among: bool = False) -> str:
    """The query for every difference in one table; with `among`, of the ids in $1 (text[]), for logs alone."""
    own = _untouched(schema)
    if among:
        wanted, found = only(mapping, schema, f"$1::text[]::{v2.id_types(mapping.shape)['log_id']}[]")
        return differences(mapping, table, wanted, f"select t.* from {found} t", own=own)
    found = f"select t.* from {qualified(schema, table)} t"
    return differences(mapping, table, mapping.select(table), found, own=own)


def count_sql(mapping: WorkoutMapping, schema: str, table: str, *, excusing: bool = False) -> str:
    """The query that counts the rows compared and the differences among them, in one pass.

    Args:
        excusing: leave out differences that waiting changes explain, where that can be told in the same pass; needs
            the relations that `catch_up.peek` makes.
    """
    own = _untouched(schema)
    if table == v2.LOGS:
        return aligned_count_sql(mapping, schema, own=own)
    if table in GENERATED and mapping.prepared is not None:
        return generated_count_sql(mapping, schema, table, own=own)
    return counted(mapping, table, mapping.select(table), qualified(schema, table), own=own, excusing=excusing)


def unexcused_sql(mapping: WorkoutMapping, schema: str, table: str, *, among: bool = False) -> str:
    """The query for differences that waiting changes do not explain; needs the relations that `catch_up.peek` makes."""
    every = proof_sql(mapping, schema, table, among=among)
    return f"select * from (\n{every}\n) d where d.id not in (select id from {EXCUSED})"


def _untouched(schema: str) -> bool:
    """Whether nobody has v2 to use yet: then a value in a column of v2's own is a difference like any other."""
    return schema == STAGING


def as_difference(table: str, row: Any) -> Difference:
    """A row of a difference query, reduced to the columns that differ."""
    expected = json.loads(row["expected"]) if row["expected"] else None
    found = json.loads(row["found"]) if row["found"] else None
    if expected is not None and found is not None:
        changed = {name for name in expected if expected[name] != found.get(name)}
        expected = {name: expected[name] for name in expected if name in changed}
        found = {name: found[name] for name in found if name in changed}
    return Difference(table, row["id"], row["difference"], expected, found)


async def compare(
    connection: Connection, mapping: WorkoutMapping, schema: str, table: str, *, excusing: bool = False
) -> TableProof:
    """Compare one table, in the snapshot that the connection's transaction has, and only count what differs.

    Args:
        excusing: as for `count_sql`.
    """
    row = await connection.fetchrow(count_sql(mapping, schema, table, excusing=excusing))
    assert row is not None
    apart = row.get("apart")
    return TableProof(
        table, int(row["compared"]), int(row["differences"]), among=None if apart is None else tuple(apart)
    )


async def prove_table(connection: Connection, mapping: WorkoutMapping, schema: str, table: str) -> TableProof:
    """Compare one table as `compare` does, with a sample of what differs."""
    proof = await compare(connection, mapping, schema, table)
    if not proof.differences:
        return proof
    return await _sampled(connection, proof, proof_sql(mapping, schema, table, among=proof.among is not None))


async def unexcused(connection: Connection, mapping: WorkoutMapping, schema: str, proof: TableProof) -> TableProof:
    """A proof that found differences, without those that waiting changes explain.

    Args:
        mapping: one that works everything out in the snapshot itself. Needs the relations that `catch_up.peek` makes.
    """
    query = unexcused_sql(mapping, schema, proof.table, among=proof.among is not None)
    differing = int(await connection.fetchval(f"select count(*) from ({query}) n", *_ids(proof)))
    proof = dataclasses.replace(proof, differences=differing)
    return await _sampled(connection, proof, query) if differing else proof


async def _sampled(connection: Connection, proof: TableProof, query: str) -> TableProof:
    rows = await connection.fetch(first_of(query, SAMPLE), *_ids(proof))
    return dataclasses.replace(proof, sample=tuple(as_difference(proof.table, found) for found in rows))


def _ids(proof: TableProof) -> list[list[str]]:
    return [] if proof.among is None else [list(proof.among)]
