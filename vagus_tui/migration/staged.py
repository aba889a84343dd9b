"""What was built beside v1, by its catalog: whether it is still what the plan's own statements made.

The proof compares rows. A column, an index, a key, a trigger or a policy that somebody changes by hand in staging would
come into v2 with them. So one word is kept for each table and function as the build left it, and compared before the
cut-over and once more under its locks, when nobody can change any more. Settings and comments have no part in it.

That the build left it as its own statements made it, its transactions tell: what stands in the catalog was written by
one of them, and each has left its step in the journal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import md5
from typing import Any
from uuid import UUID

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_reader import COMPAT
from vagus_tui.events import Phase
from vagus_tui.format import plural
from vagus_tui.journal.state import STAGING
from vagus_tui.migration.drift import in_words
from vagus_tui.migration.steps import PlanStep, latest_run
from vagus_tui.schema.identifiers import literal

KEPT_AS = "staged"
"""What it is kept as in a run's catalog."""

PARTS = ("kind and rights", "columns", "keys and checks", "indexes", "triggers", "policies", "rules", "children")
"""What a word is made of, part by part; a function has the first alone."""

_WORDS = """
with there as (
  select c.oid, pg_catalog.format('%s.%s', n.nspname, c.relname) as name, (c.relkind, c.relpersistence, c.relowner,
    c.relacl, c.relrowsecurity, c.relforcerowsecurity)::text as itself
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any($1::text[]) and c.relkind not in ('i', 'I') and c.relname not like 'vagus\\_%')
select t.name, array[t.itself,
  (select string_agg((a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.attisdropped,
                      a.attidentity, a.attgenerated, a.attacl, d.adbin)::text, ',' order by a.attnum)
   from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = t.oid and a.attnum > 0),
  (select string_agg((k.conname, k.contype, k.convalidated, k.condeferrable, k.condeferred, k.conkey, k.confkey,
                      k.confrelid, k.confupdtype, k.confdeltype, k.conbin)::text, ',' order by k.conname, k.contype)
   from pg_constraint k where k.conrelid = t.oid),
  (select string_agg((i.relname, i.relam, x.indisunique, x.indisprimary, x.indisvalid, x.indisready, x.indkey,
                      x.indcollation, x.indclass, x.indoption, x.indexprs, x.indpred)::text, ',' order by i.relname)
   from pg_index x join pg_class i on i.oid = x.indexrelid where x.indrelid = t.oid),
  (select string_agg((g.tgname, g.tgenabled, g.tgfoid, g.tgtype, g.tgattr, g.tgargs, g.tgqual)::text, ','
                     order by g.tgname)
   from pg_trigger g where g.tgrelid = t.oid and not g.tgisinternal),
  (select string_agg((p.polname, p.polcmd, p.polpermissive, p.polroles, p.polqual, p.polwithcheck)::text, ','
                     order by p.polname)
   from pg_policy p where p.polrelid = t.oid),
  (select string_agg((r.rulename, r.ev_type, r.ev_enabled, r.ev_qual, r.ev_action)::text, ',' order by r.rulename)
   from pg_rewrite r where r.ev_class = t.oid),
  (select string_agg((h.inhrelid, h.inhparent)::text, ',' order by h.inhrelid, h.inhparent)
   from pg_inherits h where t.oid in (h.inhrelid, h.inhparent))] as parts
from there t
union all
select pg_catalog.format('%s.%s(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
  array[(p.proowner, p.prosrc, p.prosecdef, p.provolatile, p.proisstrict, p.proconfig, p.proacl, p.prorettype,
         pg_catalog.to_jsonb(p) -> 'prosqlbody')::text]
from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = any($1::text[])
"""


async def words(connection: Connection) -> dict[str, str]:
    """A word for each table, view, sequence and function of what was built; the same word, and it is the same."""
    rows = await connection.fetch(_WORDS, [STAGING, COMPAT])
    return {row["name"]: " ".join(md5((part or "").encode()).hexdigest()[:12] for part in row["parts"]) for row in rows}


_BY_OTHERS = """
with there as (
  select c.oid, c.xmin, pg_catalog.format('%s.%s', n.nspname, c.relname) as name
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = any($1::text[]) and c.relkind not in ('i', 'I') and c.relname not like 'vagus\\_%'),
written (what, name, xmin) as (
  select 'kind and rights', t.name, t.xmin from there t
  union all select 'columns', t.name, a.xmin from there t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0
  union all select 'columns', t.name, d.xmin from there t join pg_attrdef d on d.adrelid = t.oid
  union all select 'keys and checks', t.name, k.xmin from there t join pg_constraint k on k.conrelid = t.oid
  union all select 'indexes', t.name, i.xmin from there t join pg_index x on x.indrelid = t.oid
    join pg_class i on i.oid = x.indexrelid
  union all select 'indexes', t.name, x.xmin from there t join pg_index x on x.indrelid = t.oid
  union all select 'triggers', t.name, g.xmin from there t join pg_trigger g on g.tgrelid = t.oid
    where not g.tgisinternal
  union all select 'policies', t.name, p.xmin from there t join pg_policy p on p.polrelid = t.oid
  union all select 'rules', t.name, r.xmin from there t join pg_rewrite r on r.ev_class = t.oid
  union all select 'children', t.name, h.xmin from there t join pg_inherits h on t.oid in (h.inhrelid, h.inhparent)
  union all select 'body', pg_catalog.format('%s.%s', n.nspname, p.proname), p.xmin
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = any($1::text[]))
select distinct w.what, w.name from written w
where w.xmin::text not in (select s.xmin::text from vagus_migration.steps s where s.run_id = $2)
order by w.name, w.what
"""

_THERE = """
select 'index ' || c.relname as name from pg_class c
where c.relnamespace = to_regnamespace($1) and c.relkind in ('i', 'I')
union all select 'reference ' || k.conname from pg_constraint k
where k.connamespace = to_regnamespace($1) and k.contype = 'f'
union all select 'policy' from pg_policy p join pg_class c on c.oid = p.polrelid
where c.relnamespace = to_regnamespace($1)
union all select 'trigger' from pg_trigger g join pg_class c on c.oid = g.tgrelid
where c.relnamespace = to_regnamespace($1) and not g.tgisinternal
"""

_MAKES = re.compile(r"create (policy|trigger) ")
_SEVERAL = {"policy": "policies", "trigger": "triggers"}
_NAMED = {"index-": "index", "validate-": "reference"}


async def by_others(connection: Connection, run_id: UUID, steps: Iterable[PlanStep]) -> list[str]:
    """What others have made, changed or dropped there during a build, each in a few words; empty where nobody did.

    Args:
        steps: those of the build.
    """
    rows = await connection.fetch(_BY_OTHERS, [STAGING, COMPAT], run_id)
    there = Counter(row["name"] for row in await connection.fetch(_THERE, STAGING))
    return [*(f"{row['what']} of {row['name']}" for row in rows), *_dropped(steps, there)]


def _dropped(steps: Iterable[PlanStep], there: Mapping[str, int]) -> list[str]:
    made = _made(steps)
    missing = {thing: count - there.get(thing, 0) for thing, count in made.items()}
    return [
        f"{plural(count, thing, _SEVERAL[thing])} gone" if thing in _SEVERAL else f"{thing} is gone"
        for thing, count in missing.items()
        if count > 0
    ]


def _made(steps: Iterable[PlanStep]) -> Counter[str]:
    """How many there must be of what the steps make: indexes and references by name, policies and triggers by kind."""
    made = Counter[str]()
    for step in steps:
        made.update(f"{kind} {step.id.removeprefix(name)}" for name, kind in _NAMED.items() if step.id.startswith(name))
        made.update(found[1] for text in step.statements if (found := _MAKES.match(text)))
    return made


_SCHEMAS = f"array['{STAGING}', '{COMPAT}']"
_WORD = f"""
select md5(string_agg(pg_catalog.concat_ws(' ', w.name, w.parts), ' ' order by w.name))
from ({_WORDS.replace("$1::text[]", _SCHEMAS)}) w
"""


def script_note(step: PlanStep) -> str:
    """A statement that leaves a step of a script's build in the journal, from within the step's transaction."""
    if step.phase not in (Phase.PREPARE, Phase.BUILD):
        return ""
    return (
        "insert into vagus_migration.steps (run_id, step, phase, state, seconds)\n"
        f"select id, {literal(step.id).strip()}, '{step.phase.value}', 'done', "
        f"extract(epoch from clock_timestamp() - now())\nfrom vagus_migration.runs {latest_run('migrate')};"
    )


def script_others(steps: Iterable[PlanStep]) -> str:
    """A query for how much of what a script's build made others have made, changed or dropped since."""
    by_others = _BY_OTHERS.replace("$1::text[]", _SCHEMAS).replace(
        "s.run_id = $2", f"s.run_id = (select id from vagus_migration.runs {latest_run('migrate')})"
    )
    made = ", ".join(f"({literal(thing).strip()}, {count})" for thing, count in _made(steps).items())
    there = _THERE.replace("$1", literal(STAGING).strip())
    return (
        f"select (select count(*) from ({by_others}) altered)\n"
        f"+ (select count(*) from (values {made}) made (name, number)\n"
        f"   where number > (select count(*) from ({there}) there where there.name = made.name))"
    )


def script_mark() -> str:
    """A statement that keeps with the run what a script has built, in one word."""
    word = f"jsonb_build_object('built', ({_WORD}))"
    return f"update vagus_migration.runs set figures = figures || {word} {latest_run('migrate')}"


def script_altered() -> str:
    """A query for 0 while it is still that word, else 1."""
    return (
        f"select case when figures ->> 'built' = ({_WORD}) then 0 else 1 end\n"
        f"from vagus_migration.runs {latest_run('migrate')}"
    )


def kept(catalog: Mapping[str, Any]) -> dict[str, str] | None:
    """What a run's catalog holds of them; None where the build was not finished."""
    found = catalog.get(KEPT_AS)
    return {str(name): str(word) for name, word in found.items()} if isinstance(found, dict) else None


async def altered(connection: Connection, known: Mapping[str, str]) -> list[str]:
    """What is otherwise than the build left it, each in a few words; empty while all is the same."""
    now = await words(connection)
    both = [name for name in known if name in now]
    return [
        *(f"{name} is gone" for name in known if name not in now),
        *(f"{name} is new" for name in now if name not in known),
        *(f"{_otherwise(known[name], now[name])} of {name}" for name in both if known[name] != now[name]),
    ]


def _otherwise(was: str, there: str) -> str:
    parts = zip(PARTS, was.split(), there.split(), strict=False)
    return ", ".join(part for part, before, now in parts if before != now)


SCRIPT_STOPS = "alterations by hand of what this script built beside v1: clean up, then run it from its beginning"
TAKE_BACK = "take that back, or stop and run migrate again: it builds anew."


def altered_by_hand(changes: Sequence[str]) -> str:
    """What has been altered, in a sentence."""
    return f"What was built beside v1 has been altered by hand: {in_words(changes)}."
