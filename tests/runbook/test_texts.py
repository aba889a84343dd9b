"""The wording: complete for every screen, short, plain, and free of what the guide got wrong."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

import vagus_tui.runbook
from vagus_tui.runbook.checklists import GROUPS
from vagus_tui.runbook.contacts import CONTACTS
from vagus_tui.runbook.help import HELP
from vagus_tui.runbook.messages import MESSAGES
from vagus_tui.runbook.model import Screen
from vagus_tui.runbook.overview import ESTIMATES, SCOPE
from vagus_tui.runbook.phases import MIGRATION_PHASES
from vagus_tui.runbook.questions import QUESTIONS
from vagus_tui.runbook.risks import RISKS
from vagus_tui.runbook.rollback_advice import CRITERIA, SLOWDOWN_CRITICAL, SLOWDOWN_TOLERABLE
from vagus_tui.runbook.rollout import APP_UPDATE, ROLLOUT_PHASES
from vagus_tui.runbook.timeline import TIMELINE
from vagus_tui.runbook.troubleshooting import ISSUES

EVERYTHING: tuple[object, ...] = (
    GROUPS,
    CONTACTS,
    HELP,
    MESSAGES,
    ESTIMATES,
    SCOPE,
    MIGRATION_PHASES,
    QUESTIONS,
    RISKS,
    CRITERIA,
    APP_UPDATE,
    ROLLOUT_PHASES,
    TIMELINE,
    ISSUES,
)


def texts(value: object) -> Iterator[str]:
    """Every string in a value made of dataclasses and tuples."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from texts(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from texts(getattr(value, field.name))


def test_every_screen_has_help_in_three_parts() -> None:
    assert [entry.screen for entry in HELP] == list(Screen)
    for entry in HELP:
        for part in (entry.purpose, entry.why, entry.next):
            assert 20 < len(part) <= 200, (entry.screen, part)


def test_texts_shout_at_nobody_and_carry_no_control_characters() -> None:
    for text in texts(EVERYTHING):
        assert "!" not in text, text
        assert all(char.isprintable() or char == "\n" for char in text), text
        # Nothing beyond the basic plane: emoji take an unknown number of cells.
        assert all(ord(char) < 0x2600 for char in text), text
        assert "  " not in text and text == text.strip(), text


def test_troubles_say_how_to_undo_and_what_never_to_do() -> None:
    for issue in ISSUES:
        for part in (issue.symptom, issue.cause, issue.detected, issue.remedy, issue.undo, issue.never):
            assert 20 < len(part) <= 320, (issue.id, part)


def test_answers_and_notes_fit_a_small_terminal() -> None:
    for question in QUESTIONS:
        assert question.question.endswith("?") and len(question.question) <= 56
        assert len(question.answer) <= 240, question.id
    for risk in RISKS:
        assert len(risk.title) <= 50 and len(risk.mitigation) <= 120, risk.id
    for criterion in CRITERIA:
        assert criterion.question.endswith("?") and len(criterion.question) <= 56


def test_between_the_two_thresholds_the_operator_weighs() -> None:
    assert SLOWDOWN_TOLERABLE == 2 < SLOWDOWN_CRITICAL == 5


@pytest.mark.parametrize(
    "wrong", ["superuser access", "10 % of users first", "pg_cancel_backend", "goo.gl", "<your-project>", "XXX"]
)
def test_the_guides_wrong_advice_does_not_come_back(wrong: str) -> None:
    assert not [text for text in texts(EVERYTHING) if wrong.lower() in text.lower()]


def test_the_runbook_is_the_lowest_layer() -> None:
    folder = Path(vagus_tui.runbook.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                inside = name.startswith(("vagus_tui.runbook", "vagus_tui.format"))
                assert inside or not name.startswith(("vagus_tui", "textual", "rich", "pydantic")), (path, name)


def test_everything_is_frozen() -> None:
    for collection in EVERYTHING:
        assert isinstance(collection, tuple)
        for entry in collection:
            assert dataclasses.is_dataclass(entry)
            hash(entry)
            name = dataclasses.fields(entry)[0].name
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(entry, name, "changed")
