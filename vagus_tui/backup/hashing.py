"""Checksums of files, off the event loop, with their progress."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

PIECE = 4 << 20


def _piece(file: Any, digest: Any) -> int:
    data = file.read(PIECE)
    digest.update(data)
    return len(data)


class FileHash:
    """The size and SHA-256 of one file, complete when `read` has ended."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The checksum of what was read so far."""
        return self._digest.hexdigest()

    async def read(self) -> AsyncIterator[int]:
        """Read the file to its end; yields the number of bytes of each piece.

        Raises:
            OSError: it cannot be read.
        """
        file = await asyncio.to_thread(open, self.path, "rb", 0)
        try:
            while size := await asyncio.to_thread(_piece, file, self._digest):
                self.bytes += size
                yield size
        finally:
            file.close()
