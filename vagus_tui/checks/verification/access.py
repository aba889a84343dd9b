"""Whether row level security is in force: by what the catalog says, and by what users see (guide, Test 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.fault import changed_table
from vagus_tui.checks.verification.base import on_v2, relation
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import literal
from vagus_tui.database.impersonation import NOBODY, Asked, answers_of, undone
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.schema import v2

REPORT = "Post-Migration Verification"
COMMANDS = {"r": "select", "a": "insert", "w": "update", "d": "delete"}
SAMPLE_USERS = 3
TABLE_MS = 300_000
"""How long it may take per table for everybody who is tried, in milliseconds."""

_SECURITY = """
select c.relname::text as table_name, c.relrowsecurity as enabled,
  coalesce(array_agg(distinct p.polcmd::text) filter (where p.polpermissive), '{}') as commands,
  coalesce(array_agg(distinct p.polname::text) filter (
    where p.polpermissive and coalesce(pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
      = 'true'
      and not p.polroles <@ array(select oid from pg_roles where rolname in ('service_role', 'postgres'))
  ), '{}') as open_to_all
from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_policy p on p.polrelid = c.oid
where n.nspname = 'public' and c.relname = any($1::text[])
group by 1, 2 order by 1
"""

_USERS = """
select p.user_id::text from (
  (select user_id, 0 as kind from public.workout_plans group by 1 order by count(*) desc, 1 limit $1)
  union all
  (select user_id, 1 from public.workout_plans where user_id in (select user_id from public.workout_sessions)
   order by 1 limit $1)
) p group by p.user_id order by min(kind), 1 limit $1
"""

_OWN: dict[str, str] = {
    v2.PLANS: "t.user_id = any({people})",
    v2.WEEKS: "t.plan_id in (select id from public.workout_plans where user_id = any({people}))",
    v2.DAYS: "t.week_id in (select w.id from public.workout_weeks w join public.workout_plans p on p.id = w.plan_id "
    "where p.user_id = any({people}))",
    v2.GROUPS: "t.day_id in (select d.id from public.workout_days d join public.workout_weeks w on w.id = d.week_id "
    "join public.workout_plans p on p.id = w.plan_id where p.user_id = any({people}))",
    v2.EXERCISES: "t.day_id in (select d.id from public.workout_days d join public.workout_weeks w on w.id = d.week_id "
    "join public.workout_plans p on p.id = w.plan_id where p.user_id = any({people}))",
    v2.SESSIONS: "t.user_id = any({people})",
    v2.LOGS: "t.session_id in (select id from public.workout_sessions where user_id = any({people}))",
}
"""Which rows a user may see, worked out without the policies: those of the user and of those the user coaches."""

TRY_IT = f"""begin;
select set_config('request.jwt.claims', '{{"sub": "{NOBODY}"}}', true);
set local role authenticated;
select count(*) from public.workout_plans;  -- must be 0
rollback;"""


async def _catalog_problems(context: Context) -> list[str]:
    problems = []
    rows = {row["table_name"]: row for row in await context.connection.fetch(_SECURITY, list(v2.TABLES))}
    for table in v2.TABLES:
        row = rows.get(table)
        if row is None:
            problems.append(f"{table} is not there")
            continue
        if not row["enabled"]:
            problems.append(f"{table}: row level security is off")
        if "*" not in row["commands"]:
            missing = [name for short, name in COMMANDS.items() if short not in row["commands"]]
            if missing:
                problems.append(f"{table}: no policy for {', '.join(missing)}")
        problems += [f"{table}: the policy “{name}” lets everybody in" for name in row["open_to_all"]]
    return problems


def _rows(table: str, condition: str = "true") -> str:
    """How many rows there are and a digest of their ids, in one text."""
    return (
        "select count(*) || ' ' || coalesce(md5(string_agg(t.id::text, ',' order by t.id::text)), '')\n"
        f"from {relation(table)} t where {condition}"
    )


def _count(rows: str) -> int:
    return int(rows.partition(" ")[0])


async def _allowed(
    connection: Connection, tables: Sequence[str], people: Mapping[str, Sequence[str]]
) -> dict[tuple[str, str], str]:
    """By user and table, the rows that are theirs and of whom they coach."""
    queries = (
        f"select {number} as number, {literal(table)} as table_name, (\n"
        f"{_rows(table, _OWN[table].format(people=f'${number}::text[]::uuid[]'))}\n) as rows"
        for number in range(1, len(people) + 1)
        for table in tables
    )
    users = list(people)
    found = await connection.fetch("\nunion all\n".join(queries), *people.values())
    return {(users[row["number"] - 1], row["table_name"]): row["rows"] for row in found}


async def _sample(connection: Connection) -> dict[str, list[str]]:
    """Owners with plans, and a coach with a client who has some, where there are such; whom each may see: themselves
    and the users whom they coach, by the coach relation, if there is one."""
    users = [row["user_id"] for row in await connection.fetch(_USERS, SAMPLE_USERS)]
    columns = await connection.fetch(
        "select attname from pg_attribute where attrelid = to_regclass('public.coach_clients') and attnum > 0"
    )
    names = {row["attname"] for row in columns}
    if not {"coach_id", "client_id"} <= names:
        return {user: [user] for user in users}
    busiest = await connection.fetchval(
        "select c.coach_id::text from public.coach_clients c join public.workout_plans p "
        "on p.user_id = c.client_id::uuid group by 1 order by count(*) desc, 1 limit 1"
    )
    if busiest is not None:
        users.append(busiest)
    people = {user: [user] for user in users}
    active = " and lower(c.status::text) = 'active'" if "status" in names else ""
    coached = await connection.fetch(
        "select u.id as coach, c.client_id::text as client from unnest($1::text[]) u (id) "
        f"join public.coach_clients c on c.coach_id::uuid = u.id::uuid{active}",
        users,
    )
    for row in coached:
        people[row["coach"]].append(row["client"])
    return people


async def _behaviour_problems(connection: Connection, tables: Sequence[str]) -> tuple[list[str], int]:
    """What users see that they should not, or do not see that they should; and how many users were tried."""
    people = await _sample(connection)
    expected = await _allowed(connection, tables, people) if people else {}
    strangers = (("anon", None, "anybody without a login"), ("authenticated", NOBODY, "a user who does not exist"))
    questions = tuple(f"answer := ({_rows(table)});" for table in tables)
    answers = iter(
        await answers_of(
            connection,
            [
                *(Asked(role, user, questions) for role, user, _ in strangers),
                *(Asked("authenticated", user, questions) for user in people),
            ],
        )
    )
    problems = []
    for _, _, who in strangers:
        for table, seen in zip(tables, next(answers), strict=True):
            if seen is not None and _count(seen):
                problems.append(f"{who} sees {plural(_count(seen), 'row')} of {table}")
    for user in people:
        for table, seen in zip(tables, next(answers), strict=True):
            theirs = expected[user, table]
            if seen is None:
                problems.append(f"user {user} may not read {table} at all")
            elif seen != theirs:
                problems.append(
                    f"user {user} sees {plural(_count(seen), 'row')} of {table}, not the {_count(theirs):,} "
                    "that are theirs"
                )
    return problems, len(people)


@on_v2
async def _rls_enforced(context: Context) -> Outcome:
    problems = await _catalog_problems(context)
    # What users write between two of these statements is no gap.
    async with undone(
        context.connection, "set local work_mem = '64MB'", timeout_ms=len(context.tables) * TABLE_MS, one_moment=True
    ):
        seen, users = await _behaviour_problems(context.connection, context.tables)
    problems += seen
    if problems:
        gaps = plural(len(problems), "gap")
        shown = "; ".join(problems[:12])
        more = f"; and {len(problems) - 12} more" if len(problems) > 12 else ""
        return Outcome(Status.FAIL, gaps, f"{shown}{more}.", rows=len(problems))
    return Outcome(
        Status.PASS,
        "in force",
        f"Strangers see nothing; {users} real users see exactly their own rows and those of people they coach."
        if users
        else "Strangers see nothing. There is no user with a plan to try it for.",
    )


CHECKS = (
    Check(
        id="rls-enforced",
        group=Group.VERIFICATION,
        title="Row level security",
        why="Users must see their own rows and no others. It is tried as the app does it, since the operator's own "
        "role passes every policy by.",
        expected="in force",
        probe=_rls_enforced,
        guide=REPORT,
        sql=lambda _: TRY_IT,
        overridable=False,
        faults=(
            changed_table(
                "row level security is off", f"alter table {relation(v2.WEEKS)} disable row level security", v2.WEEKS
            ),
            changed_table(
                "a policy with USING (true)",
                f"create policy vagus_fault on {relation(v2.LOGS)} for select to authenticated using (true)",
                v2.LOGS,
            ),
            changed_table(
                "a policy that lets all in without saying so",
                f"create policy vagus_fault on {relation(v2.EXERCISES)} for select to authenticated "
                "using (name is not null)",
                v2.EXERCISES,
            ),
            changed_table(
                "a policy that shuts owners out",
                f"create policy vagus_fault on {relation(v2.EXERCISES)} as restrictive for select to authenticated "
                "using (false)",
                v2.EXERCISES,
            ),
            changed_table(
                "no policy for changes",
                f"do $$ begin execute (select string_agg("
                f"pg_catalog.format('drop policy %I on {relation(v2.PLANS)}', polname), "
                f"'; ') from pg_policy where polrelid = '{relation(v2.PLANS)}'::regclass and polcmd in ('w', '*')); "
                "end $$",
                v2.PLANS,
            ),
        ),
    ),
)
