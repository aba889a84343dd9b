"""Telling users: the guide's "User Communication", its four phases and ten items."""

from __future__ import annotations

from datetime import timedelta

from vagus_tui.runbook.model import DAY, MINUTE, T_ZERO, Group, Item, Owner, Screen


def _item(
    group: str,
    slug: str,
    title: str,
    why: str,
    due: timedelta,
    message: str | None,
    owner: Owner = Owner.MARKETING,
) -> Item:
    return Item(
        id=f"communications.{slug}",
        title=title,
        why=why,
        group=group,
        owner=owner,
        due=due,
        message=message,
        guide="User Communication",
    )


_WEEK, _DAY_BEFORE = "communications.week-before", "communications.day-before"
_DURING, _AFTER = "communications.during", "communications.after"

WEEK_BEFORE = Group(
    id=_WEEK,
    title="7 days before",
    screen=Screen.COMMUNICATIONS,
    items=(
        _item(
            _WEEK,
            "announce-email",
            "Send the announcement e-mail to all users",
            "People accept a change they were told of, and coaches need time to plan around it.",
            -7 * DAY,
            "message.announce-email",
        ),
        _item(
            _WEEK,
            "banner-week",
            "Show the in-app banner with the date",
            "Reaches those who do not read mail.",
            -7 * DAY,
            "message.banner-week",
            Owner.APP,
        ),
        _item(
            _WEEK,
            "social-post",
            "Post about the new features",
            "Turns an interruption into news.",
            -7 * DAY,
            "message.social-post",
        ),
    ),
)

DAY_BEFORE = Group(
    id=_DAY_BEFORE,
    title="24 hours before",
    screen=Screen.COMMUNICATIONS,
    items=(
        _item(
            _DAY_BEFORE,
            "reminder-email",
            "Send the reminder e-mail",
            "A week is long; most will have forgotten.",
            -DAY,
            "message.reminder-email",
        ),
        _item(
            _DAY_BEFORE,
            "banner-day",
            "Change the banner to tomorrow's window",
            "Names the time, so that nobody starts a workout in it.",
            -DAY,
            "message.banner-day",
            Owner.APP,
        ),
    ),
)

DURING = Group(
    id=_DURING,
    title="During the migration",
    screen=Screen.COMMUNICATIONS,
    note="Building takes no toll on users; this is about the cut-over.",
    items=(
        _item(
            _DURING,
            "maintenance-page",
            "Maintenance page ready to show",
            "The app shows it while the flag is on. Set the text before the cut-over.",
            T_ZERO,
            "message.maintenance-page",
            Owner.APP,
        ),
        _item(
            _DURING,
            "status-page",
            "Update the status page",
            "The first place people look, and the one that works when the app does not.",
            T_ZERO,
            "message.status-page",
            Owner.DEVOPS,
        ),
    ),
)

AFTER = Group(
    id=_AFTER,
    title="After the migration",
    screen=Screen.COMMUNICATIONS,
    items=(
        _item(
            _AFTER,
            "features-email",
            "Send the new-features e-mail",
            "When the v2 app is open to everyone, not before: others could not find what it describes.",
            4 * DAY,
            "message.features-email",
        ),
        _item(
            _AFTER,
            "tutorial",
            "Show the tutorial in the v2 app",
            "Weeks and days are new to everyone. One minute of showing saves many questions.",
            15 * MINUTE,
            "message.tutorial",
            Owner.APP,
        ),
        _item(
            _AFTER,
            "watch-support",
            "Watch the support channels",
            "Users notice what no check measures. Their reports feed the rollback advice.",
            15 * MINUTE,
            None,
            Owner.SUPPORT,
        ),
    ),
)

GROUPS: tuple[Group, ...] = (WEEK_BEFORE, DAY_BEFORE, DURING, AFTER)
