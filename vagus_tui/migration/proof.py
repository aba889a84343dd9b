"""The proof: every mapped column of every row, v1 against v2, both ways. It must find no difference at all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.migration.build import prepared_tables
from vagus_tui.migration.catch_up import differences, excused_ids, first_of
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.mapping import WorkoutMapping

PROOF_KEYS = "prove-day-keys"

SAMPLE = 20

LOOK_UP_MEMORY = "4MB"
"""For logs, looked up one by one: in portions that fit the processor's cache, a fifth quicker than in memory."""


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
    """The proof of one table. `compared` counts rows on either side; `differences` those that differ."""

    table: str
    compared: int
    differences: int
    sample: tuple[Difference, ...] = ()


def proof_mapping(mapping: WorkoutMapping, table: str) -> WorkoutMapping:
    """The mapping as the proof of a table uses it: with the days and weeks that the proof itself worked out.

    They are a moment older than what the table is compared with. Where that, or a change that waits to be brought over,
    makes a difference, the table is compared anew without them: see `unexcused`.
    """
    return mapping if table == v2.LOGS else dataclasses.replace(mapping, prepared=prepared_tables("proof"))


def proof_sql(mapping: WorkoutMapping, schema: str, table: str) -> str:
    """The query for every difference in one table."""
    return differences(mapping, table, mapping.select(table), f"select t.* from {qualified(schema, table)} t")


def count_sql(mapping: WorkoutMapping, schema: str, table: str) -> str:
    """The query that counts the rows compared and the differences among them, in one pass."""
    return (
        "select count(*) as compared, count(*) filter (where x.id is null or t.id is null or "
        f"{mapping.compared(table, 'x')} is distinct from {mapping.compared(table, 't')}) as differences\n"
        f"from (\n{mapping.select(table)}\n) x full join {qualified(schema, table)} t on t.id = x.id"
    )


def unexcused_sql(mapping: WorkoutMapping, schema: str, table: str) -> str:
    """The query for differences that waiting changes do not explain; needs the relations that `catch_up.peek` makes."""
    excused = excused_ids(mapping, schema, table)
    return f"select * from (\n{proof_sql(mapping, schema, table)}\n) d where d.id not in ({excused})"


def as_difference(table: str, row: Any) -> Difference:
    """A row of a difference query, reduced to the columns that differ."""
    expected = json.loads(row["expected"]) if row["expected"] else None
    found = json.loads(row["found"]) if row["found"] else None
    if expected is not None and found is not None:
        changed = {name for name in expected if expected[name] != found.get(name)}
        expected = {name: expected[name] for name in expected if name in changed}
        found = {name: found[name] for name in found if name in changed}
    return Difference(table, row["id"], row["difference"], expected, found)


async def compare(connection: Connection, mapping: WorkoutMapping, schema: str, table: str) -> TableProof:
    """Compare one table, in the snapshot that the connection's transaction has, and only count what differs."""
    async with _memory(connection, LOOK_UP_MEMORY) if table == v2.LOGS else nullcontext():
        row = await connection.fetchrow(count_sql(mapping, schema, table))
    assert row is not None
    return TableProof(table, int(row["compared"]), int(row["differences"]))


@asynccontextmanager
async def _memory(connection: Connection, amount: str) -> AsyncIterator[None]:
    """Other memory for what is done inside: the transaction is the caller's, and goes on with its own."""
    own = await connection.fetchval("select current_setting('work_mem')")
    await connection.execute(f"set local work_mem = '{amount}'")
    yield
    await connection.execute(f"set local work_mem = '{own}'")


async def prove_table(connection: Connection, mapping: WorkoutMapping, schema: str, table: str) -> TableProof:
    """Compare one table as `compare` does, with a sample of what differs."""
    proof = await compare(connection, mapping, schema, table)
    return await _sampled(connection, proof, proof_sql(mapping, schema, table)) if proof.differences else proof


async def unexcused(connection: Connection, mapping: WorkoutMapping, schema: str, proof: TableProof) -> TableProof:
    """A proof that found differences, without those that waiting changes explain.

    Args:
        mapping: one that works everything out in the snapshot itself. Needs the relations that `catch_up.peek` makes.
    """
    query = unexcused_sql(mapping, schema, proof.table)
    differing = int(await connection.fetchval(f"select count(*) from ({query}) n"))
    proof = TableProof(proof.table, proof.compared, differing)
    return await _sampled(connection, proof, query) if differing else proof


async def _sampled(connection: Connection, proof: TableProof, query: str) -> TableProof:
    rows = await connection.fetch(first_of(query, SAMPLE))
    return dataclasses.replace(proof, sample=tuple(as_difference(proof.table, found) for found in rows))
