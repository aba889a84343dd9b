"""After the cut-over: the app's update and its three rollout phases, and the guarded clean-up.

Only the app can go out in stages. The guide's "10 % of users" is impossible for the data, since there is one set of
table names ("Gradual Rollout", "Update Application Code").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from vagus_tui.runbook.model import DAY, HOUR, MINUTE, Group, Item, Job, Owner, Screen


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of the app's update, to be run in a checkout of the app, not by the wizard.

    Attributes:
        id: unique in the whole runbook.
        title: what it does.
        commands: the lines to run, in order.
        why: why it is there.
        due: when, relative to T-0.
    """

    id: str
    title: str
    commands: tuple[str, ...]
    why: str
    due: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPhase:
    """One phase of the app's rollout.

    Attributes:
        id: unique in the whole runbook.
        number: 1 to 3.
        title: its name.
        first_day, last_day: counted from the day of the cut-over, which is day 1.
        percent: the share of installations that get the v2 app; 0 means the internal team only.
        entry, exit: what must hold to begin and to end it.
        group: what is done in it.
    """

    id: str
    number: int
    title: str
    first_day: int
    last_day: int
    percent: int
    entry: tuple[str, ...]
    exit: tuple[str, ...]
    group: Group


APP_UPDATE: tuple[Command, ...] = (
    Command(
        id="app.pull",
        title="Get the code with v2 support",
        commands=("git pull --ff-only origin main",),
        why="Fails instead of merging when the checkout has gone its own way.",
        due=-7 * DAY,
    ),
    Command(
        id="app.dependencies",
        title="Install the dependencies",
        commands=("flutter pub get",),
        why="The lock file decides the versions.",
        due=-7 * DAY,
    ),
    Command(
        id="app.mocks",
        title="Generate the mocks for the tests",
        commands=("dart run build_runner build --delete-conflicting-outputs",),
        why="The tests do not compile without them.",
        due=-7 * DAY,
    ),
    Command(
        id="app.test",
        title="Run the tests",
        commands=("flutter test",),
        why="Against the migrated staging database as well.",
        due=-7 * DAY,
    ),
    Command(
        id="app.build",
        title="Build for both stores, submit, hold the release",
        commands=("flutter build apk --release", "flutter build ios --release"),
        why="Review takes days. Approved and held, it can be released minutes after the cut-over.",
        due=-7 * DAY,
    ),
)


def _item(
    group: str, slug: str, title: str, why: str, owner: Owner, due: timedelta, guide: str = "Gradual Rollout"
) -> Item:
    return Item(id=f"{group}.{slug}", title=title, why=why, group=group, owner=owner, due=due, guide=guide)


_ONE, _TWO, _THREE = "rollout.internal", "rollout.beta", "rollout.full"

ROLLOUT_PHASES: tuple[RolloutPhase, ...] = (
    RolloutPhase(
        id="phase.internal",
        number=1,
        title="Internal",
        first_day=1,
        last_day=1,
        percent=0,
        entry=(
            "Verification passed after the cut-over.",
            "Installed apps read both shapes; if not, skip the stages and release to all.",
        ),
        exit=("Every manual check is signed off.", "No critical issue is open."),
        group=Group(
            id=_ONE,
            title="Phase 1: internal, day 1",
            screen=Screen.ROLLOUT,
            items=(
                _item(
                    _ONE,
                    "deploy",
                    "v2 app on the internal track",
                    "The team meets problems before users do.",
                    Owner.APP,
                    6 * MINUTE,
                ),
                _item(
                    _ONE,
                    "test",
                    "5 to 10 people of the team use it",
                    "Coaches and clients, both systems, real accounts.",
                    Owner.QA,
                    HOUR,
                ),
                _item(
                    _ONE,
                    "features",
                    "Every feature on the list works",
                    "The manual checklists on Verification.",
                    Owner.QA,
                    6 * HOUR,
                ),
            ),
        ),
    ),
    RolloutPhase(
        id="phase.beta",
        number=2,
        title="Beta",
        first_day=2,
        last_day=3,
        percent=10,
        entry=("Phase 1 ended without an open critical issue.", "The rollback advisor sees no reason to go back."),
        exit=("Crash rate not above that of v1.", "No critical issue is open.", "Support has no unknown cause."),
        group=Group(
            id=_TWO,
            title="Phase 2: beta, days 2 to 3",
            screen=Screen.ROLLOUT,
            items=(
                _item(
                    _TWO,
                    "deploy",
                    "v2 app to 10 % of installations",
                    "A staged release in the stores. The data has moved for everyone already.",
                    Owner.APP,
                    DAY,
                ),
                _item(
                    _TWO,
                    "monitor",
                    "Watch crash reports and feedback",
                    "Compare with v1's rate, not with zero.",
                    Owner.SUPPORT,
                    DAY,
                ),
                _item(
                    _TWO,
                    "fix",
                    "Fix critical issues before going on",
                    "Pause the staged release meanwhile; what is installed cannot be recalled.",
                    Owner.APP,
                    2 * DAY,
                ),
            ),
        ),
    ),
    RolloutPhase(
        id="phase.full",
        number=3,
        title="Full",
        first_day=4,
        last_day=7,
        percent=100,
        entry=("Phase 2 ended within its criteria.", "Support knows the new screens."),
        exit=("The v2 app is open to everyone.", "Performance stays within the manual limits for three days."),
        group=Group(
            id=_THREE,
            title="Phase 3: full, days 4 to 7",
            screen=Screen.ROLLOUT,
            items=(
                _item(
                    _THREE,
                    "deploy",
                    "v2 app to all installations",
                    "And make the update mandatory: a pure v1 app cannot read v2.",
                    Owner.APP,
                    3 * DAY,
                ),
                _item(
                    _THREE,
                    "monitor",
                    "Watch performance",
                    "Load times, CPU and memory, as in the manual checklist.",
                    Owner.DEVOPS,
                    3 * DAY,
                ),
                _item(
                    _THREE,
                    "support",
                    "Answer users' questions",
                    "Coaches also review their templates now.",
                    Owner.SUPPORT,
                    3 * DAY,
                ),
            ),
        ),
    ),
)

_CLEAN = "rollout.clean-up"


def _guard(slug: str, title: str, why: str, job: Job | None = Job.CLEAN_UP) -> Item:
    return Item(
        id=f"{_CLEAN}.{slug}",
        title=title,
        why=why,
        group=_CLEAN,
        owner=Owner.DEVOPS if job else Owner.LEAD,
        due=14 * DAY,
        job=job,
        guide="Complete Migration Timeline",
    )


CLEAN_UP = Group(
    id=_CLEAN,
    title="Clean-up, guarded",
    screen=Screen.ROLLOUT,
    note="Optional. After it, only a backup leads back to v1.",
    items=(
        _guard("waited", "Two weeks have passed since the cut-over", "A week beyond the end of the rollout."),
        _guard("in-service", "v2 is in service, nothing was rolled back", "After a rollback, v1 is the live data."),
        _guard("proved", "Verification passes today", "Not the one of two weeks ago."),
        _guard("final-dump", "Final dump of v1 taken and restored", "It replaces the tables as the way back."),
        _guard("agreed", "The migration lead agrees", "It cannot be undone from within the wizard.", None),
    ),
)

GROUPS: tuple[Group, ...] = (*(phase.group for phase in ROLLOUT_PHASES), CLEAN_UP)
