"""Whether users train as before: sessions begun since the cut-over, against the same hours of a week before it.

An app that fails on v2 without an error that anybody reports shows in what is no longer written.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.verification.base import on_v2, relation
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.schema import v2

WEEK = timedelta(days=7)
SOONEST = timedelta(hours=1)
FEWEST = 20
"""Of fewer sessions a week before, half as many may be chance."""
LEAST_PERCENT = 50
_BEGUN = f"""
select count(*) as sessions, count(distinct user_id) as users from {relation(v2.SESSIONS)}
where started_at >= $1 and started_at < $2
""".strip()


def spans(moved_at: datetime, now: datetime) -> tuple[datetime, timedelta]:
    """Since when sessions are counted, and how far back the same hours before the cut-over lie.

    What counts is the time since the cut-over, of a week at most; the other is whole weeks earlier.
    """
    since = max(moved_at, now - WEEK)
    return since, WEEK * -((moved_at - now) // WEEK)


@on_v2
async def _activity(context: Context) -> Outcome:
    moved_at = context.state.moved_at
    if moved_at is None:
        return Outcome(Status.SKIP, "–", "No record says when v2 came.")
    now: datetime = await context.connection.fetchval("select now()")
    if now - moved_at < SOONEST:
        return Outcome(Status.SKIP, "too early", "Less than an hour since the cut-over says nothing yet.")
    since, back = spans(moved_at, now)
    after = await context.connection.fetchrow(_BEGUN, since, now)
    before = await context.connection.fetchrow(_BEGUN, since - back, now - back)
    assert after is not None and before is not None
    weeks = "a week" if back == WEEK else f"{back // WEEK} weeks"
    told = (
        f"{plural(after['sessions'], 'session')} of {plural(after['users'], 'user')} began since "
        f"{since:%Y-%m-%d %H:%M} UTC; in the same hours {weeks} before, {before['sessions']:,} of {before['users']:,}."
    )
    if before["sessions"] < FEWEST:
        return Outcome(Status.SKIP, "too few", f"{told} Of so few nothing can be told.")
    percent = 100 * after["sessions"] // before["sessions"]
    if percent < LEAST_PERCENT:
        text = f"{told} Ask support, and try the app as one of those who train no more, before more get the update."
        return Outcome(Status.FAIL, f"{percent} %", text, value=percent)
    return Outcome(Status.PASS, f"{percent} %", told, value=percent)


CHECKS = (
    Check(
        id="activity",
        group=Group.ROLLOUT,
        title="Users train as before",
        why="An app that cannot write to v2 may say so to nobody. Sessions that are no longer begun show it, against "
        "the same hours of the weeks before the cut-over.",
        expected=f"from {LEAST_PERCENT} %",
        probe=_activity,
        guide="Gradual Rollout",
        sql=lambda _: f"-- $1 and $2: the hours since the cut-over, and the same hours whole weeks before.\n{_BEGUN};",
    ),
)
