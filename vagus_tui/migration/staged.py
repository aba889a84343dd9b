"""What was built beside v1, by its catalog: whether it is still what the plan's own statements made.

The proof compares rows. A column, an index, a key, a trigger or a policy that somebody changes by hand in staging would
come into v2 with them. So one word is kept for each table and function as the build left it, and compared before the
cut-over and once more under its locks, when nobody can change any more. Settings and comments have no part in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import md5
from typing import Any

from vagus_tui.database.connection import Connection
from vagus_tui.database.dependent_reader import COMPAT
from vagus_tui.journal.state import STAGING
from vagus_tui.migration.drift import in_words

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


TAKE_BACK = "take that back, or stop and run migrate again: it builds anew."


def altered_by_hand(changes: Sequence[str]) -> str:
    """What has been altered, in a sentence."""
    return f"What was built beside v1 has been altered by hand: {in_words(changes)}."
