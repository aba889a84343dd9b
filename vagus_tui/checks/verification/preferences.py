"""Whether everybody's notification preferences are what they had: v1's, or quiet where v1 had none.

v1's table may have a row per category, be (user_id, preferences) itself, or be missing; the run's record says which.
The second kind stays in place, so that the migration notes a digest per user before it adds quiet rows.
"""

from __future__ import annotations

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.fault import changed_rows
from vagus_tui.checks.verification.base import against_v1, later, recorded, relation
from vagus_tui.database.identifiers import qualified
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.migration.capture import CAPTURE_TRIGGER
from vagus_tui.migration.cut_over import KEPT_PREFERENCES
from vagus_tui.migration.survey import Survey
from vagus_tui.schema.preferences import QUIET, chosen
from vagus_tui.schema.v2 import PREFERENCES, USERS

LISTED_USERS = 5
_WATCHED = "select exists (select from pg_trigger where tgrelid = to_regclass($1) and tgname = $2)"
_OLDEST = "select p.user_id from {table} p order by {order}p.user_id limit 1"


def _had(survey: Survey) -> str | None:
    """The condition that a row `p` is what the user `u` had; None where v1's table is not there to tell."""
    if survey.preferences == "none":
        return f"p.preferences = {QUIET}"
    if survey.preferences == "jsonb":
        kept = f"(select md5(p.preferences::text) = k.digest from {KEPT_PREFERENCES} k where k.user_id = p.user_id)"
        return f"coalesce({kept}, p.preferences = {QUIET})"
    old = next((one.new for one in survey.renames if one.kind == "table" and one.old == PREFERENCES), None)
    return None if old is None else f"p.preferences = {chosen(qualified(survey.shape.schema, old), 'p.user_id')}"


@against_v1
async def _preferences(context: Context) -> Outcome:
    found = await recorded(context)
    had = _had(found[1]) if found is not None else None
    if found is None or had is None:
        return Outcome(Status.SKIP, "–", "No record says which preferences v1 had.")
    run, survey = found
    connection = context.connection
    columns = {
        row["attname"]
        for row in await connection.fetch(
            "select attname::text from pg_attribute where attrelid = to_regclass($1) and attnum > 0 "
            "and not attisdropped",
            relation(PREFERENCES),
        )
    }
    if not {"user_id", "preferences"} <= columns:
        return Outcome(Status.FAIL, "no table", f"There is no {PREFERENCES} with a row per user any more.")
    if survey.preferences == "jsonb" and not await connection.fetchval(
        "select to_regclass($1) is not null", KEPT_PREFERENCES
    ):
        return Outcome(Status.SKIP, "–", "The migration did not note what users had chosen.")
    watched = await connection.fetchval(_WATCHED, relation(PREFERENCES), CAPTURE_TRIGGER)
    # What was noted of the app is believed, whether or not it sets a time; an older migration has the time alone.
    own = "false"
    if watched:
        own = await later(context, PREFERENCES, "u.id::text")
    elif "updated_at" in columns:
        own = "p.updated_at > $2::timestamptz"
    own = f"{own} and $2::timestamptz is not null"
    row = await connection.fetchrow(
        f"""
select count(*) filter (where how = 'lost') as lost, count(*) filter (where how = 'other') as other,
  count(*) filter (where how = 'own') as own, count(*) filter (where how = 'same') as same,
  (array_agg(id order by how, id) filter (where how in ('lost', 'other')))[1:{LISTED_USERS}] as ids
from (select u.id::text as id, case when {had} then 'same' when {own} then 'own'
    when p.user_id is null then 'lost' else 'other' end as how
  from {USERS} u left join {relation(PREFERENCES)} p on p.user_id = u.id
  where coalesce(u.created_at, '-infinity') < $1) d
""",
        run.started_at,
        run.finished_at or run.started_at,
    )
    assert row is not None
    told = [f"{plural(row['same'], 'user has', 'users have')} the preferences that they had."]
    if row["own"]:
        told.append(f"{plural(row['own'], 'user')} changed theirs since the cut-over.")
    if wrong := row["lost"] + row["other"]:
        parts = []
        if row["lost"]:
            parts.append(f"{plural(row['lost'], 'user')} lost theirs")
        if row["other"]:
            nobody = "and it was not the app that changed them" if watched else "and nothing says that they chose them"
            parts.append(f"{plural(row['other'], 'user has', 'users have')} others than in v1, {nobody}")
        status = Status.FAIL
        if not watched and not row["lost"]:
            # The app may leave the time of a change alone: then this is no more than a question.
            status = Status.WARN
            told.append("This migration did not note what the app changes, so ask some of them before you mend it.")
        return Outcome(status, wrong, f"{'; '.join(parts)}: {', '.join(row['ids'])}. {' '.join(told)}")
    return Outcome(Status.PASS, 0, " ".join(told))


def _first(context: Context) -> str:
    """The user whose row has been left alone for the longest time."""
    order = "p.updated_at, " if "updated_at" in (context.shape.preferences or {}) else ""
    return _OLDEST.format(table=relation(PREFERENCES), order=order)


CHECKS = (
    Check(
        id="preferences-intact",
        group=Group.VERIFICATION,
        title="Notification preferences",
        why="Everybody has the choices that they had in v1, and whoever had none is opted in to nothing. What users "
        "changed in the app since the cut-over is noted there and told apart.",
        expected="0",
        probe=_preferences,
        guide="Manual Verification Checklist · Data Integrity",
        needs_v1=True,
        faults=(
            changed_rows(
                "a user's preferences are gone",
                lambda context: f"delete from {relation(PREFERENCES)} where user_id = ({_first(context)})",
                PREFERENCES,
            ),
            changed_rows(
                "a user was opted in",
                lambda context: (
                    f"update {relation(PREFERENCES)} set preferences = preferences || '{{\"planted\": true}}' "
                    f"where user_id = ({_first(context)})"
                ),
                PREFERENCES,
            ),
        ),
    ),
)
