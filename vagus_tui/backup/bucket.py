"""What copies of backups ask of a bucket, whichever cloud it is in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Protocol


class Cause(Enum):
    """Why a request failed. The libraries' own texts may repeat headers or keys, so that only these are told."""

    NO_BUCKET = auto()
    WRONG_CREDENTIALS = auto()
    EXPIRED_CREDENTIALS = auto()
    CLOCK = auto()
    NO_CREDENTIALS = auto()
    DENIED = auto()
    OTHER_REGION = auto()
    MISSING = auto()
    FULL = auto()
    REFUSED = auto()
    BROKEN = auto()


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One object of a listing; the name is below the folder."""

    name: str
    bytes: int
    modified: datetime


class Bucket(Protocol):
    """A bucket at one folder; every name is below that folder. What fails is told apart by `cause`."""

    async def size(self, name: str) -> int | None:
        """The size of an object in bytes, or None where there is none."""
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Write a small object in one piece."""
        ...

    async def send(self, name: str, pieces: AsyncIterator[bytes], size: int) -> None:
        """Write an object of about `size` bytes in parts. It is there once `pieces` ends, and not when that raises."""
        ...

    async def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Read an object, or its bytes from `start` up to and without `end`."""
        ...

    async def delete(self, name: str) -> None:
        """Take an object away."""
        ...

    async def names(self) -> list[RemoteObject]:
        """Everything below the folder."""
        ...

    def cause(self, error: Exception) -> Cause | None:
        """Why a request failed, or None for an error that is not the cloud's."""
        ...
