"""What the page draws: a run's phases as bars on a time axis beside their forecast, and the access matrix."""

from __future__ import annotations

import html

from vagus_tui.checks.access.matrix import COMMANDS, AccessMatrix, Cell, Verdict
from vagus_tui.format import plural, span
from vagus_tui.journal.store import run_words
from vagus_tui.report.timeline import RunTimeline
from vagus_tui.report.words import clean, moment

HOLD_SHARE, HOLDS_SHARE = 0.08, 0.4
"""A hold lasts as long as people like: on the axis it takes this share, hatched, whatever it took; all together the
other at most."""

_SIGNS = {Verdict.SAME: "✓", Verdict.BY_DESIGN: "+", Verdict.LOST: "−", Verdict.GAINED: "‼"}
_CLASSES = {Verdict.SAME: "good", Verdict.BY_DESIGN: "soft", Verdict.LOST: "bad", Verdict.GAINED: "bad"}


def draw_timeline(timeline: RunTimeline) -> str:
    """One run: a bar per phase, where and how long, with the forecast as a thin bar under it."""
    ended = f" to {moment(timeline.finished_at)}" if timeline.finished_at else ""
    run = f"{run_words(timeline.kind)}, {timeline.status}, by {timeline.operator}"
    title = f"{run}: {moment(timeline.started_at)}{ended}"
    lines = [f"<h3>{html.escape(clean(title))}</h3>"]
    if not timeline.spans:
        return lines[0] + "\n<p>It did not get to a first step.</p>"
    forecast = {item.id: item.forecast for item in timeline.comparisons}
    # Of a phase that was done again only the first bar has its forecast beside it.
    lengths = [
        (one, 0.0 if one.phase == "hold" else one.seconds, forecast.pop(one.phase, 0.0)) for one in timeline.spans
    ]
    names: set[str] = set()
    holds = sum(one.phase == "hold" for one in timeline.spans)
    hold_share = min(HOLD_SHARE, HOLDS_SHARE / max(1, holds))
    whole = sum(max(seconds, expected) for _, seconds, expected in lengths) or 1.0
    room = 1.0 - hold_share * holds
    left = 0.0
    rows = []
    for stretch, seconds, expected in lengths:
        hold = stretch.phase == "hold"
        width = hold_share if hold else seconds / whole * room
        bars = f'<div class="bar{" hold" if hold else ""}" style="left:{left:.2%};width:{width:.2%}"></div>'
        if expected:
            bars += f'<div class="bar forecast" style="left:{left:.2%};width:{expected / whole * room:.2%}"></div>'
        name = f"{stretch.phase} again" if stretch.phase in names else stretch.phase
        rows.append(
            f"<div>{html.escape(name)}</div><div class='track'>{bars}</div>"
            f"<div class='number'>{span(stretch.seconds)}</div>"
        )
        names.add(stretch.phase)
        left += hold_share if hold else max(seconds, expected) / whole * room
    lines.append(f'<div class="bars">{"".join(rows)}</div>')
    if timeline.waited is not None:
        lines.append(f"<p>Writes waited {span(timeline.waited)} at the swap.</p>")
    if timeline.comparisons:
        lines.append(_comparisons(timeline))
    return "\n".join(lines)


def _comparisons(timeline: RunTimeline) -> str:
    assert timeline.rehearsed_at is not None
    rows = "".join(
        f"<tr><td>{html.escape(item.title)}</td><td class='number'>{span(item.forecast)}</td>"
        f"<td class='number'>{span(item.actual)}</td>"
        f"<td class='number'>{'' if item.ratio is None else f'{item.ratio:.2f} ×'}</td></tr>"
        for item in timeline.comparisons
    )
    return (
        f"<p>Forecast by the rehearsal of {moment(timeline.rehearsed_at)} (thin bars), and actual:</p>"
        "<table><thead><tr><th>Phase</th><th>Forecast</th><th>Actual</th><th></th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def draw_access(matrix: AccessMatrix) -> str:
    """Users down, tables and commands across; a sign per cell, with the figures in its tooltip."""
    totals = matrix.totals.values()
    lost, gained = sum(total.lost for total in totals), sum(total.gained for total in totals)
    scope = "all users" if matrix.everyone else "a sample of users"
    verdict = (
        "nothing lost, nothing gained" if not (lost or gained) else f"{plural(lost, 'row')} lost, {gained:,} gained"
    )
    against = "v1 against v2" if matrix.compared else "v2 against its rules, since v1 was not there to compare with"
    tables = "".join(f'<th colspan="{len(COMMANDS)}">{html.escape(table)}</th>' for table in matrix.tables)
    commands = "".join(f"<th>{command[0].upper()}</th>" for _ in matrix.tables for command in COMMANDS)
    rows = []
    for person in matrix.people:
        cells = "".join(
            _cell(matrix.cells[person.id, table, command]) for table in matrix.tables for command in COMMANDS
        )
        who = html.escape(clean(f"{person.kind.value} {person.label}".strip()))
        rows.append(f'<tr><td title="{html.escape(clean(person.id))}">{who}</td>{cells}</tr>')
    tone = "bad" if lost or gained else "good"
    return (
        f"<p>{matrix.measured:,} people and roles ({scope}), {against}, {moment(matrix.at)}: "
        f'<span class="{tone}">{verdict}</span>. S select, I insert, U update, D delete. '
        "✓ the same, + more by design, − lost, ‼ gained.</p>"
        f'<div class="scroll"><table class="matrix"><thead><tr><th></th>{tables}</tr><tr><th>Who</th>{commands}</tr>'
        f"</thead><tbody>\n{chr(10).join(rows)}\n</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    figures = f"{plural(cell.before, 'row')} in v1, {cell.now:,} in v2"
    if cell.lost or cell.gained:
        figures += f"; {cell.lost:,} lost, {cell.gained:,} gained"
    return f'<td class="{_CLASSES[cell.verdict]}" title="{figures}">{_SIGNS[cell.verdict]}</td>'
