"""After the cut-over: the app's update and its three rollout phases, and the guarded clean-up.

Only the app can go out in stages. The guide's "10 % of users" is impossible for the data, since there is one set of
table names ("Gradual Rollout", "Update Application Code").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from vagus_tui.runbook.criteria import (
    CRITERIA,
    FIRST_AND_LAST_DAY,
    Criterion,
    Part,
    PhaseName,
    group_of,
)
from vagus_tui.runbook.model import DAY, HOUR, MINUTE, Group, Item, Job, Owner, Screen

_HERE = Screen.ROLLOUT


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
        entry, exit: what must hold to begin and to end it; the last item of `exit` says that it is over.
        group: what is done in it.
    """

    id: str
    number: int
    title: str
    first_day: int
    last_day: int
    percent: int
    entry: Group
    exit: Group
    group: Group

    @property
    def groups(self) -> tuple[Group, ...]:
        """Everything about it, in the order in which it comes."""
        return self.entry, self.group, self.exit

    @property
    def over(self) -> Item:
        """The item that says that it has ended."""
        return self.exit.items[-1]


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


def _done(phase: PhaseName, slug: str, title: str, why: str, owner: Owner, due: timedelta) -> Item:
    # The first thing that is done in a phase begins it.
    after = (group_of(phase, Part.ENTRY),) if slug == "deploy" else ()
    group = f"rollout.{phase.value}"
    return Item(
        id=f"{group}.{slug}",
        title=title,
        why=why,
        group=group,
        owner=owner,
        due=due,
        guide="Gradual Rollout",
        after=after,
        of_run=True,
    )


_INTERNAL, _BETA, _FULL = PhaseName.INTERNAL, PhaseName.BETA, PhaseName.FULL

_TO_DO: dict[PhaseName, tuple[Item, ...]] = {
    _INTERNAL: (
        _done(
            _INTERNAL,
            "deploy",
            "v2 app on the internal track",
            "The team meets problems before users do.",
            Owner.APP,
            6 * MINUTE,
        ),
        _done(
            _INTERNAL,
            "test",
            "5 to 10 people of the team use it",
            "Coaches and clients, both systems, real accounts.",
            Owner.QA,
            HOUR,
        ),
        _done(
            _INTERNAL,
            "features",
            "Every feature on the list works",
            "The manual checklists on Verification.",
            Owner.QA,
            6 * HOUR,
        ),
    ),
    _BETA: (
        _done(
            _BETA,
            "deploy",
            "v2 app to 10 % of installations",
            "A staged release in the stores. The data has moved for everyone already.",
            Owner.APP,
            DAY,
        ),
        _done(
            _BETA,
            "monitor",
            "Watch crash reports and feedback",
            "Compare with v1's rate, not with zero.",
            Owner.SUPPORT,
            DAY,
        ),
        _done(
            _BETA,
            "fix",
            "Fix critical issues before going on",
            "Pause the staged release meanwhile; what is installed cannot be recalled.",
            Owner.APP,
            2 * DAY,
        ),
    ),
    _FULL: (
        _done(
            _FULL,
            "deploy",
            "v2 app to all installations",
            "And make the update mandatory: a pure v1 app cannot read v2.",
            Owner.APP,
            3 * DAY,
        ),
        _done(
            _FULL,
            "monitor",
            "Watch performance",
            "Load times, CPU and memory, as in the manual checklist.",
            Owner.DEVOPS,
            3 * DAY,
        ),
        _done(
            _FULL,
            "support",
            "Answer users' questions",
            "Coaches also review their templates now.",
            Owner.SUPPORT,
            3 * DAY,
        ),
    ),
}


def _phase(number: int, name: PhaseName, percent: int, criteria: Sequence[Criterion]) -> RolloutPhase:
    first, last = FIRST_AND_LAST_DAY[name]
    entry, exit_ = (
        tuple(one for one in criteria if one.phase is name and one.part is part) for part in (Part.ENTRY, Part.EXIT)
    )
    group, begins, ends = f"rollout.{name.value}", group_of(name, Part.ENTRY), group_of(name, Part.EXIT)
    over = Item(
        id=f"{ends}.over",
        title=f"Phase {number} is over",
        why="Signed off when its criteria are met; against one that is not, with a reason that stays on record.",
        group=ends,
        owner=Owner.LEAD,
        due=last * DAY,
        after=(begins, ends),
        of_run=True,
    )
    days = f"day {first}" if first == last else f"days {first} to {last}"
    return RolloutPhase(
        id=f"phase.{name.value}",
        number=number,
        title=name.value.capitalize(),
        first_day=first,
        last_day=last,
        percent=percent,
        entry=Group(id=begins, title=f"Phase {number}: {name.value}, {days}, begins when", screen=_HERE, items=entry),
        group=Group(id=group, title=f"Phase {number}: {name.value}, {days}", screen=_HERE, items=_TO_DO[name]),
        exit=Group(id=ends, title=f"Phase {number} ends when", screen=_HERE, items=(*exit_, over)),
    )


def rollout_phases(criteria: Sequence[Criterion]) -> tuple[RolloutPhase, ...]:
    """The three phases with these criteria."""
    return (
        _phase(1, _INTERNAL, 0, criteria),
        _phase(2, _BETA, 10, criteria),
        _phase(3, _FULL, 100, criteria),
    )


ROLLOUT_PHASES = rollout_phases(CRITERIA)
"""As they come; `Book.phases` has the operator's."""

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
        of_run=True,
    )


CLEAN_UP = Group(
    id=_CLEAN,
    title="Clean-up, guarded",
    screen=Screen.ROLLOUT,
    note="Optional. After it, only a backup leads back to v1.",
    items=(
        _guard(
            "waited", "The waiting period is over", "Two weeks since the cut-over, unless the runbook says otherwise."
        ),
        _guard("in-service", "v2 is in service, nothing was rolled back", "After a rollback, v1 is the live data."),
        _guard("proved", "Verification passes today", "Not the one of two weeks ago."),
        _guard("final-dump", "Final dump of v1 taken and restored", "It replaces the tables as the way back."),
        _guard("agreed", "The migration lead agrees", "It cannot be undone from within the wizard.", None),
    ),
)

GROUPS: tuple[Group, ...] = (*(group for phase in ROLLOUT_PHASES for group in phase.groups), CLEAN_UP)
