"""The guide's five troubles: how each shows, what is behind it, and repairs that do no further harm."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One trouble.

    Attributes:
        id: unique in the whole runbook.
        title: what it is called.
        symptom: what people notice.
        cause: what is behind it.
        detected: how the wizard finds out.
        checks: the checks that measure it; empty when none does.
        remedy: what the wizard does about it.
        undo: how to take the remedy back.
        never: what makes it worse.
    """

    id: str
    title: str
    symptom: str
    cause: str
    detected: str
    checks: tuple[str, ...]
    remedy: str
    undo: str
    never: str


ISSUES: tuple[Issue, ...] = (
    Issue(
        id="issue.stopped-midway",
        title="The migration stopped midway",
        symptom="A step failed, the connection broke, or the wizard was closed.",
        cause="A lock that did not clear, a timeout, a lost connection, a value nobody expected.",
        detected="From the catalog and the journal at every start: which phase was reached, who holds locks.",
        checks=("migration-lock", "long-transactions", "idle-in-transaction", "timeouts"),
        remedy="Before the cut-over: go on from where it stood, or abandon it; v1 is untouched either way. "
        "The cut-over is one transaction: it happened as a whole or not at all. A backend in the way is named, "
        "and cancelled only by its id, after you confirm.",
        undo="Abandoning drops what was built; start again at any time. A cancelled query can be run again.",
        never="Cancel by the text of a query: it can hit the wrong session, or your own.",
    ),
    Issue(
        id="issue.exercises-without-day",
        title="Exercises without the right day",
        symptom="A plan looks empty, or an exercise stands on a day where it does not belong.",
        cause="Changed by hand after the migration, or a day key that the mapping table does not know.",
        detected="Each exercise's plan is compared with v1's. A day within its own plan is the user's choice; the row "
        "proof leaves out what was changed after the cut-over.",
        checks=("orphaned-exercises-v2", "orphaned-days", "orphaned-weeks", "row-proof"),
        remedy="Puts each one back on its day, within its own plan, and shows the rows first.",
        undo="The former day of each row is kept in the journal and can be put back.",
        never="Give them just any day: that can move exercises into other users' plans.",
    ),
    Issue(
        id="issue.slow",
        title="The app has become slow",
        symptom="Loading takes several times as long as before.",
        cause="Statistics or an index are missing, or a policy is evaluated for every row.",
        detected="Queries are timed as a user, v2's indexes compared with the list, stale statistics looked up.",
        checks=("slowdown", "missing-indexes"),
        remedy="ANALYZE all v2 tables; create missing indexes without blocking writes; "
        "tidy up after an index that was left unfinished.",
        undo="Indexes that a repair made can be dropped again. Fresh statistics need no undo.",
        never="Create indexes the blocking way, or VACUUM FULL, while users are on.",
    ),
    Issue(
        id="issue.wrong-data",
        title="Users see data of others, or none of theirs",
        symptom="Someone reports a plan that is not theirs, or an empty list.",
        cause="Row level security is off, or a policy is missing or too wide.",
        detected="Real users are impersonated in a transaction that is rolled back; what they see in v2 is "
        "compared with v1, on every table and for every command.",
        checks=(
            "rls-enforced",
            "access-owners",
            "access-coaches",
            "access-former-coaches",
            "access-others",
            "access-anon",
            "access-service",
            "access-as-applied",
        ),
        remedy="Sets row level security and every policy of all v2 tables as defined, and tests it as real users. "
        "While data is exposed, switch the Data API off in Supabase's settings. Tell the migration lead: "
        "users may have to be informed.",
        undo="The policies found are kept in the journal and can be put back.",
        never="Test as postgres: it bypasses row level security and sees every row.",
    ),
    Issue(
        id="issue.notifications",
        title="Notifications are not sent",
        symptom="Users miss reminders since the migration.",
        cause="Users without a preference row, a preference in the older form, or a OneSignal key of the app.",
        detected="Users without a preference row are counted, and everybody's choices compared with v1's.",
        checks=("preferences-intact",),
        remedy="Gives users without a row a quiet one, with everything off; never touches an existing row. "
        "If rows are in order, look at OneSignal's delivery log.",
        undo="The rows that were added are in the journal and can be taken out.",
        never="Switch reminders on for everyone: most never asked for them.",
    ),
)
