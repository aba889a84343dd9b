"""The report as plain text and as a file: what is on which line, what is left out, and what a name asks for."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from vagus_tui import __version__
from vagus_tui.backup.forecast import Comparison
from vagus_tui.errors import ConfigurationError, VagusError
from vagus_tui.report.contents import Report, Section
from vagus_tui.report.files import FORMATS, default_path, format_of, save
from vagus_tui.report.lines import LONG, MOST_CHARACTERS, MOST_LINES, WIDTH, long_lines
from vagus_tui.report.story import Line
from vagus_tui.report.text import as_text
from vagus_tui.report.timeline import RunTimeline

AT = datetime(2026, 3, 1, 21, 0, tzinfo=UTC)


def report_of(*sections: Section, **more: Any) -> Report:
    head = {"database": "db/postgres", "environment": "staging", "operator": "ada", "state": "v1", "summary": "All."}
    return Report(made_at=AT, sections=sections, **{**head, **more})


def written(*sections: Section, **more: Any) -> list[str]:
    """The lines after the head."""
    return as_text(report_of(*sections, **more)).splitlines()[6:]


def test_the_head_says_what_it_is_about() -> None:
    assert as_text(report_of()).splitlines() == [
        "Workout v1 → v2: what was done",
        "",
        "Database     db/postgres",
        "Environment  staging",
        "State        v1: All.",
        f"Written      2026-03-01 21:00:00 UTC, for ada, by vagus-tui {__version__}",
        "",
        "What happened",
        "-------------",
        "Nothing has been run.",
    ]


def test_the_story_has_a_line_each() -> None:
    story = (
        Line(AT, "ada", "Began", ""),
        Line(AT, "", "Went\n  wrong", "bad"),
        Line(AT, "", "word " * 40, "good"),
    )
    told = Section("story", "What happened", ("at",), ((AT,),), "Nothing.")
    assert written(told, story=story) == [
        "",
        "What happened",
        "-------------",
        "2026-03-01 21:00:00 UTC   ada: Began",
        "2026-03-01 21:00:00 UTC ! Went wrong",
        # What takes more than two lines is indented from the second on.
        "2026-03-01 21:00:00 UTC + " + " ".join(["word"] * 15),
        "    " + " ".join(["word"] * 19),
        "    " + " ".join(["word"] * 6),
    ]


def test_the_forecast_stands_beside_what_became_of_it() -> None:
    run = RunTimeline("1", "rollback", "ada", "done", AT, AT + timedelta(seconds=2), ())
    compared = RunTimeline("2", "migrate", "ada", "done", AT, None, (), comparisons=(Comparison("b", "build", 2, 3.5),))
    assert written(timelines=(run, compared))[4:] == [
        "",
        "Forecast and actual, migration of 2026-03-01 21:00:00 UTC",
        "---------------------------------------------------------",
        "build               2.0 s      3.5 s",
    ]


def test_a_row_is_a_line_and_what_is_long_is_below_it() -> None:
    exactly = "x" * LONG
    rows = (("", "{}", None, 0, "one\ntwo", True), (exactly, exactly + "x", 1234, 0.5, " last\n", False))
    columns = ("first", "second", "the_third", "n", "words", "flag")
    assert written(Section("checks", "Checks", columns, rows, "None."), Section("proof", "Proof", (), (), "No proof."))[
        4:
    ] == [
        "",
        "Checks",
        "------",
        "n 0; flag yes",
        "    words:",
        "      one",
        "      two",
        f"first {exactly}; the third 1,234; n 0.50; words last; flag no",
        "    second:",
        f"      {exactly}x",
        "",
        "Proof",
        "-----",
        "No proof.",
    ]


def test_long_notes_of_the_programs_own_are_told_in_words() -> None:
    seen = json.dumps({"seen": {"a": 40}, "missed": {}, "more": "x" * LONG})
    rows = (("self-test", seen, "ada"), ("text.a", seen, "ada"), ("unheard-of", seen, "ada"), ("self-test", "{}", ""))
    lines = written(Section("notes", "Notes", ("topic", "body", "operator"), rows, "None."))[7:]
    assert [line for line in lines if line.startswith("topic")] == [
        "topic self-test; operator ada",
        "topic text.a; operator ada",
        "topic unheard-of; operator ada",
        "topic self-test",
    ]
    assert lines[2] == (
        "      Tested the checks with planted faults: 40 seen, none missed; its figures are in the report as"
    )
    # What people wrote, and what nobody has words for, is spelled out.
    assert lines.count("      seen:") == 2


def test_json_is_spelled_out() -> None:
    value = {
        "words": "as they are",
        "kept": [],
        "none": None,
        "figures": [1, 2.5, True, None, "x"],
        "rows": [{"a": 1, "b": {"c": False}}, [3, 4]],
        "deep": {"empty": {}, "e": [{"f": "g"}]},
    }
    assert long_lines("body", json.dumps(value)) == [
        "    body:",
        "      words: as they are",
        "      figures: 1, 2.5, yes, none, x",
        "      rows:",
        "        - a: 1",
        "          b:",
        "            c: no",
        "        - 3, 4",
        "      deep:",
        "        e:",
        "          - f: g",
    ]
    # What only looks like JSON, and what would read as a number, is text.
    assert long_lines("note", "{not so") == ["    note:", "      {not so"]
    assert long_lines("note", "1e3") == ["    note:", "      1e3"]


def test_what_is_left_out_is_said() -> None:
    whole = "\n".join(str(number) for number in range(MOST_LINES))
    assert len(long_lines("note", whole)) == 1 + MOST_LINES
    *kept, last = long_lines("note", whole + "\na\nb")
    assert len(kept) == 1 + MOST_LINES
    assert last == "      … 2 more lines: whole in the report as HTML and as JSON"
    assert len(long_lines("note", "\n" * MOST_CHARACTERS)) == 1
    assert long_lines("note", "\n" * (MOST_CHARACTERS + 1)) == [
        "    note:",
        "      … more, of 20,001 characters: whole in the report as HTML and as JSON",
    ]
    wrapped = long_lines("note", "a-b " * 40)[1:]
    # A line is as wide as it may be, and no word is taken apart.
    assert max(len(line) for line in wrapped) in range(WIDTH - 3, WIDTH + 1)
    assert " ".join(line.strip() for line in wrapped) == ("a-b " * 40).strip()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("report", "html"),
        ("report.HTML", "html"),
        ("report.htm", "html"),
        ("report.json", "json"),
        ("report.Txt", "text"),
        ("report.log", "text"),
        ("report.md", "text"),
    ],
)
def test_a_name_says_which_form(name: str, form: str) -> None:
    assert format_of(Path(name)) == form


def test_a_name_that_asks_for_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"report\.pdf asks for none of them"):
        format_of(Path("report.pdf"))
    # Unless the form is given.
    assert save(report_of(), tmp_path / "report.pdf", "text").read_text() == as_text(report_of())


def test_it_goes_beside_the_backups_under_the_name_of_its_moment(tmp_path: Path) -> None:
    names = [default_path(report_of(), tmp_path, form).name for form in FORMATS]
    assert names == [f"vagus_report_20260301_210000.{suffix}" for suffix in ("html", "json", "txt")]
    assert all(format_of(Path(name)) == form for name, form in zip(names, FORMATS, strict=True))


def test_it_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "new" / "folder" / "report.json"
    save(report_of(), target)
    save(report_of(), target)
    assert json.loads(target.read_text())["state"] == "v1" and target.read_text().startswith('{\n  "')
    assert target.stat().st_mode & 0o777 == 0o600

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = target.read_text()
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(VagusError, match=r"could not be written to .*report\.json: No space left"):
        save(report_of(summary="Another."), target)
    # Nothing half written stays, and the one that was there is as it was.
    assert [path.name for path in target.parent.iterdir()] == ["report.json"] and target.read_text() == before
