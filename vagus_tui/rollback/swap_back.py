"""The names change hands again: v2 into an archive that the API cannot reach, v1 back exactly as it was."""

from __future__ import annotations

from vagus_tui.database.dependent_reader import COMPAT, KEPT
from vagus_tui.migration import capture, maintenance, matviews, repoint, tuning
from vagus_tui.migration.cut_over import rename_statement
from vagus_tui.migration.kept_v1 import new_name
from vagus_tui.migration.survey import PREFERENCES, Survey
from vagus_tui.rollback import kept_rows
from vagus_tui.rollback.around import Around
from vagus_tui.rollback.bound_back import bound_back, loosened, made_empty
from vagus_tui.rollback.touched import Touched
from vagus_tui.rollback.unnoted import archived
from vagus_tui.schema import v1, v2
from vagus_tui.schema.ddl import V2Ddl, sequence_behind
from vagus_tui.schema.functions import moved, signatures
from vagus_tui.schema.helpers import emptied, retired
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.rights import bare_schema

LOCKED = (*v2.TABLES, PREFERENCES)
"""What the rollback takes from the app for an instant: v2's tables, and the preferences, which are watched in v2."""


def _brought(around: Around) -> list[str]:
    """The tables that the migration brought, quoted, but for what somebody dropped of them."""
    survey = around.survey
    tables = v2.TABLES if survey.preferences == "jsonb" else (*v2.TABLES, PREFERENCES)
    relations = [qualified(survey.shape.schema, table) for table in tables]
    return [relation for relation in relations if relation not in around.gone]


def lock_statement(around: Around) -> str:
    """Take every lock of the rollback: v2's tables, the kept v1 tables, and the tables that refer to them."""
    survey = around.survey
    schema = survey.shape.schema
    relations = [relation for table in LOCKED if (relation := qualified(schema, table)) not in around.gone]
    relations += [qualified(schema, new_name(survey, base)) for base in v1.TABLES]
    relations += sorted(repoint.touched_tables(survey) - around.gone)
    return f"lock table {', '.join(relations)} in access exclusive mode"


def archive_statements(around: Around, archive: str) -> list[str]:
    """Move v2 as it is into the archive schema: nothing of it is dropped, and nobody but us can reach it."""
    survey = around.survey
    schema = survey.shape.schema
    ddl = V2Ddl(schema, survey.shape, survey.taken, preferences=survey.preferences != "jsonb")
    statements = [f"create schema {quote(archive)}", bare_schema(archive)]
    for table in v2.TABLES:
        relation = qualified(schema, table)
        statements.extend(capture.remove_triggers(relation))
        statements.append(maintenance.remove_fence(relation))
    statements.append(f"drop trigger if exists {capture.CAPTURE_TRIGGER} on {qualified(schema, PREFERENCES)}")
    statements.extend(loosened(around))
    statements.append(tuning.statistics_archived(_brought(around), archive))
    statements.extend(f"alter table {relation} set schema {quote(archive)}" for relation in _brought(around))
    # What somebody dropped of them is no loss of v1's.
    statements.extend(
        f"do $vagus$ begin {moved(ddl, name, archive)};\nexception when undefined_function then null; end $vagus$"
        for name in signatures(ddl)
    )
    statements.append(f"create table {qualified(archive, 'changes_after_cut_over')} as table {capture.V2_CHANGES}")
    statements.append(f"truncate {capture.V2_CHANGES}")
    statements.append(archived(archive))
    statements.extend(kept_rows.archived(archive))
    return statements


def restore_statements(around: Around, archive: str) -> list[str]:
    """v1's names, and everything that pointed at it, exactly as the cut-over found them."""
    survey = around.survey
    schema = survey.shape.schema
    kept = [qualified(schema, new_name(survey, base)) for base in v1.TABLES]
    statements = [statement for relation in kept for statement in capture.remove_triggers(relation)]
    statements.extend(maintenance.remove_fence(relation) for relation in kept)
    statements.extend(rename_statement(schema, rename, back=True) for rename in reversed(survey.renames))
    if survey.preferences == "rows":
        statements.append(maintenance.remove_fence(qualified(schema, PREFERENCES)))
    statements.extend(rename_statement(schema, rename, back=True) for rename in survey.functions_in_the_way)
    statements.extend(_sequence_updates(survey))
    statements.extend(bound_back(around, archive))
    statements += [retired(COMPAT, archive), emptied(KEPT, archive)]
    if survey.preferences == "jsonb":
        relation = qualified(schema, PREFERENCES)
        # Only defaults that nobody has touched since: what users chose stays.
        statements.append(
            "create table if not exists vagus_migration.preferences_added (user_id uuid primary key, preferences jsonb)"
        )
        statements.append(
            f"delete from {relation} p using vagus_migration.preferences_added a\n"
            "where a.user_id = p.user_id and a.preferences = p.preferences"
        )
        statements.append("truncate vagus_migration.preferences_added")
    return statements


def _sequence_updates(survey: Survey) -> list[str]:
    """v1's sequences past the numbers of rows that were carried back; never backwards."""
    statements: list[str] = []
    ddl = V2Ddl(survey.shape.schema, survey.shape, survey.taken)
    for base, table in survey.shape.tables.items():
        relation = qualified(survey.shape.schema, table.name)
        statements.extend(
            f"select setval(s.name, highest.number) from (select {sequence_behind(relation, column)} as name) s,\n"
            f"(select max({quote(column)}) as number from {source}) highest\n"
            "where s.name is not null and highest.number > coalesce(pg_sequence_last_value(s.name), 0)"
            for column in ddl.numbered(base)
            # Other columns than the id need not have an index; what came back is in the temporary table.
            for source in (relation if column == "id" else Touched.now(base),)
        )
    return statements


def settle_back_statements(around: Around) -> list[tuple[str, str]]:
    """The look at rows that references made again still owe, and materialized views filled with v1 again.

    Each as a title and a statement.
    """
    survey = around.survey
    schema = survey.shape.schema
    statements: list[tuple[str, str]] = []
    for key in repoint.foreign_keys(survey):
        if key.validated:
            made = repoint.validated(schema, key, survey.shape.tables[key.base].name)
            statements.extend((f"check {key.name} of {key.on}", statement) for statement in made)
    return [
        *statements,
        *(
            (f"fill {view.title} again", filled)
            for view, filled in matviews.refreshed(survey, empty=made_empty(around))
        ),
    ]
