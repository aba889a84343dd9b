"""The acceptance test: whom to ask, and the nine steps they walk through. The guide's "User Acceptance Testing"."""

from __future__ import annotations

from dataclasses import dataclass

from vagus_tui.runbook.model import DAY, Group, Item, Owner, Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class TesterProfile:
    """A kind of user to ask, and how many.

    Attributes:
        id: unique in the whole runbook.
        title: who they are.
        wanted: how many to pick.
        why: what only they would notice.
    """

    id: str
    title: str
    wanted: int
    why: str


TESTER_PROFILES: tuple[TesterProfile, ...] = (
    TesterProfile(
        id="testers.coaches",
        title="Coaches with active clients",
        wanted=2,
        why="They see other people's plans, through the coach rule.",
    ),
    TesterProfile(
        id="testers.clients",
        title="Clients with an active plan",
        wanted=3,
        why="They train from it: weeks, days, order, logging.",
    ),
    TesterProfile(
        id="testers.history",
        title="Users with completed plans",
        wanted=2,
        why="They know their history and see when something is missing.",
    ),
    TesterProfile(
        id="testers.templates",
        title="A user with templates",
        wanted=1,
        why="Templates are migrated and want a second look.",
    ),
)

_SCRIPT = "verification.script"


def _step(slug: str, title: str, why: str) -> Item:
    return Item(
        id=f"{_SCRIPT}.{slug}",
        title=title,
        why=why,
        group=_SCRIPT,
        owner=Owner.QA,
        due=-2 * DAY,
        guide="User Acceptance Testing",
    )


TEST_SCRIPT = Group(
    id=_SCRIPT,
    title="Test script",
    screen=Screen.VERIFICATION,
    note="On staging two days before; again with the same people the day after the cut-over.",
    items=(
        _step("log-in", "Log in to the app", "With your own account, on your own phone."),
        _step("open-workouts", "Open the Workout section", "It should open without an error or an empty page."),
        _step("see-plans", "See your plans", "All of them, with the names you know."),
        _step("check-plan", "Open a plan: every exercise is there", "Count them, look at sets, reps, weight."),
        _step("start-session", "Start a session (clients)", "On today's day of the plan."),
        _step("log-sets", "Log a few sets", "Change one afterwards; it must stay changed."),
        _step("complete", "Complete the workout", "It appears in the history at once."),
        _step("view-analytics", "Look at the analytics", "Old and new workouts both count."),
        _step("report", "Report what was odd, in the feedback form", "Also what worked but felt wrong."),
    ),
)

GROUPS: tuple[Group, ...] = (TEST_SCRIPT,)
