"""What people verify by hand: the guide's "Manual Verification Checklist" (coach 8, client 8, data 7, performance 6).

Items that a check can prove name it; the rest a person signs off.
"""

from __future__ import annotations

from vagus_tui.runbook.model import HOUR, MINUTE, Group, Item, Owner, Screen

_GUIDE = "Manual Verification Checklist"
_COACH, _CLIENT = "verification.coach", "verification.client"
_DATA, _SPEED = "verification.data", "verification.performance"

_BESIDE = {
    f"{_COACH}.client-list": ("access-coaches",),
    f"{_COACH}.create-plan": ("access-coaches",),
    f"{_COACH}.add-structure": ("access-coaches",),
    f"{_COACH}.groups": ("access-coaches",),
    f"{_COACH}.progression": ("access-coaches", "progressions"),
    f"{_COACH}.duplicate-week": ("access-coaches", "weeks-complete"),
    f"{_COACH}.export-pdf": ("plan-loading",),
    f"{_COACH}.delete-plan": ("access-coaches", "cascade-deletes"),
    f"{_CLIENT}.plans": ("access-owners", "plan-loading"),
    f"{_CLIENT}.current-week": ("current-week",),
    f"{_CLIENT}.start-session": ("access-owners",),
    f"{_CLIENT}.log-sets": ("access-owners", "session-tracking"),
    f"{_CLIENT}.complete": ("access-owners",),
    f"{_CLIENT}.history": ("sessions-migrated", "logs-migrated", "history"),
    f"{_CLIENT}.analytics": ("plan-volume", "personal-records", "muscle-groups"),
    f"{_CLIENT}.notifications": ("preferences-intact",),
}
"""What the database can say about what only people can try in the app."""


def _by_hand(
    group: str,
    slug: str,
    title: str,
    why: str,
    owner: Owner = Owner.QA,
    measured: tuple[str, ...] = (),
) -> Item:
    return Item(
        id=f"{group}.{slug}",
        title=title,
        why=why,
        group=group,
        owner=owner,
        due=HOUR,
        measured=measured,
        beside=_BESIDE.get(f"{group}.{slug}", ()),
        guide=_GUIDE,
        of_run=True,
    )


def _proved(group: str, slug: str, title: str, why: str, *checks: str) -> Item:
    return Item(
        id=f"{group}.{slug}",
        title=title,
        why=why,
        group=group,
        owner=Owner.DEVOPS,
        due=MINUTE,
        evidence=checks[0],
        also=checks[1:],
        guide=_GUIDE,
    )


COACH = Group(
    id=_COACH,
    title="Coach features",
    screen=Screen.VERIFICATION,
    note="With a real coach account that has active clients.",
    items=(
        _by_hand(_COACH, "client-list", "Coach sees the client list", "Shows that access through clients works."),
        _by_hand(_COACH, "create-plan", "Coach creates a plan for a client", "The first write down the new tree."),
        _by_hand(
            _COACH,
            "add-structure",
            "Coach adds weeks, days and exercises",
            "Each level has its own policy; try all three.",
        ),
        _by_hand(_COACH, "groups", "Coach creates an exercise group (superset)", "Groups are new in v2."),
        _by_hand(_COACH, "progression", "Coach applies a progression", "It reads several weeks at once."),
        _by_hand(_COACH, "duplicate-week", "Coach duplicates a week", "Trips over a week number taken twice."),
        _by_hand(_COACH, "export-pdf", "Coach exports a plan to PDF", "Reads the whole tree in one go."),
        _by_hand(
            _COACH,
            "delete-plan",
            "Coach deletes a plan with all it holds",
            "Use a plan made for the test; deletion is real.",
        ),
    ),
)

CLIENT = Group(
    id=_CLIENT,
    title="Client features",
    screen=Screen.VERIFICATION,
    note="With a real client account that has an active plan.",
    items=(
        _by_hand(_CLIENT, "plans", "Client sees the assigned plans", "The first thing every user does."),
        _by_hand(_CLIENT, "current-week", "Client sees this week's workouts", "Weeks are generated: look at dates."),
        _by_hand(_CLIENT, "start-session", "Client starts a session", "A session now belongs to a day."),
        _by_hand(_CLIENT, "log-sets", "Client logs sets: reps, weight, RPE", "RPE is new; try a half point."),
        _by_hand(_CLIENT, "complete", "Client completes the workout", "Totals are computed on completion."),
        _by_hand(_CLIENT, "history", "Client sees the workout history", "Old sessions must be there, with their sets."),
        _by_hand(_CLIENT, "analytics", "Client sees analytics: volume, records", "They run functions that v2 brings."),
        _by_hand(
            _CLIENT,
            "notifications",
            "Client gets workout notifications",
            "For a user who had them on. Nobody is switched on by the migration.",
        ),
    ),
)

DATA = Group(
    id=_DATA,
    title="Data integrity",
    screen=Screen.VERIFICATION,
    items=(
        _proved(_DATA, "plans", "Every v1 plan is in v2", "Row by row, not by count.", "plans-migrated", "row-proof"),
        _proved(
            _DATA,
            "exercises",
            "Every v1 exercise is in v2",
            "Equal counts would pass even with every exercise overwritten; the row proof would not.",
            "exercises-migrated",
            "row-proof",
        ),
        _proved(
            _DATA,
            "history",
            "Exercise history preserved",
            "Sessions and logs, each still tied to what was trained.",
            "sessions-migrated",
            "logs-migrated",
            "sessions-linked",
        ),
        _by_hand(
            _DATA,
            "preferences",
            "User preferences intact",
            "Compared user by user with what v1 held; look at two users who had changed theirs as well.",
            measured=("preferences-intact",),
        ),
        _by_hand(
            _DATA,
            "coaches",
            "Coach and client relationships intact",
            "The table is not touched; coaches reach whom they reached. Ask one whether the list is complete.",
            measured=("access-coaches", "access-former-coaches"),
        ),
        _proved(
            _DATA,
            "access",
            "Row level security enforced",
            "Real users see in v2 exactly what they saw in v1, and strangers nothing.",
            "rls-enforced",
            "access-owners",
            "access-others",
            "access-anon",
        ),
        _proved(
            _DATA,
            "cascades",
            "Deleting a plan deletes what it holds",
            "Tried on a full tree, in a transaction that is rolled back.",
            "cascade-deletes",
        ),
    ),
)

PERFORMANCE = Group(
    id=_SPEED,
    title="Performance",
    screen=Screen.VERIFICATION,
    items=(
        _proved(
            _SPEED,
            "plan-loading",
            "A plan loads in under 2 seconds",
            "Measured as the users with the most data: policies cost time.",
            "plan-loading",
            "current-week",
            "history",
        ),
        _proved(
            _SPEED,
            "session-tracking",
            "Logging a set is immediate",
            "The database's part is measured; try the app's in a gym's network, not the office's.",
            "session-tracking",
        ),
        _proved(
            _SPEED,
            "analytics",
            "Analytics answer in under 3 seconds",
            "Measured as the user with the longest history, and as a coach.",
            "plan-volume",
            "personal-records",
            "muscle-groups",
        ),
        _by_hand(
            _SPEED,
            "no-n-plus-one",
            "No query per row (N+1)",
            "Four levels invite it: one request per day instead of one per plan.",
            Owner.APP,
            ("statements-per-page",),
        ),
        _by_hand(
            _SPEED,
            "cpu",
            "Database CPU under 50 %",
            "Measured where the server tells; else over the first two hours, on Supabase's page.",
            Owner.DEVOPS,
            ("database-cpu",),
        ),
        _by_hand(
            _SPEED,
            "memory",
            "Database memory under 80 %",
            "Measured where the server tells; else over the first two hours, on Supabase's page.",
            Owner.DEVOPS,
            ("database-memory",),
        ),
    ),
)

GROUPS: tuple[Group, ...] = (COACH, CLIENT, DATA, PERFORMANCE)
