"""The first steps that make v2 aside: capture, bare tables, rows, indexes, keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vagus_tui.events import Phase
from vagus_tui.journal.schema import DDL as JOURNAL
from vagus_tui.journal.state import STAGING
from vagus_tui.migration import capture, kept_v1, maintenance, tuning
from vagus_tui.migration.carried import carried_constraints, carried_indexes
from vagus_tui.migration.catch_up import MAPPED
from vagus_tui.migration.repoint import referenced_indexes
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.survey import PREFERENCES, Survey
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.helpers import made
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.plan_parts import Prepared
from vagus_tui.schema.preferences import preferences_upsert

DAY_KEYS = "build-day-keys"

ROWS_PER_PART = 250_000
MAX_PARTS = 40

SORT_MEMORY = "32MB"
"""For index builds: runs that are sorted near the processor's cache and merged take four fifths of the time of ten
million keys sorted in memory at once (two builds side by side: a little less than it), and spare the server memory."""


def prepare_steps(survey: Survey, ddl: V2Ddl) -> list[PlanStep]:
    """Journal, change capture on each v1 table, and the bare v2 tables in the staging schema."""
    steps = [
        PlanStep(
            "prepare-capture",
            Phase.PREPARE,
            "journal, change log, trigger functions, write fence (down)",
            (
                JOURNAL.strip().rstrip(";"),
                capture.install_functions(),
                maintenance.FENCE_SQL.strip().rstrip(";"),
                kept_v1.forget(),
            ),
            lock="none",
            undo="instant",
        )
    ]
    noted = capture.captured(survey.shape)
    for base, name in noted.items():
        # The fence is for workout data alone.
        fence = [maintenance.fence_trigger(qualified(survey.shape.schema, name))] if base in v1.TABLES else []
        steps.append(
            PlanStep(
                f"prepare-capture-{base}",
                Phase.PREPARE,
                f"change capture on {name}",
                (*capture.install_triggers(survey.shape, base), *fence),
                lock=f"SHARE ROW EXCLUSIVE on {name}, for an instant; tried again when somebody is in the way",
                undo="drop triggers",
                needs=("prepare-capture",),
                tables=(name,),
            )
        )
    statements = made(STAGING)
    for table in ddl.tables:
        statements.append(ddl.create_table(table))
        statements.extend(column.made(STAGING) for column in survey.later if column.table == table)
        # Until the cut-over: its locks would wait for a vacuum, and a vacuum in the middle of the build helps nobody.
        statements.append(f"alter table {ddl.relation(table)} set (autovacuum_enabled = false)")
        source = v2.V1_BASES.get(table)
        origin = f"from {survey.shape.tables[source].name} of workout v1" if source else "new with workout v2"
        also = tuning.table_comment(survey.dependents, source)
        statements.append(ddl.comment(table, f"Workout v2, {origin}; made by vagus-tui.{also}"))
    statements.extend(tuning.bare_statements(survey.dependents, survey.places(ddl)))
    steps.append(
        PlanStep(
            "prepare-staging",
            Phase.PREPARE,
            f"{len(ddl.tables)} bare tables in schema {STAGING}",
            tuple(statements),
            needs=tuple(f"prepare-capture-{base}" for base in noted),
        )
    )
    return steps


def prepared_tables(purpose: str = "build") -> Prepared:
    """Where the build, or the proof, keeps what it works out once: in the staging schema, until it is done."""
    names = ("keyed", "plan_days", "plans", "placed")
    return Prepared(*(qualified(STAGING, f"vagus_{purpose}_{name}") for name in names))


def prepare_statements(mapping: WorkoutMapping, prepared: Prepared, *, unlogged: bool = True) -> tuple[str, ...]:
    """Make those tables; what an interrupted run left of them goes first.

    Args:
        unlogged: made in two thirds of the time, and empty after a crash of the server (`phases.begin`); not for
            temporary tables, which are that anyway.
    """
    # Each is made of those before it: with statistics of them, they are joined and sorted in two thirds of the time.
    made = zip(mapping.prepare(prepared, unlogged=unlogged), prepared.relations, strict=True)
    return (
        *(f"drop table if exists {relation}" for relation in prepared.relations),
        "set local default_statistics_target = 10",
        *(statement for making, relation in made for statement in (making, f"analyze {relation}")),
    )


def log_parts(blocks: int, rows: int) -> list[str]:
    """Conditions that cut the logs table into parts of about equal size, by place in the file.

    A part reads only its own blocks. The last part is open-ended, for rows that came since.
    """
    parts = max(1, min(MAX_PARTS, rows // ROWS_PER_PART))
    bounds = [blocks * number // parts for number in range(parts)]
    conditions = []
    for number, start in enumerate(bounds):
        clause = [f"l.ctid >= '({start},0)'::tid"] if start else []
        if number + 1 < parts:
            clause.append(f"l.ctid < '({bounds[number + 1]},0)'::tid")
        conditions.append(" and ".join(clause))
    return conditions


def build_steps(survey: Survey, mapping: WorkoutMapping, ddl: V2Ddl) -> list[PlanStep]:
    """Rows, then indexes and keys, table by table and side by side."""
    steps = [*_mapped_steps(survey, mapping, ddl), *_log_steps(survey, mapping, ddl)]
    if ddl.preferences:
        steps.append(_preferences_step(survey, ddl))
    for table in ddl.tables:
        filled = [step.id for step in steps if step.table == table]
        steps.extend(_index_steps(survey, ddl, table, filled))
    return steps


def _insert(mapping: WorkoutMapping, ddl: V2Ddl, table: str) -> str:
    columns = ", ".join(quote(name) for name in mapping.columns(table))
    return f"insert into {ddl.relation(table)} ({columns})\n"


def _mapped_steps(survey: Survey, mapping: WorkoutMapping, ddl: V2Ddl) -> list[PlanStep]:
    """The rows of all mapped tables but the logs.

    What several of them need of every plan is worked out once. They read v1 a moment later than it, and the snapshot
    of the logs, whose parts must fit together, would not see it: plans that changed meanwhile are in the change log,
    and the first round of catching up makes them anew. The proof works everything out for itself.
    """
    prepared = prepared_tables()
    from_prepared = dataclasses.replace(mapping, prepared=prepared)
    first = PlanStep(
        DAY_KEYS,
        Phase.BUILD,
        "days and weeks of every plan",
        prepare_statements(mapping, prepared),
        rows=survey.rows[v1.EXERCISES],
        needs=("prepare-staging",),
        unit="day keys",
    )
    filled = [
        PlanStep(
            f"build-{table}",
            Phase.BUILD,
            table,
            (_insert(mapping, ddl, table) + from_prepared.select(table),),
            rows=survey.rows[table],
            needs=(DAY_KEYS,),
            unit=table,
            table=table,
        )
        for table in MAPPED
        if table != v2.LOGS
    ]
    last = PlanStep(
        f"{DAY_KEYS}-dropped",
        Phase.BUILD,
        "days and weeks of every plan: no longer needed",
        tuple(f"drop table {relation}" for relation in prepared.relations),
        needs=tuple(step.id for step in filled),
    )
    return [first, *filled, last]


def _log_steps(survey: Survey, mapping: WorkoutMapping, ddl: V2Ddl) -> list[PlanStep]:
    """The logs, in parts: one after the other, so that rows lie as they lie in v1, and the proof finds them so."""
    conditions = log_parts(survey.log_blocks, survey.rows[v1.LOGS])
    many = len(conditions) > 1
    return [
        PlanStep(
            f"build-{v2.LOGS}-{number}",
            Phase.BUILD,
            f"{v2.LOGS}, part {number} of {len(conditions)}" if many else v2.LOGS,
            (_insert(mapping, ddl, v2.LOGS) + mapping.select(v2.LOGS, where=condition),),
            rows=survey.rows[v2.LOGS] // len(conditions),
            needs=(f"build-{v2.LOGS}-{number - 1}" if number > 1 else "prepare-staging",),
            snapshot=True,
            unit=v2.LOGS,
            table=v2.LOGS,
        )
        for number, condition in enumerate(conditions, start=1)
    ]


def _preferences_step(survey: Survey, ddl: V2Ddl) -> PlanStep:
    relation = ddl.relation(PREFERENCES)
    return PlanStep(
        f"build-{PREFERENCES}",
        Phase.BUILD,
        PREFERENCES,
        (preferences_upsert(survey.preferences, survey.shape.schema, relation, into_empty=True),),
        rows=survey.rows[PREFERENCES],
        needs=("prepare-staging",),
        snapshot=True,
        unit=PREFERENCES,
        table=PREFERENCES,
    )


def _index_steps(survey: Survey, ddl: V2Ddl, table: str, filled: Sequence[str]) -> list[PlanStep]:
    """One table's indexes, the keys on them, and its statistics, once its rows are there."""
    wanted = (
        *ddl.unique_indexes(table),
        *ddl.indexes(table),
        *referenced_indexes(survey, ddl, table),
        *carried_indexes(survey.bound, ddl, table),
    )
    indexes = [
        PlanStep(
            f"index-{index.name}",
            Phase.BUILD,
            f"index {index.name}",
            (f"set local maintenance_work_mem = '{SORT_MEMORY}'", index.sql),
            rows=survey.rows.get(table, 0),
            needs=tuple(filled) or ("prepare-staging",),
            unit=f"{table} indexes",
        )
        for index in wanted
    ]
    keys = PlanStep(
        f"keys-{table}",
        Phase.BUILD,
        f"keys of {table}",
        (*ddl.key_constraints(table), *carried_constraints(survey.bound, ddl, table)),
        needs=tuple(step.id for step in indexes),
        tables=(table,),
    )
    statistics = PlanStep(
        f"analyze-{table}",
        Phase.BUILD,
        f"statistics of {table}",
        # A rough idea is enough until the cut-over, after which the tables are looked at more closely.
        ("set local default_statistics_target = 20", f"analyze {ddl.relation(table)}"),
        needs=(keys.id,),
        tables=(table,),
    )
    return [*indexes, keys, statistics]
