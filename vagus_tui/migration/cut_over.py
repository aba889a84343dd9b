"""The cut-over as steps: one short transaction that swaps v1 for v2, and what is settled after it.

The order matters. Locks first, in one statement and one order; then the last changes and their proof; then names;
then whatever points at the tables. Nothing here reads more rows than the last changes touch.
"""

from __future__ import annotations

import re

from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.events import Phase
from vagus_tui.journal.state import STAGING
from vagus_tui.migration import capture, catch_up, maintenance
from vagus_tui.migration.build import preferences_upsert
from vagus_tui.migration.compat import COMPAT, replace_view, views
from vagus_tui.migration.steps import PlanStep, stop_unless_zero
from vagus_tui.migration.survey import PREFERENCES, Rename, Survey
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl
from vagus_tui.schema.functions import moved, signatures
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.mapping import WorkoutMapping


def new_name(survey: Survey, base: str) -> str:
    """The name that a v1 table has after the cut-over."""
    name = survey.shape.tables[base].name
    return next((r.new for r in survey.renames if r.kind == "table" and r.old == name), name)


def rename_statement(schema: str, rename: Rename, *, back: bool = False) -> str:
    """The statement for one rename, or for taking it back (tables last to go are first to come back)."""
    old, new = (rename.new, rename.old) if back else (rename.old, rename.new)
    if rename.kind == "table":
        return f"alter table {qualified(schema, old)} rename to {quote(new)}"
    if rename.kind == "index":
        return f"alter index {qualified(schema, old)} rename to {quote(new)}"
    if rename.kind == "sequence":
        return f"alter sequence {qualified(schema, old)} rename to {quote(new)}"
    if rename.kind == "function":
        # For functions `table` holds the argument types that tell overloads apart.
        return f"alter function {qualified(schema, old)}({rename.table}) rename to {quote(new)}"
    return f"alter table {qualified(schema, rename.table)} rename constraint {quote(old)} to {quote(new)}"


def foreign_keys(survey: Survey) -> list[Dependent]:
    """References of other tables to v1's."""
    return [dependent for dependent in survey.dependents if dependent.kind is Kind.FOREIGN_KEY]


def repointed(schema: str, key: Dependent, table: str, *, valid: bool = False) -> list[str]:
    """Drop a reference and make it again to another table; rows are checked later."""
    relation = qualified(key.schema, key.on)
    body = re.sub(r"REFERENCES [^(]+\(", lambda _: f"REFERENCES {qualified(schema, table)}(", key.definition, count=1)
    body = body.removesuffix(" NOT VALID")
    return [
        f"alter table {relation} drop constraint {quote(key.name)}",
        f"alter table {relation} add constraint {quote(key.name)} {body}{'' if valid else ' not valid'}",
    ]


def locked_relations(survey: Survey) -> list[str]:
    """What the cut-over locks, in one order, so that two attempts or an app cannot deadlock with each other halfway."""
    relations = {qualified(survey.shape.schema, table.name) for table in survey.shape.tables.values()}
    relations |= {qualified(key.schema, key.on) for key in foreign_keys(survey)}
    if survey.preferences == "rows":
        relations.add(qualified(survey.shape.schema, PREFERENCES))
    ordered = [qualified(survey.shape.schema, survey.shape.tables[base].name) for base in v1.TABLES]
    return [*ordered, *sorted(relations - set(ordered))]


def lock_statement(survey: Survey) -> str:
    """Take every lock of the cut-over."""
    return f"lock table {', '.join(locked_relations(survey))} in access exclusive mode"


def swap_statements(survey: Survey, ddl: V2Ddl) -> list[str]:
    """Names change hands: v1 to `*_v1` and read-only, v2 into place."""
    schema = survey.shape.schema
    statements: list[str] = []
    for table in survey.shape.tables.values():
        relation = qualified(schema, table.name)
        statements.extend(capture.remove_triggers(relation))
        statements.append(maintenance.fence_trigger(relation, always=True))
    if survey.preferences == "rows":
        statements.append(maintenance.fence_trigger(qualified(schema, PREFERENCES), always=True))
    statements.extend(rename_statement(schema, rename) for rename in survey.renames)
    statements.extend(rename_statement(schema, rename) for rename in survey.functions_in_the_way)
    statements.extend(f"alter table {ddl.relation(table)} set schema {quote(schema)}" for table in ddl.tables)
    statements.extend(moved(ddl, name, schema) for name in signatures(ddl))
    statements.append(f"drop schema {quote(STAGING)}")
    here = V2Ddl(schema, survey.shape, survey.taken, ddl.preferences)
    statements.extend(here.touch_trigger(table) for table in here.tables if v2.MODEL[table].touch)
    statements.extend(capture.install_v2_triggers(schema))
    statements.extend(maintenance.fence_trigger(here.relation(table)) for table in v2.TABLES)
    statements.extend(here.sequence_updates())
    return statements


def published(publication: Dependent, relation: str, columns: tuple[str, ...]) -> str:
    """The statement that puts a table into a publication, with the columns and the row filter it had there."""
    listed = f" ({', '.join(quote(column) for column in columns)})" if columns else ""
    only = f" where ({publication.definition})" if publication.definition else ""
    return f"alter publication {quote(publication.name)} add table {relation}{listed}{only}"


def publication_of_v2(survey: Survey, publication: Dependent) -> str | None:
    """The statement that lets a publication carry the v2 table instead; None where its filter needs what v2 has not.

    Never more is published than was: of a column list what v2 has is kept, and without its filter nothing goes out.
    """
    source = survey.shape.tables[publication.base]
    there = {column.name for column in v2.MODEL[publication.base].columns}
    there |= set(v2.carried_columns(publication.base, source).values())
    words = set(re.findall(r"[^\W]\w*", re.sub(r"'(?:[^']|'')*'", "", publication.definition)))
    same = there - {name for old, name in v2.carried_columns(publication.base, source).items() if old != name}
    if words & source.columns.keys() - same:
        return None
    columns = tuple(column for column in publication.options if column in same)
    if publication.options and not columns:
        return None
    return published(publication, qualified(survey.shape.schema, publication.base), columns)


def repoint_statements(survey: Survey) -> list[str]:
    """Whatever pointed at v1 points at v2."""
    schema = survey.shape.schema
    statements: list[str] = []
    for key in foreign_keys(survey):
        statements.extend(repointed(schema, key, key.base))
    for view in views(survey):
        statements.extend(replace_view(view, f"{COMPAT}, {schema}, pg_temp"))
    for publication in survey.dependents:
        if publication.kind is Kind.PUBLICATION:
            old = qualified(schema, new_name(survey, publication.base))
            statements.append(f"alter publication {quote(publication.name)} drop table {old}")
            if (added := publication_of_v2(survey, publication)) is not None:
                statements.append(added)
    return statements


def cut_over_steps(survey: Survey, mapping: WorkoutMapping, ddl: V2Ddl) -> list[PlanStep]:
    """The one transaction, step by step. The proof of the delta stands between `delta` and `swap`."""
    statements = [*catch_up.collect(mapping, STAGING), *catch_up.apply(mapping, STAGING)]
    if survey.preferences == "rows":
        statements.append(preferences_upsert(survey, ddl.relation(PREFERENCES)))
    deltas = catch_up.delta_differences(mapping, STAGING)
    held = "ACCESS EXCLUSIVE on v1's four tables until the transaction ends; writes wait, nothing is refused"
    undo = "automatic: the transaction fails as a whole"
    return [
        PlanStep("lock", Phase.CUT_OVER, "lock v1", (lock_statement(survey),), lock=held, undo=undo),
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
        PlanStep("swap", Phase.CUT_OVER, "swap v1 for v2", tuple(swap_statements(survey, ddl)), lock=held, undo=undo),
        PlanStep(
            "repoint",
            Phase.CUT_OVER,
            "references, views and publications follow",
            (*repoint_statements(survey), "notify pgrst, 'reload schema'"),
            lock=held,
            undo=undo,
        ),
    ]


def settle_steps(survey: Survey, ddl: V2Ddl) -> list[PlanStep]:
    """After the commit, without hurry: owed checks, statistics, defaults for users who came meanwhile."""
    schema = survey.shape.schema
    undo = "quick rollback"
    steps = [
        PlanStep(
            f"settle-{key.on}-{key.name}",
            Phase.SETTLE,
            f"check {key.name} of {key.on}",
            (f"alter table {qualified(key.schema, key.on)} validate constraint {quote(key.name)}",),
            lock=f"SHARE UPDATE EXCLUSIVE on {key.on}: reads and writes go on",
            undo=undo,
        )
        for key in foreign_keys(survey)
        if key.validated
    ]
    if survey.preferences != "rows":
        steps.append(
            PlanStep(
                "settle-preferences",
                Phase.SETTLE,
                "quiet notification preferences for users who have none",
                (missing_preferences(survey),),
                undo=undo,
            )
        )
    steps.append(
        PlanStep(
            "settle-analyze",
            Phase.SETTLE,
            "statistics",
            tuple(f"analyze {qualified(schema, table)}" for table in ddl.tables),
            undo="none needed",
        )
    )
    return steps


def missing_preferences(survey: Survey) -> str:
    """Give users without preferences quiet ones, and keep a note of whom, so that a rollback can take them back."""
    relation = qualified(survey.shape.schema, PREFERENCES)
    insert = preferences_upsert(survey, relation)
    if survey.preferences == "none":
        return insert
    return (
        "create table if not exists vagus_migration.preferences_added (user_id uuid primary key, preferences jsonb);\n"
        f"with added as (\n{insert}\nreturning user_id, preferences)\n"
        "insert into vagus_migration.preferences_added select user_id, preferences from added "
        "on conflict (user_id) do nothing"
    )
