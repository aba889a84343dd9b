"""v2's functions: who may reach what (for the policies), and the analytics that the app calls."""

from __future__ import annotations

from vagus_tui.schema import v2
from vagus_tui.schema.ddl import NamedSql, V2Ddl, coach_has_status
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.rights import bare_function

_SIGNATURES = {
    "workout_coached_users": "()",
    "workout_my_plans": "()",
    "workout_my_weeks": "()",
    "workout_my_days": "()",
    "workout_my_sessions": "()",
    "workout_readable_sessions": "()",
    "workout_touch_updated_at": "()",
}


def _access(ddl: V2Ddl, name: str, returns: str, body: str) -> NamedSql:
    # SECURITY DEFINER: a helper looks at the tables themselves, not through the policies that call it, so it is
    # worked out once per statement and never recursively. It answers about auth.uid() alone.
    signature = f"{qualified(ddl.schema, name)}()"
    return NamedSql(
        name,
        f"create function {signature} returns setof {returns}\n"
        "language sql stable security definer set search_path = ''\n"
        f"begin atomic\n  {body};\nend;\n"
        f"{bare_function(signature)};\n"
        f"grant execute on function {signature} to authenticated, service_role",
    )


def access_functions(ddl: V2Ddl) -> list[NamedSql]:
    """Set-returning helpers that name the users, plans, weeks, days and sessions that auth.uid() may reach."""
    plans, weeks, days = (ddl.relation(name) for name in (v2.PLANS, v2.WEEKS, v2.DAYS))
    sessions = ddl.relation(v2.SESSIONS)
    coached = "select null::uuid where false"
    if ddl.shape.coach_clients is not None:
        active = " and lower(c.status::text) = 'active'" if coach_has_status(ddl.shape) else ""
        coached = (
            f"select c.client_id::uuid from {qualified(ddl.shape.schema, 'coach_clients')} c "
            f"where c.coach_id::uuid = (select auth.uid()){active}"
        )
    clients = f"select * from {qualified(ddl.schema, 'workout_coached_users')}()"
    # One list of users, so that the index on user_id is used: with OR the server reads whole tables, for every query.
    mine = f"p.user_id = any (array(select auth.uid() union all {clients}))"
    plan_id, session_id = ddl.types["plan_id"], ddl.types["session_id"]
    return [
        _access(ddl, "workout_coached_users", "uuid", coached),
        _access(ddl, "workout_my_plans", plan_id, f"select p.id from {plans} p where {mine}"),
        _access(
            ddl,
            "workout_my_weeks",
            "uuid",
            f"select w.id from {weeks} w join {plans} p on p.id = w.plan_id where {mine}",
        ),
        _access(
            ddl,
            "workout_my_days",
            "uuid",
            f"select d.id from {days} d join {weeks} w on w.id = d.week_id\n"
            f"  join {plans} p on p.id = w.plan_id where {mine}",
        ),
        _access(
            ddl,
            "workout_my_sessions",
            session_id,
            f"select s.id from {sessions} s where s.user_id = (select auth.uid())",
        ),
        _access(
            ddl,
            "workout_readable_sessions",
            session_id,
            f"select p.id from {sessions} p where {mine}",
        ),
    ]


def analytics_functions(ddl: V2Ddl) -> list[NamedSql]:
    """The analytics: run as the caller, so row level security decides what they count."""
    weeks, days = ddl.relation(v2.WEEKS), ddl.relation(v2.DAYS)
    exercises, sessions, logs = (ddl.relation(name) for name in (v2.EXERCISES, v2.SESSIONS, v2.LOGS))
    plan_id, exercise_id = ddl.types["plan_id"], ddl.types["exercise_id"]
    volume = (
        f"create function {qualified(ddl.schema, 'calculate_plan_volume')}(plan {plan_id}) returns numeric\n"
        "language sql stable set search_path = ''\n"
        "begin atomic\n"
        "  select coalesce(sum(l.reps * l.weight), 0)\n"
        f"  from {weeks} w join {days} d on d.week_id = w.id join {sessions} s on s.day_id = d.id\n"
        f"  join {logs} l on l.session_id = s.id where w.plan_id = plan;\n"
        "end"
    )
    records = (
        f"create function {qualified(ddl.schema, 'detect_prs')}(athlete uuid, exercise text)\n"
        f"returns table (exercise_id {exercise_id}, weight numeric, reps integer, achieved_at timestamptz)\n"
        "language sql stable set search_path = ''\n"
        "begin atomic\n"
        "  select best.exercise_id, best.weight, best.reps, best.achieved_at from (\n"
        "    select l.exercise_id, l.weight, l.reps, coalesce(l.completed_at, s.started_at) as achieved_at,\n"
        "      max(l.weight) over (order by coalesce(l.completed_at, s.started_at), l.set_number, l.id\n"
        "        rows between unbounded preceding and 1 preceding) as before\n"
        f"    from {sessions} s join {logs} l on l.session_id = s.id join {exercises} e on e.id = l.exercise_id\n"
        "    where s.user_id = athlete and lower(e.name) = lower(exercise)\n"
        "  ) best where best.before is null or best.weight > best.before order by best.achieved_at;\n"
        "end"
    )
    by_group = (
        f"create function {qualified(ddl.schema, 'get_muscle_group_volume')}"
        "(athlete uuid, from_date date, to_date date)\n"
        "returns table (muscle_group text, volume numeric, sets bigint)\n"
        "language sql stable set search_path = ''\n"
        "begin atomic\n"
        "  select e.muscle_group, sum(l.reps * l.weight), count(*)\n"
        f"  from {sessions} s join {logs} l on l.session_id = s.id join {exercises} e on e.id = l.exercise_id\n"
        "  where s.user_id = athlete and s.started_at >= from_date and s.started_at < to_date + 1\n"
        "  group by e.muscle_group order by 2 desc, 1;\n"
        "end"
    )
    made = []
    for name, arguments, sql in (
        ("calculate_plan_volume", plan_id, volume),
        ("detect_prs", "uuid, text", records),
        ("get_muscle_group_volume", "uuid, date, date", by_group),
    ):
        signature = f"{qualified(ddl.schema, name)}({arguments})"
        made.append(
            NamedSql(
                name,
                f"{sql};\n{bare_function(signature)};\n"
                f"grant execute on function {signature} to authenticated, service_role",
            )
        )
    return made


def signatures(ddl: V2Ddl) -> dict[str, str]:
    """The argument lists of every function that v2 brings, by name: what ALTER FUNCTION needs."""
    return {
        **_SIGNATURES,
        "calculate_plan_volume": f"({ddl.types['plan_id']})",
        "detect_prs": "(uuid, text)",
        "get_muscle_group_volume": "(uuid, date, date)",
    }


def moved(ddl: V2Ddl, name: str, target: str) -> str:
    """The statement that moves a function to another schema."""
    return f"alter function {qualified(ddl.schema, name)}{signatures(ddl)[name]} set schema {quote(target)}"
