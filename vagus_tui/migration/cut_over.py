"""The cut-over as steps: one short transaction that swaps v1 for v2, and what is settled after it.

The order matters. Locks first, in one statement and one order; then the last changes and their proof; then names;
then whatever points at the tables. Nothing here reads more rows than the last changes touch.
"""

from __future__ import annotations

from collections.abc import Iterator

from vagus_tui.events import Phase
from vagus_tui.journal.state import STAGING
from vagus_tui.migration import capture, catch_up, maintenance, matviews, noting_kept, staged, surroundings, vigil
from vagus_tui.migration.carried import apart, unvalidated_checks
from vagus_tui.migration.drift import script_guard, script_settings
from vagus_tui.migration.kept_v1 import new_name, note_step
from vagus_tui.migration.repoint import (
    carried_references,
    foreign_keys,
    function_statements,
    replaced_relations,
    repoint_statements,
    touched_tables,
    validated,
)
from vagus_tui.migration.steps import PlanStep, stop_unless_zero
from vagus_tui.migration.survey import PREFERENCES, Rename, Survey
from vagus_tui.migration.tuning import final_statements, statistics_moved
from vagus_tui.rollback.take_up import take_up_step
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.functions import moved, signatures
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.preferences import preferences_upsert

KEPT_PREFERENCES = "vagus_migration.preferences_kept"
_QUICK = "quick rollback"
ANSWERS = 13
"""How often a cut-over waits for an answer of the server's while everybody waits for the cut-over."""


def rename_statement(schema: str, rename: Rename, *, back: bool = False) -> str:
    """The statement for one rename, or for taking it back (tables last to go are first to come back)."""
    old, new = (rename.new, rename.old) if back else (rename.old, rename.new)
    if rename.kind == "table":
        return f"alter table {qualified(schema, old)} rename to {quote(new)}"
    if rename.kind == "index":
        return f"alter index {qualified(schema, old)} rename to {quote(new)}"
    if rename.kind == "sequence":
        return f"alter sequence {qualified(schema, old)} rename to {quote(new)}"
    if rename.kind == "statistics":
        return f"alter statistics {qualified(schema, old)} rename to {quote(new)}"
    if rename.kind == "function":
        # For functions `table` holds the argument types that tell overloads apart.
        return f"alter routine {qualified(schema, old)}({rename.table}) rename to {quote(new)}"
    return f"alter table {qualified(schema, rename.table)} rename constraint {quote(old)} to {quote(new)}"


def locked_relations(survey: Survey, ddl: V2Ddl) -> list[str]:
    """What the cut-over locks, in one order, so that two attempts or an app cannot deadlock with each other halfway.

    Staging comes last: who changes it before is noted, and afterwards nobody can.
    """
    relations = {qualified(survey.shape.schema, table.name) for table in survey.shape.tables.values()}
    relations |= touched_tables(survey)
    if survey.preferences == "rows":
        relations.add(qualified(survey.shape.schema, PREFERENCES))
    ordered = [qualified(survey.shape.schema, survey.shape.tables[base].name) for base in v1.TABLES]
    return [*ordered, *sorted(relations - set(ordered)), *map(ddl.relation, ddl.tables)]


def watched_relations(survey: Survey, ddl: V2Ddl) -> list[str]:
    """Everything whose users can be in the way: what is locked, and the views that are replaced or swapped."""
    return [*locked_relations(survey, ddl), *sorted(replaced_relations(survey))]


def lock_statement(survey: Survey, ddl: V2Ddl) -> str:
    """Take every lock of the cut-over."""
    return f"lock table {', '.join(locked_relations(survey, ddl))} in access exclusive mode"


def swap_statements(survey: Survey, ddl: V2Ddl) -> list[str]:
    """Names change hands: v1 to `*_v1` and read-only, v2 into place."""
    schema = survey.shape.schema
    # Functions first: one that is in v2's way has its name yet, and v2's tables take along what is bound to them.
    statements = [*function_statements(survey, STAGING), *noting_kept.install_kept_notes()]
    for base, table in survey.shape.tables.items():
        relation = qualified(schema, table.name)
        statements.extend(noting_kept.kept_triggers(relation, base))
        statements.append(maintenance.fence_trigger(relation, always=True))
    if survey.preferences == "rows":
        statements.extend(capture.remove_triggers(qualified(schema, PREFERENCES)))
        statements.append(maintenance.fence_trigger(qualified(schema, PREFERENCES), always=True))
    statements.extend(rename_statement(schema, rename) for rename in survey.renames)
    statements.extend(rename_statement(schema, rename) for rename in survey.functions_in_the_way)
    statements.extend(f"alter table {ddl.relation(table)} set schema {quote(schema)}" for table in ddl.tables)
    statements.extend(f"alter table {qualified(schema, table)} reset (autovacuum_enabled)" for table in ddl.tables)
    statements.extend(moved(ddl, name, schema) for name in signatures(ddl))
    statements.extend(statistics_moved(survey.dependents, STAGING, schema))
    statements.append(f"drop schema {quote(STAGING)}")
    here = V2Ddl(schema, survey.shape, survey.taken, ddl.preferences)
    statements.extend(unvalidated_checks(survey.bound, here))
    statements.extend(final_statements(survey.dependents, survey.places(here)))
    statements.extend(here.touch_trigger(table) for table in here.tables if v2.MODEL[table].touch)
    statements.extend(capture.install_v2_triggers(schema))
    if survey.preferences != "jsonb":
        statements.append(capture.install_preferences_trigger(schema))
    statements.extend(maintenance.fence_trigger(here.relation(table)) for table in v2.TABLES)
    statements.extend(here.sequence_updates({base: qualified(schema, new_name(survey, base)) for base in v1.TABLES}))
    return statements


def cut_over_steps(survey: Survey, mapping: WorkoutMapping, ddl: V2Ddl) -> list[PlanStep]:
    """The one transaction, step by step. The proof of the delta stands between `delta` and `swap`."""
    statements = catch_up.whole_round(mapping, STAGING, apart(survey.bound, ddl))
    deltas = catch_up.delta_differences(mapping, STAGING)
    held = "ACCESS EXCLUSIVE on v1's four tables until the transaction ends; writes wait, nothing is refused"
    undo = "automatic: the transaction fails as a whole"
    return [
        PlanStep(
            "lock",
            Phase.CUT_OVER,
            "lock v1, and v2 aside",
            (lock_statement(survey, ddl),),
            lock=held,
            undo=undo,
            printed=(
                lock_statement(survey, ddl),
                stop_unless_zero(
                    vigil.script_unnoted(survey.shape),
                    "not every change of v1 was noted since the proof: run the script again from its proof on",
                ),
                stop_unless_zero(staged.script_altered(), staged.SCRIPT_STOPS),
                stop_unless_zero(
                    script_guard(survey),
                    "things of v1 are not what this script was printed for: take them back, or clean up and print anew",
                ),
                script_settings(survey),
            ),
        ),
        PlanStep("delta", Phase.CUT_OVER, "bring the last changes over", tuple(statements), lock=held, undo=undo),
        PlanStep(
            "prove-delta",
            Phase.CUT_OVER,
            "prove the last changes",
            tuple(deltas.values()),
            lock=held,
            undo=undo,
            printed=tuple(
                stop_unless_zero(f"select count(*) from (\n{query}\n) proof", f"changed rows of {table} differ")
                for table, query in deltas.items()
            ),
        ),
        PlanStep(
            "swap",
            Phase.CUT_OVER,
            "swap v1 for v2",
            (catch_up.AS_USUAL, *swap_statements(survey, ddl)),
            lock=held,
            undo=undo,
        ),
        PlanStep(
            "repoint",
            Phase.CUT_OVER,
            "references, views, functions, policies and publications follow",
            (
                *repoint_statements(survey, {base: new_name(survey, base) for base in v1.TABLES}),
                "notify pgrst, 'reload schema'",
            ),
            lock=held,
            undo=undo,
        ),
    ]


def settle_steps(survey: Survey, ddl: V2Ddl) -> list[PlanStep]:
    """After the commit, without hurry: owed checks, statistics, defaults for users who came meanwhile."""
    analyze = tuple(f"analyze {qualified(survey.shape.schema, table)}" for table in ddl.tables)
    return [
        note_step(survey),
        *_checked_references(survey),
        *_filled_views(survey),
        *_settled_preferences(survey),
        *([take_up_step(survey.shape, survey.archive, survey.later)] if survey.archive else []),
        # References of partitioned tables are whole only now.
        *surroundings.note_steps(survey),
        PlanStep("settle-analyze", Phase.SETTLE, "statistics", analyze, undo="none needed"),
    ]


def _checked_references(survey: Survey) -> Iterator[PlanStep]:
    """References that were made without looking at their rows."""
    for key in (*foreign_keys(survey), *carried_references(survey)):
        if key.validated:
            yield PlanStep(
                f"settle-{key.on}-{key.name}",
                Phase.SETTLE,
                f"check {key.name} of {key.on}",
                tuple(validated(survey.shape.schema, key, key.base)),
                lock=f"SHARE UPDATE EXCLUSIVE on {key.on}: reads and writes go on",
                undo=_QUICK,
            )


def _filled_views(survey: Survey) -> Iterator[PlanStep]:
    """Materialized views that were made empty."""
    for view, statement in matviews.refreshed(survey):
        yield PlanStep(
            f"settle-fill-{view.schema}-{view.name}",
            Phase.SETTLE,
            f"fill {view.title} again",
            (statement,),
            lock=f"on {view.title} alone" + (": reads go on" if view.fact("keyed") else ", until it is filled"),
            undo=_QUICK,
        )


def _settled_preferences(survey: Survey) -> Iterator[PlanStep]:
    """Notification preferences of users who came meanwhile, and of all where v1's table stays in place."""
    if survey.preferences == "jsonb":
        yield PlanStep(
            "settle-preferences-noted",
            Phase.SETTLE,
            "note whose notification preferences the app changes from now on",
            # Before the next step, so that nothing is chosen unnoticed between the two; and in a transaction of its
            # own, since the app's writes wait until it ends.
            (capture.install_preferences_trigger(survey.shape.schema, patiently=True),),
            lock=f"SHARE ROW EXCLUSIVE on {PREFERENCES}, for an instant",
            undo=_QUICK,
        )
    yield PlanStep(
        "settle-preferences",
        Phase.SETTLE,
        "quiet notification preferences for users who have none",
        (*noted_preferences(survey), missing_preferences(survey)),
        undo=_QUICK,
    )


def noted_preferences(survey: Survey) -> list[str]:
    """Where v1's table stays in place: what everybody had chosen, as a digest, before quiet rows are added."""
    if survey.preferences != "jsonb":
        return []
    relation = qualified(survey.shape.schema, PREFERENCES)
    return [
        f"create table if not exists {KEPT_PREFERENCES} (user_id uuid primary key, digest text not null)",
        f"truncate {KEPT_PREFERENCES}",
        f"insert into {KEPT_PREFERENCES} select user_id, md5(preferences::text) from {relation}",
    ]


def missing_preferences(survey: Survey) -> str:
    """Give users without preferences quiet ones, and keep a note of whom, so that a rollback can take them back."""
    relation = qualified(survey.shape.schema, PREFERENCES)
    insert = preferences_upsert("none", survey.shape.schema, relation)
    if survey.preferences != "jsonb":
        return insert
    return (
        "create table if not exists vagus_migration.preferences_added (user_id uuid primary key, preferences jsonb);\n"
        f"with added as (\n{insert}\nreturning user_id, preferences)\n"
        "insert into vagus_migration.preferences_added select user_id, preferences from added "
        "on conflict (user_id) do nothing"
    )
