"""An error's sentences: what the server says ends without a full stop, and is followed by ours."""

from __future__ import annotations

import pytest

from vagus_tui.errors import UndoneError, VagusError, sentences
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
