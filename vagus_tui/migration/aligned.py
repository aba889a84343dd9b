"""Comparing the logs with their copy strip by strip: rows that lie side by side in both files meet in the cache.

The build copies the logs in the order in which they lie. So a strip of v1's file and the strip of v2's file that begins
with the same row hold the same rows, but for the few that were moved since, and a join of two strips needs neither
memory nor temporary files. Where strips begin is a guess about speed and nothing more: they cover both tables from end
to end, and whatever finds no equal partner within its strip is looked up by its id in the whole of either table.
"""

from __future__ import annotations

from vagus_tui.migration.difference import counted, odd
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.mapping import WorkoutMapping
from vagus_tui.schema.places import BEHIND, block, blocks

BLOCKS = 100
"""Blocks of v1 per strip: what is joined then fits the second level of a processor's cache."""

NEIGHBOURS = 3
"""A row that was moved must not lead its strip astray: it has to fit between so many beginnings on either side."""

MOST_APART = 100_000
"""How many rows are looked up one by one. More than that, and the tables have no order in common: all are joined."""


def aligned_count_sql(mapping: WorkoutMapping, schema: str, *, own: bool = False) -> str:
    """The query that counts the logs compared and the differences among them, as `proof.count_sql` does.

    If they are few, it names the rows that found no equal partner within their strip (`apart`, ids as text): all
    differences are among them.

    Args:
        own: as for `difference.odd`.
    """
    logs = qualified(schema, v2.LOGS)
    ids = "array(select unnest(ids) from looked)"
    few = counted(mapping, v2.LOGS, *only(mapping, schema, ids), own=own)
    every = counted(mapping, v2.LOGS, mapping.select(v2.LOGS), logs, own=own)
    return (
        f"with {_looked(mapping, logs, odd(mapping, v2.LOGS, own=own))},\n"
        "tally as materialized (select sum(compared - apart)::bigint as alike, sum(apart) as apart from looked)\n"
        f"select (select alike from tally) + few.compared as compared, few.differences, {ids}::text[] as apart\n"
        f"from ({few} offset 0) few where (select apart from tally) <= {MOST_APART}\n"
        f"union all\nselect every.*, null from ({every} offset 0) every where (select apart from tally) > {MOST_APART}"
    )


def aligned_ids_sql(mapping: WorkoutMapping, schema: str, noted: str = "") -> str:
    """The query for the ids of all logs that are otherwise than v1 says, or say more, as `id`, of its own type.

    Args:
        noted: the condition on a row's id (i.id) that it is known to be otherwise, and not looked for; "" for none.
    """
    logs = qualified(schema, v2.LOGS)
    differing = odd(mapping, v2.LOGS, own=True)

    def found(wanted: str, there: str) -> str:
        return (
            f"select coalesce(x.id, t.id) as id from (\n{wanted}\n) x full join {there} t on t.id = x.id\n"
            f"where {differing}"
        )

    few = found(*only(mapping, schema, "array(select id from unknown)"))
    every = found(mapping.select(v2.LOGS), logs)
    many = f"(select count(*) from unknown) > {MOST_APART}"
    return (
        f"with {_looked(mapping, logs, differing)},\n"
        "unknown as materialized (\n"
        "select i.id from looked cross join lateral unnest(looked.ids) i (id)"
        f"{f' where not {noted}' if noted else ''})\n"
        f"select few.id from ({few} offset 0) few where not {many}\n"
        f"union all\nselect every.id from ({every} offset 0) every where {many}"
    )


def _looked(mapping: WorkoutMapping, logs: str, differing: str) -> str:
    """CTE `looked`: by strip, how many rows met, and which found no equal partner there."""
    of_strip = mapping.select(v2.LOGS, where="l.ctid >= strip.v1_from and l.ctid < strip.v1_to")
    copies = f"(select t.* from {logs} t where t.ctid >= strip.v2_from and t.ctid < strip.v2_to)"
    # OFFSET keeps a strip in one piece: only so does each read no more than its own blocks. The second side of the join
    # is kept in memory: v1's rows can be as they are, all their columns being wanted, which v2's could not.
    return (
        f"{_strips(mapping.source(v1.LOGS), logs)},\n"
        "looked as materialized (\n"
        "select met.compared, met.ids, coalesce(cardinality(met.ids), 0) as apart\n"
        "from strips strip cross join lateral (\n"
        f"select count(*) as compared, array_agg(coalesce(x.id, t.id)) filter (where {differing}) as ids\n"
        f"from {copies} t full join (\n{of_strip}\n) x on x.id = t.id offset 0) met)"
    )


def only(mapping: WorkoutMapping, schema: str, ids: str) -> tuple[str, str]:
    """The logs of these ids (an array): the SELECT of what they must be, and the relation of what they are.

    Not by `= any`: where no index has the ids, each row would be held against the whole array.
    """
    listed = f"(select unnest({ids}))"
    return (
        mapping.select(v2.LOGS, where=f"l.id in {listed}"),
        f"(select t.* from {qualified(schema, v2.LOGS)} t where t.id in {listed})",
    )


def _strips(source: str, copy: str) -> str:
    """CTE `strips`: from which row to which, in v1 and in v2. Together they hold every row of both exactly once."""
    begin, end = block("n"), block(f"n + {BLOCKS}")
    return (
        # No further than the strip: where most rows were deleted, each would read the same empty blocks to their end.
        "begins as materialized (\n"
        f"  select {begin} as v1_at,\n"
        f"    (select l.id from {source} l where l.ctid >= {begin} and l.ctid < {end} limit 1) as id\n"
        f"  from generate_series({BLOCKS}, {blocks(source)}, {BLOCKS}) n),\n"
        "placed as (\n"
        "  select b.v1_at, t.ctid as v2_at,\n"
        f"    max(t.ctid) over (order by b.v1_at rows between {NEIGHBOURS} preceding and 1 preceding) as before,\n"
        f"    min(t.ctid) over (order by b.v1_at rows between 1 following and {NEIGHBOURS} following) as after\n"
        f"  from begins b join {copy} t on t.id = b.id),\n"
        "bounds as (\n"
        "  select '(0,0)'::tid as v1_at, '(0,0)'::tid as v2_at union all\n"
        "  select v1_at, max(v2_at) over (order by v1_at) from placed\n"
        "  where v2_at >= coalesce(before, v2_at) and v2_at <= coalesce(after, v2_at)),\n"
        "strips as materialized (\n"
        "  select v1_at as v1_from, v2_at as v2_from,\n"
        f"    lead(v1_at, 1, {BEHIND}) over in_order as v1_to, lead(v2_at, 1, {BEHIND}) over in_order as v2_to\n"
        "  from bounds window in_order as (order by v1_at))"
    )
