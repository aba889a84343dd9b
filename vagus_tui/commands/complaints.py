"""What is wrong with a value that was set or typed, in words for whoever set it; never the value itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WORDS = {
    "int_parsing": "it is not a whole number",
    "int_from_float": "it is not a whole number",
    "float_parsing": "it is not a number",
    "bool_parsing": "it is neither true nor false",
    "string_unicode": "it is not UTF-8 text",
}
_BOUNDS = {
    "greater_than": ("gt", "has to be more than"),
    "greater_than_equal": ("ge", "has to be at least"),
    "less_than": ("lt", "has to be less than"),
    "less_than_equal": ("le", "has to be at most"),
}


def complaint(problem: Mapping[str, Any]) -> str:
    """One problem that validation found, without a full stop.

    Args:
        problem: as `ValidationError.errors` has it, with its context.
    """
    kind, context = problem["type"], problem.get("ctx") or {}
    if kind in ("enum", "literal_error"):
        return "it has to be " + str(context["expected"]).replace("'", "")
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"it {words} {context[name]:,}"
    return _WORDS.get(kind) or str(problem["msg"]).removeprefix("Value error, ")
