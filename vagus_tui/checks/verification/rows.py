"""Whether every row of v1 arrived in v2, and nothing else did (guide, Step 4)."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome, reading
from vagus_tui.checks.fault import Fault, changed_rows
from vagus_tui.checks.nouns import NOUNS, counted
from vagus_tui.checks.verification.base import against_v1, first_untouched, later, mapping, relation
from vagus_tui.database.identifiers import qualified
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.migration.catch_up import MAPPED
from vagus_tui.migration.proof import compare, count_sql, proof_sql
from vagus_tui.schema import v2

VERIFY = "Migration Steps · Step 4"
REPORT = "Post-Migration Verification"
LISTED_IDS = 5


def _source(context: Context, table: str) -> str:
    shape = context.shape
    return qualified(shape.schema, shape.tables[v2.V1_BASES[table]].name)


def _arrived_ids(context: Context, table: str) -> str:
    """The ids that v2 holds, without the copies that REPEAT_EXERCISES makes in later weeks."""
    made = mapping(context)
    if table == v2.EXERCISES and made.options.repeat_exercises:
        copies = (
            f"select {made.copy_id('e.id', 'n')} from {_source(context, table)} e cross join generate_series(1, 52) n"
        )
        return f"(select t.id from {relation(table)} t where t.id not in ({copies}))"
    return relation(table)


def _mismatches(context: Context, table: str) -> str:
    """Ids that only one of the two sides has."""
    id_type = v2.id_types(context.shape)[v2.ID_PLACEHOLDERS[v2.V1_BASES[table]]]
    return (
        "select coalesce(o.id, t.id)::text as id,\n"
        "  case when t.id is null then 'missing in v2' else 'not in v1' end as difference\n"
        f"from (select id::{id_type} as id from {_source(context, table)}) o\n"
        f"full join {_arrived_ids(context, table)} t on t.id = o.id\nwhere o.id is null or t.id is null"
    )


def _gone(table: str) -> Fault:
    return changed_rows(
        f"one of the {NOUNS[table][1]} is missing",
        lambda context: f"delete from {relation(table)} where id = ({first_untouched(context, table)})",
        table,
    )


def _migrated(table: str, check_id: str, *faults: Fault) -> Check:
    @against_v1
    async def probe(context: Context) -> Outcome:
        touched = await later(context, table, "d.id")
        async with reading(context.connection, one_moment=True):
            counts = await context.connection.fetch(
                f"select n.*, d.* from (select (select count(*) from {_source(context, table)}) as old,\n"
                f"  (select count(*) from {_arrived_ids(context, table)} t) as new) n left join (\n"
                f"select d.difference, {touched} as later, count(*) as rows, "
                f"(array_agg(d.id order by d.id))[1:{LISTED_IDS}] as ids\n"
                f"from (\n{_mismatches(context, table)}\n) d group by 1, 2\n) d on true order by d.difference, d.later"
            )
        old, new = counts[0]["old"], counts[0]["new"]
        rows = [row for row in counts if row["difference"] is not None]
        wrong = [row for row in rows if not row["later"]]
        since = [
            f"{counted(row['rows'], table)} {'removed' if row['difference'] == 'missing in v2' else 'added'}"
            for row in rows
            if row["later"]
        ]
        note = f"Since the cut-over: {', '.join(since)}. v1 has {old:,}." if since else ""
        if wrong:
            told = "; ".join(
                f"{counted(row['rows'], table)} {row['difference']}: {', '.join(row['ids'])}" for row in wrong
            )
            return Outcome(
                Status.FAIL, new, f"{told}. {note}".strip(), rows=sum(row["rows"] for row in wrong), expected=old
            )
        # What users added and removed since is known row by row: with it, as many as there are have to be there.
        return Outcome(Status.PASS, new, note, expected=new)

    return Check(
        id=check_id,
        group=Group.VERIFICATION,
        title=f"All {NOUNS[table][1]} arrived",
        why="Every id of v1 must be in v2 and every id of v2 in v1, but for what users added or removed since. Equal "
        "counts alone would hide a row lost for a row made up.",
        expected="all of v1",
        probe=probe,
        guide=VERIFY,
        sql=lambda context: _mismatches(context, table),
        rows_sql=lambda context: _mismatches(context, table),
        overridable=False,
        needs_v1=True,
        faults=(_gone(table), *faults),
    )


@against_v1
async def _row_proof(context: Context) -> Outcome:
    made = mapping(context)
    compared, found, later_rows, told = 0, 0, 0, []
    async with reading(
        context.connection, "set local timezone = 'UTC'", "set local work_mem = '96MB'", one_moment=True
    ):
        for table in MAPPED:
            if table not in context.tables:
                continue
            proof = await compare(context.connection, made, "public", table)
            compared += proof.compared
            if not proof.differences:
                continue
            touched = await later(context, table, "d.id")
            differing = f"from (\n{proof_sql(made, 'public', table)}\n) d where not ({touched})"
            unexplained = await context.connection.fetch(
                f"select d.id, d.difference, count(*) over () as all_rows {differing} order by d.id limit {LISTED_IDS}"
            )
            wrong = unexplained[0]["all_rows"] if unexplained else 0
            later_rows += proof.differences - wrong
            found += wrong
            if wrong:
                listed = ", ".join(f"{row['id']} {row['difference']}" for row in unexplained)
                told.append(f"{counted(wrong, table)}: {listed}")
    were = plural(later_rows, "row was", "rows were")
    note = f"{were} written to since the cut-over and not compared." if later_rows else ""
    if found:
        return Outcome(Status.FAIL, found, f"{'; '.join(told)}. {note}".strip(), rows=found, expected=0)
    return Outcome(
        Status.PASS, 0, f"{plural(compared, 'row')} compared, every mapped column, both ways. {note}".strip()
    )


def _proof_rows(context: Context) -> str:
    made = mapping(context)
    parts = (
        f"select '{table}:' || d.id as id, d.difference, d.expected, d.found\n"
        f"from (\n{proof_sql(made, 'public', table)}\n) d\n"
        f"where not exists (select from {V2_CHANGES} c where c.table_name = '{table}' and c.row_id = d.id)"
        for table in MAPPED
    )
    return "\nunion all\n".join(parts)


CHECKS = (
    _migrated(v2.PLANS, "plans-migrated"),
    _migrated(v2.EXERCISES, "exercises-migrated"),
    _migrated(v2.SESSIONS, "sessions-migrated"),
    _migrated(
        v2.LOGS,
        "logs-migrated",
        changed_rows(
            "a set that nobody logged",
            f"insert into {relation(v2.LOGS)} (session_id, exercise_id, set_number, reps, weight) "
            f"select session_id, exercise_id, max(set_number) + 1, 1, 1 from {relation(v2.LOGS)} "
            "group by 1, 2 order by 1, 2 limit 1",
            v2.LOGS,
        ),
    ),
    Check(
        id="row-proof",
        group=Group.VERIFICATION,
        title="Every row as it must be",
        why="The proof before the cut-over, done again: every mapped column of every row, v1 against v2, both ways.",
        expected="0",
        probe=_row_proof,
        guide=REPORT,
        sql=lambda context: ";\n\n".join(count_sql(mapping(context), "public", table) for table in MAPPED),
        rows_sql=_proof_rows,
        overridable=False,
        needs_v1=True,
        faults=(
            changed_rows(
                "an exercise has a space too many",
                lambda context: (
                    f"update {relation(v2.EXERCISES)} set name = name || ' ' "
                    f"where id = ({first_untouched(context, v2.EXERCISES)})"
                ),
                v2.EXERCISES,
            ),
            changed_rows(
                "a weight is another",
                lambda context: (
                    f"update {relation(v2.LOGS)} set weight = case when weight < 1 then weight + 1 else weight - 1 end "
                    f"where id = ({first_untouched(context, v2.LOGS)})"
                ),
                v2.LOGS,
            ),
            changed_rows(
                "a session stands on another day",
                lambda context: (
                    f"update {relation(v2.SESSIONS)} s set day_id = (select d.id from {relation(v2.DAYS)} d "
                    "where d.id <> s.day_id order by d.id limit 1) where s.id = "
                    f"({first_untouched(context, v2.SESSIONS, 't.day_id is not null')})"
                ),
                v2.SESSIONS,
            ),
            changed_rows(
                "a plan belongs to somebody else",
                lambda context: (
                    f"update {relation(v2.PLANS)} p set user_id = o.user_id from {relation(v2.PLANS)} o "
                    f"where p.id = ({first_untouched(context, v2.PLANS)}) and o.id = (select x.id from "
                    f"{relation(v2.PLANS)} x where x.user_id <> p.user_id order by x.id limit 1)"
                ),
                v2.PLANS,
            ),
        ),
    ),
)
