"""Materialized views over v1: built anew beside v2, swapped in the cut-over, filled again when there is time for it.

The old ones are kept as they are, rows, indexes, grants and all, in a schema of their own, and come back with a
rollback. So nobody ever finds one empty, and the cut-over fills none.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

from vagus_tui.database.dependent_reader import COMPAT, KEPT
from vagus_tui.database.dependents import Dependent, Fate, Kind
from vagus_tui.migration.binding import foreign_bases, in_path, translated
from vagus_tui.migration.survey import Survey
from vagus_tui.schema.helpers import made
from vagus_tui.schema.identifiers import literal, qualified, quote, split_index
from vagus_tui.schema.rights import bare


def _followers(survey: Survey) -> list[Dependent]:
    moving = (Fate.FOLLOWS, Fate.TRANSLATED)
    return [one for one in survey.dependents if one.kind is Kind.MATERIALIZED_VIEW and one.fate in moving]


def rebuilt(survey: Survey) -> list[Dependent]:
    """Those that read v1's tables themselves; the others read a view that is replaced, and are only filled again."""
    return [view for view in _followers(survey) if view.all("table")]


def staged_name(view: Dependent) -> str:
    """The name under which it is built: schemas differ, names need not."""
    return f"{view.schema}.{view.name}"[:63]


def build_statements(survey: Survey, staging: str) -> list[str]:
    """Build them in the compatibility schema over v2's tables in `staging`, with everything that hangs on them."""
    statements = []
    if rebuilt(survey):
        statements += made(KEPT)
    for view in rebuilt(survey):
        bases = foreign_bases(survey.shape, view.all("table"), view.uses, view.definition)
        body = translated(survey.shape, view.definition, bases, staging)
        relation, old = qualified(COMPAT, staged_name(view)), qualified(view.schema, view.name)
        statements += _made(survey, view, relation, body, staging, filled=bool(view.fact("populated")), like=old)
    return statements


def _made(
    survey: Survey, view: Dependent, relation: str, body: str, source: str, *, filled: bool, like: str | None
) -> list[str]:
    """Make one, with its indexes, its comment, its owner, and the rights that another relation has."""
    schema = survey.shape.schema
    options = f" with ({', '.join(view.options)})" if view.options else ""
    statements = in_path(
        ", ".join([*dict.fromkeys((quote(source), quote(schema))), "pg_temp"]),
        f"create materialized view {relation}{options} as\n{body}\nwith{'' if filled else ' no'} data",
    )
    for index in view.all("index"):
        statements.extend(in_path(f"{quote(schema)}, pg_temp", _index_on(index, relation)))
    if view.fact("comment"):
        statements.append(f"comment on materialized view {relation} is {literal(view.fact('comment'))}")
    statements += [bare(relation)] if like is None else [*_same_rights(like, relation), _same_notes(like, relation)]
    if view.owner != survey.me:
        statements.append(f"alter materialized view {relation} owner to {quote(view.owner)}")
    return statements


def _index_on(index: str, relation: str) -> str:
    """An index's definition on another relation; the catalog writes the relation's name before USING."""
    head, tail = split_index(index)
    head, _, _ = head.rpartition(" ON ")
    return f"{head} ON {relation} USING {tail}"


def _same_rights(old: str, new: str) -> list[str]:
    """Give the new one exactly the old one's grants, on columns too, whatever default privileges say."""
    block = (
        "declare g record;\nbegin\n"
        "for g in select lower(a.privilege_type)\n"
        "    || coalesce(' (' || pg_catalog.quote_ident(s.attname) || ')', '') as privilege,\n"
        "    coalesce(pg_catalog.quote_ident(r.rolname), 'public') as grantee,\n"
        "    case when a.is_grantable then ' with grant option' else '' end as further\n"
        "  from pg_class c cross join lateral (select c.relacl as acl, null::name as attname union all\n"
        "    select t.attacl, t.attname from pg_attribute t where t.attrelid = c.oid and t.attacl is not null) s\n"
        "  cross join lateral aclexplode(s.acl) a left join pg_roles r on r.oid = a.grantee\n"
        f"  where c.oid = {literal(old).strip()}::regclass and a.grantee <> c.relowner loop\n"
        f"  execute 'grant ' || g.privilege || {literal(f' on {new} to ')} || g.grantee || g.further;\nend loop;\nend"
    )
    return [bare(new), f"do {literal(block)}"]


def _same_notes(old: str, new: str) -> str:
    """Give the new one the old one's comments on columns and indexes, how its columns and indexes are stored and
    looked at, and by which index it was clustered.
    """
    here, there = (f"{literal(name).strip()}::regclass" for name in (old, new))
    block = (
        "declare n record; home name;\nbegin\n"
        "select s.nspname into home from pg_class c join pg_namespace s on s.oid = c.relnamespace\n"
        f"  where c.oid = {there};\n"
        "for n in select t.attname, coalesce(t.attstattarget, -1) as target,\n"
        "    col_description(t.attrelid, t.attnum) as said,\n"
        "    case t.attstorage when 'p' then 'plain' when 'e' then 'external' when 'm' then 'main'\n"
        "      else 'extended' end as storage, t.attstorage <> o.attstorage as stored_otherwise,\n"
        "    coalesce(o.attstattarget, -1) as other_target, col_description(o.attrelid, o.attnum) as other_said\n"
        f"  from pg_attribute t join pg_attribute o on o.attrelid = {there} and o.attname = t.attname\n"
        f"  where t.attrelid = {here} and t.attnum > 0 and not t.attisdropped loop\n"
        "  if n.said is distinct from n.other_said then\n"
        f"    execute pg_catalog.format('comment on column %s.%I is %L', {literal(new)}, n.attname, n.said);\n"
        "  end if;\n"
        "  if n.target <> n.other_target then\n"
        "    execute pg_catalog.format('alter materialized view %s alter column %I set statistics %s',\n"
        f"      {literal(new)}, n.attname, n.target);\n  end if;\n"
        "  if n.stored_otherwise then\n"
        "    execute pg_catalog.format('alter materialized view %s alter column %I set storage %s',\n"
        f"      {literal(new)}, n.attname, n.storage);\n  end if;\nend loop;\n"
        "for n in select i.relname, obj_description(i.oid, 'pg_class') as said, x.indisclustered,\n"
        "    obj_description(o.oid, 'pg_class') as other_said, y.indisclustered as other_clustered\n"
        "  from pg_index x join pg_class i on i.oid = x.indexrelid\n"
        f"  join pg_index y on y.indrelid = {there} join pg_class o on o.oid = y.indexrelid and o.relname = i.relname\n"
        f"  where x.indrelid = {here} loop\n"
        "  if n.said is distinct from n.other_said then\n"
        "    execute pg_catalog.format('comment on index %I.%I is %L', home, n.relname, n.said);\n  end if;\n"
        "  if n.indisclustered and not n.other_clustered then\n"
        f"    execute pg_catalog.format('alter materialized view %s cluster on %I', {literal(new)}, n.relname);\n"
        "  elsif n.other_clustered and not n.indisclustered then\n"
        f"    execute pg_catalog.format('alter materialized view %s set without cluster', {literal(new)});\n"
        "  end if;\nend loop;\n"
        # An index on an expression looks as closely at it as it was told to.
        "for n in select i.relname, t.attnum, coalesce(t.attstattarget, -1) as target\n"
        "  from pg_index x join pg_class i on i.oid = x.indexrelid join pg_attribute t on t.attrelid = i.oid\n"
        f"  join pg_index y on y.indrelid = {there} join pg_class o on o.oid = y.indexrelid and o.relname = i.relname\n"
        "  join pg_attribute a on a.attrelid = o.oid and a.attnum = t.attnum\n"
        f"  where x.indrelid = {here} and coalesce(t.attstattarget, -1) <> coalesce(a.attstattarget, -1) loop\n"
        "  execute pg_catalog.format('alter index %I.%I alter column %s set statistics %s',\n"
        "    home, n.relname, n.attnum, n.target);\n"
        "end loop;\nend"
    )
    return f"do {literal(block)}"


def _statistics(view: Dependent) -> Iterator[tuple[str, str, str]]:
    """Schema, name and definition of what the planner was told to find out about several columns at once."""
    facts = iter(view.all("statistics"))
    return zip(facts, facts, facts, strict=True)


def statistics_moved(view: Dependent, schema: str) -> list[str]:
    """Put the statistics objects of a view that is put away into that view's schema, under names of their own."""
    statements = []
    for home, name, _ in _statistics(view):
        staged = quote(_beside(home, name))
        statements += [
            f"alter statistics {home}.{name} rename to {staged}",
            f"alter statistics {home}.{staged} set schema {quote(schema)}",
        ]
    return statements


def statistics_back(view: Dependent) -> list[str]:
    """Take back what put the old one's statistics objects away."""
    statements = []
    for home, name, _ in _statistics(view):
        staged = quote(_beside(home, name))
        statements += [
            f"alter statistics {quote(KEPT)}.{staged} set schema {home}",
            f"alter statistics {home}.{staged} rename to {name}",
        ]
    return statements


def _statistics_made(survey: Survey, view: Dependent) -> list[str]:
    """Make them for the view that has its name now; the next look at it fills them."""
    path = f"{quote(survey.shape.schema)}, pg_temp"
    return [statement for *_, definition in _statistics(view) for statement in in_path(path, definition)]


def _beside(home: str, name: str) -> str:
    return f"{home}.{name}".replace('"', "")[:60]


def put_away(view: Dependent, schema: str) -> list[str]:
    """Move the one that is in use into another schema, under the name that it is staged by."""
    staged = staged_name(view)
    return [
        f"alter materialized view {qualified(view.schema, view.name)} rename to {quote(staged)}",
        f"alter materialized view {qualified(view.schema, staged)} set schema {quote(schema)}",
    ]


def swap_statements(survey: Survey) -> list[str]:
    """Put the old ones away and the new ones in their place."""
    statements = []
    for view in rebuilt(survey):
        here, staged = qualified(view.schema, view.name), staged_name(view)
        statements += [
            # What was said of it and set on it since the new one was made.
            _same_notes(here, qualified(COMPAT, staged)),
            *statistics_moved(view, KEPT),
            *put_away(view, KEPT),
            f"alter materialized view {qualified(COMPAT, staged)} rename to {quote(view.name)}",
            f"alter materialized view {qualified(COMPAT, view.name)} set schema {quote(view.schema)}",
            *_statistics_made(survey, view),
        ]
    return statements


def brought_back(view: Dependent) -> list[str]:
    """Bring the old one back from where it was put away."""
    staged = staged_name(view)
    return [
        f"alter materialized view {qualified(KEPT, staged)} set schema {quote(view.schema)}",
        f"alter materialized view {qualified(view.schema, staged)} rename to {quote(view.name)}",
    ]


def made_again(survey: Survey, view: Dependent, like: str | None) -> list[str]:
    """Make the old one again, empty yet: for v1 tables that are not those it read, or where it was not kept.

    Args:
        like: the relation whose rights and notes it gets; None leaves it to its owner alone.
    """
    here = qualified(view.schema, view.name)
    statements = _made(survey, view, here, view.definition, survey.shape.schema, filled=False, like=like)
    return [*statements, *_statistics_made(survey, view)]


def remade_statements(survey: Survey, archive: str) -> list[str]:
    """Archive the new ones and make the old ones again, empty yet: for v1 tables that are not those they read."""
    statements = []
    for view in rebuilt(survey):
        statements += [*statistics_moved(view, archive), *put_away(view, archive)]
        statements += made_again(survey, view, qualified(archive, staged_name(view)))
    return statements


def refreshed(survey: Survey, *, anew: bool = False, empty: Container[Dependent] = ()) -> list[tuple[Dependent, str]]:
    """The statement that fills each again, readers undisturbed where that can be: not where all or one is empty."""
    return [
        (
            view,
            f"refresh materialized view {'' if anew or view in empty or not view.fact('keyed') else 'concurrently '}"
            f"{qualified(view.schema, view.name)}",
        )
        for view in _followers(survey)
        if view.fact("populated")
    ]
