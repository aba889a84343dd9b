"""Rewriting a text in the operator's own editor, and writing one to a file."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

from textual.app import App, SuspendNotSupported

from vagus_tui.errors import VagusError
from vagus_tui.screens.dialogs import PromptDialog
from vagus_tui.settings import whole_path

USUAL_EDITORS = ("nano", "vim", "vi")


class PathDialog(PromptDialog):
    """Asks for a file to be written."""

    def problem(self, text: str) -> str:
        """A file that is not there yet: nobody's notes are written over for a slip of the keys."""
        if not text:
            return "Please name a file."
        try:
            path = whole_path(text)
            if path.is_dir():
                return "That is a folder; please name a file in it."
            return "That is there already; please name another file." if path.exists() else ""
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            return f"That cannot be a file: {why}."


def find_editor(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The command of the operator's editor: VISUAL, else EDITOR, else one of the usual ones.

    Raises:
        VagusError: there is none, or what is named cannot be found.
    """
    for name in ("VISUAL", "EDITOR"):
        if named := environment.get(name, "").strip():
            try:
                command = shlex.split(named)
            except ValueError:
                command = [named]
            if shutil.which(command[0]) is None:
                raise VagusError(
                    f"The editor that {name} names was not found: {command[0]}.",
                    state="The text is as it was.",
                    next_step=f"Set {name} to an editor that is installed, and start again.",
                )
            return command
    for usual in USUAL_EDITORS:
        if shutil.which(usual):
            return [usual]
    raise VagusError(
        "No editor was found.",
        state="The text is as it was.",
        next_step="Set EDITOR, as in EDITOR=nano, and start again.",
    )


async def edit_text(app: App[int], text: str, *, name: str) -> str:
    """Open a text in the editor, over the wizard, and return what was saved. What runs meanwhile runs on.

    Args:
        name: the file's name, which the editor shows and whose suffix tells it what it is.

    Raises:
        VagusError: there is no editor, it failed, or this terminal cannot be lent to it.
    """
    command = find_editor()
    with tempfile.TemporaryDirectory(prefix="vagus-edit-") as folder:
        path = Path(folder) / name
        path.write_text(text, encoding="utf-8")
        try:
            # The screen is not drawn while the terminal belongs to the editor; the loop goes on. Without a terminal
            # of our own there is none to lend: the editor then has a window of its own.
            with app.batch_update(), nullcontext() if app.is_headless else app.suspend():
                process = await asyncio.create_subprocess_exec(*command, str(path))
                status = await process.wait()
        except SuspendNotSupported as error:
            raise VagusError(
                "This terminal cannot be lent to an editor.",
                state="The text is as it was.",
                next_step="Run the wizard in an ordinary terminal, or rewrite the text in the runbook file.",
            ) from error
        if status != 0:
            raise VagusError(
                f"The editor ended with status {status}.",
                state="The text is as it was.",
                next_step="Try again, or set EDITOR to another one.",
            )
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise VagusError(
                "What the editor left cannot be read as UTF-8 text.", state="The text is as it was."
            ) from error


def write_text(path: Path, text: str) -> Path:
    """Write a text to a file that does not exist yet, and return where it is.

    Raises:
        VagusError: it cannot be written there, or something is there already.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text if text.endswith("\n") else text + "\n")
    except FileExistsError as error:
        raise VagusError(
            f"{path} exists already.", state="Nothing was written.", next_step="Name another file."
        ) from error
    except OSError as error:
        raise VagusError(
            f"{path} could not be written: {error.strerror}.",
            state="Nothing was written.",
            next_step="Name another file.",
        ) from error
    return path
