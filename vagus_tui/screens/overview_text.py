"""The overview's paragraphs: each takes what the session knows and gives back text."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from textual.content import Content

from vagus_tui.backup.forecast import Forecast
from vagus_tui.events import Status
from vagus_tui.format import ago, duration, moment, plural, size
from vagus_tui.journal.state import State
from vagus_tui.journal.store import Run, run_words
from vagus_tui.migration.switches import maintenance_words
from vagus_tui.runbook.overview import estimate_for
from vagus_tui.runbook.risks import Level
from vagus_tui.runbook.timeline import Standing, offset_label, schedule, standing
from vagus_tui.screens import let_pass
from vagus_tui.screens.cut_off import cut_off, cut_off_text
from vagus_tui.screens.timeline_facts import done_entries
from vagus_tui.session.session import Link, Session
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.outcome import figures
from vagus_tui.widgets.rehearsed import forecast_line
from vagus_tui.widgets.text import fitted, safe, safe_block, safe_str

LABEL = 12
NOT_READ = "Not read yet."
"""What stands where the database has not answered: over a long line that takes seconds."""
NEXT_UP = 6
"""How many rows of the timeline the overview shows: those that wait, the most pressing first."""
GUIDE_ESTIMATE = {
    "development": "5 to 10 min, no downtime",
    "staging": "10 to 20 min, no downtime",
    "production": "30 to 60 min, 10 to 15 down",
}


def heading(text: str) -> Content:
    """A section's name."""
    return Content.styled(text, "bold $accent")


def fact(label: str, *value: Content | str | tuple[str, str]) -> Content:
    """One labelled line."""
    return Content.assemble((f"{label:<{LABEL}}", "$text-muted"), *value)


def lines(parts: Iterable[Content]) -> Content:
    """One below the other."""
    return Content("\n").join(parts)


def where_things_stand(session: Session) -> Content:
    """The state in one sentence, and what can be done from there; or why it is not known."""
    if session.link is Link.DOWN and session.error is not None:
        error = session.error
        parts = [
            Content.assemble((MARKS[Status.FAIL], STYLES[Status.FAIL]), " ", safe(error.happened, "bold")),
            # A state that was read before may be another by now: only what was just tried has changed nothing.
            cut_off_text(session) if cut_off(session) else safe_block(error.state),
        ]
        if error.next_step:
            parts.append(safe_block(error.next_step))
        return lines(parts)
    state = session.state
    if state is None:
        return Content.assemble((MARKS[Status.RUNNING], STYLES[Status.RUNNING]), " Reading the state of the database.")
    if state.state is State.UNKNOWN:
        what = "This is not a v1 database that can be moved."
        hint = "Is VAGUS_DATABASE_URL the right one? “vagus-tui demo” shows everything on sample data."
        if state.empty:
            what = "This database has no workout tables."
        elif state.run is not None:
            # It was the right one before: somebody has been at it since.
            what = "The workout tables are not as the last run left them."
            hint = "Rollback (8): f goes back to a backup, whatever is left."
        parts = [Content.assemble((MARKS[Status.FAIL], STYLES[Status.FAIL]), " ", (what, "bold"))]
        parts += [Content.assemble("  ", safe(reason)) for reason in state.reasons]
        if not state.empty:
            parts.append(Content.assemble(("From here: ", "$text-muted"), " · ".join(state.possible)))
        return lines([*parts, Content.styled(hint, "$text-muted")])
    status = Status.WARN if state.interrupted or state.beside else Status.PASS
    parts = [Content.assemble((MARKS[status], STYLES[status]), " ", (state.summary, "bold"))]
    parts += [Content.assemble("  ", safe(reason)) for reason in state.reasons]
    if left_on := maintenance_words(session.now.maintenance, state, session.settings.timezone):
        parts.append(
            Content.assemble(
                (MARKS[Status.WARN], STYLES[Status.WARN]),
                " ",
                safe(left_on),
                (" Migration (5): f switches.", "$text-muted"),
            )
        )
    if (passed := let_pass.line(session)) is not None:
        parts.append(passed)
    if state.possible:
        parts.append(Content.assemble(("From here: ", "$text-muted"), " · ".join(state.possible)))
    return lines(parts)


def server(session: Session) -> Content:
    """Which server answers, as whom, and over what."""
    rows = [heading("Database")]
    database, found = session.database, session.server
    if database is None:
        return lines([*rows, Content.styled("None yet.", "$text-muted")])
    rows.append(fact("Address", safe(f"{database.host}:{database.port}/{database.name}")))
    rows.append(fact("Environment", session.settings.environment.value))
    if found is not None:
        kind = "Supabase" if found.supabase else "PostgreSQL without Supabase's roles"
        rows.append(fact("Server", safe(found.version), f" · {kind} · {size(found.size)}"))
        tls = safe_str(found.tls) if found.tls else "no TLS"
        rows.append(fact("Session", safe(found.user), f" · {tls}"))
    rows.append(fact("Operator", safe(session.settings.operator)))
    return lines(rows)


def data(session: Session) -> Content:
    """How many rows of what."""
    rows = [heading("Data")]
    if not session.counts:
        # A count holds a lock on the table, which a cut-over would have to wait for.
        words = "Nothing counted yet." if session.now.lock is None else "Not counted while somebody is at work."
        return lines([*rows, Content.styled(words, "$text-muted")])
    width = max(len(f"{count.rows:,}") for count in session.counts.values()) + 2
    for word, count in session.counts.items():
        amount = f"{'' if count.exact else '≈ '}{count.rows:,}"
        rows.append(fact(word.capitalize(), f"{amount:>{width}}"))
    return lines(rows)


def shape(session: Session) -> Content:
    """v1 as it was found: what it is called, what is carried over, what hangs on it."""
    rows = [heading("v1 as found")]
    state = session.state
    if state is None or state.shape is None:
        words = NOT_READ if state is None else "No v1 tables."
        return lines([*rows, Content.styled(words, "$text-muted")])
    found = state.shape
    for table in found.tables.values():
        rows.append(
            Content.assemble(
                (fitted(table.name, 22), ""),
                (f"{plural(len(table.columns), 'column')}, id {safe_str(table.id_type)}", "$text-muted"),
            )
        )
        if table.carried:
            names = ", ".join(safe_str(column.name) for column in table.carried)
            rows.append(Content.assemble("  carried over as they are: ", (names, "$accent")))
    if found.coach_clients is not None:
        rows.append(Content("Coach and client relations are here; access through them is proved."))
    if found.preferences is not None:
        rows.append(Content("Notification preferences are here; they stay as they are."))
    if session.dependents:
        kinds: dict[str, list[str]] = {}
        for dependent in session.dependents:
            kinds.setdefault(dependent.kind, []).append(dependent.name)
        summary = ", ".join(
            plural(len(names), kind, "policies" if kind == "policy" else None) for kind, names in kinds.items()
        )
        rows.append(Content.assemble(("Hangs on them: ", "$text-muted"), summary))
    return lines(rows)


def estimate(session: Session, forecast: Forecast | None = None) -> Content:
    """How long it takes: the guide's estimate, ours, and what a rehearsal has measured."""
    environment = session.settings.environment.value
    ours = estimate_for(environment)
    rehearsed = [fact("Rehearsed", forecast_line(forecast))] if forecast is not None else []
    return lines(
        [
            heading("How long it takes"),
            fact("Guide", GUIDE_ESTIMATE[environment]),
            fact(
                "Here",
                f"{duration(ours.shortest.total_seconds())} to {duration(ours.longest.total_seconds())}, no downtime",
            ),
            fact(
                "Writes wait",
                f"under {duration(ours.writes_goal.total_seconds())}, "
                f"never over {duration(ours.writes_limit.total_seconds())}",
            ),
            *rehearsed,
            safe(ours.note, "$text-muted"),
        ]
    )


def risks(session: Session) -> Content:
    """The guide's risks and ours, most harmful first, with what answers each."""
    order = (Level.CRITICAL, Level.HIGH, Level.MEDIUM, Level.LOW)
    rows = [heading("Risks"), Content.styled(f"{'Likely':<9}{'Impact':<10}What, and what answers it", "$text-muted")]
    for risk in sorted(session.settings.book.risks, key=lambda risk: order.index(risk.impact)):
        style = STYLES[Status.FAIL] if risk.impact is Level.CRITICAL else ""
        rows.append(
            Content.assemble(f"{risk.probability.value:<9}", (f"{risk.impact.value:<10}", style), (risk.title, "bold"))
        )
        rows.append(Content.styled(risk.mitigation, "$text-muted"))
    return lines(rows)


def timeline(session: Session) -> Content:
    """What happens when, once T−0 is set."""
    planned = session.planned
    rows = [heading("Timeline")]
    if planned is None and session.state is None:
        return lines([*rows, Content.styled(NOT_READ, "$text-muted")])
    if planned is None:
        return lines([*rows, Content.assemble("T−0 is not set. ", ("t", "bold $accent"), " sets it.")])
    zone = session.settings.timezone
    done = done_entries(session)
    rows.append(fact("T−0", moment(planned, zone), f" {zone}"))
    marks = {
        Standing.DONE: (MARKS[Status.PASS], STYLES[Status.PASS]),
        Standing.DUE: (MARKS[Status.WARN], STYLES[Status.WARN]),
        Standing.LATE: (MARKS[Status.FAIL], STYLES[Status.FAIL]),
        Standing.UPCOMING: (MARKS[Status.PENDING], STYLES[Status.PENDING]),
    }
    now = datetime.now(UTC)
    entries = schedule(planned, session.settings.book.timeline)
    stands = [(entry, standing(entry, now, done)) for entry in entries]
    finished = sum(how is Standing.DONE for _, how in stands)
    counts = [f"{finished} of {len(stands)} done"]
    for how, word in ((Standing.LATE, "late"), (Standing.DUE, "due")):
        if number_of := sum(one is how for _, one in stands):
            counts.append(f"{number_of} {word}")
    rows.append(Content.assemble(" · ".join(counts), "  ", ("T", "bold $accent"), " draws it"))
    waiting = [(entry, how) for entry, how in stands if how is not Standing.DONE]
    for entry, how in waiting[:NEXT_UP]:
        at = moment(entry.starts_at, zone)[5:]
        label = f"{at}  {offset_label(entry.entry.offset):<9} "
        rows.append(Content.assemble(marks[how], " ", (label, "$text-muted"), safe(entry.entry.action)))
    return lines(rows)


def last_run(session: Session) -> Content:
    """The newest migration or rollback on record."""
    rows = [heading("Last run")]
    run: Run | None = session.state.run if session.state else None
    if run is None:
        words = NOT_READ if session.state is None else "None on record."
        return lines([*rows, Content.styled(words, "$text-muted")])
    zone = session.settings.timezone
    stands = "broke off" if session.state is not None and session.state.interrupted else run.status
    rows.append(fact("What", safe(run_words(run.kind)), " · ", safe(stands), " · phase ", safe(run.phase)))
    rows.append(fact("Who", safe(run.at_work)))
    rows.append(fact("Started", f"{moment(run.started_at, zone)} ({ago(run.started_at)})"))
    if run.finished_at is not None:
        rows.append(fact("Took", duration((run.finished_at - run.started_at).total_seconds())))
    if run.error:
        rows.append(fact("Error", safe_block(run.error)))
    kept = {key: value for key, value in run.figures.items() if isinstance(value, int | float)}
    rows.append(figures(dict(list(kept.items())[:6]), ""))
    return lines(row for row in rows if row.plain)
