"""Whether row level security is in force: by what the catalog says, and by what users see (guide, Test 4)."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.fault import changed_table
from vagus_tui.checks.verification.base import on_v2, relation
from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import NOBODY, acting_as, undone
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.schema import v2

REPORT = "Post-Migration Verification"
COMMANDS = {"r": "select", "a": "insert", "w": "update", "d": "delete"}
SAMPLE_USERS = 3

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
    v2.PLANS: "t.user_id = any($1::uuid[])",
    v2.WEEKS: "t.plan_id in (select id from public.workout_plans where user_id = any($1::uuid[]))",
    v2.DAYS: "t.week_id in (select w.id from public.workout_weeks w join public.workout_plans p on p.id = w.plan_id "
    "where p.user_id = any($1::uuid[]))",
    v2.GROUPS: "t.day_id in (select d.id from public.workout_days d join public.workout_weeks w on w.id = d.week_id "
    "join public.workout_plans p on p.id = w.plan_id where p.user_id = any($1::uuid[]))",
    v2.EXERCISES: "t.day_id in (select d.id from public.workout_days d join public.workout_weeks w on w.id = d.week_id "
    "join public.workout_plans p on p.id = w.plan_id where p.user_id = any($1::uuid[]))",
    v2.SESSIONS: "t.user_id = any($1::uuid[])",
    v2.LOGS: "t.session_id in (select id from public.workout_sessions where user_id = any($1::uuid[]))",
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


async def _seen(connection: Connection, table: str) -> tuple[int, str]:
    """How many rows are visible, and a digest of their ids."""
    row = await connection.fetchrow(
        f"select count(*) as rows, coalesce(md5(string_agg(t.id::text, ',' order by t.id::text)), '') as digest "
        f"from {relation(table)} t"
    )
    assert row is not None
    return row["rows"], row["digest"]


async def _allowed(connection: Connection, table: str, people: list[str]) -> tuple[int, str]:
    row = await connection.fetchrow(
        f"select count(*) as rows, coalesce(md5(string_agg(t.id::text, ',' order by t.id::text)), '') as digest "
        f"from {relation(table)} t where {_OWN[table]}",
        people,
    )
    assert row is not None
    return row["rows"], row["digest"]


async def _coached(connection: Connection, user: str) -> list[str]:
    """The users whom a user coaches, by the coach relation, if there is one."""
    columns = await connection.fetch(
        "select attname from pg_attribute where attrelid = to_regclass('public.coach_clients') and attnum > 0"
    )
    names = {row["attname"] for row in columns}
    if not {"coach_id", "client_id"} <= names:
        return []
    active = " and lower(status::text) = 'active'" if "status" in names else ""
    rows = await connection.fetch(
        f"select client_id::text as id from public.coach_clients where coach_id::uuid = $1::uuid{active}", user
    )
    return [row["id"] for row in rows]


async def _sample(connection: Connection) -> list[str]:
    """Owners with plans, and a coach with a client who has some, where there are such."""
    users = [row["user_id"] for row in await connection.fetch(_USERS, SAMPLE_USERS)]
    columns = await connection.fetch(
        "select attname from pg_attribute where attrelid = to_regclass('public.coach_clients') and attnum > 0"
    )
    if {"coach_id", "client_id"} <= {row["attname"] for row in columns}:
        users += [
            row["coach_id"]
            for row in await connection.fetch(
                "select c.coach_id::text from public.coach_clients c join public.workout_plans p "
                "on p.user_id = c.client_id::uuid group by 1 order by count(*) desc, 1 limit 1"
            )
        ]
    return list(dict.fromkeys(users))


async def _behaviour_problems(connection: Connection, tables: Sequence[str]) -> tuple[list[str], int]:
    """What users see that they should not, or do not see that they should; and how many users were tried."""
    problems = []
    for role, user in (("anon", None), ("authenticated", NOBODY)):
        who = "anybody without a login" if user is None else "a user who does not exist"
        for table in tables:
            try:
                async with acting_as(connection, role, user):
                    rows, _ = await _seen(connection, table)
            except asyncpg.InsufficientPrivilegeError:
                continue
            if rows:
                problems.append(f"{who} sees {plural(rows, 'row')} of {table}")
    users = await _sample(connection)
    for user in users:
        people = [user, *await _coached(connection, user)]
        for table in tables:
            expected = await _allowed(connection, table, people)
            try:
                async with acting_as(connection, "authenticated", user):
                    found = await _seen(connection, table)
            except asyncpg.InsufficientPrivilegeError:
                problems.append(f"user {user} may not read {table} at all")
                continue
            if found != expected:
                problems.append(
                    f"user {user} sees {plural(found[0], 'row')} of {table}, not the {expected[0]:,} that are theirs"
                )
    return problems, len(users)


@on_v2
async def _rls_enforced(context: Context) -> Outcome:
    problems = await _catalog_problems(context)
    # What users write between two of these statements is no gap.
    async with undone(context.connection, one_moment=True):
        await context.connection.execute("set local work_mem = '64MB'")
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
