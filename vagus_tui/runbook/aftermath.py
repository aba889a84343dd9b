"""What follows a rollback: the guide's "Post-Rollback Actions"."""

from __future__ import annotations

from collections.abc import Mapping

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

TEXTS: Mapping[str, str] = {
    f"{_CAUSE}.logs": """Rollback of {when}, by {operator}: what happened

Run: {run}
Way back: {kind}
What stood there: {archive}
Carried back: {carried}
Only in the archive: {left}
Report: vagus-tui report
""",
    f"{_CAUSE}.point": """Failure point

Step, and what the server said: {failed}
First sign of it, and who saw it:
Last moment at which all was well:
Checks that were red then, and those that stayed green though they should not have:
""",
    f"{_CAUSE}.lessons": """Lessons learned

What went as planned:
What surprised us:
What we would have needed to know before the cut-over:
What told us, and what should have told us earlier:
""",
    f"{_CAUSE}.procedure": """Changes to the procedure

A check that would have caught it (what it measures, what it expects, whether it may be overridden):
A question for the advisor:
Who decides next time, and by when:
""",
    f"{_AGAIN}.fix": """Before the next attempt

Cause, and its fix:
Rehearsed on a backup of:  (vagus-tui rehearse BACKUP)
The archive {archive} is taken up again by the next migration, where ids match.
""",
    f"{_AGAIN}.staging": """Staging

The case that failed, as a test:
Users who try it:
Green since:
""",
    f"{_AGAIN}.stages": """Release of the app

10 % on:          goes on when:
50 % on:          goes on when:
100 % on:
The data moves at once; only the app can go out in stages.
""",
}
"""What is to be written down, by item, with what the wizard knows filled in: {when}, {operator}, {run}, {kind},
{archive}, {carried}, {left}, {failed}."""
