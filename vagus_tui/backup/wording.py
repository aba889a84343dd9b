"""Telling two wordings of one expression from two expressions.

A server prints what it parsed, and printing and parsing again changes groups: `((a AND b) AND c)` becomes
`(a AND b AND c)`. Both mean the same, because AND and OR are associative. Nothing else is taken for the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]|[^\s()'"]+""")
_CONNECTIVES = frozenset({"AND", "OR"})


@dataclass(slots=True)
class _Group:
    parts: list[_Part] = field(default_factory=list)

    def connective(self) -> str | None:
        """AND or OR when the group is a chain of that alone."""
        found = {part for part in self.parts if isinstance(part, str) and part in _CONNECTIVES}
        return found.pop() if len(found) == 1 else None


_Part: TypeAlias = "str | _Group"


def _parse(text: str) -> _Group:
    stack = [_Group()]
    for token in _TOKEN.findall(text):
        if token == "(":
            group = _Group()
            stack[-1].parts.append(group)
            stack.append(group)
        elif token == ")" and len(stack) > 1:
            stack.pop()
        else:
            stack[-1].parts.append(token)
    return stack[0]


def _is_operand(group: _Group, at: int) -> bool:
    """Whether a part stands between connectives or at the edges: no function's arguments, no NOT before it."""
    before = group.parts[at - 1] if at else "AND"
    after = group.parts[at + 1] if at + 1 < len(group.parts) else "AND"
    return before in ("AND", "OR") and after in ("AND", "OR")


def _flattened(group: _Group) -> _Group:
    flat = _Group([_flattened(part) if isinstance(part, _Group) else part for part in group.parts])
    connective = flat.connective()
    if connective is None:
        return flat
    parts: list[_Part] = []
    for at, part in enumerate(flat.parts):
        if isinstance(part, _Group) and part.connective() == connective and _is_operand(flat, at):
            parts.extend(part.parts)
        else:
            parts.append(part)
    return _Group(parts)


def _spelled(group: _Group) -> str:
    return " ".join(f"({_spelled(part)})" if isinstance(part, _Group) else part for part in group.parts)


def canonical(text: str) -> str:
    """A definition with its chains of AND and of OR flattened and its white space made even."""
    return _spelled(_flattened(_parse(text)))
