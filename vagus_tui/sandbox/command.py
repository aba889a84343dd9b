"""`vagus-tui sandbox`: the embedded database alone, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable

from vagus_tui.sandbox.options import SandboxOptions
from vagus_tui.sandbox.sandbox import Sandbox, start_sandbox
from vagus_tui.sandbox.traffic import Figures, Traffic

_V1_ON_V2 = ("42703", "42P01", "23502")
"""A column or table that is not there, or a value that v2 requires and v1's app does not send."""


def _announce(url: str) -> None:
    print(url, flush=True)


async def run_sandbox(
    options: SandboxOptions, traffic_rate: float | None = None, announce: Callable[[str], None] = _announce
) -> None:
    """Start a sandbox, print its address as the first line on stdout, and keep it until SIGINT or SIGTERM.

    Everything else goes to stderr.

    Args:
        traffic_rate: requests per second of made-up app traffic; none if it is None.
        announce: told the address once it answers; by default that is the first line on stdout.

    Raises:
        SandboxError: it did not start.
    """
    async with _ended_by_signals() as ended:
        start = asyncio.create_task(start_sandbox(options, lambda line: _say(line + " …")))
        end = asyncio.create_task(ended.wait())
        try:
            await asyncio.wait({start, end}, return_when=asyncio.FIRST_COMPLETED)
            if ended.is_set():
                start.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await _hold(await start, traffic_rate, ended, announce)
        finally:
            end.cancel()


async def _hold(
    sandbox: Sandbox, traffic_rate: float | None, ended: asyncio.Event, announce: Callable[[str], None]
) -> None:
    try:
        announce(sandbox.url)
        _say("This address is the sandbox's, with its password; set VAGUS_DATABASE_URL to it in another terminal.")
        _say("Ctrl-C stops the sandbox and " + ("keeps its files." if sandbox.options.keep else "removes it."))
        traffic = Traffic(sandbox.authenticator_url, traffic_rate) if traffic_rate else None
        if traffic is not None:
            await traffic.start()
            _say(f"Made-up users are at work, {traffic_rate:g} requests per second.")
        try:
            await ended.wait()
        finally:
            if traffic is not None:
                await traffic.stop(patience=1)
                _say(_figures(traffic.all))
    finally:
        await sandbox.stop()
        if sandbox.options.keep:
            _say(f"Stopped. Its files are in {sandbox.server.socket_dir}")
        else:
            _say("Stopped, and nothing is left of it.")


def _figures(all: Figures) -> str:
    """How many requests there were and failed, with what; v1's own can be expected to fail on v2."""
    words = f"{all.requests:,} requests, {all.failed:,} failed"
    if not all.failed:
        return f"{words}."
    by_code = ", ".join(f"{code} × {count:,}" for code, count in all.errors.most_common(5))
    unknown = sum(all.errors[code] for code in _V1_ON_V2)
    return f"{words} ({by_code})." + (
        f" {unknown:,} of them named what only v1 has: the app's old version, while v2 is in place." if unknown else ""
    )


@contextlib.asynccontextmanager
async def _ended_by_signals() -> AsyncIterator[asyncio.Event]:
    """An event that Ctrl-C and a service manager's stop set, in place of what they do otherwise."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    try:
        yield ended
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _say(line: str) -> None:
    # Whoever reads us may be gone by the end.
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)
