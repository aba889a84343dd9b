"""The password is in no argument list, no file and no message."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.backup.helpers import make
from tests.backup.test_interrupted import Halted, halted
from tests.conftest import Connect
from tests.databases import TestDatabase
from vagus_tui.backup.address import tool_address
from vagus_tui.backup.process import ToolFailedError, ToolRun
from vagus_tui.errors import VagusError
from vagus_tui.settings import Settings

__all__ = ["halted"]


def password_of(settings: Settings) -> str:
    assert settings.database_url is not None
    return unquote(urlsplit(settings.database_url.get_secret_value()).password or "")


async def test_the_password_is_in_no_argument_list(
    halted: Halted, settings: Settings, clean_database: TestDatabase, connect: Connect
) -> None:
    pid = await halted.begin(await connect(clean_database.url))
    secret = password_of(settings).encode()
    assert len(secret) > 8
    assert secret not in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"postgresql://" not in Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_the_password_is_in_no_file(settings: Settings) -> None:
    done = await make(settings)
    secret = password_of(settings).encode()
    for path in done.path.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
    assert secret.decode() not in repr(done.events)


async def test_the_password_is_in_no_message(settings: Settings, tmp_path: Path) -> None:
    """Even a tool that says it aloud is not repeated."""
    program = tmp_path / "pg_dump"
    program.write_text('#!/bin/sh\necho "pg_dump: error: I was told $PGPASSWORD by $PGUSER" >&2\nexit 1\n')
    program.chmod(0o755)
    address = tool_address("postgresql://me:hush%40hush@h/d", purpose="test")
    async with ToolRun(program, [], address) as run:
        status = await run.finish()
        error = run.failure(status)
    assert isinstance(error, ToolFailedError)
    assert "I was told" in str(error) and "by me" in str(error)
    assert "hush" not in str(error) and "hush" not in repr(run.errors) and "hush" not in repr(address)


async def test_a_refused_login_says_no_password(settings: Settings) -> None:
    assert settings.database_url is not None
    parts = urlsplit(settings.database_url.get_secret_value())
    host = parts.netloc.rpartition("@")[2]
    wrong = parts._replace(netloc=f"nobody_at_all:wrong-secret-word@{host}").geturl()
    with pytest.raises(VagusError) as caught:
        await make(Settings.model_validate({"database_url": wrong, "backup_dir": settings.backup_dir}))
    assert "wrong-secret-word" not in str(caught.value) + repr(caught.value)


def test_an_address_becomes_environment() -> None:
    address = tool_address(
        "postgresql://post%2Egres:p%40ss%2Fw@[2001:db8::1]:6000/my%20db?sslmode=require&sslrootcert=/ca.crt",
        purpose="pg_dump",
    )
    found = address.environment
    assert found["PGHOST"] == "2001:db8::1" and found["PGPORT"] == "6000"
    assert found["PGUSER"] == "post.gres" and found["PGPASSWORD"] == "p@ss/w"
    assert found["PGDATABASE"] == "my db" and found["PGSSLMODE"] == "require" and found["PGSSLROOTCERT"] == "/ca.crt"
    assert address.scrubbed("p@ss/w and p%40ss%2Fw") == "••• and •••"


def test_tools_speak_one_language(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their messages are searched: where “error:” was “Fehler:”, a complaint made a good backup a damaged one."""
    monkeypatch.delenv("LC_ALL", raising=False)
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    found = tool_address("postgresql://h/d", purpose="x").environment
    assert found["LC_ALL"] == "C.UTF-8" and "LANGUAGE" not in found


@pytest.mark.parametrize(
    ("url", "tls", "root", "mode"),
    [
        ("postgresql://h/d", False, None, None),
        ("postgresql://h/d", True, None, "require"),
        ("postgresql://h/d?sslmode=prefer", True, None, "require"),
        ("postgresql://h/d?sslmode=verify-full", True, None, "verify-full"),
        ("postgresql://h/d", True, "/ca.crt", "verify-full"),
        ("postgresql://h/d?sslmode=require", True, "/ca.crt", "verify-full"),
        ("postgresql://h/d?sslmode=disable", False, "/ca.crt", "disable"),
    ],
)
def test_tools_never_use_less_tls_than_the_driver(
    monkeypatch: pytest.MonkeyPatch, url: str, tls: bool, root: str | None, mode: str | None
) -> None:
    monkeypatch.delenv("PGSSLMODE", raising=False)
    assert tool_address(url, purpose="x", tls=tls, root_cert=root).environment.get("PGSSLMODE") == mode
    # What the shell says of other servers does not undo the CA file.
    monkeypatch.setenv("PGSSLMODE", "disable")
    if root is not None:
        assert tool_address(url, purpose="x", tls=tls, root_cert=root).environment["PGSSLMODE"] == mode


def test_several_hosts_and_a_socket() -> None:
    several = tool_address("postgresql://u@a:1,b/d", purpose="x").environment
    assert (several["PGHOST"], several["PGPORT"]) == ("a,b", "1,5432")
    socket = tool_address("postgresql:///d?host=/run/pg&port=7", purpose="x").environment
    assert (socket["PGHOST"], socket["PGPORT"]) == ("/run/pg", "7")
