"""The one place where names become SQL. Values never do: they travel as parameters."""

from __future__ import annotations

import re


def quote(name: str) -> str:
    """Quote one identifier, always, so that case, spaces and quotes in it survive.

    Raises:
        ValueError: the name is empty or holds a NUL, which PostgreSQL cannot store.
    """
    if not name or "\x00" in name:
        raise ValueError("an identifier must not be empty or hold a NUL character")
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """Quote a schema-qualified name."""
    return f"{quote(schema)}.{quote(name)}"


def free_name(name: str, taken: set[str], suffix: str = "") -> str:
    """The name with its suffix, and a number where that is taken, within the 63 bytes that PostgreSQL keeps."""
    number = 1
    while True:
        tail = suffix if number == 1 else f"{suffix}_{number}"
        candidate = name.encode()[: 63 - len(tail)].decode(errors="ignore") + tail
        if candidate not in taken:
            return candidate
        number += 1


_TO_USING = re.compile(r'(?:"(?:[^"]|"")*"|[^"])*? USING ')


def split_index(definition: str) -> tuple[str, str]:
    """What stands before and after USING in the server's definition of an index, whatever its names hold."""
    found = _TO_USING.match(definition)
    if found is None:
        raise ValueError("this is not the definition of an index")
    return definition[: found.end() - len(" USING ")], definition[found.end() :]


def literal(value: str) -> str:
    """Quote a text constant, for the few statements (DDL, comments) that take no parameters.

    The result reads the same whatever standard_conforming_strings says.
    """
    if "\x00" in value:
        raise ValueError("a text constant must not hold a NUL character")
    text = "'" + value.replace("'", "''") + "'"
    if "\\" in text:
        return " E" + text.replace("\\", "\\\\")
    return text
