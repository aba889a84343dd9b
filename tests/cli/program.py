"""Driving the program as a script does: a process of its own, its output read, its exit status kept."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from tests.forks import FORKS

SECRET = "kept-to-yourself-%40-47"
"""A password that no output may hold, as it stands in an address."""


@dataclass(frozen=True)
class Ran:
    """What one command line did."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Every line of stdout as the JSON object that it must be."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> dict[str, Any]:
        """The last line, which must be a result, and the only one."""
        lines = self.lines
        assert [line["event"] for line in lines].count("result") == 1
        assert lines[-1]["event"] == "result"
        return lines[-1]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of one kind."""
        return [line for line in self.lines if line["event"] == event]


def environment(url: str | None, **variables: str) -> Mapping[str, str]:
    """The environment of a run: nobody's settings but those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VAGUS_")}
    if url is not None:
        kept["VAGUS_DATABASE_URL"] = url
    return {**kept, **variables}


async def vagus(
    *arguments: str, url: str | None = None, cwd: Path | None = None, interrupt_at: str = "", **variables: str
) -> Ran:
    """Run the program to its end.

    Args:
        url: the database's address, or none.
        cwd: where it runs; a folder without `.env` is the test's own affair.
        interrupt_at: Ctrl-C as soon as a line of stdout holds this text.
        variables: further environment.
    """
    process = await FORKS.run(arguments, cwd=cwd, env=environment(url, **variables))
    errors = asyncio.create_task(process.stderr.read())
    out = b""
    while line := await process.stdout.readline():
        out += line
        if interrupt_at and interrupt_at.encode() in line:
            process.send_signal(signal.SIGINT)
            interrupt_at = ""
    said = (await errors).decode()
    ran = Ran(await process.wait(), out.decode(), said)
    assert "Traceback" not in ran.out + ran.err
    if url:
        password = urlsplit(url).password
        # Short passwords are words that stand elsewhere too.
        if password and len(password) > 10:
            assert password not in ran.out + ran.err
    return ran


def with_password(url: str, password: str) -> str:
    """The address with another password."""
    parts = urlsplit(url)
    host = f"{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{quote(password)}@{host}"))
