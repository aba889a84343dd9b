"""The arrows between the folders point one way, and only the faces know Textual."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vagus_tui

ROOT = Path(vagus_tui.__file__).parent

CAPABILITIES = {
    "cleanup",
    "preview",
    "checks",
    "migration",
    "rollback",
    "backup",
    "remedies",
    "rollout",
    "report",
    "journal",
    "sandbox",
}
GROUND = {"errors", "events", "settings", "control", "jobs", "zones", "format"}
"""Modules of the top level that everybody may use."""

BELOW = GROUND | CAPABILITIES | {"database", "schema", "runbook"}
"""What stands below the two faces, the wizard and the command line."""

ALLOWED: dict[str, set[str]] = {
    "runbook": {"format"},
    "schema": GROUND,
    "database": GROUND | {"schema", "runbook"},
    **dict.fromkeys(CAPABILITIES, BELOW),
    "session": BELOW,
    "widgets": BELOW | {"session"},
    "screens": BELOW | {"session", "widgets", "app"},
    "commands": BELOW | {"widgets", "app", "runbook_file"},
}
FACES = {"screens", "widgets", "app"}


def imported(path: Path) -> set[str]:
    """The names of every module that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def files(folder: str) -> list[Path]:
    """The Python files of one folder of the package."""
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", sorted(ALLOWED))
def test_arrows_point_one_way(folder: str) -> None:
    found = files(folder)
    assert found
    for path in found:
        for name in imported(path):
            parts = name.split(".")
            if parts[0] != "vagus_tui" or len(parts) < 2:
                continue
            target = parts[1]
            if target in ("__version__", folder):
                continue
            assert target in ALLOWED[folder], f"{path.relative_to(ROOT)} imports {name}"


def test_only_the_faces_know_textual() -> None:
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if place not in FACES:
            assert not any(name.split(".")[0] == "textual" for name in imported(path)), path


def test_commands_start_without_the_wizards_toolkit() -> None:
    loaded = "import sys, vagus_tui.cli, vagus_tui.commands.output; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    names = set(done.stdout.split())
    assert "vagus_tui.commands.output" in names and not {"textual", "obstore", "google.cloud"} & names


def test_no_file_is_larger_than_a_sitting() -> None:
    sizes = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in ROOT.rglob("*.py")}
    assert sizes
    assert {path.name: size for path, size in sizes.items() if size > 450} == {}


def test_what_functions_of_others_could_shadow_is_called_by_its_whole_name() -> None:
    """These take anything: a function of the same name in public that fits better would be called in their place."""
    bare = re.compile(r"(?<![\w.])(?:format\('|concat_ws\(|quote_ident\()")
    # Bodies of functions with an empty search path, which are compared with what stands in databases.
    found = [path.name for path in ROOT.rglob("*.py") if path.name != "capture.py" and bare.search(path.read_text())]
    assert found == []


def test_arrays_go_to_the_server_as_text() -> None:
    """What others are made of the driver asks the server first, with six questions: over a long line that shows."""
    other = re.compile(r"\$\d+::(?!text\b|oid\b)\w+\[\]")
    assert [path.name for path in ROOT.rglob("*.py") if other.search(path.read_text())] == []
