"""Taking apart what the server printed of its catalog: names, definitions, rights."""

from __future__ import annotations

import re

from vagus_tui.backup.manifest import DamagedBackupError
from vagus_tui.schema.identifiers import quote


def spelled(name: str) -> str:
    """A name as the server's own printing has it: quoted only where it must be."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) else quote(name)


def printed(schema: str, name: str) -> str:
    """The same with its schema."""
    return f"{spelled(schema)}.{spelled(name)}"


def after_head(text: str, *heads: str) -> str:
    """What follows the first of these beginnings.

    Raises:
        DamagedBackupError: it begins with none of them.
    """
    for head in heads:
        if text.startswith(head):
            return text[len(head) :]
    raise DamagedBackupError(
        f"The manifest describes something that cannot be made again: {text[:200]}",
        next_step="Use another backup, or make a new one.",
    )


def split_at(text: str, word: str) -> tuple[str, str]:
    """Cut an expression in two at a word that stands outside all parentheses and quotes."""
    depth, quoted = 0, ""
    for at, letter in enumerate(text):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "'\"":
            quoted = letter
        elif letter in "()":
            depth += 1 if letter == "(" else -1
        elif depth == 0 and text.startswith(word, at):
            return text[:at], text[at + len(word) :]
    return text, ""


def granted_to(role: str) -> str:
    """A role as a GRANT names it."""
    return "public" if role == "public" else quote(role)


def rights_in(text: str) -> list[tuple[str, str]]:
    """Rights as the inventory has them, and the words for those that may be passed on."""
    return [
        (right.removesuffix("*"), " with grant option" if right.endswith("*") else "") for right in text.split(", ")
    ]
