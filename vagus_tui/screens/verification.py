"""Verification: the automatic checks with the row proof, the checklists that need people, the acceptance test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from vagus_tui.checks import access as people_access
from vagus_tui.checks import performance
from vagus_tui.checks.base import Check, Group
from vagus_tui.checks.registry import check_by_id
from vagus_tui.checks.selftest import last_self_test
from vagus_tui.checks.verification import access, behaviour, cascade, catalog, noted, preferences, rows, structure
from vagus_tui.events import CheckEvent, Event, Status
from vagus_tui.journal.acceptance import count
from vagus_tui.journal.state import State
from vagus_tui.runbook import manual
from vagus_tui.runbook.acceptance import TEST_SCRIPT, TESTER_PROFILES
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.screens.acceptance_view import AcceptanceView
from vagus_tui.screens.access_matrix import AccessMatrixScreen
from vagus_tui.screens.check_screen import CheckScreen
from vagus_tui.screens.item_facts import item_entry
from vagus_tui.screens.self_test import SelfTestScreen, last_tested
from vagus_tui.session.session import Topic
from vagus_tui.session.standings import VERIFICATION, WORDS, display_status, worst
from vagus_tui.widgets.checklist import Checklist
from vagus_tui.widgets.views import ViewStrip

SECTIONS: tuple[tuple[str, tuple[Check, ...]], ...] = (
    ("Every row arrived", rows.CHECKS),
    ("It hangs together", structure.CHECKS),
    ("Nothing is missing around it", (*catalog.CHECKS, *behaviour.CHECKS, *preferences.CHECKS)),
    ("Users see what they saw", (*access.CHECKS, *people_access.CHECKS)),
    ("Deleting deletes what belongs to it", cascade.CHECKS),
    ("What users write can come back", noted.CHECKS),
    ("Nobody waits longer than before", performance.CHECKS),
)


ROOMY = 84
"""From so many cells on, the names of the views have room for all that is said of them."""
BY_HAND = "by hand"
"""The name under which the checks of one item run."""


class VerificationScreen(AcceptanceView, CheckScreen):
    """Three views: automatic, by hand, acceptance test."""

    STEP = Step.VERIFICATION
    RUN = VERIFICATION
    WORDS: ClassVar[dict[Status, str]] = {Status.PASS: "proved", Status.WARN: "warn", Status.FAIL: "fail"}
    FOOTER_FIRST: ClassVar[tuple[str, ...]] = (
        "select",
        "open",
        "run",
        "step_failed",
        "tick_with_note",
        "measure",
        "next_view",
        "matrix",
        "self_test",
    )
    VIEWS = (("automatic", "Automatic"), ("manual", "By hand"), ("acceptance", "Acceptance test"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "matrix", "access matrix", tooltip="who reaches what by which command, v1 against v2"),
        Binding(
            "t", "self_test", "test the checks", tooltip="plant a fault for each check, rolled back; it must be seen"
        ),
        # By the view, one of the two: those of a class take a key from those that it inherits.
        Binding("r", "run", "run again"),
        Binding("r", "measure", "measure", tooltip="run the checks behind the selected item: the database's part"),
        Binding("P", "app.plans", "plans", tooltip="any plan, v1 beside v2"),
    ]

    def sections(self) -> list[tuple[str, tuple[Check, ...]]]:
        """The checks that look at v2."""
        return list(SECTIONS)

    def compose_views(self) -> ComposeResult:
        """The table of checks, the checklists, the people."""
        with Vertical(id="automatic"):
            yield from CheckScreen.compose_body(self)
            yield Static("", id="last-tested")
        yield from self.compose_checklist("manual")
        yield from self.compose_acceptance()

    @property
    def v2_in_place(self) -> bool:
        """Whether there is a v2 to look at."""
        state = self.session.state
        return state is not None and state.state in (State.MIGRATED, State.CLEANED)

    def reveal(self, ref: str) -> bool:
        """A check, an item, somebody who fits a profile of the acceptance test, or the access matrix."""
        if ref == "action:matrix":
            self.open_view("automatic")
            if self.v2_in_place:
                self.action_matrix()
            return True
        if ref in {profile.id for profile in TESTER_PROFILES}:
            self.open_view("acceptance")
            return self.reveal_profile(ref)
        if any(check.id == ref for check in self.checks):
            self.open_view("automatic")
            return CheckScreen.reveal(self, ref)
        return AcceptanceView.reveal(self, ref)

    def entered(self) -> None:
        """Say when the checks themselves were last tested."""
        super().entered()
        if self.v2_in_place:
            self.read(self._read_last_test, group="last-tested")

    def _run_on_entry(self) -> None:
        if self.v2_in_place:
            super()._run_on_entry()

    def view_opened(self, view: str) -> None:
        """People are looked for when their view is first opened."""
        if view == "acceptance":
            self.find_testers()

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Bring all three views up to date."""
        CheckScreen.changed(self, topics, events)
        if topics & {Topic.SIGN_OFFS, Topic.CHECKS}:
            self.fill_checklist("#manual-list", manual.GROUPS)
            self.fill_acceptance()
            self.refresh_item()
            strip = self.query_one(ViewStrip)
            done, total = self.query_one("#manual-list", Checklist).done
            strip.say("manual", f"{done} of {total}")
            steps = [item_entry(self.session, item).status for item in TEST_SCRIPT.items]
            failed = count(self.session.now.tries.values())[1]
            words = f"{steps.count(Status.PASS)} of {len(steps)}"
            # In a small window there is room for one of the two.
            both = f"{words}, {failed} fail" if self.size.width >= ROOMY else f"{failed} fail"
            strip.say("acceptance", both if failed else words)
            self.settle()
        if Topic.STATE in topics and self.view == "acceptance":
            self.find_testers()

    def settle(self) -> None:
        """The mark on the rail: the checks, then the people."""
        events = self.session.outcomes(self.checks)
        if not self.v2_in_place:
            self.session.set_standing(self.STEP, Status.PENDING)
        elif self.session.checking(self.RUN):
            self.session.set_standing(self.STEP, Status.RUNNING, "running")
        elif not events or self.session.blocking(self.checks):
            CheckScreen.settle(self)
        else:
            done, total = self.query_one("#manual-list", Checklist).done
            status = worst([display_status(event) for event in events])
            word = WORDS.get(status, "") if done == total else f"{done}/{total} done"
            self.session.set_standing(self.STEP, status if done == total else Status.RUNNING, word)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of the open view."""
        if not self.is_mounted:
            return True
        if action in ("run", "override", "sql", "next_problem", "repeat"):
            if self.view != "automatic":
                return False
            if action == "run":
                return self.v2_in_place or None
            return CheckScreen.check_action(self, action, parameters)
        if action == "measure":
            return self.view == "manual" and self.v2_in_place and (bool(self._behind()) or None)
        if action in ("matrix", "self_test"):
            return (self.view == "automatic" and self.v2_in_place) or False
        return AcceptanceView.check_action(self, action, parameters)

    def hint(self, event: CheckEvent) -> str:
        """Where there is more to see."""
        more = "m shows it user by user, table by table." if event.group == Group.ACCESS else ""
        return " ".join(part for part in (super().hint(event), more) if part)

    def _behind(self) -> tuple[Check, ...]:
        """The checks that have a say in the selected item, or measure the database's part of it."""
        item = self.query_one("#manual-list", Checklist).selected
        names = dict.fromkeys((*item.checks, *item.measured, *item.beside) if item is not None else ())
        return tuple(check_by_id(name) for name in names)

    def action_measure(self) -> None:
        """Measure what the database knows of the selected item."""
        if self.session.checking(BY_HAND):
            self.notify("They are being measured.", timeout=2, markup=False)
        elif checks := self._behind():
            self.session.start_checks(BY_HAND, checks, self.session.wake)

    def action_matrix(self) -> None:
        """Who reaches what, user by user."""
        self.open_window(AccessMatrixScreen())

    def action_self_test(self) -> None:
        """Show every check its faults."""
        self.open_window(SelfTestScreen(self.checks))

    async def _read_last_test(self) -> None:
        async with self.session.connection("self-test") as connection:
            found = await last_self_test(connection)
        self.query_one("#last-tested", Static).update(last_tested(found))
