"""The steps that make v2 aside: capture, bare tables, rows, indexes, keys, references, behaviour."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from vagus_tui.database.dependent_reader import COMPAT
from vagus_tui.database.privileges import Grant
from vagus_tui.events import Phase
from vagus_tui.journal.schema import DDL as JOURNAL
from vagus_tui.journal.state import STAGING
from vagus_tui.migration import capture, catch_up, kept_v1, maintenance, tuning
from vagus_tui.migration.carried import apart, carried_constraints, carried_indexes
from vagus_tui.migration.catch_up import MAPPED
from vagus_tui.migration.repoint import compat_step_statements, referenced_indexes, whole_row_tables
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.survey import PREFERENCES, Survey
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import NamedSql, V2Ddl
from vagus_tui.schema.helpers import made
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.inverse import counterpart
from vagus_tui.schema.mapping import Prepared, WorkoutMapping
from vagus_tui.schema.preferences import preferences_upsert
from vagus_tui.schema.rights import bare

DAY_KEYS = "build-day-keys"

ROWS_PER_PART = 250_000
MAX_PARTS = 40

SORT_MEMORY = "32MB"
"""For index builds: runs that are sorted near the processor's cache and merged take four fifths of the time of ten
million keys sorted in memory at once (two builds side by side: a little less than it), and spare the server memory."""

ALIGN, ALIGN_USERS = "align", "align-users"
"""The rounds of catching up within the build: notes and rows of one moment, so REPEATABLE READ."""


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
    for base in v1.TABLES:
        name = survey.shape.tables[base].name
        relation = qualified(survey.shape.schema, name)
        steps.append(
            PlanStep(
                f"prepare-capture-{base}",
                Phase.PREPARE,
                f"change capture on {name}",
                (*capture.install_triggers(survey.shape, base), maintenance.fence_trigger(relation)),
                lock=f"SHARE ROW EXCLUSIVE on {name}, for an instant; tried again when somebody is in the way",
                undo="drop triggers",
                needs=("prepare-capture",),
                tables=(name,),
            )
        )
    statements = made(STAGING)
    for table in ddl.tables:
        statements.append(ddl.create_table(table))
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
            needs=tuple(f"prepare-capture-{base}" for base in v1.TABLES),
        )
    )
    return steps


def prepared_tables(purpose: str = "build") -> Prepared:
    """Where the build, or the proof, keeps what it works out once: in the staging schema, until it is done."""
    return Prepared(*(qualified(STAGING, f"vagus_{purpose}_{name}") for name in ("keyed", "plan_days", "plans")))


def prepare_statements(mapping: WorkoutMapping, prepared: Prepared, *, lasting: bool = True) -> tuple[str, ...]:
    """Make those tables; what an interrupted run left of them goes first.

    Args:
        lasting: a resumed run goes on with them. A proof begins anew, and can do without a log of them.
    """
    return (
        *(f"drop table if exists {relation}" for relation in prepared.relations),
        *mapping.prepare(prepared, lasting=lasting),
        "set local default_statistics_target = 10",
        *(f"analyze {relation}" for relation in prepared.relations),
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
    steps: list[PlanStep] = []
    rows = {**survey.rows}
    # What several tables need of every plan is worked out once. They read v1 a moment later than it, and the snapshot
    # of the logs, whose parts must fit together, would not see it: plans that changed meanwhile are in the change log,
    # and the first round of catching up makes them anew. The proof works everything out for itself.
    prepared = prepared_tables()
    steps.append(
        PlanStep(
            DAY_KEYS,
            Phase.BUILD,
            "days and weeks of every plan",
            prepare_statements(mapping, prepared),
            rows=rows[v1.EXERCISES],
            needs=("prepare-staging",),
            unit="day keys",
        )
    )
    from_prepared = dataclasses.replace(mapping, prepared=prepared)
    for table in MAPPED:
        columns = ", ".join(quote(name) for name in mapping.columns(table))
        target = f"insert into {ddl.relation(table)} ({columns})\n"
        if table == v2.LOGS:
            conditions = log_parts(survey.log_blocks, rows[v1.LOGS])
            for number, condition in enumerate(conditions, start=1):
                # One part after the other, so that rows lie as they lie in v1: the proof then finds them side by side.
                before = f"build-{table}-{number - 1}" if number > 1 else "prepare-staging"
                steps.append(
                    PlanStep(
                        f"build-{table}-{number}",
                        Phase.BUILD,
                        f"{table}, part {number} of {len(conditions)}" if len(conditions) > 1 else table,
                        (target + mapping.select(table, where=condition),),
                        rows=rows[table] // len(conditions),
                        needs=(before,),
                        snapshot=True,
                        unit=table,
                        table=table,
                    )
                )
            continue
        steps.append(
            PlanStep(
                f"build-{table}",
                Phase.BUILD,
                table,
                (target + from_prepared.select(table),),
                rows=rows[table],
                needs=(DAY_KEYS,),
                unit=table,
                table=table,
            )
        )
    steps.append(
        PlanStep(
            f"{DAY_KEYS}-dropped",
            Phase.BUILD,
            "days and weeks of every plan: no longer needed",
            tuple(f"drop table {relation}" for relation in prepared.relations),
            needs=tuple(f"build-{table}" for table in MAPPED if table != v2.LOGS),
        )
    )
    if ddl.preferences:
        steps.append(
            PlanStep(
                f"build-{PREFERENCES}",
                Phase.BUILD,
                PREFERENCES,
                (
                    preferences_upsert(
                        survey.preferences, survey.shape.schema, ddl.relation(PREFERENCES), into_empty=True
                    ),
                ),
                rows=rows[PREFERENCES],
                needs=("prepare-staging",),
                snapshot=True,
                unit=PREFERENCES,
                table=PREFERENCES,
            )
        )
    for table in ddl.tables:
        wanted = [
            *ddl.unique_indexes(table),
            *ddl.indexes(table),
            *referenced_indexes(survey, ddl, table),
            *carried_indexes(survey.bound, ddl, table),
        ]
        filled = [step.id for step in steps if step.table == table]
        constraints = (*ddl.key_constraints(table), *carried_constraints(survey.bound, ddl, table))
        steps.extend(_index_steps(ddl, table, wanted, constraints, filled, rows.get(table, 0)))
    return steps


def _index_steps(
    ddl: V2Ddl,
    table: str,
    wanted: Sequence[NamedSql],
    constraints: Sequence[str],
    filled: Sequence[str],
    rows: int,
) -> list[PlanStep]:
    """One table's indexes, the keys on them, and its statistics, once its rows are there."""
    steps = [
        PlanStep(
            f"index-{index.name}",
            Phase.BUILD,
            f"index {index.name}",
            (f"set local maintenance_work_mem = '{SORT_MEMORY}'", index.sql),
            rows=rows,
            needs=tuple(filled) or ("prepare-staging",),
            unit=f"{table} indexes",
        )
        for index in wanted
    ]
    steps.append(
        PlanStep(
            f"keys-{table}",
            Phase.BUILD,
            f"keys of {table}",
            tuple(constraints),
            needs=tuple(step.id for step in steps),
            tables=(table,),
        )
    )
    steps.append(
        PlanStep(
            f"analyze-{table}",
            Phase.BUILD,
            f"statistics of {table}",
            # A rough idea is enough until the cut-over, after which the tables are looked at more closely.
            ("set local default_statistics_target = 20", f"analyze {ddl.relation(table)}"),
            needs=(f"keys-{table}",),
            tables=(table,),
        )
    )
    return steps


def link_steps(survey: Survey, mapping: WorkoutMapping, ddl: V2Ddl) -> list[PlanStep]:
    """References, then who may do what. Runs after the first round of catching up, when the rows agree."""
    steps: list[PlanStep] = []
    needs = ("align",)
    validations: list[PlanStep] = []
    align_users = align_users_step(survey, mapping, ddl)
    inner = [(table, key) for table in ddl.tables for key in ddl.foreign_keys(table, users=False)]
    steps.append(
        PlanStep(
            "link-keys",
            Phase.BUILD,
            "references within v2",
            tuple(key.sql for _, key in inner),
            needs=needs,
            tables=ddl.tables,
        )
    )
    for table in ddl.tables:
        outer = ddl.foreign_keys(table, users=True)
        if outer:
            steps.append(
                PlanStep(
                    f"link-users-{table}",
                    Phase.BUILD,
                    f"references from {table} to auth.users",
                    tuple(key.sql for key in outer),
                    lock="SHARE ROW EXCLUSIVE on auth.users, for an instant: in a transaction of its own",
                    needs=("link-keys",),
                    tables=(table, "auth.users"),
                )
            )
        linked = ["link-keys"] + ([align_users.id] if outer else [])
        for key in (*ddl.foreign_keys(table, users=False), *outer):
            validations.append(
                PlanStep(
                    f"validate-{key.name}",
                    Phase.BUILD,
                    f"check {key.name}",
                    (ddl.validate(table, key.name),),
                    rows=survey.rows.get(table, 0),
                    needs=tuple(linked),
                    tables=(table,),
                    unit=f"{table} references",
                )
            )
    steps.append(align_users)
    steps.extend(validations)
    checked = tuple(step.id for step in validations)
    behaviour = [ddl.touch_function(), *(function.sql for function in ddl.functions())]
    for table in ddl.tables:
        behaviour.extend(ddl.policies(table))
    behaviour.extend(grant_statements(survey, ddl))
    behaviour.extend(f"alter table {ddl.relation(table)} replica identity full" for table in whole_row_tables(survey))
    steps.append(
        PlanStep(
            "behaviour",
            Phase.BUILD,
            "functions, row level security, grants",
            tuple(behaviour),
            needs=checked,
            tables=ddl.tables,
        )
    )
    compat = compat_step_statements(survey)
    if compat:
        steps.append(
            PlanStep(
                "compat",
                Phase.BUILD,
                f"schema {COMPAT}: v1's columns over v2's tables; views tried, materialized views built",
                tuple(compat),
                needs=("behaviour",),
                undo=f"drop schema {COMPAT}",
            )
        )
    return steps


def align_users_step(survey: Survey, mapping: WorkoutMapping, ddl: V2Ddl) -> PlanStep:
    """One more round once v2 refers to auth.users: whoever left before that is still in staging.

    Whoever leaves later takes their rows along through the references.
    """
    statements = catch_up.whole_round(mapping, STAGING, apart(survey.bound, ddl))
    if survey.shape.plans.has("created_by"):
        statements.append(
            f"update {ddl.relation(v2.PLANS)} p set created_by = null where created_by is not null "
            "and not exists (select from auth.users u where u.id = p.created_by)"
        )
    if ddl.preferences:
        statements.append(
            f"delete from {ddl.relation(PREFERENCES)} p where not exists "
            "(select from auth.users u where u.id = p.user_id)"
        )
    return PlanStep(
        ALIGN_USERS,
        Phase.BUILD,
        "second round of catching up",
        tuple(statements),
        needs=tuple(f"link-users-{table}" for table in ddl.tables if ddl.foreign_keys(table, users=True)),
        tables=ddl.tables,
        one_moment=True,
    )


def grant_statements(survey: Survey, ddl: V2Ddl) -> list[str]:
    """Explicit grants, from what v1's tables had, whatever the project's default privileges are; and the owner."""
    # Whoever owns a table must be able to reach and fill its schema; this one is gone with the cut-over.
    statements = [
        f"grant usage, create on schema {quote(STAGING)} to {quote(owner)}"
        for owner in sorted({*survey.owners.values()} - {survey.me})
    ]
    for table in ddl.tables:
        relation = ddl.relation(table)
        base = v2.MODEL[table].grants_like
        source = survey.shape.tables[base].name
        grants = [grant for grant in survey.grants if grant.table == source]
        statements.append(bare(relation))
        for grant in grants:
            # MAINTAIN came with PostgreSQL 17 and means nothing to an app; a sequence has no rows of its own here.
            privileges = [name.lower() for name in grant.privileges if name != "MAINTAIN"]
            column = _granted_column(survey, table, grant)
            if privileges and column is not None:
                grantee = "public" if grant.grantee == "public" else quote(grant.grantee)
                option = " with grant option" if grant.grantable else ""
                listed = ", ".join(f"{name}{column}" for name in privileges)
                statements.append(f"grant {listed} on {relation} to {grantee}{option}")
        roles = sorted({grant.grantee for grant in grants})
        if table in v2.V1_BASES and ddl.types[v2.ID_PLACEHOLDERS[base]] != "uuid":
            sequence = qualified(STAGING, ddl.sequence(table))
            statements.append(bare(sequence))
            if roles:
                listed = ", ".join("public" if role == "public" else quote(role) for role in roles)
                statements.append(f"grant usage, select on sequence {sequence} to {listed}")
        owner = survey.owners.get(source, survey.me)
        if owner != survey.me:
            statements.append(f"alter table {relation} owner to {quote(owner)}")
    return statements


def _granted_column(survey: Survey, table: str, grant: Grant) -> str | None:
    """The column that a grant is about, in v2's name and in brackets; "" for the table, None where v2 has none."""
    if not grant.column:
        return ""
    base = v2.V1_BASES.get(table)
    there = counterpart(base, survey.shape.tables[base], grant.column) if base else None
    return None if there is None else f" ({quote(there)})"


def grant_notes(survey: Survey) -> list[str]:
    """Rights on single columns that v2 has no column for, and roles that have no others: v2's new tables are closed."""
    bases = {table.name: base for base, table in survey.shape.tables.items()}
    lines = []
    for grant in survey.grants:
        base = bases.get(grant.table)
        if base is not None and grant.column and _granted_column(survey, base, grant) is None:
            rights = ", ".join(grant.privileges)
            lines.append(
                f"{grant.table}: {rights} ({grant.column}) of {grant.grantee} stays with v1, v2 has no such column"
            )
    whole = {(grant.grantee, grant.table) for grant in survey.grants if not grant.column}
    for base in sorted({v2.MODEL[table].grants_like for table in v2.TABLES if table not in v2.V1_BASES}):
        name = survey.shape.tables[base].name
        single = {grant.grantee for grant in survey.grants if grant.table == name and grant.column}
        tables = [table for table in v2.TABLES if table not in v2.V1_BASES and v2.MODEL[table].grants_like == base]
        lines.extend(
            f"{role} has rights on single columns of {name} alone, and so none on {', '.join(tables)}: review it"
            for role in sorted(single)
            if (role, name) not in whole
        )
    return lines
