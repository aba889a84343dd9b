"""The report to be kept: as one HTML page that needs nothing else, as text, or as JSON."""

from __future__ import annotations

import html
import json
import os
import tempfile
import unicodedata
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from vagus_tui.errors import VagusError
from vagus_tui.journal.report import Report, Section

CELL = 2_000

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dt { opacity: .7; } dd { margin: 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #8885; }
th { font-weight: 600; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
td { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 32rem; }
.fail, .failed, .error { color: #c22; } .warn { color: #a60; } .pass, .done { color: #183; }
"""


def clean(value: object) -> str:
    """A value as text without characters that control, hide or reorder what is read."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S %Z").strip()
    text = str(value)
    cut = text[:CELL]
    shown = "".join(letter if letter == "\n" or unicodedata.category(letter)[0] != "C" else "�" for letter in cut)
    return shown + (f"… ({len(text):,} characters)" if len(text) > CELL else "")


def _heading(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _cell(value: object) -> str:
    text = html.escape(clean(value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="number">{text}</td>'
    words = {"pass", "warn", "fail", "error", "done", "failed"}
    return f'<td class="{value}">{text}</td>' if isinstance(value, str) and value in words else f"<td>{text}</td>"


def _table(section: Section) -> str:
    if not section.rows:
        return f"<h2>{html.escape(section.title)}</h2>\n<p>{html.escape(section.empty)}</p>"
    head = "".join(f"<th>{html.escape(_heading(name))}</th>" for name in section.columns)
    rows = "\n".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in section.rows)
    return (
        f"<h2>{html.escape(section.title)}</h2>\n"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
    )


def _facts(report: Report) -> list[tuple[str, str]]:
    return [
        ("Database", report.database),
        ("Environment", report.environment),
        ("State", f"{report.state}: {report.summary}"),
        ("Written", f"{clean(report.made_at)}, for {report.operator}"),
    ]


def as_html(report: Report) -> str:
    """One page: no script, nothing loaded from anywhere, every value escaped."""
    facts = "".join(f"<dt>{name}</dt><dd>{html.escape(clean(value))}</dd>" for name, value in _facts(report))
    body = "\n".join(_table(section) for section in report.sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Workout migration: {html.escape(clean(report.database))}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>Workout v1 → v2: what was done</h1>\n<dl>{facts}</dl>\n{body}\n</body></html>\n"
    )


def as_text(report: Report) -> str:
    """Plain text: one line per row."""
    lines = ["Workout v1 → v2: what was done", ""]
    lines += [f"{name:<12} {clean(value)}" for name, value in _facts(report)]
    for section in report.sections:
        lines += ["", section.title, "-" * len(section.title)]
        if not section.rows:
            lines.append(section.empty)
        for row in section.rows:
            pairs = zip(section.columns, row, strict=True)
            lines.append(
                "; ".join(
                    f"{_heading(name).lower()} {' '.join(clean(value).split())}"
                    for name, value in pairs
                    if value not in (None, "", "{}")
                )
            )
    return "\n".join(lines) + "\n"


def as_json(report: Report) -> str:
    """One JSON object, indented."""
    return json.dumps(report.to_json(), indent=2, ensure_ascii=True) + "\n"


FORMATS: dict[str, Callable[[Report], str]] = {"html": as_html, "json": as_json, "text": as_text}
"""The forms a report can have, by name."""


def format_of(path: Path) -> str:
    """The form that a file's name asks for; HTML where it says nothing."""
    return {".json": "json", ".txt": "text", ".text": "text", ".md": "text"}.get(path.suffix.lower(), "html")


def default_path(report: Report, folder: Path, form: str = "html") -> Path:
    """Where a report goes when nobody says: beside the backups, named after its moment."""
    suffix = "txt" if form == "text" else form
    return folder / f"vagus_report_{report.made_at:%Y%m%d_%H%M%S}.{suffix}"


def save(report: Report, path: Path, form: str | None = None) -> Path:
    """Write the report whole or not at all, readable by its owner alone; returns where it is.

    Raises:
        VagusError: it cannot be written there.
    """
    text = FORMATS[form or format_of(path)](report)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # mkstemp makes the file readable by its owner alone; the rename then shows it whole.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".vagus_report_")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise VagusError(
            f"The report could not be written to {path}: {error.strerror}.",
            next_step="Name another file.",
        ) from error
    return path
