"""The report to be kept: as one page, as text, or as JSON, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from vagus_tui.errors import ConfigurationError, VagusError
from vagus_tui.report.contents import Report
from vagus_tui.report.page import as_html
from vagus_tui.report.text import as_text


def as_json(report: Report) -> str:
    """One JSON object, indented."""
    return json.dumps(report.to_json(), indent=2, ensure_ascii=True) + "\n"


FORMATS: dict[str, Callable[[Report], str]] = {"html": as_html, "json": as_json, "text": as_text}
"""The forms a report can have, by name."""


_BY_SUFFIX = {
    "": "html",
    ".html": "html",
    ".htm": "html",
    ".json": "json",
    ".txt": "text",
    ".text": "text",
    ".log": "text",
    ".md": "text",
}


def format_of(path: Path) -> str:
    """The form that a file's name asks for; HTML where it says nothing.

    Raises:
        ConfigurationError: it asks for a form that a report has not; a page in a file named .pdf opens nowhere.
    """
    form = _BY_SUFFIX.get(path.suffix.lower())
    if form is None:
        raise ConfigurationError(
            f"A report is a page, JSON or text; {path.name} asks for none of them.",
            next_step="Name the file .html, .json or .txt, or say which: --format html, json or text.",
        )
    return form


def default_path(report: Report, folder: Path, form: str = "html") -> Path:
    """Where a report goes when nobody says: beside the backups, named after its moment."""
    suffix = "txt" if form == "text" else form
    return folder / f"vagus_report_{report.made_at:%Y%m%d_%H%M%S}.{suffix}"


def folder_words(path: Path) -> str:
    """Told before a file is written: that its folder has to be made for it. Empty where it is there, or not to be had.

    A folder that nobody meant, for a slip of the keys, is not to come unseen.
    """
    with contextlib.suppress(OSError):
        return "" if path.parent.exists() else f" Its folder {path.parent} was not there and was made."
    return ""


def save(report: Report, path: Path, form: str | None = None) -> Path:
    """Write the report whole or not at all, readable by its owner alone; returns where it is.

    Raises:
        ConfigurationError: neither the form nor the name says how.
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
