"""The logs compared strip by strip: it finds what a plain join finds, wherever rows lie."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest

from tests.databases import TestDatabase
from tests.migration.support import settings_for, state_of
from vagus_tui.database.connection import Connection, Database
from vagus_tui.migration import aligned
from vagus_tui.migration.plan import make_plan
from vagus_tui.migration.proof import TableProof, count_sql, prove_table
from vagus_tui.migration.work import open_session
from vagus_tui.schema import v2
from vagus_tui.schema.mapping import WorkoutMapping

COPY = "copy.exercise_logs"
LOGS = "public.exercise_logs"
HALVES = "l.ctid < '(20,0)', l.ctid"
FIRST_OF_A_STRIP = f"(select id from {LOGS} where ctid >= '(3,0)' limit 1)"


@pytest.fixture(autouse=True)
def short_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    """One block each, or the small v1 would be a single one."""
    monkeypatch.setattr(aligned, "BLOCKS", 1)


@pytest.fixture
async def mapped(clean_database: TestDatabase) -> AsyncIterator[tuple[Connection, WorkoutMapping]]:
    """A connection to a v1 whose logs are copied to `COPY`, in the order in which they lie, and the mapping."""
    settings = settings_for(clean_database)
    async with open_session(Database(settings), "test") as connection:
        mapping = (await make_plan(connection, settings, await state_of(clean_database))).mapping
        await connection.execute("create schema copy")
        await _copy(connection, mapping)
        yield connection, mapping


async def _copy(connection: Connection, mapping: WorkoutMapping, order: str = "l.ctid") -> None:
    await connection.execute(f"drop table if exists {COPY}")
    await connection.execute(f"create table {COPY} as\n{mapping.select(v2.LOGS)}\norder by {order}")
    await connection.execute(f"alter table {COPY} add primary key (id)")


async def proved(connection: Connection, mapping: WorkoutMapping) -> TableProof:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await prove_table(connection, mapping, "copy", v2.LOGS)


async def test_rows_in_one_order_all_meet_within_their_strips(mapped: tuple[Connection, WorkoutMapping]) -> None:
    connection, mapping = mapped
    rows = await connection.fetchval(f"select count(*) from {LOGS}")
    assert await connection.fetchval(f"select pg_relation_size('{LOGS}') / 8192") > 8
    proof = await proved(connection, mapping)
    assert (proof.compared, proof.differences, proof.among) == (rows, 0, ())


@pytest.mark.parametrize("most_apart", [aligned.MOST_APART, 0])
@pytest.mark.parametrize(
    ("fault", "difference", "changed"),
    [
        (f"update {COPY} set reps = reps + 1 where id = {FIRST_OF_A_STRIP}", "differs", {"reps"}),
        (f"update {LOGS} set weight = weight + 0.01 where id = {FIRST_OF_A_STRIP}", "differs", {"weight"}),
        (f"delete from {COPY} where id = {FIRST_OF_A_STRIP}", "missing in v2", None),
        (f"delete from {LOGS} where id = {FIRST_OF_A_STRIP}", "not in v1", None),
        (f"update {COPY} set id = gen_random_uuid() where id = {FIRST_OF_A_STRIP}", "missing in v2", None),
    ],
)
async def test_one_difference_is_found_wherever_it_is(
    mapped: tuple[Connection, WorkoutMapping],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    difference: str,
    changed: set[str] | None,
    most_apart: int,
) -> None:
    monkeypatch.setattr(aligned, "MOST_APART", most_apart)
    connection, mapping = mapped
    row = await connection.fetchval(f"select {FIRST_OF_A_STRIP}::text")
    await connection.execute(fault)
    proof = await proved(connection, mapping)
    strange = "set id =" in fault
    assert proof.differences == (2 if strange else 1)
    assert (proof.among is None) == (most_apart == 0)
    found = next(one for one in proof.sample if one.id == row)
    assert found.difference == difference
    if changed:
        assert set(found.expected or {}) == set(found.found or {}) == changed


async def test_rows_that_were_moved_are_found_again_and_lead_no_strip_astray(
    mapped: tuple[Connection, WorkoutMapping],
) -> None:
    connection, mapping = mapped
    rows = await connection.fetchval(f"select count(*) from {LOGS}")
    moved = await connection.fetchval(
        f"with moved as (update {LOGS} set reps = reps where ctid in (select min(ctid) from {LOGS} "
        "group by (ctid::text::point)[0]::integer / 4) returning 1) select count(*) from moved"
    )
    proof = await proved(connection, mapping)
    assert moved > 2
    assert (proof.compared, proof.differences) == (rows, 0)
    assert proof.among is not None
    assert moved <= len(proof.among) <= 4 * moved
    # Nor is a row held against each of their ids, where no index has v1's.
    await connection.execute(f"alter table {LOGS} drop constraint exercise_logs_pkey cascade")
    steps = await connection.fetch(f"explain {count_sql(mapping, 'copy', v2.LOGS)}")
    assert not [step[0] for step in steps if "= ANY" in step[0]]
    assert dataclasses.replace(await proved(connection, mapping), among=None) == dataclasses.replace(proof, among=None)


@pytest.mark.parametrize(
    ("order", "most_apart", "among_known"),
    [("l.id", 10, True), (HALVES, aligned.MOST_APART, True), (HALVES, 10, False)],
    ids=["no order: a single strip", "halves exchanged: looked up", "halves exchanged: all joined"],
)
async def test_in_another_order_the_outcome_is_the_same(
    mapped: tuple[Connection, WorkoutMapping],
    monkeypatch: pytest.MonkeyPatch,
    order: str,
    most_apart: int,
    among_known: bool,
) -> None:
    monkeypatch.setattr(aligned, "MOST_APART", most_apart)
    connection, mapping = mapped
    rows = await connection.fetchval(f"select count(*) from {LOGS}")
    await _copy(connection, mapping, order)
    proof = await proved(connection, mapping)
    assert (proof.compared, proof.differences, proof.among is not None) == (rows, 0, among_known)
    await connection.execute(f"delete from {COPY} where id in (select id from {COPY} order by random() limit 3)")
    proof = await proved(connection, mapping)
    assert (proof.compared, proof.differences) == (rows, 3)
    assert {one.difference for one in proof.sample} == {"missing in v2"}


async def test_a_strip_of_which_every_row_was_deleted_is_a_part_of_the_one_before(
    mapped: tuple[Connection, WorkoutMapping],
) -> None:
    connection, mapping = mapped
    # What v1 lost, v2 lost too; in v1 the blocks stay behind, empty.
    gone = f"select id from {LOGS} where ctid >= '(5,0)' and ctid < '(15,0)'"
    await connection.execute(f"delete from {COPY} where id in ({gone})")
    await connection.execute(f"delete from {LOGS} where id in ({gone})")
    rows = await connection.fetchval(f"select count(*) from {LOGS}")
    proof = await proved(connection, mapping)
    assert (proof.compared, proof.differences, proof.among) == (rows, 0, ())
