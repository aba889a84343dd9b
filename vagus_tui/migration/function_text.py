"""Reading the text of functions and triggers for the tables they name. A careful look, not a parser: where the text
leaves a doubt, the answer is the one that asks a person."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vagus_tui.database.dependents import Dependent
from vagus_tui.schema.identifiers import quote
from vagus_tui.schema.v1 import V1Shape

_COMMENTS = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
_STRINGS = re.compile(r"'(?:[^']|'')*'")
DEFAULT_PATH = '"$user", public, extensions'
"""Where the app's roles look for tables in a Supabase project, for functions that do not say."""


def words(source: str) -> str:
    """A function's text without its comments."""
    return _COMMENTS.sub(" ", source)


def code(source: str) -> str:
    """A function's text without its comments and text constants."""
    return _STRINGS.sub("''", words(source))


def _table(names: Sequence[str]) -> str:
    listed = "|".join(re.escape(name) for name in names)
    return rf'"?\b(?:{listed})\b"?'


def mentions(text: str, names: Sequence[str]) -> bool:
    """Whether a text names one of the tables."""
    return re.search(_table(names), text, re.IGNORECASE) is not None


def lines(source: str, names: Sequence[str]) -> list[str]:
    """The lines of a text that name one of the tables, with their numbers."""
    return [
        f"{number}: {line.strip()}" for number, line in enumerate(source.splitlines(), start=1) if mentions(line, names)
    ]


def writes(text: str, names: Sequence[str]) -> bool:
    """Whether a text writes to one of the tables, or locks its rows."""
    table = rf'(?:only\s+)?(?:"?\w+"?\s*\.\s*)?{_table(names)}'
    writing = rf"\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate(?:\s+table)?|lock\s+table)\s+{table}"
    if re.search(writing, text, re.IGNORECASE):
        return True
    return re.search(r"\bfor\s+(?:no\s+key\s+)?(?:update|key\s+share|share)\b", text, re.IGNORECASE) is not None


def _named_with_schema(shape: V1Shape) -> re.Pattern[str]:
    names = "|".join(re.escape(table.name) for table in shape.tables.values())
    owner = rf'(?:\b{re.escape(shape.schema)}|"{re.escape(shape.schema)}")'
    return re.compile(rf'{owner}\s*\.\s*"?({names})\b"?', re.IGNORECASE)


def rebound(function: Dependent, shape: V1Shape, schema: str) -> str:
    """A function's definition that finds v1's tables in another schema where it names them with theirs."""
    source = function.fact("source")
    moved = _named_with_schema(shape).sub(lambda found: f"{schema}.{quote(found[1].lower())}", source)
    return function.definition.replace(source, moved, 1) if moved != source else function.definition


def needs_path(function: Dependent, shape: V1Shape) -> bool:
    """Whether a function names one of v1's tables without its schema, and so looks it up along its search path."""
    rest = _named_with_schema(shape).sub("", words(function.fact("source")))
    return mentions(rest, [table.name for table in shape.tables.values()])


def path_with(function: Dependent, schema: str) -> str:
    """The search path a function gets so that it finds v1's tables in a schema."""
    path = function.fact("path") or DEFAULT_PATH
    return quote(schema) if path == '""' else f"{quote(schema)}, {path}"


def trigger_on(trigger: Dependent, relation: str) -> str:
    """A trigger's definition on another relation."""
    return trigger.definition.replace(f" ON {trigger.fact('relation')} ", f" ON {relation} ", 1)
