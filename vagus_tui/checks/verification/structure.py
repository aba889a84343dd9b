"""Whether v2's own structure is whole: weeks, days, what hangs on what (guide, Step 4)."""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.fault import Fault, changed_rows
from vagus_tui.checks.nouns import NOUNS, counted
from vagus_tui.checks.verification.base import against_v1, first_untouched, later, on_v2, relation
from vagus_tui.database.identifiers import qualified, quote
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.schema import v1, v2
from vagus_tui.schema.mapping import WorkoutMapping

VERIFY = "Migration Steps · Step 4"


def _weeks_sql(_: Context) -> str:
    """Weeks that a plan should have and has not, has twice, or has beyond its number of weeks."""
    derived = WorkoutMapping.week_id("coalesce(p.id, w.plan_id)", "coalesce(p.n, w.week_number)")
    return (
        "select coalesce(p.id, w.plan_id)::text as plan_id, coalesce(p.n, w.week_number) as week_number,\n"
        "  case when w.plan_id is null then 'missing' when p.id is null then 'beyond the last' else 'there twice' end\n"
        f"    as difference,\n  {derived}::text as week_id, w.ids\n"
        f"from (select p.id, n from {relation(v2.PLANS)} p, generate_series(1, p.total_weeks) n) p\n"
        "full join (select plan_id, week_number, count(*) as times, array_agg(id::text) as ids\n"
        f"  from {relation(v2.WEEKS)} group by 1, 2) w\n"
        "  on w.plan_id = p.id and w.week_number = p.n\n"
        "where p.id is null or w.plan_id is null or w.times > 1"
    )


@on_v2
async def _weeks_complete(context: Context) -> Outcome:
    weeks_later = await later(context, v2.WEEKS, "x.id")
    plans_later = await later(context, v2.PLANS, "d.plan_id")
    rows = await context.connection.fetch(
        f"select (exists (select from unnest(array_append(d.ids, d.week_id)) as x(id) where {weeks_later}) "
        f"or {plans_later}) as later, count(*) as rows, "
        "(array_agg(d.plan_id || ' week ' || d.week_number || ' ' || d.difference))[1:5] as listed\n"
        f"from (\n{_weeks_sql(context)}\n) d group by 1"
    )
    wrong = next((row for row in rows if not row["later"]), None)
    since = next((row for row in rows if row["later"]), None)
    note = f"{plural(since['rows'], 'week was', 'weeks were')} changed since the cut-over." if since else ""
    if wrong:
        return Outcome(
            Status.FAIL,
            wrong["rows"],
            f"Plans' weeks: {'; '.join(wrong['listed'])}. {note}".strip(),
            rows=wrong["rows"],
        )
    return Outcome(Status.PASS, 0, note)


def _orphans(check_id: str, table: str, column: str, parent: str) -> Check:
    def rows_sql(_: Context) -> str:
        return (
            f"select t.* from {relation(table)} t where t.{column} is not null and not exists "
            f"(select from {relation(parent)} p where p.id = t.{column})"
        )

    @on_v2
    async def probe(context: Context) -> Outcome:
        found = await context.connection.fetchval(f"select count(*) from ({rows_sql(context)}) o")
        if found:
            return Outcome(
                Status.FAIL,
                found,
                f"{counted(found, table)} of a {NOUNS[parent][0]} that does not exist.",
                rows=found,
            )
        return Outcome(Status.PASS, 0)

    many = NOUNS[table][1]
    return Check(
        id=check_id,
        group=Group.VERIFICATION,
        title=f"Orphaned {many}",
        why=f"Every one of the {many} hangs on a row of {parent}. The key guarantees it once it is validated; this "
        "looks at the rows themselves.",
        expected="0",
        probe=probe,
        guide=VERIFY,
        sql=rows_sql,
        rows_sql=rows_sql,
        faults=(_orphan(table, column, parent),),
    )


def _orphan(table: str, column: str, parent: str) -> Fault:
    """The key is dropped, then the parent: its rows stay behind."""
    # Nobody may have made a group yet: one is made to be orphaned.
    first = (
        f"insert into {relation(table)} (day_id, type, order_index) "
        f"select id, 'circuit', 1 from {relation(parent)} order by id limit 1;\n"
        if table == v2.GROUPS
        else ""
    )
    return Fault(
        "an orphan, its key removed",
        f"alter table {relation(table)} drop constraint {quote(f'{table}_{column}_fkey')};\n{first}"
        f"delete from {relation(parent)} where id = (select {column} from {relation(table)} "
        f"where {column} is not null order by id limit 1)",
        table,
        exclusive=True,
        rows=True,
    )


def _unlinked(context: Context) -> str:
    sessions = qualified(context.shape.schema, context.shape.tables[v1.SESSIONS].name)
    return (
        f"select t.id, t.user_id, t.started_at, o.plan_id as v1_plan_id\nfrom {relation(v2.SESSIONS)} t "
        f"join {sessions} o on o.id = t.id\nwhere t.day_id is null and o.plan_id is not null"
    )


def _linked(context: Context) -> str:
    """Sessions that have a plan in v1 and their day in v2."""
    sessions = qualified(context.shape.schema, context.shape.tables[v1.SESSIONS].name)
    return (
        f"select t.id from {relation(v2.SESSIONS)} t join {sessions} o on o.id = t.id "
        "where t.day_id is not null and o.plan_id is not null"
    )


@against_v1
async def _sessions_linked(context: Context) -> Outcome:
    touched = await later(context, v2.SESSIONS, "d.id::text")
    rows = await context.connection.fetch(
        f"select {touched} as later, count(*) as rows from ({_unlinked(context)}) d group by 1"
    )
    counts = {row["later"]: row["rows"] for row in rows}
    free = await context.connection.fetchval(
        f"select count(*) from {relation(v2.SESSIONS)} where day_id is null"
    ) - sum(counts.values())
    note = f"{counted(free, v2.SESSIONS)} of no plan, kept without a day." if free else ""
    if since := counts.get(True):
        note = f"{note} {counted(since, v2.SESSIONS)} unlinked since the cut-over.".strip()
    if wrong := counts.get(False, 0):
        return Outcome(
            Status.FAIL,
            wrong,
            f"{counted(wrong, v2.SESSIONS)} had a plan in v1 and has no day. {note}".strip(),
            rows=wrong,
        )
    return Outcome(Status.PASS, 0, note)


CHECKS = (
    Check(
        id="weeks-complete",
        group=Group.VERIFICATION,
        title="Every plan's weeks",
        why="A plan of n weeks has the weeks 1 to n, each once. A gap would be an empty screen in the app.",
        expected="0",
        probe=_weeks_complete,
        guide="Data Transformation · Step 1",
        sql=_weeks_sql,
        rows_sql=_weeks_sql,
        faults=(
            changed_rows(
                "a week is missing",
                lambda context: (
                    f"delete from {relation(v2.WEEKS)} where plan_id = ({first_untouched(context, v2.PLANS)}) "
                    "and week_number = 1"
                ),
                v2.WEEKS,
            ),
            changed_rows(
                "a week too many",
                lambda context: (
                    f"insert into {relation(v2.WEEKS)} (plan_id, week_number) select id, total_weeks + 1 "
                    f"from {relation(v2.PLANS)} where id = ({first_untouched(context, v2.PLANS)})"
                ),
                v2.WEEKS,
            ),
        ),
    ),
    _orphans("orphaned-weeks", v2.WEEKS, "plan_id", v2.PLANS),
    _orphans("orphaned-days", v2.DAYS, "week_id", v2.WEEKS),
    _orphans("orphaned-exercises-v2", v2.EXERCISES, "day_id", v2.DAYS),
    _orphans("orphaned-groups", v2.GROUPS, "day_id", v2.DAYS),
    _orphans("orphaned-sessions-v2", v2.SESSIONS, "day_id", v2.DAYS),
    Check(
        id="sessions-linked",
        group=Group.VERIFICATION,
        title="Sessions on their day",
        why="A session of a plan stands on one of its days, or it vanishes from the plan's history. Only sessions that "
        "belonged to no plan have none.",
        expected="0",
        probe=_sessions_linked,
        guide=VERIFY,
        sql=_unlinked,
        rows_sql=_unlinked,
        needs_v1=True,
        faults=(
            changed_rows(
                "a session lost its day",
                lambda context: (
                    f"update {relation(v2.SESSIONS)} set day_id = null where id = "
                    f"({first_untouched(context, v2.SESSIONS, f't.id in ({_linked(context)})')})"
                ),
                v2.SESSIONS,
            ),
        ),
    ),
)
