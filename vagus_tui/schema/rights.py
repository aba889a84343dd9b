"""Rights on something new, whatever default privileges gave away on it."""

from __future__ import annotations

from vagus_tui.schema.identifiers import literal


def bare(relation: str) -> str:
    """Take away whatever default privileges gave away on a new table, view or sequence: its owner alone is left."""
    name = literal(relation).strip()
    kind = (
        "select distinct case c.relkind when 'S' then 'sequence' else 'table' end as kind,\n"
        "    coalesce(pg_catalog.quote_ident(r.rolname), 'public') as role"
    )
    # The block is a text constant: a name may hold any dollar quote.
    block = (
        f"declare found record; begin\nfor found in {kind}\n"
        "  from pg_class c cross join lateral aclexplode(c.relacl) a left join pg_roles r on r.oid = a.grantee\n"
        f"  where c.oid = {name}::regclass and a.grantee <> c.relowner\n"
        f"loop execute pg_catalog.format('revoke all on %s %s from %s', found.kind, {name}, found.role);\n"
        "end loop; end"
    )
    return f"do {literal(block)}"


def bare_function(signature: str) -> str:
    """Take away whatever default privileges gave away on a new function, execution by everybody among it."""
    return _bare_routine(f"{literal(signature).strip()}::regprocedure")


def bare_routine(schema: str, name: str, arguments: str) -> str:
    """The same for a routine that may not be there, by its identity arguments, names and all, in parentheses."""
    wanted, home, listed = (literal(part).strip() for part in (name, schema, arguments))
    return _bare_routine(
        "any (select f.oid from pg_proc f join pg_namespace n on n.oid = f.pronamespace\n"
        f"    where n.nspname = {home} and f.proname = {wanted}\n"
        f"      and '(' || pg_get_function_identity_arguments(f.oid) || ')' = {listed})"
    )


def _bare_routine(oid: str) -> str:
    block = (
        "declare found record; begin\n"
        "for found in select distinct p.oid::regprocedure as name,\n"
        "    coalesce(pg_catalog.quote_ident(r.rolname), 'public') as role\n"
        "  from pg_proc p cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a\n"
        "  left join pg_roles r on r.oid = a.grantee\n"
        f"  where p.oid = {oid} and a.grantee <> p.proowner\n"
        "loop execute pg_catalog.format('revoke all on routine %s from %s', found.name, found.role);\n"
        "end loop; end"
    )
    return f"do {literal(block)}"


def bare_schema(schema: str) -> str:
    """Take away whatever default privileges gave away on a new schema: nobody but its owner makes anything there."""
    name = literal(schema).strip()
    block = (
        "declare found record; begin\n"
        "for found in select distinct coalesce(pg_catalog.quote_ident(r.rolname), 'public') as role\n"
        "  from pg_namespace n\n"
        "  cross join lateral aclexplode(n.nspacl) a left join pg_roles r on r.oid = a.grantee\n"
        f"  where n.nspname = {name} and a.grantee <> n.nspowner\n"
        f"loop execute pg_catalog.format('revoke all on schema %I from %s', {name}, found.role);\n"
        "end loop; end"
    )
    return f"do {literal(block)}"
