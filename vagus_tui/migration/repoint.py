"""The statements that let what pointed at v1 point at v2, and those that put it back as it was."""

from __future__ import annotations

import re
from dataclasses import replace

from vagus_tui.database.dependent_reader import COMPAT
from vagus_tui.database.dependents import Dependent, Fate, Kind
from vagus_tui.database.search_path import OWN_PATH
from vagus_tui.journal.state import STAGING
from vagus_tui.migration import function_text, matviews
from vagus_tui.migration.binding import foreign_bases, in_path, publication_columns, translated
from vagus_tui.migration.compat import compat_statements
from vagus_tui.migration.fates import view_options
from vagus_tui.migration.survey import Survey
from vagus_tui.schema import v2
from vagus_tui.schema.ddl import NamedSql, V2Ddl
from vagus_tui.schema.identifiers import free_name, literal, qualified, quote

_WHAT_IS_REFERRED_TO = re.compile(r"REFERENCES .+?\((?=[^()]*\)(?: MATCH| ON| DEFERRABLE| INITIALLY| NOT|$))")


def of_kind(survey: Survey, *kinds: Kind) -> list[Dependent]:
    """The dependents of some kinds that change with the cut-over."""
    moving = (Fate.FOLLOWS, Fate.TRANSLATED, Fate.UNDECIDED)
    return [one for one in survey.dependents if one.kind in kinds and one.fate in moving]


# ── references ───────────────────────────────────────────────────────────────────────────────────────────────────


def foreign_keys(survey: Survey) -> list[Dependent]:
    """References of other tables to v1's that are made again to v2."""
    return of_kind(survey, Kind.FOREIGN_KEY)


def references(survey: Survey) -> list[Dependent]:
    """References that v2's tables get from v1's, by the names they have there."""
    return [replace(key, name=_name_on_v2(key)) for key in of_kind(survey, Kind.REFERENCE)]


def _name_on_v2(key: Dependent) -> str:
    """v1's own name, unless v2's table has a key or a check of that name itself."""
    model = v2.MODEL[key.base]
    own = {f"{key.base}_{one.column}_fkey" for one in model.foreign_keys} | {*model.checks}
    return free_name(key.name, own)


def _commented(key: Dependent, relation: str) -> list[str]:
    """The words that somebody left on a reference: it is made again."""
    if not key.fact("comment"):
        return []
    return [f"comment on constraint {quote(key.name)} on {relation} is {literal(key.fact('comment'))}"]


def carried_references(survey: Survey) -> list[Dependent]:
    """The same, as references of v2's tables."""
    return [replace(key, on=key.base) for key in references(survey)]


def _body(key: Dependent, target: str) -> str:
    body = key.definition.removesuffix(" NOT VALID")
    return _WHAT_IS_REFERRED_TO.sub(lambda _: f"REFERENCES {target}(", body, count=1)


def repointed(schema: str, key: Dependent, table: str) -> list[str]:
    """Drop a reference and make it again to another table; rows are checked later.

    A partitioned table takes no unchecked reference: its partitions get it, and the table itself once they are checked.
    """
    relation, body = qualified(key.schema, key.on), _body(key, qualified(schema, table))
    made_on = key.all("leaf") if key.fact("partitioned") else (relation,)
    return [
        f"alter table {relation} drop constraint {quote(key.name)}",
        *(f"alter table {one} add constraint {quote(key.name)} {body} not valid" for one in made_on),
        *([] if key.fact("partitioned") else _commented(key, relation)),
    ]


def validated(schema: str, key: Dependent, table: str) -> list[str]:
    """The look at the rows that a reference made again still owes."""
    relation = qualified(key.schema, key.on)
    if not key.fact("partitioned"):
        return [f"alter table {relation} validate constraint {quote(key.name)}"]
    return [
        *(f"alter table {leaf} validate constraint {quote(key.name)}" for leaf in key.all("leaf")),
        f"alter table {relation} add constraint {quote(key.name)} {_body(key, qualified(schema, table))}",
        *_commented(key, relation),
    ]


def referenced_indexes(survey: Survey, ddl: V2Ddl, table: str) -> list[NamedSql]:
    """Unique indexes that v2's table needs because references of other tables name more than its id."""
    made: dict[str, NamedSql] = {}
    there = [one.unique for one in survey.bound if one.base == table and one.kept and one.unique is not None]
    for key in foreign_keys(survey):
        columns = [use.partition(".")[2] for use in key.uses]
        if key.base != table or not columns or columns == ["id"]:
            continue
        if any(unique.plainly_by(frozenset(columns)) for unique in there):
            continue
        name = ddl.free_name(f"{table}_{'_'.join(columns)}_key"[:60])
        listed = ", ".join(quote(column) for column in columns)
        made[listed] = NamedSql(name, f"create unique index {quote(name)} on {ddl.relation(table)} ({listed})")
    return list(made.values())


def _reference_statements(survey: Survey) -> list[str]:
    schema = survey.shape.schema
    statements = []
    for key in references(survey):
        target = qualified(schema if key.fact("inner") else key.fact("target schema"), key.fact("target"))
        statements.append(
            f"alter table {qualified(schema, key.base)} add constraint {quote(key.name)} {_body(key, target)} not valid"
        )
        statements.extend(_commented(key, qualified(schema, key.base)))
    return statements


# ── views, policies, functions, triggers ─────────────────────────────────────────────────────────────────────────


def read_again(survey: Survey) -> list[Dependent]:
    """Views whose query is read again, because a table or a materialized view it reads is another one afterwards."""
    moved = {f"{view.schema}.{view.name}" for view in matviews.rebuilt(survey)}
    return [
        view
        for view in of_kind(survey, Kind.VIEW)
        if view.all("table") or moved & set(view.all("materialized")) or view.fate is Fate.UNDECIDED
    ]


def _replaced(view: Dependent, body: str, options: tuple[str, ...], path: str) -> list[str]:
    # Replacing a view forgets its options unless they are said again; its grants, comment and readers stay.
    listed = f" with ({', '.join(options)})" if options else ""
    return in_path(path, f"create or replace view {qualified(view.schema, view.name)}{listed} as\n{body}")


def _view_statements(survey: Survey) -> list[str]:
    schema, statements = survey.shape.schema, []
    for view in read_again(survey):
        bases = foreign_bases(survey.shape, view.all("table"), view.uses, view.definition)
        body = translated(survey.shape, view.definition, bases, schema)
        statements.extend(_replaced(view, body, view_options(view, bases), f"{quote(schema)}, pg_temp"))
    return statements


def policy_bound(policy: Dependent, path: str) -> list[str]:
    """Bind a policy's conditions to the tables along a path; within a transaction."""
    clauses = [f"using ({text})" for text in policy.all("using")]
    clauses += [f"with check ({text})" for text in policy.all("check")]
    relation = qualified(policy.schema, policy.on)
    return in_path(path, f"alter policy {quote(policy.name)} on {relation} {' '.join(clauses)}")


def policies(survey: Survey) -> list[Dependent]:
    """Policies of other tables that are bound anew."""
    return of_kind(survey, Kind.POLICY) if _knows_fates(survey) else []


def _knows_fates(survey: Survey) -> bool:
    """Whether the record is of a version that decided about policies and functions too."""
    return all(one.fate is not Fate.UNDECIDED for one in survey.dependents)


def functions(survey: Survey) -> list[Dependent]:
    """Functions that are bound anew."""
    return of_kind(survey, Kind.FUNCTION) if _knows_fates(survey) else []


def function_statements(survey: Survey, staging: str) -> list[str]:
    """Bind functions to v2 while it stands in `staging` yet: what is bound to a table follows it when it moves.

    Those bound to a materialized view that is swapped have to wait until the new one has its name.
    """
    return _bound(survey, [one for one in functions(survey) if not _waits(one)], staging)


def _waits(function: Dependent) -> bool:
    return bool(function.fact("atomic") and function.fact("materialized"))


def _bound(survey: Survey, wanted: list[Dependent], staging: str) -> list[str]:
    schema, statements = survey.shape.schema, []
    for function in wanted:
        if function.fact("atomic"):
            source = COMPAT if function.fate is Fate.TRANSLATED else staging
            statements.extend(in_path(f"{quote(source)}, {quote(schema)}, pg_temp", function.definition))
            continue
        definition = function_text.rebound(function, survey.shape, COMPAT)
        if definition != function.definition:
            statements.extend(in_path(f"{quote(schema)}, pg_temp", definition))
        if not function_text.needs_path(function, survey.shape):
            continue
        word = "procedure" if function.fact("prokind") == "p" else "function"
        statements.extend(
            in_path(
                f"{quote(schema)}, pg_temp",
                f"alter {word} {qualified(function.schema, function.name)}{function.detail} "
                f"set search_path = {function_text.path_with(function, COMPAT)}",
            )
        )
    return statements


def carried_triggers(survey: Survey) -> list[Dependent]:
    """Triggers of v1's tables that v2's get too."""
    return of_kind(survey, Kind.TRIGGER) if _knows_fates(survey) else []


_ENABLING = {"D": "disable trigger", "A": "enable always trigger", "R": "enable replica trigger"}


def _trigger_statements(survey: Survey) -> list[str]:
    schema, statements = survey.shape.schema, []
    for trigger in carried_triggers(survey):
        relation = qualified(schema, trigger.base)
        statements.extend(in_path(f"{quote(schema)}, pg_temp", function_text.trigger_on(trigger, relation)))
        if enabling := _ENABLING.get(trigger.fact("enabled")):
            statements.append(f"alter table {relation} {enabling} {quote(trigger.name)}")
        if words := trigger.fact("comment"):
            statements.append(f"comment on trigger {quote(trigger.name)} on {relation} is {literal(words)}")
    return statements


# ── publications ─────────────────────────────────────────────────────────────────────────────────────────────────


def publications(survey: Survey) -> list[Dependent]:
    """Publications that name v1's tables and are ours to change."""
    return [one for one in survey.dependents if one.kind is Kind.PUBLICATION and one.base and one.ours]


def published(publication: Dependent, relation: str, columns: tuple[str, ...]) -> str:
    """The statement that puts a table into a publication, with the columns and the row filter it had there."""
    listed = f" ({', '.join(quote(column) for column in columns)})" if columns else ""
    only = f" where ({publication.definition})" if publication.definition else ""
    return f"alter publication {quote(publication.name)} add table {relation}{listed}{only}"


def publication_of_v2(survey: Survey, publication: Dependent) -> str | None:
    """The statement that lets a publication carry the v2 table instead; None where its filter needs what v2 has not."""
    columns = publication_columns(survey.shape, publication)
    if columns is None:
        return None
    return published(publication, qualified(survey.shape.schema, publication.base), columns)


def whole_row_tables(survey: Survey) -> list[str]:
    """v2's tables that get REPLICA IDENTITY FULL, as v1's had, for subscribers that need old values.

    From PostgreSQL 18 on a published table of that identity takes no update or delete while it has generated columns
    that are not published: there the key must do.
    """
    return [
        table
        for table, base in v2.V1_BASES.items()
        if base in survey.whole_rows and not (survey.server_version >= 18 and _has_generated(table))
    ]


def _has_generated(table: str) -> bool:
    return any(column.rest.startswith("generated") for column in v2.MODEL[table].columns)


# ── beforehand ────────────────────────────────────────────────────────────────────────────────────────────────────


def compat_step_statements(survey: Survey) -> list[str]:
    """What is made for the dependents while v2 stands in staging, and the last trial of the views; [] for nothing."""
    wanted = [*read_again(survey), *matviews.rebuilt(survey), *functions(survey), *policies(survey)]
    # What a person is advised to do with the others needs it too.
    by_hand = (Kind.VIEW, Kind.MATERIALIZED_VIEW, Kind.POLICY, Kind.FUNCTION)
    if not wanted and not any(one.kind in by_hand and one.fate is Fate.PERSON for one in survey.dependents):
        return []
    statements = compat_statements(survey.shape, STAGING, survey.grants, survey.server_version)
    statements.extend(_tried(survey, view) for view in read_again(survey) if view.all("table"))
    statements.extend(matviews.build_statements(survey, STAGING))
    return statements


def _tried(survey: Survey, view: Dependent) -> str:
    """Try a view on the real v2 while nothing depends on it, so that the cut-over cannot fail on it."""
    schema = survey.shape.schema
    bases = foreign_bases(survey.shape, view.all("table"), view.uses, view.definition)
    body = f"create temporary view vagus_trial as\n{translated(survey.shape, view.definition, bases, STAGING)}"
    block = (
        "begin\n"
        f"  set local search_path = {quote(STAGING)}, {quote(schema)}, pg_temp;\n"
        f"  execute {literal(body)};\n"
        "  drop view pg_temp.vagus_trial;\n"
        f"  {OWN_PATH};\n"
        "exception when others then\n"
        f"  raise exception 'the view % cannot read v2: %', {literal(view.title)}, sqlerrm using errcode = sqlstate;\n"
        "end"
    )
    return f"do {literal(block)}"


# ── all together ─────────────────────────────────────────────────────────────────────────────────────────────────


def touched_tables(survey: Survey) -> set[str]:
    """Tables besides v1's that the cut-over locks, because something of theirs is made anew."""
    relations = {qualified(key.schema, key.on) for key in foreign_keys(survey)}
    relations |= {qualified(policy.schema, policy.on) for policy in policies(survey)}
    relations |= {
        qualified(key.fact("target schema"), key.fact("target"))
        for key in references(survey)
        if not key.fact("inner") and key.fact("target schema") == survey.shape.schema
    }
    return relations


def replaced_relations(survey: Survey) -> set[str]:
    """Views and materialized views that the cut-over replaces or swaps: a long reader of one is in its way."""
    return {qualified(view.schema, view.name) for view in (*read_again(survey), *matviews.rebuilt(survey))}


def repoint_statements(survey: Survey, names: dict[str, str]) -> list[str]:
    """Whatever pointed at v1 points at v2.

    Args:
        names: what v1's tables are called after the swap, by v1 name.
    """
    schema = survey.shape.schema
    statements: list[str] = []
    for key in foreign_keys(survey):
        statements.extend(repointed(schema, key, key.base))
    statements.extend(_reference_statements(survey))
    statements.extend(matviews.swap_statements(survey))
    statements.extend(_bound(survey, [one for one in functions(survey) if _waits(one)], schema))
    statements.extend(_view_statements(survey))
    statements.extend(_trigger_statements(survey))
    for publication in publications(survey):
        statements.append(
            f"alter publication {quote(publication.name)} drop table {qualified(schema, names[publication.base])}"
        )
        if (added := publication_of_v2(survey, publication)) is not None:
            statements.append(added)
    # Changing a policy locks its table and those it reads, so it comes last.
    for policy in policies(survey):
        source = f"{quote(COMPAT)}, " if policy.fate is Fate.TRANSLATED else ""
        statements.extend(policy_bound(policy, f"{source}{quote(schema)}, pg_temp"))
    return statements


def view_as_it_was(view: Dependent, schema: str) -> list[str]:
    """A view's own definition, bound to the tables that a schema has under v1's names."""
    return _replaced(view, view.definition, view.options, f"{quote(schema)}, pg_temp")


def function_as_it_was(function: Dependent, schema: str) -> list[str]:
    """A function's own definition, bound to the tables that a schema has under v1's names."""
    return in_path(f"{quote(schema)}, pg_temp", function.definition)


def bound_as_before(survey: Survey) -> list[str]:
    """Functions and policies as they were, bound to the tables that have v1's names."""
    path = f"{quote(survey.shape.schema)}, pg_temp"
    statements = []
    for function in functions(survey):
        statements.extend(function_as_it_was(function, survey.shape.schema))
    for policy in policies(survey):
        statements.extend(policy_bound(policy, path))
    return statements
