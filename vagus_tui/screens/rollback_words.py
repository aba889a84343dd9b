"""What the Rollback screen says: the advice, the answers, and what the quick rollback would do."""

from __future__ import annotations

from textual.content import Content

from vagus_tui.errors import RefusedError
from vagus_tui.events import Status
from vagus_tui.format import age_text, moment, old, plural
from vagus_tui.journal.state import state_words
from vagus_tui.journal.store import Run, run_words
from vagus_tui.rollback.advice import Advice, Answer, Recommendation
from vagus_tui.rollback.candidates import Candidate
from vagus_tui.rollback.cost import UNDO, Cost
from vagus_tui.rollback.preview import Preview, replaced_words
from vagus_tui.runbook.aftermath import TEXTS
from vagus_tui.runbook.rollback_advice import Weight
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.rows import Row
from vagus_tui.widgets.text import safe, safe_block, safe_str

_STATUS = {
    Recommendation.ROLL_BACK: Status.FAIL,
    Recommendation.FIX_FORWARD: Status.WARN,
    Recommendation.FIND_OUT: Status.PENDING,
    Recommendation.STAY: Status.PASS,
}
REASONS_SHOWN = 2
SHOWN_OF_ONE = 4000
"""So many characters of what was changed by hand: the SQL that settles it has to be there to its end."""


def advice_text(advice: Advice) -> Content:
    """The recommendation and the first reasons for it."""
    status = _STATUS[advice.recommendation]
    lines = [Content.styled(f"{MARKS[status]} {advice.recommendation.value.capitalize()}", f"bold {STYLES[status]}")]
    lines.extend(safe(f"  {reason}") for reason in advice.reasons[:REASONS_SHOWN])
    if len(advice.reasons) > REASONS_SHOWN:
        lines.append(Content(f"  and {len(advice.reasons) - REASONS_SHOWN} more"))
    return Content("\n").join(lines)


def aftermath_text(item: str, run: Run | None, timezone: str) -> str:
    """What is to be written down for an item after a rollback, with what the journal knows of it filled in."""
    template = TEXTS.get(item, "")
    figures = run.figures if run is not None else {}
    carried = "; ".join(
        f"{table}: {counts['new']:,} new, {counts['changed']:,} changed"
        for table, counts in figures.get("carried_back", {}).items()
    )
    return template.format(
        when=moment(run.started_at, timezone) if run else "…",
        operator=run.operator if run else "…",
        run=run.id if run else "…",
        kind=run_words(run.kind) if run else "…",
        archive=figures.get("archive", "…"),
        carried=carried or "…",
        left=figures.get("not_expressible", "…"),
        failed=(run.error if run else None) or "…",
    )


def answer_mark(answer: Answer) -> tuple[str, str, str]:
    """Mark, question and answer for the table."""
    if answer.yes is None:
        return MARKS[Status.PENDING], answer.criterion.question, "?"
    status = Status.PASS
    if answer.yes:
        status = Status.FAIL if answer.criterion.weight is Weight.CRITICAL else Status.WARN
    return MARKS[status], answer.criterion.question, "yes" if answer.yes else "no"


def carried_rows(found: Preview) -> list[Row]:
    """What would be carried back, a table each."""
    return [
        Row(item.table, (item.table, item.new, item.changed, item.deleted, item.not_expressible))
        for item in found.carried
    ]


def preview_words(found: Preview | None, *, refused: bool) -> str:
    """What the quick rollback would come to in a word or two, as far as it was looked at."""
    if refused:
        return "not possible as things are"
    if found is None:
        return "looking"
    return f"{plural(found.total, 'row') if found.total else 'nothing'} to carry back"


def refusal(error: RefusedError) -> Content:
    """Why the quick rollback cannot go past what it found, and what to do."""
    parts = [safe_block(f"{MARKS[Status.FAIL]} {error.happened}", STYLES[Status.FAIL])]
    parts += [safe_block(words) for words in (error.state, error.next_step) if words]
    return Content("\n").join(parts)


def _compared(found: Preview, *, choosing: bool, comparing: bool) -> list[Content]:
    """What is known of writes that nobody noted: a rollback compares every row, a look at it only where asked to."""
    if comparing:
        return [Content("Comparing every row of v2 with v1 as it was kept …")]
    if found.compared:
        return []
    if found.whole:
        return [Content("Every row was compared with v1 as it was kept: none differs but by a noted write.")]
    now = " p compares them now." if choosing else ""
    return [
        Content(
            "Counted from what was noted. The rollback compares every row of v2 with v1 first, and stops to ask if one "
            f"differs without a note.{now}"
        )
    ]


def what_happens(
    found: Preview | None,
    cost: Cost | None = None,
    *,
    deletions: bool,
    choosing: bool = True,
    comparing: bool = False,
) -> Content:
    """What the quick rollback would do now, what it costs, and the way on from there.

    Args:
        deletions: rows that were deleted in v2 are deleted in v1 too.
        choosing: the keys that change that are at hand.
        comparing: every row is being compared just now.
    """
    if found is None:
        return Content("Looking at what was written since the cut-over.")
    if found.total:
        first = f"{plural(found.total, 'row')} written since the cut-over will be carried back into v1."
    else:
        # Unless all were compared and found the same, only the notes say so.
        written = "written" if found.whole and not found.compared else "noted"
        first = f"Nothing was {written} since the cut-over that v1 does not have."
    lines = [Content(first)]
    if found.deletions:
        stay = "stay in v1 (d: delete them there too)" if choosing else "stay in v1"
        fate = "will be deleted in v1 too" if deletions else stay
        if rows := found.deletions - (0 if deletions else found.replaced):
            lines.append(Content(f"{plural(rows, 'row')} deleted since {fate}."))
        if found.replaced and not deletions:
            lines.append(Content(replaced_words(found.replaced)))
    left = sum(item.not_expressible for item in found.carried)
    only = ", ".join(f"{count:,} in {safe_str(table)}" for table, count in found.only_in_v2.items())
    if left or only:
        what = "; ".join(part for part in (plural(left, "new row") if left else "", only) if part)
        lines.append(Content(f"v1 has no place for: {what}. They stay in the archive and in the report."))
    if kept := sum(item.kept_values for item in found.carried):
        lines.append(Content(f"{plural(kept, 'row')} keep a value of v1, which cannot hold v2's; the archive has it."))
    if found.kept_out:
        lines.append(Content(f"For example: {safe_str('; '.join(found.kept_out))}."))
    lines.extend(_compared(found, choosing=choosing, comparing=comparing))
    lines.extend(safe(line, limit=SHOWN_OF_ONE) for line in found.told)
    lines.append(Content("v2 is moved into an archive schema without API access. Nothing is dropped."))
    lines.append(Content("One short transaction, for which writes wait. If anything fails it is undone as a whole."))
    if cost is not None:
        lines += [Content(cost.time), Content(UNDO)]
    lines.append(Content("The v1 app has to be in users' hands again: stores cannot recall an installed app."))
    return Content("\n").join(lines)


_SOURCES = {"tables": "the dump of the workout tables", "full": "the full dump", "csv": "CSV files"}


def _proof(candidate: Candidate) -> str:
    if candidate.info.problems:
        return "damaged"
    if candidate.info.restored is not None:
        return "restored"
    return "verified" if candidate.info.verified is not None else "not yet"


def candidate_row(candidate: Candidate) -> Row:
    """A backup in the list: whether it can be used, its age, its proof, and what would be missing."""
    status = Status.FAIL if candidate.problems else Status.WARN if candidate.cautions else Status.PASS
    name = f"{candidate.path.parent.name}/{candidate.path.name}"
    fewer = f"{candidate.fewer:,}" if candidate.usable else "cannot"
    cells = (MARKS[status], name, age_text(candidate.age), state_words(candidate.info.state), _proof(candidate), fewer)
    return Row(str(candidate.path), cells, "" if candidate.usable else "dim")


def candidate_text(candidate: Candidate, timezone: str) -> Content:
    """All about one backup: what it is of, what it holds against what is in use, what speaks against it."""
    lines = [
        safe(f"{candidate.path.name}: {old(candidate.age)}, {_proof(candidate)}", "bold"),
        safe(f"Data of {moment(candidate.info.created, timezone)}, {state_words(candidate.info.state)}."),
    ]
    lines += [safe(f"{MARKS[Status.FAIL]} {problem}", STYLES[Status.FAIL]) for problem in candidate.problems[:5]]
    if candidate.rows:
        lines.append(Content.styled(f"{'':<16} {'backup':>9} {'now':>9}", "$text-muted"))
    for table in candidate.rows:
        now = "gone" if table.now is None else f"{table.now:,}"
        lines.append(safe(f"{table.base:<16} {table.backup:>9,} {now:>9}"))
    if candidate.usable:
        lines.append(Content(f"Restored from {_SOURCES[candidate.source]}."))
    lines += [safe(f"{MARKS[Status.WARN]} {caution}", STYLES[Status.WARN]) for caution in candidate.cautions]
    return Content("\n").join(lines)


def from_backup_happens(candidate: Candidate) -> Content:
    """What a rollback to this backup would do, and what it would cost."""
    lines = [
        safe(f"v1 as it is in {candidate.path.name}, {old(candidate.age)}."),
        Content(
            f"At least {plural(candidate.fewer, 'row')} written since will not be in v1, but in an archive."
            if candidate.fewer
            else "By their numbers no rows would be missing; what was changed since stays in an archive schema."
        ),
        Content(
            "First every byte is read, restored on this machine and compared: the database is not touched by that."
        ),
        Content("Then v1 is made aside, proved, and put in place in one short transaction. Nothing is dropped."),
        Content("If anything fails, everything is as it was. The v1 app has to be in users' hands again."),
    ]
    return Content("\n").join(lines)
