"""What the Rollback screen says: the advice, the answers, and what the quick rollback would do."""

from __future__ import annotations

from textual.content import Content

from vagus_tui.events import Status
from vagus_tui.rollback.advice import Advice, Answer, Recommendation
from vagus_tui.rollback.quick_plan import Preview
from vagus_tui.runbook.rollback_advice import Weight
from vagus_tui.widgets.format import plural
from vagus_tui.widgets.marks import MARKS, STYLES
from vagus_tui.widgets.rows import Row
from vagus_tui.widgets.text import safe, safe_str

_STATUS = {
    Recommendation.ROLL_BACK: Status.FAIL,
    Recommendation.FIX_FORWARD: Status.WARN,
    Recommendation.FIND_OUT: Status.PENDING,
    Recommendation.STAY: Status.PASS,
}
REASONS_SHOWN = 3


def advice_text(advice: Advice) -> Content:
    """The recommendation and the first reasons for it."""
    status = _STATUS[advice.recommendation]
    lines = [Content.styled(f"{MARKS[status]} {advice.recommendation.value.capitalize()}", f"bold {STYLES[status]}")]
    lines.extend(safe(f"  {reason}") for reason in advice.reasons[:REASONS_SHOWN])
    if len(advice.reasons) > REASONS_SHOWN:
        lines.append(Content(f"  and {len(advice.reasons) - REASONS_SHOWN} more"))
    return Content("\n").join(lines)


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


def what_happens(found: Preview | None, *, deletions: bool) -> Content:
    """What the quick rollback would do now, what it costs, and the way on from there."""
    if found is None:
        return Content("Looking at what was written since the cut-over.")
    lines = [
        Content(
            f"{plural(found.total, 'row')} written since the cut-over will be carried back into v1."
            if found.total
            else "Nothing was written since the cut-over that v1 does not have."
        )
    ]
    if found.deletions:
        fate = "will be deleted in v1 too" if deletions else "stay in v1 (d: delete them there too)"
        lines.append(Content(f"{plural(found.deletions, 'row')} deleted since {fate}."))
    left = sum(item.not_expressible for item in found.carried)
    only = ", ".join(f"{count:,} in {safe_str(table)}" for table, count in found.only_in_v2.items())
    if left or only:
        what = "; ".join(part for part in (plural(left, "new row") if left else "", only) if part)
        lines.append(Content(f"v1 has no place for: {what}. They stay in the archive and in the report."))
    if kept := sum(item.kept_values for item in found.carried):
        lines.append(Content(f"{plural(kept, 'row')} keep a value of v1, which cannot hold v2's; the archive has it."))
    lines.append(Content("v2 is moved into an archive schema without API access. Nothing is dropped."))
    lines.append(Content("One short transaction: writes wait for seconds. If anything fails it is undone as a whole."))
    lines.append(Content("The v1 app has to be in users' hands again: stores cannot recall an installed app."))
    return Content("\n").join(lines)
