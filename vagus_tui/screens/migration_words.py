"""What the Migration screen says about a run that stands, holds or has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.content import Content

from vagus_tui.backup.forecast import Forecast
from vagus_tui.checks.base import blocking
from vagus_tui.events import CheckEvent, Phase, Status, StepState
from vagus_tui.format import ago, duration, moment, number, plural
from vagus_tui.journal.state import DatabaseState, State
from vagus_tui.journal.store import Run, run_words
from vagus_tui.migration.gates import gate_checks
from vagus_tui.migration.phases.hold import ALTERED, CHANGED, HINDERED, IN_THE_WAY, REFUSED
from vagus_tui.migration.proof import PROOF_KEYS
from vagus_tui.screens import let_pass
from vagus_tui.screens.cut_off import cut_off, cut_off_text, read_again
from vagus_tui.screens.migration_forecast import hold_back, hold_cost
from vagus_tui.session.job import Job
from vagus_tui.session.leftover import BUILT, DROP, FINISH, UNSETTLED
from vagus_tui.session.session import Link, Session
from vagus_tui.widgets.hold_panel import HoldFacts
from vagus_tui.widgets.marks import MARKS, STYLES, WORDS
from vagus_tui.widgets.outcome import figures, job_outcome
from vagus_tui.widgets.text import safe_block, safe_str


def run_text(run: Run, timezone: str, *, interrupted: bool = False) -> list[Content]:
    """A run as the journal has it; of one that broke off, the phase in which it did.

    The journal goes on calling that one running or ready, for nobody was left to write anything else.
    """
    again = f", taken up by {run.taken_up_by}" if run.taken_up_by else ""
    begun = f"{run_words(run.kind)} by {run.operator}, begun {moment(run.started_at, timezone)}"
    stands = "broke off" if interrupted else run.status
    # What was done is done in all phases.
    where = "" if stands == "done" else f" in {run.phase}"
    parts = [safe_block(f"{begun}{again}, {stands}{where}", "$text-muted")]
    if run.error:
        parts.append(safe_block(run.error, "$warning"))
    if run.figures:
        parts.append(figures(figures_in_words(run.figures)))
    return parts


def figures_in_words(kept: Mapping[str, Any]) -> dict[str, Any]:
    """A run's figures, with what was taken up from an archive, and what was not, as counts by what it is."""
    shown = dict(kept)
    items = shown.pop("taken_up", None) or ()
    for taken, heading in ((True, "taken up"), (False, "left in the archive")):
        counts = {f"{item['table']}: {item['what']}": item["rows"] for item in items if item["taken"] is taken}
        if counts:
            shown[heading] = counts
    return shown


def _key(key: str, words: str) -> Content:
    return Content.assemble((key, "bold $accent"), " ", words)


def standing_title(session: Session, job: Job | None, *, interrupted: bool) -> str:
    """The same in a word or two, for the title line."""
    state = session.state
    if session.link is Link.DOWN:
        return session.down_words
    if interrupted:
        owed = state is not None and state.owes_settling
        return f"interrupted · {FINISH} " + ("does its last steps" if owed else f"goes on, {DROP} cleans up")
    if job is not None and not job.running:
        took = duration(job.elapsed)
        return f"done in {took}" if job.ok else f"ended after {took}"
    return "" if state is None else state.state.words


def standing_text(session: Session, state: DatabaseState, job: Job | None) -> Content:
    """Where things stand when there is neither a plan to show nor a run to watch, and what is possible."""
    parts: list[Content] = []
    if job is not None and not job.running:
        parts.append(job_outcome(job, read_again=read_again(session, job, here=True)))
    if cut_off(session):
        return Content("\n\n").join((*parts, cut_off_text(session)))
    # A failure says for itself what state it left.
    if not any(state.summary in part.plain for part in parts):
        parts.append(safe_block(" ".join((state.summary, *state.reasons)), "bold"))
    if state.run is not None and (job is None or job.result is None):
        parts.extend(run_text(state.run, session.settings.timezone, interrupted=state.interrupted))
    if state.state in (State.BUILDING, State.READY):
        if state.interrupted:
            parts.append(
                Content("\n").join(
                    (
                        _key(FINISH, "goes on where it stood, and holds before the cut-over"),
                        _key(BUILT.key, BUILT.does),
                        Content("v1 is as it was, either way."),
                    )
                )
            )
        else:
            parts.append(Content("Somebody runs it now; the line at the lower left says who."))
    elif state.owes_settling:
        parts.append(_key(UNSETTLED.key, UNSETTLED.does))
        parts.append(Content("v2 is in place and in use, either way. The way back is Rollback (8)."))
    elif state.state is State.MIGRATED:
        parts.append(Content("Next: Verification (6). The way back is Rollback (8)."))
    elif state.shape is not None:
        parts.append(_key("m", "starts again; the plan is made anew"))
    return Content("\n\n").join(parts)


def hold_facts(session: Session, job: Job, forecast: Forecast | None = None) -> HoldFacts:
    """What the operator decides on while the migration holds."""
    proved = (step for step in job.steps.values() if step.phase is Phase.PROVE and step.state is StepState.DONE)
    hold = job.steps.get("hold")
    backup = session.now.backups[0] if session.now.backups else None
    if backup is None:
        words = "none in the journal"
    else:
        words = "restored" if backup.restored else "verified" if backup.verified else "not verified"
        words = "damaged" if backup.damage else words
        words = f"{words}, {ago(backup.at)}"
    # What the proof works out for itself beforehand are no rows of v2.
    compared = number(sum(step.rows or 0 for step in proved if step.id != PROOF_KEYS))
    said = (hold.message or "") if hold is not None else ""
    return HoldFacts(
        proof=f"no differences in {compared} rows; again at the swap",
        in_the_way=said.removeprefix(IN_THE_WAY) if said.startswith(IN_THE_WAY) else "",
        changed=said.removeprefix(CHANGED) if said.startswith(CHANGED) else "",
        refused=said.removeprefix(REFUSED) if said.startswith(REFUSED) else "",
        altered=said.removeprefix(ALTERED) if said.startswith(ALTERED) else "",
        hindered=said.removeprefix(HINDERED) if said.startswith(HINDERED) else "",
        backup=words,
        cost=hold_cost(forecast),
        back=hold_back(forecast),
        let_pass=let_pass.named(session, before_migration()),
        caught_up="" if hold is None or hold.rows is None else f"{plural(hold.rows, 'change')} in the last round",
    )


def before_migration() -> frozenset[str]:
    """The ids of the gates before a migration."""
    return frozenset(check.id for check in gate_checks())


def gates_text(outcomes: Sequence[CheckEvent]) -> Content:
    """Every gate that does not simply pass, the blocking ones first with their words and ids; then the count."""
    held = blocking(outcomes)
    lines: list[Content] = []
    for event in held:
        lines.append(
            Content.assemble(
                (f"{MARKS[event.status]} {WORDS[event.status]} ", STYLES[event.status]),
                safe_block(event.title, "bold"),
                (f"  {event.id}", "$text-muted"),
            )
        )
        if event.message:
            lines.append(safe_block(event.message))
        if not event.overridable:
            lines.append(Content.styled("This one cannot be overridden.", "$text-muted"))
    if held:
        lines.append(Content("\nMend these on Prerequisites or Backup, or override one by name there: o."))
    for event in outcomes:
        if event not in held and event.status is not Status.PASS and event.status is not Status.SKIP:
            words = f" overridden: {safe_str(event.overridden)}" if event.overridden else ""
            lines.append(
                Content.assemble((f"{MARKS[Status.WARN]} ", STYLES[Status.WARN]), safe_str(event.title), words)
            )
    passed = sum(event.status is Status.PASS for event in outcomes)
    lines.append(Content(f"{passed} of {len(outcomes)} pass"))
    return Content("\n").join(lines)
