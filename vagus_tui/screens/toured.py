"""Who has seen the first-time tour: remembered per operator in the user's configuration folder."""

from __future__ import annotations

import json
from pathlib import Path

import platformdirs

MOST = 50


def memory() -> Path:
    """The file that remembers it."""
    return platformdirs.user_config_path("vagus-tui") / "toured.json"


def _names(path: Path) -> list[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def has_toured(operator: str) -> bool:
    """Whether this operator has seen the tour here; a file that cannot be read counts as no."""
    return operator in _names(memory())


def remember(operator: str) -> None:
    """Note that this operator has seen it. Where nothing can be written, the tour comes again: no harm."""
    path = memory()
    names = [name for name in _names(path) if name != operator]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([*names, operator][-MOST:], ensure_ascii=False), encoding="utf-8")
    except OSError:
        return
