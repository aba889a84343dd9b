"""An error's sentences: what the server says ends without a full stop, and is followed by ours."""

from __future__ import annotations

import asyncpg
import pytest

from vagus_tui.errors import UndoneError, VagusError, account, sentences
from vagus_tui.jobs import failure


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('relation "x" already exists', 'relation "x" already exists.'),
        ("duplicate key\nDETAIL:  Key (a)=(1) already exists.", "duplicate key\nDETAIL:  Key (a)=(1) already exists."),
        ("v1 is “in use.”", "v1 is “in use.”"),
        ("Is it so?", "Is it so?"),
        ("", ""),
    ],
)
def test_one_sentence_after_the_other(said: str, told: str) -> None:
    assert VagusError(said).happened == told
    ours = "Everything was undone."
    assert failure(UndoneError(said, state=ours)).message == (f"{told} {ours}" if told else ours)
    assert sentences(told, "", ours) == (f"{told} {ours}" if told else ours)


def test_of_a_defect_kind_and_place_are_told() -> None:
    """Its own text may hold the address."""
    try:
        raise KeyError("postgresql://me:hush@h/d")
    except KeyError as error:
        told = account(error)
    assert told.startswith("vagus-tui itself failed: KeyError at test_errors.py:") and "hush" not in told
    assert account(FileNotFoundError(2, "No such file or directory", "/x")) == (
        "The system refused: No such file or directory (/x)."
    )
    assert account(asyncpg.RaiseError("no")) == "The server said: no."
    assert account(UndoneError("It stopped")) == "It stopped."
