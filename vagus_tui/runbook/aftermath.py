"""What follows a rollback: the guide's "Post-Rollback Actions"."""

from __future__ import annotations

from vagus_tui.runbook.model import Group, Item, Owner, Screen

_TELL, _CAUSE, _AGAIN = "rollback.notify", "rollback.cause", "rollback.again"


def _item(group: str, slug: str, title: str, why: str, owner: Owner, message: str | None = None) -> Item:
    return Item(
        id=f"{group}.{slug}",
        title=title,
        why=why,
        group=group,
        owner=owner,
        message=message,
        guide="Post-Rollback Actions",
    )


NOTIFY = Group(
    id=_TELL,
    title="Tell users",
    screen=Screen.ROLLBACK,
    items=(
        _item(
            _TELL,
            "users",
            "Send the rollback notice",
            "Only when the proof after the rollback has passed: it says that data is safe.",
            Owner.SUPPORT,
            "message.rollback-notice",
        ),
    ),
)

CAUSE = Group(
    id=_CAUSE,
    title="Find the cause",
    screen=Screen.ROLLBACK,
    items=(
        _item(_CAUSE, "logs", "Read the run's report and log", "The journal has every step.", Owner.DEVOPS),
        _item(_CAUSE, "point", "Name the exact step that failed", "A date is not a cause.", Owner.DEVOPS),
        _item(_CAUSE, "lessons", "Write down what was learned", "While it is fresh.", Owner.LEAD),
        _item(_CAUSE, "procedure", "Change the procedure", "A check that would have caught it.", Owner.LEAD),
    ),
)

AGAIN = Group(
    id=_AGAIN,
    title="Plan the next attempt",
    screen=Screen.ROLLBACK,
    items=(
        _item(_AGAIN, "fix", "Fix what was found", "And rehearse on a backup of the present data.", Owner.DEVOPS),
        _item(_AGAIN, "staging", "Test longer on staging", "With the case that failed.", Owner.QA),
        _item(
            _AGAIN,
            "stages",
            "Release the app in smaller stages: 10, 50, 100 %",
            "Stages hold for the app only; the data moves at once.",
            Owner.APP,
        ),
    ),
)

GROUPS: tuple[Group, ...] = (NOTIFY, CAUSE, AGAIN)
