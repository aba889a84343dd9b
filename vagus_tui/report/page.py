"""The report as one HTML page: no script, nothing loaded, every value escaped; for screen, phone and paper."""

from __future__ import annotations

import html
from datetime import datetime

from vagus_tui.format import plural
from vagus_tui.report.contents import STORY, Report, Section, facts
from vagus_tui.report.drawing import draw_access, draw_timeline
from vagus_tui.report.words import CELL, clean, moment

LONG_WORD = 20
"""Characters from which a word of a table may be broken anywhere."""
MOST_CHARACTERS = 200_000
"""Of one cell, which is all that people write; of bookkeeping that is longer, JSON has the rest."""
MOST_ROWS = 2_000
"""Rows of one section that the page shows; JSON has them all."""

_STYLE = """
:root { color-scheme: light dark; --good: #1a7f43; --bad: #c2303a; --warn: #9a6200; --bar: #2f7fb8; --soft: #8883; }
@media (prefers-color-scheme: dark) { :root { --good: #5cc98a; --bad: #f07a80; --warn: #e0ad52; --bar: #5aa9e0; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
h3 { font-size: .95rem; margin: 1.2rem 0 .4rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dt { opacity: .7; }
dd { margin: 0; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 0 .9rem; font-size: .9rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--soft); }
th { font-weight: 600; } .number { text-align: right; font-variant-numeric: tabular-nums; }
td { white-space: pre-wrap; max-width: 30rem; } td.long { overflow-wrap: anywhere; min-width: 9rem; }
td.when { white-space: nowrap; }
.bad, .fail, .failed, .error { color: var(--bad); } .warn { color: var(--warn); }
.good, .pass, .done { color: var(--good); } .soft { opacity: .7; }
ol.story { list-style: none; padding: 0; } ol.story li { display: grid; grid-template-columns: 12rem 1fr; gap: 0 1rem;
  padding: .15rem 0; border-bottom: 1px solid var(--soft); } ol.story time { opacity: .7; font-size: .9em; }
.bars { display: grid; grid-template-columns: 7rem 1fr 6.5rem; gap: .3rem .8rem; align-items: center; }
.track { position: relative; height: 1rem; background: var(--soft); border-radius: 2px; }
.bar { position: absolute; top: 0; height: 100%; min-width: 2px; background: var(--bar); border-radius: 2px; }
.bar.hold { background: repeating-linear-gradient(45deg, var(--soft) 0 4px, transparent 4px 8px); }
.bar.forecast { height: 30%; top: 70%; background: var(--warn); }
.matrix td, .matrix th { padding: .15rem .35rem; text-align: center; min-width: 0; }
.matrix td:first-child, .matrix th:first-child { text-align: left; }
@media (max-width: 40rem) { ol.story li { grid-template-columns: 1fr; }
  .bars { grid-template-columns: 5rem 1fr 5rem; font-size: .85rem; } }
@media print { body { margin: 0; max-width: none; font-size: 11px; }
  .scroll { overflow: visible; } table { width: 100%; } nav { display: none; }
  table { font-size: 8px; } th, td { padding-right: .4rem; } td.long { min-width: 0; }
  h2, h3 { break-after: avoid; } tr, li { break-inside: avoid; } * { print-color-adjust: exact; } }
"""


def as_html(report: Report) -> str:
    """The whole page."""
    listed = "".join(f"<dt>{name}</dt><dd>{_escaped(value)}</dd>" for name, value in facts(report))
    parts = [("story", "What happened", _story(report))]
    if report.timelines:
        drawn = "\n".join(draw_timeline(timeline) for timeline in report.timelines)
        parts.append(("timeline", "Runs in time", drawn))
    if report.access is not None:
        parts.append(("access", "Access: what real users may do, v1 against v2", draw_access(report.access)))
    parts += [(section.key, section.title, _table(section)) for section in report.sections if section.key != STORY]
    links = "".join(f'<a href="#{key}">{_escaped(title.partition(":")[0])}</a>' for key, title, _ in parts)
    body = "\n".join(
        f'<section><h2 id="{key}">{_escaped(title)}</h2>\n{content}</section>' for key, title, content in parts
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Workout migration: {_escaped(report.database)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>Workout v1 → v2: what was done</h1>\n<dl>{listed}</dl>\n<nav>{links}</nav>\n{body}\n"
        "</body></html>\n"
    )


def _escaped(value: object, limit: int = CELL) -> str:
    return html.escape(clean(value, limit))


def _story(report: Report) -> str:
    if not report.story:
        return "<p>Nothing has been run.</p>"
    lines = []
    for line in report.story:
        who = f"<b>{_escaped(line.who)}</b> " if line.who else ""
        mark = {"good": "✓ ", "bad": "✗ ", "warn": "! "}.get(line.tone, "")
        lines.append(
            f"<li><time>{moment(line.at)}</time><span>{who}"
            f'<span class="{line.tone or "plain"}">{mark}{_escaped(line.what)}</span></span></li>'
        )
    return '<ol class="story">\n' + "\n".join(lines) + "\n</ol>"


def _cell(value: object) -> str:
    text = _escaped(value, MOST_CHARACTERS)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="number">{text}</td>'
    if isinstance(value, datetime):
        return f'<td class="when">{text}</td>'
    words = {"pass", "warn", "fail", "error", "done", "failed"}
    if isinstance(value, str) and value in words:
        return f'<td class="{value}">{text}</td>'
    # Names and words stay whole; ids, checksums and JSON may be broken anywhere.
    long = any(len(word) > LONG_WORD for word in clean(value).split())
    return f'<td class="long">{text}</td>' if long else f"<td>{text}</td>"


def _table(section: Section) -> str:
    if not section.rows:
        return f"<p>{html.escape(section.empty)}</p>"
    head = "".join(f"<th>{html.escape(name.replace('_', ' ').capitalize())}</th>" for name in section.columns)
    rows = "\n".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in section.rows[:MOST_ROWS])
    left = len(section.rows) - MOST_ROWS
    more = f"<p>{plural(left, 'more row is', 'more rows are')} in the report as JSON.</p>" if left > 0 else ""
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>{more}'
