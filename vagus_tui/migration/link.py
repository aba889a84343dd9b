"""The last steps of the build: references, then who may do what. They run once the rows agree with v1."""

from __future__ import annotations

from vagus_tui.database.dependent_reader import COMPAT
from vagus_tui.events import Phase
from vagus_tui.journal.state import STAGING
from vagus_tui.migration import capture, catch_up
from vagus_tui.migration.carried import apart
from vagus_tui.migration.grants import grant_statements
from vagus_tui.migration.repoint import compat_step_statements, whole_row_tables
from vagus_tui.migration.steps import PlanStep
from vagus_tui.migration.survey import PREFERENCES, Survey
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.mapping import WorkoutMapping

ALIGN, ALIGN_USERS = "align", "align-users"
"""The rounds of catching up within the build: notes and rows of one moment, so REPEATABLE READ."""


def link_steps(survey: Survey, mapping: WorkoutMapping, ddl: V2Ddl) -> list[PlanStep]:
    """References, then who may do what. Runs after the first round of catching up, when the rows agree."""
    references = _reference_steps(survey, align_users_step(survey, mapping, ddl), ddl)
    needs = tuple(step.id for step in references)
    return [*references, *_behaviour_steps(survey, ddl, needs)]


def _reference_steps(survey: Survey, align_users: PlanStep, ddl: V2Ddl) -> list[PlanStep]:
    """Every reference is made for new rows first, in an instant; then all rows are checked, side by side."""
    steps = [
        PlanStep(
            "link-keys",
            Phase.BUILD,
            "references within v2; what others change there is noted",
            (
                *(key.sql for table in ddl.tables for key in ddl.foreign_keys(table, users=False)),
                *capture.install_staged_triggers(STAGING),
            ),
            needs=(ALIGN,),
            tables=ddl.tables,
        )
    ]
    validations: list[PlanStep] = []
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
        validations.extend(
            PlanStep(
                f"validate-{key.name}",
                Phase.BUILD,
                f"check {key.name}",
                (ddl.validate(table, key.name),),
                rows=survey.rows.get(table, 0),
                # That round has every table for itself: begun before it, a long check would keep it waiting, and with
                # it the checks of what refers to users.
                needs=("link-keys", align_users.id),
                tables=(table,),
                unit=f"{table} references",
            )
            for key in (*ddl.foreign_keys(table, users=False), *outer)
        )
    return [*steps, align_users, *validations]


def _behaviour_steps(survey: Survey, ddl: V2Ddl, needs: tuple[str, ...]) -> list[PlanStep]:
    """Functions, policies and grants, and what serves the relations that go on with v1's columns."""
    behaviour = [ddl.touch_function(), *(function.sql for function in ddl.functions())]
    for table in ddl.tables:
        behaviour.extend(ddl.policies(table))
    behaviour.extend(grant_statements(survey, ddl))
    behaviour.extend(f"alter table {ddl.relation(table)} replica identity full" for table in whole_row_tables(survey))
    steps = [
        PlanStep(
            "behaviour",
            Phase.BUILD,
            "functions, row level security, grants",
            tuple(behaviour),
            needs=needs,
            tables=ddl.tables,
        )
    ]
    compat = compat_step_statements(survey)
    if compat:
        steps.append(
            PlanStep(
                "compat",
                Phase.BUILD,
                f"schema {COMPAT}: v1's columns over v2's tables; views tried, materialized views built",
                tuple(compat),
                needs=("behaviour",),
                # It reads them all, and what has them for itself would wait for it with locks that it needs.
                tables=ddl.tables,
                undo=f"drop schema {COMPAT}",
            )
        )
    return steps


def align_users_step(survey: Survey, mapping: WorkoutMapping, ddl: V2Ddl) -> PlanStep:
    """One more round once v2 refers to auth.users: whoever left before that is still in staging.

    Whoever leaves later takes their rows along through the references.
    """
    statements = [*catch_up.whole_round(mapping, STAGING, apart(survey.bound, ddl)), catch_up.AS_USUAL]
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
