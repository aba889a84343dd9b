"""The statements that loosen v2 from what points at it, and bind all of that to v1 again, each part by itself.

Whatever was done by hand about one of them must not keep v1 from coming back: a part that fails is undone alone and
noted, with its statements (see `guarded.py`).
"""

from __future__ import annotations

from vagus_tui.database.dependents import Dependent, Kind
from vagus_tui.migration import matviews, repoint
from vagus_tui.migration.binding import in_path
from vagus_tui.migration.surroundings import thing
from vagus_tui.rollback.around import Around
from vagus_tui.rollback.guarded import guarded
from vagus_tui.schema.identifiers import literal, qualified, quote
from vagus_tui.schema.rights import bare, bare_routine

BY_HAND = "changed_by_hand"
"""The table of an archive with the texts of what somebody had altered."""


def loosened(around: Around) -> list[str]:
    """Loosen v2 from its surroundings before it is archived."""
    survey = around.survey
    schema = survey.shape.schema
    statements = [
        guarded(
            f"{publication.title} publishes what is in the archive",
            [f"alter publication {quote(publication.name)} drop table {qualified(schema, publication.base)}"],
        )
        for publication in repoint.publications(survey)
        if repoint.publication_of_v2(survey, publication) is not None and thing(publication) not in around.unpublished
    ]
    statements += [
        f"alter table {qualified(schema, key.base)} drop constraint if exists {quote(key.name)}"
        for key in repoint.references(survey)
    ]
    statements += [
        f"drop trigger if exists {quote(trigger.name)} on {qualified(schema, trigger.base)}"
        for trigger in repoint.carried_triggers(survey)
    ]
    return statements


def bound_back(around: Around, archive: str) -> list[str]:
    """Everything that pointed at v1 points there again, as it was. Run when v1 has its names back."""
    survey = around.survey
    schema = survey.shape.schema
    statements = _texts(around, archive)
    for key in repoint.foreign_keys(survey):
        drop, *made = repoint.repointed(schema, key, survey.shape.tables[key.base].name)
        drop = drop.replace(" drop constraint ", " drop constraint if exists ", 1)
        statements.append(guarded(f"reference {key.title} does not lead to v1", [drop, *made]))
    swapped = {thing(one) for one in matviews.rebuilt(survey)} | around.without_kept
    for view in repoint.of_kind(survey, Kind.MATERIALIZED_VIEW):
        if thing(view) in swapped:
            statements += _swapped_back(around, view, archive)
    statements += [
        guarded(f"view {view.title} is not in the archive", _aside(view, archive))
        for view in repoint.of_kind(survey, Kind.VIEW)
        if thing(view) in around.aside
    ]
    statements += _views(around, archive)
    for publication in repoint.publications(survey):
        table = survey.shape.tables[publication.base].name
        added = repoint.published(publication, qualified(schema, table), publication.options)
        statements.append(guarded(f"publication {publication.title} does not carry v1's {table}", [added]))
    for function in repoint.functions(survey):
        statements += _function(around, function)
    for policy in repoint.policies(survey):
        statements += _policy(around, policy)
    return statements


def made_empty(around: Around) -> list[Dependent]:
    """Materialized views that were made again, and hold nothing yet."""
    again = around.without_kept | {thing(one) for one in _lost_readers(around)}
    return [one for one in repoint.of_kind(around.survey, Kind.MATERIALIZED_VIEW) if thing(one) in again]


def _texts(around: Around, archive: str) -> list[str]:
    if not around.texts:
        return []
    table = qualified(archive, BY_HAND)
    rows = ",\n".join(f"({literal(what).strip()}, {literal(text)})" for what, text in around.texts)
    return [
        f"create table {table} (what text not null, definition text not null)",
        f"insert into {table} values\n{rows}",
    ]


def _again(around: Around, one: Dependent) -> list[str]:
    """What gives something that was made again its rights, comments, triggers and owner."""
    noted = around.noted.get(thing(one))
    path = f"{quote(around.survey.shape.schema)}, pg_temp"
    given = [text for statement in (noted.again if noted else ()) for text in in_path(path, statement)]
    owner = []
    if one.owner != around.survey.me:
        word = {Kind.VIEW: "view", Kind.MATERIALIZED_VIEW: "materialized view"}.get(one.kind, "routine")
        name = qualified(one.schema, one.name) + (one.detail if one.kind is Kind.FUNCTION else "")
        owner = in_path(path, f"alter {word} {name} owner to {quote(one.owner)}")
    return [*given, *owner]


# ── views ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _aside(view: Dependent, archive: str) -> list[str]:
    """Put a view that has other columns than v1's into the archive, under a name that no other has there."""
    name = f"{view.schema}.{view.name}"[:63]
    return [
        f"alter view {qualified(view.schema, view.name)} rename to {quote(name)}",
        f"alter view {qualified(view.schema, name)} set schema {quote(archive)}",
    ]


def _views(around: Around, archive: str) -> list[str]:
    """Views in the order in which they read each other; materialized ones among them that are gone."""
    survey = around.survey
    schema = survey.shape.schema
    fresh = around.missing | around.aside
    read_again = {thing(one) for one in repoint.read_again(survey)}
    # One that is made again has other readers than those who read the old one by name.
    all_again = any(thing(one) in fresh for one in repoint.of_kind(survey, Kind.VIEW))
    lost = {thing(one) for one in _lost_readers(around)}
    statements = []
    for view in repoint.of_kind(survey, Kind.VIEW, Kind.MATERIALIZED_VIEW):
        key, what = thing(view), f"{view.kind.value} {view.title} is not as v1 had it"
        if view.kind is Kind.MATERIALIZED_VIEW:
            if key in around.without_kept:
                like = None if key in around.missing else qualified(archive, matviews.staged_name(view))
                statements.append(guarded(what, matviews.made_again(survey, view, like)))
                statements += [_rights(around, view)] if like is None else []
            elif key in lost:
                made = matviews.made_again(survey, view, None)
                statements += [guarded(what, made), _rights(around, view)]
        elif key in fresh:
            # Closed with its making: whatever happens to its rights, nobody gets any by default.
            alone = [*repoint.view_as_it_was(view, schema), bare(qualified(view.schema, view.name))]
            statements += [guarded(what, alone), _rights(around, view)]
        elif key in read_again or key in around.altered or all_again:
            statements.append(guarded(what, repoint.view_as_it_was(view, schema)))
    return statements


def _rights(around: Around, view: Dependent) -> str:
    what = f"{view.kind.value} {view.title} has not all rights and words that it had"
    return guarded(what, _again(around, view))


def _lost_readers(around: Around) -> list[Dependent]:
    """Materialized views that are gone and read v1 through a view only: no old one of theirs was put away."""
    return [
        one
        for one in repoint.of_kind(around.survey, Kind.MATERIALIZED_VIEW)
        if not one.all("table") and thing(one) in around.missing
    ]


def _swapped_back(around: Around, view: Dependent, archive: str) -> list[str]:
    """A materialized view: today's into the archive, the old one of v1's tables in its place where it is kept."""
    key, statements = thing(view), []
    if key not in around.missing:
        what = f"materialized view {view.title} is not in the archive"
        statements += _statistics(view, matviews.statistics_moved(view, archive))
        statements.append(guarded(what, matviews.put_away(view, archive)))
    if key in around.without_kept:
        # Made again among the views, since it may read one.
        return statements
    what = f"materialized view {view.title} is not as v1 had it"
    back = _statistics(view, matviews.statistics_back(view))
    return [*statements, guarded(what, matviews.brought_back(view)), *back]


def _statistics(view: Dependent, moves: list[str]) -> list[str]:
    """Each statistics object by itself: two statements that move it."""
    what = f"planner statistics of materialized view {view.title} are not where they were"
    return [guarded(what, moves[number : number + 2]) for number in range(0, len(moves), 2)]


# ── functions and policies ───────────────────────────────────────────────────────────────────────────────────────


def _function(around: Around, function: Dependent) -> list[str]:
    schema, what = around.survey.shape.schema, f"function {function.title} is not as v1 had it"
    made = repoint.function_as_it_was(function, schema)
    if thing(function) not in around.missing:
        return [guarded(what, made)]
    # Closed with its making, as a view is.
    closed = bare_routine(function.schema, function.name, function.detail)
    alone = [*made, *in_path(f"{quote(schema)}, pg_temp", closed)]
    rights = f"function {function.title} has not all rights and words that it had"
    return [guarded(what, alone), guarded(rights, _again(around, function))]


def _policy(around: Around, policy: Dependent) -> list[str]:
    path = f"{quote(around.survey.shape.schema)}, pg_temp"
    what = f"policy {policy.title} is not as v1 had it"
    noted = around.noted.get(thing(policy))
    if thing(policy) not in around.missing or noted is None:
        return [guarded(what, repoint.policy_bound(policy, path))]
    relation = qualified(policy.schema, policy.on)
    drop = f"drop policy if exists {quote(policy.name)} on {relation}"
    create = " ".join(
        [
            f"create policy {quote(policy.name)} on {relation} {noted.shape}",
            *(f"using ({text})" for text in policy.all("using")),
            *(f"with check ({text})" for text in policy.all("check")),
        ]
    )
    words = [text for statement in noted.again for text in in_path(path, statement)]
    return [guarded(what, [drop, *in_path(path, create), *words])]
