"""What must hold before anything is started: the guide's "Pre-Migration Checklist", corrected.

Nearly all of it is measured by checks; a person signs off only what no database can know.
"""

from __future__ import annotations

from datetime import timedelta

from vagus_tui.runbook.model import DAY, Group, Item, Owner, Screen

_TECHNICAL = "prerequisites.technical"
_ENVIRONMENT = "prerequisites.environment"
_DATA = "prerequisites.data-quality"
_PEOPLE = "prerequisites.people"


def _measured(
    group: str, slug: str, title: str, why: str, *checks: str, guide: str = "", owner: Owner = Owner.DEVOPS
) -> Item:
    return Item(
        id=f"prerequisites.{slug}",
        title=title,
        why=why,
        group=group,
        owner=owner,
        due=-DAY,
        evidence=checks[0],
        also=checks[1:],
        guide=guide,
    )


def _signed(group: str, slug: str, title: str, why: str, owner: Owner, due: timedelta, guide: str = "") -> Item:
    return Item(id=f"prerequisites.{slug}", title=title, why=why, group=group, owner=owner, due=due, guide=guide)


_T = "Technical Prerequisites"
_E = "Environment Preparation"
_Q = "Data Quality Checks"

TECHNICAL = Group(
    id=_TECHNICAL,
    title="Technical",
    screen=Screen.PREREQUISITES,
    items=(
        _measured(
            _TECHNICAL,
            "server-version",
            "PostgreSQL 14 to 18",
            "Older servers lack what the build uses; newer ones have not been tried.",
            "server-version",
            "encoding",
            guide=_T,
        ),
        _measured(
            _TECHNICAL,
            "supabase-cli",
            "Supabase CLI installed",
            "The app team's scripts use it. The wizard does not, so its absence only warns.",
            "supabase-cli",
            guide=_T,
        ),
        _measured(
            _TECHNICAL,
            "connection",
            "Direct connection or session pooler",
            "The transaction pooler keeps no session: no lock, no snapshot, no safe cut-over.",
            "connection-kind",
            guide=_T,
        ),
        _measured(
            _TECHNICAL,
            "distance",
            "Near enough to the server",
            "While users wait for the cut-over, it waits a dozen times for the way to the server and back.",
            "answer-time",
        ),
        _measured(
            _TECHNICAL,
            "rights",
            "Owner of the tables, may create and set role",
            "Supabase grants no superuser, and none is needed. These rights are.",
            "rights",
            guide=_T,
        ),
        _measured(
            _TECHNICAL,
            "backup-space",
            "Room for the backup",
            "Estimated from the size of the data, never less than 500 MB.",
            "disk-space",
            "upload-target",
            guide=_T,
        ),
        _signed(
            _TECHNICAL,
            "plan-read",
            "The migration's SQL has been read",
            "Nothing runs that the plan does not show: on the Migration screen, or with `vagus-tui sql`.",
            Owner.DBA,
            -3 * DAY,
            _T,
        ),
        _measured(
            _TECHNICAL,
            "dump-tools",
            "pg_dump fits the server",
            "A pg_dump older than the server refuses to dump; one built without TLS cannot connect.",
            "pg-dump",
        ),
    ),
)

ENVIRONMENT = Group(
    id=_ENVIRONMENT,
    title="Environment",
    screen=Screen.PREREQUISITES,
    items=(
        _measured(
            _ENVIRONMENT,
            "reached",
            "The database answers, over verified TLS",
            "Without a verified certificate, another server could answer in its name.",
            "tls",
            guide=_E,
        ),
        _measured(
            _ENVIRONMENT,
            "v1-found",
            "The v1 tables are there, in a known shape",
            "The catalog is read and nothing is assumed; another shape is refused.",
            "v1-shape",
        ),
        _measured(
            _ENVIRONMENT,
            "sizes",
            "Table sizes known, and room for v2 beside v1",
            "Both exist at once until the clean-up. Sizes also give the first estimate.",
            "table-sizes",
            "server-space",
            guide=_E,
        ),
        _measured(
            _ENVIRONMENT,
            "connections",
            "Fewer than 50 connections in use",
            "A busy server builds more slowly, and parallel work needs connections of its own.",
            "active-connections",
            guide=_E,
        ),
        _measured(
            _ENVIRONMENT,
            "nobody-holds-locks",
            "No long or idle transactions",
            "One long reader holds up the cut-over, and everything behind it. The count of connections misses it.",
            "long-transactions",
            "idle-in-transaction",
        ),
        _measured(
            _ENVIRONMENT,
            "settings-fit",
            "Timeouts, clock and replication fit",
            "A server timeout can end the build; a stale replication slot can fill the disk.",
            "timeouts",
            "clock",
            "replication-slots",
        ),
        _measured(
            _ENVIRONMENT,
            "grants-known",
            "Default privileges known",
            "Projects differ in what new tables grant by themselves. v2 states every grant.",
            "default-privileges",
        ),
        _measured(
            _ENVIRONMENT,
            "alone",
            "No other operator at work",
            "Two migrations at once would undo each other. The check names who holds the lock.",
            "migration-lock",
        ),
    ),
)

DATA_QUALITY = Group(
    id=_DATA,
    title="Data quality",
    screen=Screen.PREREQUISITES,
    note="Rows are repaired or set aside, never deleted.",
    items=(
        _measured(
            _DATA,
            "plans-have-owners",
            "Every plan has an owner who exists",
            "v2 requires one, and access is decided by it.",
            "plans-null-owner",
            "plans-unknown-owner",
            guide=_Q,
            owner=Owner.DBA,
        ),
        _measured(
            _DATA,
            "exercises-have-plans",
            "Every exercise belongs to a plan",
            "Without a plan it has no day in v2.",
            "orphaned-exercises",
            guide=_Q,
            owner=Owner.DBA,
        ),
        _measured(
            _DATA,
            "plan-names",
            "Plans of the same name",
            "Allowed, and both are migrated. Shown because users may mistake one for the other.",
            "duplicate-plan-names",
            guide=_Q,
            owner=Owner.DBA,
        ),
        _measured(
            _DATA,
            "exercise-values",
            "Sets, repetitions and weights fit v2",
            "v2 refuses missing or non-positive sets, and weights it would have to cut off or round.",
            "exercises-sets",
            "exercises-reps",
            "exercises-weight",
            guide=_Q,
            owner=Owner.DBA,
        ),
        _measured(
            _DATA,
            "unfinished-sessions",
            "Sessions begun long ago and never completed",
            "Legitimate: users stop halfway. Counted, migrated, not blocking.",
            "abandoned-sessions",
            guide=_Q,
            owner=Owner.DBA,
        ),
    ),
)

PEOPLE = Group(
    id=_PEOPLE,
    title="People",
    screen=Screen.PREREQUISITES,
    items=(
        _signed(
            _PEOPLE,
            "staging-first",
            "Staging has been migrated and rolled back",
            "Surprises belong there. Use production's volume and the same settings.",
            Owner.DEVOPS,
            -3 * DAY,
            "Risk Assessment",
        ),
        _signed(
            _PEOPLE,
            "emergency-number",
            "The emergency number is known to everyone",
            "The guide's hotline is a placeholder. Write a real number where all can see it.",
            Owner.LEAD,
            -DAY,
            "Support Contacts",
        ),
        _signed(
            _PEOPLE,
            "installed-apps",
            "Known what installed v1 apps do once v2 is live",
            "Staging the release needs an app that reads both shapes, already out. Without one, "
            "release to all at once.",
            Owner.APP,
            -7 * DAY,
        ),
        _signed(
            _PEOPLE,
            "v1-app-kept",
            "The v1 app can be released again",
            "A rollback of the data needs an app that reads v1, and stores take their time.",
            Owner.APP,
            -3 * DAY,
        ),
    ),
)

GROUPS: tuple[Group, ...] = (TECHNICAL, ENVIRONMENT, DATA_QUALITY, PEOPLE)
