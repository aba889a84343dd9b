"""Folders left behind when a sandbox and its watchdog were killed together, such as by the machine going down."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "vagus-sandbox-"
# A folder this young may belong to a start that has not made its lock yet, or not taken it.
_YOUNG_SECONDS, _UNLOCKED_SECONDS = 600, 10


def remove_leftovers() -> list[Path]:
    """Remove our own abandoned folders in the temp folder and return them; kept ones and live ones stay."""
    removed = []
    for folder in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        with contextlib.suppress(OSError):
            if _abandoned(folder):
                shutil.rmtree(folder)
                removed.append(folder)
    return removed


def _abandoned(folder: Path) -> bool:
    if folder.is_symlink() or not folder.is_dir() or (folder / "keep").exists():
        return False
    if not os.access(folder, os.W_OK):
        return False
    age = time.time() - folder.stat().st_mtime
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        return age >= _YOUNG_SECONDS
    if age < _UNLOCKED_SECONDS:
        os.close(handle)
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
