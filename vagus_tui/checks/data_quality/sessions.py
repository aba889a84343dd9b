"""Rules about v1's workout sessions."""

from __future__ import annotations

from vagus_tui.checks.data_quality.rule import USERS, Rule
from vagus_tui.schema import v1

ABANDONED = "Pre-Migration Checklist · Data Quality Checks 5"
LINKED = "Migration Steps · Step 4"

RULES = (
    Rule(
        id="sessions-null-user",
        table=v1.SESSIONS,
        title="Sessions without a user",
        why="In v2 a session belongs to somebody.",
        fails=lambda names: "t.user_id is null",
        failing="without a user",
    ),
    Rule(
        id="sessions-unknown-user",
        table=v1.SESSIONS,
        title="Sessions of unknown users",
        why="v2 ties a session's user to auth.users; one who is not there is refused.",
        fails=lambda names: f"t.user_id is not null and not exists (select from {USERS} u where u.id = t.user_id)",
        failing="of a user who is not in auth.users",
        alone=True,
    ),
    Rule(
        id="sessions-unknown-plan",
        table=v1.SESSIONS,
        title="Sessions of plans that are gone",
        why="A session's day in v2 comes from its plan. A plan that does not exist has no days.",
        guide=LINKED,
        fails=lambda names: (
            f"t.plan_id is not null and not exists (select from {names.plans} p where p.id = t.plan_id)"
        ),
        failing="of a plan that does not exist",
        alone=True,
    ),
    Rule(
        id="sessions-without-plan",
        table=v1.SESSIONS,
        title="Sessions of no plan",
        why="Sessions trained freely are kept in v2 with their sets, on no day.",
        guide=LINKED,
        warns=lambda names: "t.plan_id is null",
        warning="of no plan: kept without a day",
    ),
    Rule(
        id="sessions-null-start",
        table=v1.SESSIONS,
        title="Sessions without a start",
        why="v2 requires when a session started; the week is counted from it.",
        guide=ABANDONED,
        fails=lambda names: "t.started_at is null or not isfinite(t.started_at)",
        failing="without a start time, or with one that is infinite",
    ),
    Rule(
        id="abandoned-sessions",
        table=v1.SESSIONS,
        title="Sessions never completed",
        why="Started more than a day ago and never ended: people stop training. They are kept as they are.",
        guide=ABANDONED,
        columns=("completed_at",),
        warns=lambda names: "t.completed_at is null and t.started_at < now() - interval '24 hours'",
        warning="started more than 24 hours ago and never completed: kept as they are",
    ),
    Rule(
        id="sessions-volume",
        table=v1.SESSIONS,
        title="Sessions of impossible volume",
        why="v2 stores each session's volume (repetitions times weight), which must stay below 100,000,000.",
        fails=lambda names: (
            f"t.id in (select l.session_id from {names.logs} l group by l.session_id "
            "having round(sum(l.reps::numeric * l.weight::numeric), 2) >= 100000000)"
        ),
        failing="with a volume of 100,000,000 or more, or that is no number (NaN)",
        alone=True,
    ),
)
