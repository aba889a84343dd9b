"""The acceptance test: the people proposed, what each should see, and how every step went for each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import asyncpg
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import DataTable

from vagus_tui.checks.testers import Tester, suggest_testers
from vagus_tui.errors import VagusError, server_words
from vagus_tui.events import Status
from vagus_tui.format import moment, number, plural
from vagus_tui.journal.acceptance import Tried, Verdict, count
from vagus_tui.journal.state import State
from vagus_tui.preview.seen import UserView, user_view
from vagus_tui.runbook.acceptance import GROUPS, TEST_SCRIPT, TESTER_PROFILES
from vagus_tui.runbook.model import Item
from vagus_tui.screens.dialogs import PromptDialog
from vagus_tui.screens.ticking import NoteDialog
from vagus_tui.screens.user_view import UserViewScreen
from vagus_tui.screens.viewed import ViewedScreen
from vagus_tui.widgets.checklist import Checklist, Entry
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.text import safe, safe_str, short

EVERYBODY = "everybody"
COLUMNS = (
    Column("Who"),
    Column("So far", 17),
    Column("Profile", 27, wide_only=80),
    Column("Why they fit", 28, wide_only=110),
)
TALL = 30
NAMED = 5
"""So many plans are named among what a person should see."""
_PROFILES = {profile.id: profile for profile in TESTER_PROFILES}
_MARKS = {Verdict.PASS: Status.PASS, Verdict.FAIL: Status.FAIL, Verdict.OPEN: Status.PENDING}


class FailedDialog(PromptDialog):
    """Asks what went wrong."""

    def problem(self, text: str) -> str:
        """A failure without a word helps nobody."""
        return "" if text else "Please say what went wrong."


class _Testers(Rows):
    """Its Enter is told at the bottom."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "select_cursor", "to the steps")]


class AcceptanceView(ViewedScreen):
    """A view `acceptance` for a screen with several: people above, the steps of the one selected below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "step_failed", "failed", tooltip="the selected step failed for this person, and how"),
        Binding("u", "their_view", "their view", tooltip="the plans that the selected person sees now"),
        Binding("c", "copy_testers", "copy the list", tooltip="ids, addresses and profiles of the people proposed"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.testers: dict[str, tuple[Tester, ...]] = {}
        self._asked_for: State | None = None
        self._views: dict[str, UserView | str] = {}

    def compose_acceptance(self) -> ComposeResult:
        """The people, then the steps and the detail."""
        with Vertical(id="acceptance"):
            yield _Testers(COLUMNS, id="testers")
            with Vertical(classes="split"):
                yield Checklist(id="acceptance-list")
                yield DetailPanel(id="acceptance-detail")

    # Who

    @property
    def people(self) -> list[Tester]:
        """Everybody proposed, profile by profile."""
        return [person for profile in TESTER_PROFILES for person in self.testers.get(profile.id, ())]

    @property
    def person(self) -> Tester | None:
        """The person under the cursor; None where it is on everybody."""
        key = self.query_one("#testers", Rows).selected if self.is_mounted else None
        return next((one for one in self.people if f"{one.profile}/{one.user_id}" == key), None)

    def find_testers(self) -> None:
        """Look for people who fit, once per state of the database."""
        state = self.session.state
        if state is not None and state.state is not self._asked_for:
            self._asked_for = state.state
            self._views.clear()
            self.read(self._load_testers, group="testers")

    async def _load_testers(self) -> None:
        # Who has begun stays in the list, whatever has become of the figures that they were chosen by.
        begun = {tried.person: tried.profile for tried in self.session.now.tries.values()}
        async with self.session.looking("testers", statement_timeout="30000") as context:
            self.testers = await suggest_testers(context, begun)
        self.fill_acceptance()
        self.reveal_wanted()
        self.refresh_bindings()

    def reveal_profile(self, profile: str) -> bool:
        """Put the cursor on the first person of a profile, or on the line that says how many are wanted."""
        table = self.query_one("#testers", Rows)
        keys = [f"{one.profile}/{one.user_id}" for one in self.testers.get(profile, ())]
        if any(table.select(key) for key in [*keys[:1], f"{profile}/-"]):
            table.focus()
            return True
        return False

    def _of(self, person: Tester) -> list[Tried]:
        return [one for one in self.session.now.tries.values() if one.person == person.user_id]

    def fill_acceptance(self) -> None:
        """Bring people, steps and detail up to date."""
        lines = [Row(EVERYBODY, ("Everybody", self._so_far(list(self.session.now.tries.values())), "", ""))]
        for profile in TESTER_PROFILES:
            people = self.testers.get(profile.id, ())
            lines.extend(
                Row(
                    f"{one.profile}/{one.user_id}",
                    (one.email or one.user_id, self._so_far(self._of(one)), profile.title, one.figures),
                )
                for one in people
            )
            if self.testers and len(people) < profile.wanted:
                missing = plural(profile.wanted - len(people), "more wanted", "more wanted")
                lines.append(Row(f"{profile.id}/-", (missing, "", profile.title, ""), "dim"))
        table = self.query_one("#testers", Rows)
        table.set_rows(lines)
        # On a small window the steps need the room more than the people, who scroll.
        table.styles.height = min(len(lines) + 1, self.size.height // 3 if self.size.height >= TALL else 5)
        self._fill_steps()

    def _so_far(self, found: list[Tried]) -> str:
        passed, failed = count(found)
        parts = [f"{passed} pass" if passed else "", f"{failed} fail" if failed else ""]
        return ", ".join(part for part in parts if part) or "not begun"

    # Their steps

    def _fill_steps(self) -> None:
        person = self.person
        if person is None:
            self.fill_checklist("#acceptance-list", GROUPS)
        else:
            group = replace(TEST_SCRIPT, title=f"{TEST_SCRIPT.title}: {safe_str(person.email or person.user_id)}")
            entries = {item.id: self._entry(person, item) for item in TEST_SCRIPT.items}
            self.query_one("#acceptance-list", Checklist).show((group,), entries)
        self.refresh_item()

    def _tried(self, person: Tester, item: Item) -> Tried | None:
        return self.session.now.tries.get((person.user_id, item.id))

    def _entry(self, person: Tester, item: Item) -> Entry:
        tried = self._tried(person, item)
        if tried is None or tried.verdict is Verdict.OPEN:
            return Entry(Status.PENDING, "not tried")
        at = moment(tried.at, self.session.settings.timezone)
        return Entry(_MARKS[tried.verdict], f"{tried.verdict.value}, {short(tried.operator, 10)} {at[5:]}")

    def show_item(self, item: Item) -> None:
        """How the step went for the person, and what they should see."""
        if self.view == "acceptance" and not self._among_steps:
            # A list that was filled anew selects a step by itself: the detail stays with the person.
            self._explain_person()
            return
        person = self.person if self.view == "acceptance" else None
        if person is None:
            super().show_item(item)
            return
        status = self._entry(person, item).status
        lines = [Content.assemble((MARKS[status], STYLES[status]), " ", safe(item.title, "bold")), safe(item.why)]
        if (tried := self._tried(person, item)) is not None:
            when = moment(tried.at, self.session.settings.timezone)
            words = {Verdict.PASS: "Passed", Verdict.FAIL: "Failed", Verdict.OPEN: "Taken back"}[tried.verdict]
            note = f": {tried.note}" if tried.note else ""
            lines.append(safe(f"{words}, written down by {tried.operator}, {when}{note}", "$text-muted", limit=1200))
        self._explain([*lines, *self._should_see(person)])

    def _explain(self, lines: list[Content]) -> None:
        self.query_one("#acceptance-detail", DetailPanel).show(Content("\n").join(lines))

    def _explain_person(self) -> None:
        person, key = self.person, self.query_one("#testers", Rows).selected or ""
        if person is not None:
            profile = _PROFILES[person.profile]
            head = [safe(person.email or person.user_id, "bold"), safe(f"{profile.title}: {person.figures}")]
            self._explain([*head, safe(profile.why, "$text-muted"), *self._should_see(person)])
        elif (wanted := _PROFILES.get(key.partition("/")[0])) is not None:
            self._explain([safe(wanted.title, "bold"), safe(wanted.why)])
        else:
            self._explain(
                [
                    Content.styled("Everybody", "bold"),
                    Content("The steps as a whole: QA ticks one when everybody has been through it."),
                    Content.styled(TEST_SCRIPT.note, "$text-muted"),
                ]
            )

    # What they should see

    def _should_see(self, person: Tester) -> list[Content]:
        view = self._views.get(person.user_id)
        if view is None:
            return [Content.styled("Looking at what they should see.", "$text-muted")]
        if isinstance(view, str):
            return [safe(f"What they should see could not be read: {view}", STYLES[Status.WARN])]
        lines = [Content.styled("Should see, and what the database shows them now:", "$text-muted")]
        for seen in view.seen:
            status = Status.PASS if seen.agrees else Status.FAIL
            now = "not allowed" if seen.now is None else number(seen.now)
            words = f"{number(seen.rule)} {seen.what}"
            lines.append(
                Content.assemble(
                    (MARKS[status], STYLES[status]), f" {words}", (f", {now} shown" if not seen.agrees else "", "")
                )
            )
        named = [plan.name.strip() or "(no name)" for plan in view.plans[:NAMED]]
        if named:
            more = f" and {plural(len(view.plans) - NAMED, 'more', 'more')}" if len(view.plans) > NAMED else ""
            lines.append(safe(f"Plans: {', '.join(named)}{more}", limit=400))
        return lines

    async def _look(self, person: Tester) -> None:
        if person.user_id in self._views:
            return
        try:
            async with self.session.looking("test user") as context:
                self._views[person.user_id] = await user_view(context, person.user_id)
        except VagusError as error:
            self._views[person.user_id] = error.happened
        except asyncpg.PostgresError as error:
            self._views[person.user_id] = server_words(error)
        if self.person is person:
            self._explained()

    @property
    def _among_steps(self) -> bool:
        """Whether the steps have the focus, not the people."""
        return self.focused is self.query_one("#acceptance-list", Checklist)

    def _explained(self) -> None:
        if self._among_steps:
            self.refresh_item()
        else:
            self._explain_person()

    @on(DataTable.RowHighlighted, "#testers")
    def _tester_at(self) -> None:
        if self.view != "acceptance":
            return
        self._fill_steps()
        self._explain_person()
        self.refresh_bindings()
        if (person := self.person) is not None:
            self.attempt(lambda: self._look(person), group="test user", exclusive=True)

    @on(DataTable.RowSelected, "#testers")
    def _to_steps(self) -> None:
        self.query_one("#acceptance-list", Checklist).focus()
        self.refresh_item()

    # Acts

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of this view."""
        if action in ("step_failed", "their_view"):
            return self.view == "acceptance" and self.person is not None
        if action == "copy_testers":
            return self.view == "acceptance" and bool(self.people)
        return super().check_action(action, parameters)

    async def _tick(self, item: Item, *, with_note: bool) -> None:
        """A step of a person passes, or is open again; of everybody together it is signed off."""
        person = self.person if self.view == "acceptance" else None
        if person is None:
            await super()._tick(item, with_note=with_note)
            return
        tried = self._tried(person, item)
        passed = tried is not None and tried.verdict is Verdict.PASS
        note = ""
        if with_note:
            yes = "Take back" if passed else "It passed"
            answer = await self.ask(NoteDialog(item.title, "A note, to be kept with it.", yes=yes, required=False))
            if answer is None:
                return
            note = answer
        await self._keep(person, item, Verdict.OPEN if passed else Verdict.PASS, note)

    def action_step_failed(self) -> None:
        """The selected step failed for the selected person; how is kept with it."""
        item, person = self.query_one("#acceptance-list", Checklist).selected, self.person
        if item is not None and person is not None:
            self.attempt(lambda: self._failed(person, item), group="tick")

    async def _failed(self, person: Tester, item: Item) -> None:
        body = Content.assemble("What went wrong for ", safe(person.email or person.user_id, "bold"), ".")
        note = await self.ask(FailedDialog(item.title, body, yes="It failed"))
        if note is not None:
            await self._keep(person, item, Verdict.FAIL, note)

    async def _keep(self, person: Tester, item: Item, verdict: Verdict, note: str) -> None:
        await self.session.try_step(person.user_id, item.id, verdict, profile=person.profile, note=note)
        # Whoever tests leaves sessions and sets behind: what they should see has changed.
        self._views.pop(person.user_id, None)
        await self._look(person)

    def action_their_view(self) -> None:
        """What the selected person sees, plan by plan."""
        if (person := self.person) is not None:
            self.open_window(UserViewScreen(person.user_id))

    def action_copy_testers(self) -> None:
        """Ids, addresses and profiles, one person per line."""
        lines = [
            "\t".join((one.user_id, safe_str(one.email), _PROFILES[one.profile].title, one.figures))
            for one in self.people
        ]
        self.app.copy_to_clipboard("\n".join(lines))
        self.notify(f"Copied {plural(len(lines), 'person', 'people')}.", markup=False)
