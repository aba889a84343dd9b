"""Weeks compared by their plans, days by their weeks: whatever is wrong with one of them, it is found."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest

from tests.databases import TestDatabase
from tests.migration.support import settings_for, state_of
from vagus_tui.database.connection import Connection, Database
from vagus_tui.migration.difference import counted
from vagus_tui.migration.plan import make_plan
from vagus_tui.migration.proof import compare
from vagus_tui.migration.work import open_session
from vagus_tui.schema import v2
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.plan_parts import Prepared

DAYS, WEEKS = "copy.workout_days", "copy.workout_weeks"
ONE = f"(select id from {DAYS} order by id limit 1)"
OTHER = f"(select id from {DAYS} order by id offset 1 limit 1)"
SAME_PLAN = (
    f"(select o.id from {WEEKS} o join {WEEKS} w on w.plan_id = o.plan_id and w.id <> o.id "
    f"join {DAYS} d on d.week_id = w.id where d.id = {ONE} limit 1)"
)
ANOTHER_PLAN = (
    f"(select o.id from {WEEKS} o join {WEEKS} w on w.plan_id <> o.plan_id "
    f"join {DAYS} d on d.week_id = w.id where d.id = {ONE} limit 1)"
)
# The second week of a plan that has a start.
WEEK = f"(select id from {WEEKS} where week_number = 2 and start_date is not null order by id limit 1)"
OTHER_PLAN = f"(select plan_id from {WEEKS} where plan_id <> (select plan_id from {WEEKS} where id = {WEEK}) limit 1)"
# As the plan's next week would be, if it were so long.
ONE_TOO_MANY = (
    f"insert into {WEEKS} (id, plan_id, week_number, start_date, end_date) "
    "select md5(plan_id || ':' || week_number + 1)::uuid, plan_id, week_number + 1, start_date + 7, end_date + 7 "
    f"from {WEEKS} where plan_id = {OTHER_PLAN} order by week_number desc limit 1"
)
TWICE = (
    f"insert into {DAYS} (id, week_id, day_label, day_number, muscle_groups) "
    f"select gen_random_uuid(), week_id, day_label, day_number, muscle_groups from {DAYS} where id = {ONE}"
)
NOWHERE = f"insert into {DAYS} (id, week_id, day_label, day_number) values (gen_random_uuid(), null, 'x', 1)"


@pytest.fixture
async def mapped(clean_database: TestDatabase) -> AsyncIterator[tuple[Connection, WorkoutMapping]]:
    """A connection to a v1 whose weeks and days are made in schema `copy`, and the mapping with its prepared tables."""
    settings = settings_for(clean_database)
    async with open_session(Database(settings), "test") as connection:
        mapping = (await make_plan(connection, settings, await state_of(clean_database))).mapping
        prepared = Prepared("copy.keyed", "copy.plan_days", "copy.plans", "copy.placed")
        await connection.execute("create schema copy")
        for statement in mapping.prepare(prepared, unlogged=True):
            await connection.execute(statement)
        for relation, table in ((DAYS, v2.DAYS), (WEEKS, v2.WEEKS)):
            await connection.execute(f"create table {relation} as\n{mapping.select(table)}")
            await connection.execute(f"alter table {relation} add primary key (id)")
        yield connection, dataclasses.replace(mapping, prepared=prepared)


async def _differences(connection: Connection, mapping: WorkoutMapping, table: str) -> tuple[int, int]:
    """By what they hang on, and by the two-way diff of all rows."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        quick = await compare(connection, mapping, "copy", table)
        whole = await connection.fetchrow(counted(mapping, table, mapping.select(table), f"copy.{table}"))
    assert whole is not None
    return quick.differences, whole["differences"]


@pytest.mark.parametrize(("table", "least"), [(v2.WEEKS, 200), (v2.DAYS, 500)])
async def test_as_they_must_be(mapped: tuple[Connection, WorkoutMapping], table: str, least: int) -> None:
    connection, mapping = mapped
    assert await _differences(connection, mapping, table) == (0, 0)
    proof = await compare(connection, mapping, "copy", table)
    assert proof.compared == await connection.fetchval(f"select count(*) from copy.{table}") > least


@pytest.mark.parametrize(
    ("table", "fault", "least", "exact"),
    [
        (v2.WEEKS, f"update {WEEKS} set start_date = start_date + 1 where id = {WEEK}", 1, 1),
        (v2.WEEKS, f"update {WEEKS} set end_date = null where id = {WEEK}", 1, 1),
        (v2.WEEKS, f"update {WEEKS} set week_number = 99 where id = {WEEK}", 1, 1),
        (v2.WEEKS, f"update {WEEKS} set week_number = week_number + 1 where id = {WEEK}", 1, 1),
        (v2.WEEKS, f"update {WEEKS} set week_number = null where id = {WEEK}", 1, 1),
        (v2.WEEKS, f"update {WEEKS} set plan_id = {OTHER_PLAN} where id = {WEEK}", 1, 1),
        (v2.WEEKS, f"update {WEEKS} set plan_id = gen_random_uuid() where id = {WEEK}", 1, 1),
        (v2.WEEKS, f"update {WEEKS} set id = gen_random_uuid() where id = {WEEK}", 1, 2),
        (v2.WEEKS, f"delete from {WEEKS} where id = {WEEK}", 1, 1),
        (v2.WEEKS, f"delete from {WEEKS}", 200, 200),
        (v2.WEEKS, ONE_TOO_MANY, 1, 1),
        (v2.WEEKS, f"delete from {WEEKS} where id = {WEEK}; {ONE_TOO_MANY}", 1, 2),
        (v2.DAYS, f"update {DAYS} set day_label = day_label || ' ' where id = {ONE}", 1, 1),
        (v2.DAYS, f"update {DAYS} set day_label = null where id = {ONE}", 1, 1),
        (v2.DAYS, f"update {DAYS} set day_number = day_number + 1 where id = {ONE}", 1, 1),
        (v2.DAYS, f"update {DAYS} set muscle_groups = muscle_groups || array['x'] where id = {ONE}", 1, 1),
        (v2.DAYS, f"update {DAYS} set week_id = {SAME_PLAN} where id = {ONE}", 1, 1),
        (v2.DAYS, f"update {DAYS} set week_id = {ANOTHER_PLAN} where id = {ONE}", 1, 1),
        (v2.DAYS, f"update {DAYS} set id = gen_random_uuid() where id = {ONE}", 1, 2),
        (v2.DAYS, f"delete from {DAYS} where id = {ONE}", 1, 1),
        (v2.DAYS, f"delete from {DAYS}", 500, 500),
        (v2.DAYS, TWICE, 1, 1),
        (v2.DAYS, NOWHERE, 1, 1),
        (v2.DAYS, f"delete from {DAYS} where id = {OTHER}; {TWICE}", 1, 2),
    ],
)
async def test_whatever_is_wrong_is_found(
    mapped: tuple[Connection, WorkoutMapping], table: str, fault: str, least: int, exact: int
) -> None:
    connection, mapping = mapped
    async with connection.transaction():
        await connection.execute(fault)
    quick, whole = await _differences(connection, mapping, table)
    assert quick >= least and whole >= exact
    assert quick <= whole, "no more than there are"
