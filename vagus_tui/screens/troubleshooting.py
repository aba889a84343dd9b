"""Troubleshooting: five known troubles, what was found of each, and repairs that show what they will change."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from vagus_tui.checks.registry import check_by_id
from vagus_tui.events import CheckEvent, Event, Phase, Status
from vagus_tui.format import duration, moment, plural
from vagus_tui.journal.state import State
from vagus_tui.migration.blockers import Blocker
from vagus_tui.remedies.repairs import REPAIRS, Finding, Repair, apply, look, repairs_for
from vagus_tui.remedies.repairs_undo import Applied, applied_repairs, look_undo, undo_repair
from vagus_tui.remedies.sessions import in_the_way
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.runbook.troubleshooting import ISSUES, Issue
from vagus_tui.screens.base import StepScreen
from vagus_tui.screens.dialogs import ChoiceDialog
from vagus_tui.screens.pick import PickDialog
from vagus_tui.screens.text_view import TextView
from vagus_tui.screens.troubleshooting_words import (
    FEW_LINES,
    LINES_SHOWN,
    applied_text,
    finding_text,
    issue_text,
    results_text,
)
from vagus_tui.session.session import Topic
from vagus_tui.session.standings import worst
from vagus_tui.widgets.hanging import Hanging
from vagus_tui.widgets.marks import MARKS, STYLES, WORDS
from vagus_tui.widgets.pointer import PointedList
from vagus_tui.widgets.text import safe, safe_str

STOPPED = "issue.stopped-midway"
AFTER = (State.MIGRATED, State.CLEANED)
SHOWN_BLOCKERS = 4
SILENT_SECONDS = 60.0
"""A run that has said nothing for so long may hang."""


class TroubleshootingScreen(StepScreen):
    """The troubles above, everything about the selected one below."""

    STEP = Step.TROUBLESHOOTING
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "diagnose", "diagnose"),
        Binding("f", "repair", "repair", tooltip="shows what it would change before it does"),
        Binding("s", "sql", "SQL"),
        Binding("u", "undo", "undo a repair", tooltip="what was repaired here, and taking it back"),
        Binding("m", "migration", "go to the run"),
        Binding("b", "blockers", "in the way", tooltip="sessions that hold locks, to be stopped by their id"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Finding] = {}
        self.blockers: dict[str, Blocker] = {}
        self.applied: list[Applied] = []
        self.looked = False

    def compose_body(self) -> ComposeResult:
        """The list and the text."""
        yield PointedList(*(Option(Content(issue.title), id=issue.id) for issue in ISSUES), id="issues", markup=False)
        with VerticalScroll(id="issue-scroll", can_focus=True):
            yield Static(id="issue")

    @property
    def issue(self) -> Issue:
        """The selected trouble."""
        number = self.query_one("#issues", OptionList).highlighted or 0
        return ISSUES[number]

    def reveal(self, ref: str) -> bool:
        """A trouble, a repair of one, or who is in the way, over the trouble that it belongs to."""
        kind, _, name = ref.partition(":")
        issue = ref
        if kind == "action":
            issue = STOPPED
            self.action_blockers()
        elif kind == "repair":
            issue = next(repair.issue for repair in REPAIRS if repair.id == name)
        issues = self.query_one("#issues", OptionList)
        issues.highlighted = issues.get_option_index(issue)
        issues.focus()
        if kind == "repair" and not self.looked:
            # Until somebody has looked, repairs stand after how the trouble shows.
            scroll = self.query_one("#issue-scroll", VerticalScroll)
            self.set_timer(0.1, lambda: scroll.scroll_end(animate=False))
        return True

    @property
    def migrated(self) -> bool:
        """Whether there is a v2 to repair."""
        return self.session.state is not None and self.session.state.state in AFTER

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that help with the selected trouble."""
        if not self.is_mounted:
            return True
        repairs = repairs_for(self.issue.id)
        if action == "diagnose":
            return self.session.state is not None or None
        if action in ("repair", "sql"):
            if not repairs:
                return False
            return True if any(self.found[one.id].count for one in repairs if one.id in self.found) else None
        if action == "undo":
            return any(one.undoable for one in self._applied_here())
        if action == "migration":
            return self.issue.id == STOPPED
        if action == "blockers":
            return self.issue.id == STOPPED
        return True

    # Showing it

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Marks follow the checks."""
        options = self.query_one("#issues", OptionList)
        statuses: list[Status] = []
        for issue in ISSUES:
            status = self._status(issue)
            statuses.append(status)
            # A cell at either side, the mark and what parts it from the title.
            room = max(0, options.scrollable_content_region.width - 4 - len(issue.title))
            words = WORDS[status].rjust(room) if status is not Status.PENDING else ""
            options.replace_option_prompt(
                issue.id,
                Content.assemble((MARKS[status], STYLES[status]), " ", issue.title, (words, "$text-muted")),
            )
        troubles = sum(status.blocks for status in statuses)
        self.session.set_standing(
            self.STEP, Status.WARN if troubles else Status.PENDING, plural(troubles, "sign") if troubles else ""
        )
        found = plural(troubles, "trouble found", "troubles found") if troubles else "no trouble found"
        self.say(found if self.looked else "r looks for all five")
        self._show()

    def _status(self, issue: Issue) -> Status:
        state = self.session.state
        if issue.id == STOPPED and state is not None and state.interrupted:
            return Status.FAIL
        silent = self._silent_seconds() if issue.id == STOPPED else None
        if silent is not None and silent > SILENT_SECONDS:
            return Status.WARN
        results = [self.session.results[check] for check in issue.checks if check in self.session.results]
        statuses: list[Status] = [result.status for result in results if result.status is not Status.SKIP]
        for repair in repairs_for(issue.id):
            found = self.found.get(repair.id)
            if found is not None and (found.signs is None or found.signs):
                statuses.append(Status.FAIL if found.trouble else Status.PASS)
        return worst(statuses)

    def _show(self) -> None:
        issue = self.issue
        results: list[CheckEvent] = [
            self.session.results[check] for check in issue.checks if check in self.session.results
        ]
        parts = results_text(results)
        state = self.session.state
        if issue.id == STOPPED and state is not None:
            parts.append(Content.assemble(("State: ", "$text-muted"), safe_str(state.summary, limit=500)))
            if (words := self._run_words()) is not None:
                parts.append(words)
            for blocker in list(self.blockers.values())[:SHOWN_BLOCKERS]:
                parts.append(
                    Content.styled(
                        f"In the way: {_described(blocker)}  {safe_str(blocker.query, limit=80)}", "$warning"
                    )
                )
        parts.extend(applied_text(one, self.session.settings.timezone) for one in self._applied_here()[:3])
        # What is a sign of trouble first; what can always be done after it, and shorter.
        for repair in sorted(repairs_for(issue.id), key=self._quiet):
            found = self.found.get(repair.id)
            limit = FEW_LINES if self._quiet(repair) else LINES_SHOWN
            parts.append(finding_text(repair, found, possible=self.migrated, limit=limit))
        # What was found comes first once somebody has looked; until then, how to recognise it.
        told = issue_text(issue)
        body: list[Content | tuple[Content, Content]]
        body = [*parts, Content(""), *told] if self.looked else [*told, *parts]
        self.query_one("#issue", Static).update(Hanging([Content.styled(issue.title, "bold"), *body]))

    def _quiet(self, repair: Repair) -> bool:
        """Whether it could be made without any need."""
        found = self.found.get(repair.id)
        return found is not None and not found.trouble

    def _applied_here(self) -> list[Applied]:
        names = {repair.id for repair in repairs_for(self.issue.id)}
        return [one for one in self.applied if one.repair in names]

    def _silent_seconds(self) -> float | None:
        """How long the run that goes on has said nothing; None when none goes on, or it waits for a decision."""
        run = self.session.watched
        steps = self.session.now.steps
        if run is None or not steps or (run.current is not None and run.current.phase is Phase.HOLD):
            return None
        last = max((step.ended_at or step.started_at) for step in steps)
        return (datetime.now(UTC) - last).total_seconds()

    def _run_words(self) -> Content | None:
        """The run that goes on elsewhere: whose it is, its process id, and since when it is silent."""
        run, holder, silent = self.session.watched, self.session.now.lock, self._silent_seconds()
        if run is None or holder is None:
            return None
        words = f"{run.title} runs it, as PID {holder.pid} from {holder.address}"
        if silent is not None and silent > SILENT_SECONDS:
            words += f"; its last step changed {duration(silent)} ago: look whether it hangs, then b"
        return safe(f"Under way: {words}", "$warning" if silent and silent > SILENT_SECONDS else "")

    @on(OptionList.OptionHighlighted, "#issues")
    def _selected(self) -> None:
        self._show()
        self.query_one("#issue-scroll", VerticalScroll).scroll_home(animate=False)
        self.refresh_bindings()

    # Finding out

    def action_diagnose(self) -> None:
        """Look for all five: the checks that tell, what repairs would do, who is in the way."""
        ids = dict.fromkeys(check for issue in ISSUES for check in issue.checks)
        self.session.start_checks("troubleshooting", [check_by_id(check) for check in ids])
        self.read(self._look, group="look")

    async def _look(self) -> None:
        async with self.session.connection("who is in the way") as connection:
            # First of all, and shown at once: what comes after it may have to wait for them.
            found = await in_the_way(connection)
        self.blockers = {one.key: one for one in found if one.seconds > 1}
        self.changed(frozenset(), ())
        async with self.session.looking("diagnosis", statement_timeout="60000") as context:
            self.applied = await applied_repairs(context.connection)
            if context.state.state is State.MIGRATED:
                for issue in ISSUES:
                    for repair in repairs_for(issue.id):
                        self.found[repair.id] = await look(repair, context)
            else:
                self.found.clear()
        self.looked = True
        self.changed(frozenset(), ())
        self.refresh_bindings()

    # Acting

    def _usable(self) -> list[Repair]:
        """What can be done, what there is a sign of first."""
        usable = [one for one in repairs_for(self.issue.id) if one.id in self.found and self.found[one.id].count]
        return sorted(usable, key=lambda one: not self.found[one.id].trouble)

    def action_sql(self) -> None:
        """What the repairs of this trouble would run."""
        text = "\n\n".join(
            f"-- {one.title}\n" + ";\n".join(self.found[one.id].statements) + ";" for one in self._usable()
        )
        self.open_window(TextView(f"SQL · {self.issue.title}", text, language="sql"))

    def action_repair(self) -> None:
        """Choose one, look at what it changes, do it."""
        self.attempt(self._repair, group="repair", exclusive=True)

    async def _repair(self) -> None:
        usable = self._usable()
        if not usable:
            return
        repair = usable[0]
        if len(usable) > 1:
            choices = [(one.id, one.title) for one in usable]
            answer = await self.ask(ChoiceDialog("Which repair", "Each shows what it changes first.", choices))
            if answer is None:
                return
            repair = next(one for one in usable if one.id == answer)
        async with self.session.looking("look") as context:
            self.found[repair.id] = await look(repair, context)
        body = finding_text(repair, self.found[repair.id], possible=True)
        if not await self.confirm_destructive(repair.title, body, yes="Do it"):
            return
        async with self.session.context("repair") as context:
            done = await apply(repair, context)
        self.notify(f"Done: {safe_str(repair.title)}.", markup=False)
        if done.count:
            self.looked = True
            self.action_diagnose()

    def action_undo(self) -> None:
        """Choose a repair that was made, look at what taking it back does, do it."""
        self.attempt(self._undo, group="undo", exclusive=True)

    async def _undo(self) -> None:
        possible = [one for one in self._applied_here() if one.undoable]
        if not possible:
            return
        done = possible[0]
        if len(possible) > 1:
            zone = self.session.settings.timezone
            choices = [(str(one.number), f"{moment(one.at, zone)}  {one.title}") for one in possible]
            answer = await self.ask(PickDialog("Undo which repair", "Each shows first what it would do.", choices))
            if answer is None:
                return
            done = next(one for one in possible if str(one.number) == answer)
        async with self.session.looking("look") as context:
            found = await look_undo(context, done)
        lines = [safe(line) for line in found.lines]
        if not found.count:
            await self.tell("Nothing to take back", Content("\n").join(lines))
            return
        lines += [Content(""), Content("The repair can be made again afterwards.")]
        title = f"Undo: {safe_str(done.title)}"
        if not await self.confirm_destructive(title, Content("\n").join(lines), yes="Take it back"):
            return
        async with self.session.context("undo repair", statement_timeout="0") as context:
            await undo_repair(context, done)
        self.notify("Taken back.", markup=False)
        self.action_diagnose()

    def action_blockers(self) -> None:
        """Everybody who holds a lock, to be cancelled or ended by their id."""
        from vagus_tui.screens.blockers import BlockersScreen

        self.open_window(BlockersScreen())

    def action_migration(self) -> None:
        """Resume or clean up happens there."""
        self.wizard.action_go(Step.MIGRATION.value)


def _described(blocker: Blocker) -> str:
    who = safe_str(blocker.application or blocker.user or "unnamed", limit=40)
    return f"{safe_str(blocker.title, limit=80)} ({who}, {safe_str(blocker.state, limit=30)}, {blocker.seconds:.0f} s)"
