"""Two wordings of one expression are one; two expressions are two."""

from __future__ import annotations

import pytest

from vagus_tui.backup.inventory import differences
from vagus_tui.backup.wording import canonical


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("CHECK ((((a >= 1) AND (a <= 10)) AND (a >= b)))", "CHECK (((a >= 1) AND (a <= 10) AND (a >= b)))"),
        ("((a OR b) OR (c OR d))", "(a OR b OR c OR d)"),
        ("permissive for r using  (a AND (b AND c))", "permissive for r using (a AND b AND c)"),
    ],
)
def test_the_same(one: str, other: str) -> None:
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("((a AND b) OR c)", "(a AND (b OR c))"),
        ("(a AND b OR c)", "(a AND (b OR c))"),
        ("(NOT (a AND b) AND c)", "(NOT a AND b AND c)"),
        ("(f(a AND b) AND c)", "(f a AND b AND c)"),
        ("(a = ')')", "(a = '(')"),
        ("(a AND (b AND c) IS TRUE)", "(a AND b AND c IS TRUE)"),
        ("(a >= 1)", "(a >= 2)"),
        ("('x AND y')", "('x  AND y')"),
    ],
)
def test_not_the_same(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)


def test_rights_are_compared_to_the_letter() -> None:
    before = {"grants": {"anon": "SELECT"}}
    after = {"grants": {"anon": "INSERT, SELECT"}}
    (found,) = differences(before, after, same_major=False)
    assert not found.worded and "anon" in str(found)


def test_another_major_version_may_word_an_expression_otherwise() -> None:
    before = {"policies": {"p": "using (p.id = x)"}, "keys": {"k": "CHECK (a > 1)"}}
    after = {"policies": {"p": "using ((p.id = x))"}, "keys": {"k": "CHECK (a > 2)"}}
    worded = {difference.name: difference.worded for difference in differences(before, after, same_major=False)}
    assert worded == {"p": True, "k": False}
    assert not any(difference.worded for difference in differences(before, after, same_major=True))
