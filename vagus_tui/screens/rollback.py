"""Rollback: whether to go back, what the quick way would carry back and do, the run, and what comes after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from vagus_tui.checks.registry import check_by_id
from vagus_tui.events import Event, Phase, Status
from vagus_tui.format import duration
from vagus_tui.journal.state import State
from vagus_tui.rollback.advice import Advice, Answer, Recommendation, advise
from vagus_tui.runbook import aftermath
from vagus_tui.runbook.model import Item
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.runbook.rollback_advice import CRITERIA
from vagus_tui.screens.cut_off import cut_off, cut_off_text, read_again, unread_text
from vagus_tui.screens.finishing import interrupted_text
from vagus_tui.screens.item_facts import item_text
from vagus_tui.screens.rollback_acts import RollbackActs
from vagus_tui.screens.rollback_words import (
    SHOWN_OF_ONE,
    advice_text,
    aftermath_text,
    answer_mark,
    carried_rows,
    preview_words,
    refusal,
    what_happens,
)
from vagus_tui.screens.sending import to_send
from vagus_tui.session.job import Job
from vagus_tui.session.leftover import DROP, FINISH, FINISHING
from vagus_tui.session.session import Topic
from vagus_tui.session.standings import stand_by_state
from vagus_tui.widgets.checklist import Checklist
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.job_view import JobView, PhaseLine
from vagus_tui.widgets.outcome import job_outcome
from vagus_tui.widgets.rows import Column, Row, Rows
from vagus_tui.widgets.text import safe, short
from vagus_tui.widgets.views import ViewStrip

PHASES = (
    PhaseLine(Phase.PROVE, "every row compared with v1 as it was kept", "undo: not needed", "every row compared"),
    PhaseLine(Phase.ROLLBACK, "one transaction; writes wait", "undo: automatic", "one transaction"),
    PhaseLine(Phase.SETTLE, "references checked"),
)
FINISHED = (
    PhaseLine(Phase.SETTLE, "references checked"),
    PhaseLine(Phase.CLEAN_UP, "what is left of the clean-up"),
)
PUT_BACK = PhaseLine(Phase.PREPARE, "put back what was changed by hand, if any", "undo: not needed")
QUESTIONS = (Column("", 1), Column("Question"), Column("Answer", 8), Column("Weight", 11, wide_only=64))
CARRIED = (
    Column("Table"),
    Column("New", 9, right=True),
    Column("Changed", 9, right=True),
    Column("Deleted", 9, right=True),
    Column("Archive only", 12, right=True, wide_only=62),
)
RUN = "advice"


class RollbackScreen(RollbackActs):
    """Three views: advice, the quick rollback, afterwards."""

    STEP = Step.ROLLBACK
    VIEWS = (("advice", "Whether to go back"), ("quick", "Quick rollback"), ("after", "Afterwards"))
    FOOTER_FIRST: ClassVar[tuple[str, ...]] = (
        "select",
        "next_view",
        "clear_away",
        "finish",
        "roll_back",
        "deletions",
        "compare",
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "yes"),
        Binding("o", "answer(False)", "no"),
        Binding("r", "measure", "measure again"),
        Binding("b", "roll_back", "roll back"),
        Binding("f", "from_backup", "from a backup", tooltip="v1 as a backup has it, whatever the database is like"),
        Binding("c", "clean_up", "clean-up", tooltip="remove v1's kept tables, weeks after the cut-over"),
        Binding("d", "deletions", "deletions", tooltip="delete in v1 too what was deleted in v2, or keep it"),
        Binding("p", "compare", "compare all", tooltip="every row of v2 with v1 as it was kept, as the rollback does"),
        Binding("t", "copy_text", "copy the text", tooltip="what is to be sent or written down, filled in"),
        Binding("s", "sql", "SQL"),
        Binding("x", "stop", "stop"),
        Binding(DROP, "clear_away", "clear away", tooltip="what a rollback that broke off had made aside"),
        Binding(FINISH, "finish", "finish", tooltip="do the last steps of a rollback or clean-up that broke off"),
        Binding("l", "log", "log"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._asked_for: object = None
        self._told: Job | None = None

    def compose_views(self) -> ComposeResult:
        """The questions, the act, what follows."""
        with Vertical(id="advice"):
            yield Static(id="advice-says")
            yield Static(id="advice-short")
            yield Static(id="advice-cost")
            with Vertical(classes="split"):
                yield Rows(QUESTIONS, id="questions")
                yield DetailPanel(id="advice-detail")
        with Vertical(id="quick"):
            yield Rows(CARRIED, id="carried")
            with VerticalScroll(id="quick-text-scroll", can_focus=True):
                yield Static(id="quick-text")
            yield JobView(PHASES, id="run")
        yield from self.compose_checklist("after")

    def on_mount(self) -> None:
        """Count the time while it runs; whoever comes here first after a rollback comes for what follows."""
        self.set_interval(1, self._clock)
        self.entered()

    # What is the case

    @property
    def advice(self) -> Advice:
        """What the advisor says now."""
        state, signed = self.session.state, self.session.now.sign_offs
        run = state.migration if state is not None else None
        # What was answered about an earlier attempt says nothing about this one.
        since = run.started_at if run is not None else None
        answered = {
            criterion.id: signed[criterion.id].ticked
            for criterion in CRITERIA
            if criterion.id in signed and (since is None or signed[criterion.id].at >= since)
        }
        return advise(self.session.results, answered)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys of the open view, as far as they do something now."""
        if not self.is_mounted:
            return True
        # Whoever holds the operator's lock is the one who is at work.
        busy = self.session.busy or self.session.now.lock is not None
        state = self.session.state
        over = state is not None and state.state in (State.ROLLED_BACK, State.CLEANED)
        if action in ("answer", "measure"):
            return self.view == "advice" and not over and (self.possible or None)
        if action == "clean_up":
            return self.possible
        if action == "copy_text":
            return self.view == "after"
        if action in ("roll_back", "compare", "deletions", "sql"):
            here = self.view == "quick" and not self.running and not over
            return here and ((self.possible and self.refused is None and not busy) or None)
        if action == "stop":
            return self.stoppable and self.job is not None and self.job.name != FINISHING
        if action in ("clear_away", "finish"):
            return self.can_finish(action)
        if action == "log":
            return self.view == "quick" and self.job is not None
        return super().check_action(action, parameters)

    # Showing it

    def entered(self) -> None:
        """A rollback that runs or has ended is what one comes for; and whether to go back, once there is a v2 again."""
        self._notice_state()
        if self.job is not None or self.left is not None:
            self.open_view("quick")
        elif self._was_back and not self.possible and self.view == "advice":
            self.open_view("after")
        elif self._was_back and self.possible and self.view == "after":
            self.open_view("advice")

    def _notice_state(self) -> None:
        state, job = self.session.state, self.job
        if state is not None and state.state is State.ROLLED_BACK:
            self._was_back = True
            if self._run is None and state.run is not None and job is not None and not job.running:
                self._run = state.run.id

    def reveal(self, ref: str) -> bool:
        """A question, an item of what follows, the quick rollback, or the choice of a backup."""
        if ref == "action:from_backup":
            self.action_from_backup()
            return True
        if self.query_one("#questions", Rows).select(ref):
            self.open_view("advice")
            self.call_after_refresh(self.focus_view)
            return True
        return super().reveal(ref)

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Bring the views up to date."""
        self._notice_state()
        if topics & {Topic.CHECKS, Topic.SIGN_OFFS, Topic.STATE, Topic.LINK}:
            self._show_advice()
            self.fill_checklist("#after-list", aftermath.GROUPS)
            self.refresh_item()
            done, total = self.query_one("#after-list", Checklist).done
            self.query_one(ViewStrip).say("after", f"{done} of {total}" if done else "")
        if topics & {Topic.STATE, Topic.JOB, Topic.LINK, Topic.MAINTENANCE}:
            self._show_quick()
        self._stand()

    def _clock(self) -> None:
        if self.running and self.is_current:
            self._show_quick()

    def _stand(self) -> None:
        stand_by_state(self.session)
        stands = self.session.standings.get(self.STEP)
        # Not over the mark that one runs, here or elsewhere: each would call the other up again, without an end.
        going_on = stands is not None and stands.status is Status.RUNNING
        if self.possible and self.left is None and not going_on:
            advised = self.advice.recommendation is Recommendation.ROLL_BACK
            status, word = (Status.FAIL, "advised") if advised else (Status.PENDING, "")
            self.session.set_standing(self.STEP, status, word)

    def _show_advice(self) -> None:
        advice = self.advice
        state = self.session.state
        if state is None:
            says = unread_text(self.session)
        else:
            says = advice_text(advice) if self.possible else safe(state.summary, "bold")
        if state is not None and state.state in (State.UNKNOWN, State.CLEANED):
            says = Content.assemble(says, "\n", ("f", "bold $accent"), " goes back to a backup, whatever is left.")
        self.query_one("#advice-says", Static).update(says)
        cost = self.cost if self.possible else None
        closed = "The quick rollback is not possible as things are: its view says why." if self.refused else ""
        closed = closed if self.possible else ""
        self.query_one("#advice-short", Static).update(Content(cost.short if cost else closed))
        self.query_one("#advice-cost", Static).update(Content("\n".join(cost.lines()) if cost else closed))
        self.query_one("#questions", Rows).set_rows(
            [
                Row(
                    answer.criterion.id,
                    (*answer_mark(answer), answer.criterion.weight.value),
                    "" if answer.yes is not None else "dim",
                )
                for answer in advice.answers
            ]
        )
        if not self.running and self.view == "advice":
            self.say(advice.recommendation.value if self.possible else "")
        self._explain()

    @property
    def _question(self) -> Answer | None:
        key = self.query_one("#questions", Rows).selected
        return next((answer for answer in self.advice.answers if answer.criterion.id == key), None)

    @on(DataTable.RowHighlighted, "#questions")
    def _explain(self) -> None:
        answer = self._question
        if answer is None:
            return
        criterion = answer.criterion
        lines = [
            Content.styled(criterion.question, "bold"),
            Content(f"On yes: {criterion.advice}"),
            Content.styled(f"How it is known: {criterion.measured}", "$text-muted"),
        ]
        if answer.yes is not None:
            lines.append(Content(f"{'Yes' if answer.yes else 'No'}: {answer.words}"))
        elif self.possible:
            lines.append(Content("y answers yes, o answers no; both are kept in the journal."))
        self.query_one("#advice-detail", DetailPanel).show(Content("\n").join(lines))

    def _show_quick(self) -> None:
        job, cut = self.job, cut_off(self.session)
        view, text = self.query_one("#run", JobView), self.query_one("#quick-text", Static)
        view.display = job is not None and bool(self._phases(job))
        self.query_one("#carried", Rows).display = not self.running and self.possible and self.refused is None
        if job is not None:
            view.phases = self._phases(job)
            view.show(job)
        if (words := self._summary(job)) is not None:
            self.say(words)
        read = "" if cut else read_again(self.session, job)
        told = [job_outcome(job, read_again=read)] if job is not None and not job.running else []
        if cut:
            told.append(cut_off_text(self.session))
        else:
            told += interrupted_text(self.left, self.session.state, told)
            told += self._what_can_be_done() if self.possible or job is None else []
        text.update(Content("\n\n").join(told))
        if not cut and job is not None and not job.running and not self.possible and job is not self._told:
            # Wherever one had scrolled to: how it ended stands at the top.
            self._told = job
            self.call_after_refresh(self.query_one("#quick-text-scroll", VerticalScroll).scroll_home, animate=False)

    @staticmethod
    def _phases(job: Job) -> tuple[PhaseLine, ...]:
        begun = {step.phase for step in job.steps.values()}
        if job.name == FINISHING:
            # What was only cleared away has no steps.
            return tuple(phase for phase in FINISHED if phase.phase in begun)
        mends = Phase.PREPARE in begun
        return (PUT_BACK, *PHASES) if mends else PHASES

    def _summary(self, job: Job | None) -> str | None:
        """How the rollback stands in a word or two; None where that is not what the title line is about."""
        state = self.session.state
        back = state is not None and state.state is State.ROLLED_BACK
        if job is not None and job.running:
            return f"elapsed {job.at}"
        follows = "v: what follows" if back and self.view == "quick" else ""
        if job is not None and job.ok:
            return " · ".join(part for part in (f"done in {duration(job.elapsed)}", follows) if part)
        if cut_off(self.session):
            return self.session.down_words
        if (watched := self.session.watched) is not None and watched.name != "migrate":
            return f"{short(watched.title, 20)} runs it · Migration (5) shows it"
        if (left := self.left) is not None:
            return f"interrupted · {left.key}: {left.label.lower()}"
        if job is not None and self.possible:
            return "not done, v2 is in use · b tries again"
        if job is not None:
            # It was committed, and cut off before it could say so.
            return " · ".join(part for part in ("v1 is in use again", follows) if part) if back else "not done"
        if self.view == "quick" and self.possible:
            return preview_words(self.found, refused=self.refused is not None)
        # The questions have the word on their own view.
        return None if self.view == "advice" else follows

    def _what_can_be_done(self) -> list[Content]:
        """What a rollback would do, or why there can be none."""
        state, job = self.session.state, self.job
        if state is None:
            return []
        if not self.possible:
            said = [f"There is nothing to roll back: {state.summary}", *state.reasons]
            if state.state in (State.UNKNOWN, State.CLEANED):
                said.append("f goes back to a backup, whatever is left.")
            return [Content("\n").join(safe(line, limit=SHOWN_OF_ONE) for line in said)]
        # Looking holds locks of its own: never while a rollback waits for them.
        if not self.session.busy and self._asked_for != (state.state, state.run, job):
            self._asked_for = (state.state, state.run, job)
            self.read(self.look, group="preview")
        if self.refused:
            return [refusal(self.refused)]
        choosing = not self.running
        return [
            what_happens(self.found, self.cost, deletions=self.deletions, choosing=choosing, comparing=self.comparing)
        ]

    def show_found(self) -> None:
        """What would be carried back, and what it costs."""
        rows = carried_rows(self.found) if self.found is not None else []
        table = self.query_one("#carried", Rows)
        table.set_rows(rows)
        table.styles.height = len(rows) + 1
        self._show_advice()
        self._show_quick()
        self.refresh_bindings()

    def view_opened(self, view: str) -> None:
        """What would be carried back changes as users write: look again."""
        if view == "advice":
            self._show_advice()
        else:
            self._show_quick()
        if view == "quick" and self.possible and not self.session.busy:
            self.read(self.look, group="preview")

    # Acting

    def action_answer(self, yes: bool) -> None:
        """Answer the selected question; a measured one answers itself."""
        answer = self._question
        if answer is None:
            return
        if answer.measured:
            self.notify("This one is measured; r measures it again.", markup=False)
            return
        self.attempt(self.session.sign(answer.criterion.id, ticked=yes), group="answer")

    def action_measure(self) -> None:
        """Run the checks that the questions rest on."""
        ids = dict.fromkeys(check for criterion in CRITERIA for check in criterion.checks)
        self.session.start_checks(RUN, [check_by_id(check) for check in ids])

    def _text(self, item: Item) -> str:
        """What goes with an item of the list afterwards: the message to users, or notes to be filled in."""
        session = self.session
        if item.message is not None:
            return to_send(session, item.message, datetime.now(UTC)).text
        run = session.state.run if session.state is not None else None
        return aftermath_text(item.id, run, session.settings.timezone)

    def show_item(self, item: Item) -> None:
        """The item, and the text that goes with it."""
        text = self._text(item)
        parts = [item_text(self.session, item)]
        if text:
            parts += [Content.styled("t copies this text:", "$text-muted"), safe(text, lines=True, limit=4000)]
        self.query_one("#after-detail", DetailPanel).show(Content("\n").join(parts))

    def action_copy_text(self) -> None:
        """The text of the selected item, to the clipboard."""
        selected = self.query_one("#after-list", Checklist).selected
        if selected is not None:
            self.app.copy_to_clipboard(self._text(selected))
            self.notify("Copied.", timeout=2, markup=False)
