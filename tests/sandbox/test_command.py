"""The sandbox command: its address first, alone on stdout; gone after Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import asyncpg
import pytest

from vagus_tui.sandbox.command import _figures
from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sandbox import start_sandbox
from vagus_tui.sandbox.traffic import Figures

PATIENCE_SECONDS = 60


def started(rate: float | None = None) -> subprocess.Popen[str]:
    traffic = [] if rate is None else ["--traffic", "--rate", str(rate)]
    return subprocess.Popen(
        [sys.executable, "-m", "vagus_tui", "sandbox", "--plans", "40", *traffic],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(("how", "rate"), [(signal.SIGINT, None), (signal.SIGTERM, 50)])
async def test_address_first_and_nothing_left_after_the_signal(how: signal.Signals, rate: float | None) -> None:
    with started(rate) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        conn = await asyncpg.connect(url)
        assert await conn.fetchval("SELECT session_user") == "postgres"
        assert await conn.fetchval("SELECT count(*) FROM workout_plans") >= 40
        folder = Path(await conn.fetchval("SHOW unix_socket_directories"))
        await conn.close()
        # As a terminal does it: to the whole group.
        os.killpg(process.pid, how)
        rest, said = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert rest == ""
    assert "nothing is left" in said
    assert url.split(":")[2].split("@")[0] not in said
    assert ("requests, 0 failed" in said) is (rate is not None)
    assert not folder.exists()


def test_a_signal_during_the_start_leaves_nothing(temp_folder: Path) -> None:
    with started() as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert out == ""
    assert list(temp_folder.iterdir()) == []


async def test_sandbox_of_the_default_size_is_ready_with_its_addresses() -> None:
    lines: list[str] = []
    sandbox = await start_sandbox(SandboxOptions(), lines.append)
    try:
        for url, user in (
            (sandbox.url, "postgres"),
            (sandbox.admin_url, "supabase_admin"),
            (sandbox.authenticator_url, "authenticator"),
        ):
            conn = await asyncpg.connect(url)
            assert await conn.fetchval("SELECT session_user") == user
            assert await conn.fetchval("SELECT current_database()") == "postgres"
            await conn.close()
        assert len(lines) >= 3
    finally:
        await sandbox.stop()


async def test_a_sandbox_that_cannot_be_filled_leaves_nothing(temp_folder: Path) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await start_sandbox(SandboxOptions(plans=10**20))
    assert list(temp_folder.iterdir()) == []


def test_what_failed_is_said_and_why_it_may_have() -> None:
    assert _figures(Figures(requests=1200)) == "1,200 requests, 0 failed."
    said = _figures(Figures(requests=1200, errors=Counter({"42703": 40, "55P03": 2})))
    assert said.startswith("1,200 requests, 42 failed (42703 × 40, 55P03 × 2). 40 of them named what only v1 has")
    assert "only v1" not in _figures(Figures(requests=9, errors=Counter({"57P01": 1})))
