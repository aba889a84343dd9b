"""The operator's hand on a long job: stop it, pause it, slow it down, let it go on past a decision."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from vagus_tui.errors import CancelledByOperatorError

T = TypeVar("T")


class Control:
    """Shared between a job and whoever steers it; both on the same event loop.

    A job calls `checkpoint()` wherever it can stop cleanly. `throttle` is the share of time worked, 0 < t ≤ 1.
    """

    def __init__(self) -> None:
        self._cancelled = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self._go = asyncio.Event()
        self.throttle = 1.0

    @property
    def cancelled(self) -> bool:
        """Whether a stop was asked for."""
        return self._cancelled.is_set()

    @property
    def paused(self) -> bool:
        """Whether the job is asked to wait."""
        return not self._running.is_set()

    @property
    def decided(self) -> bool:
        """Whether the operator has said to go on past the hold."""
        return self._go.is_set()

    def cancel(self) -> None:
        """Ask for a graceful stop; what waits is woken."""
        self._cancelled.set()
        self._running.set()

    def pause(self) -> None:
        """Ask the job to wait at its next checkpoint."""
        self._running.clear()

    def resume(self) -> None:
        """Let a paused job go on."""
        self._running.set()

    def go(self) -> None:
        """The decision that a holding job waits for: cut over now."""
        self._go.set()

    def take_back(self) -> None:
        """Take the decision back, for a cut-over that did not get its locks and holds again."""
        self._go.clear()

    async def checkpoint(self) -> None:
        """Wait while paused.

        Raises:
            CancelledByOperatorError: a stop was asked for.
        """
        await self._running.wait()
        if self.cancelled:
            raise CancelledByOperatorError("Stopped by the operator.", state="v1 is untouched.")

    async def wait_cancelled(self) -> None:
        """Return once a stop was asked for; for racing against a job that knows no checkpoints."""
        await self._cancelled.wait()

    async def or_cancelled(self, work: Awaitable[T]) -> T:
        """Wait for work, or for the operator's stop, which cancels it in the server too.

        Raises:
            CancelledByOperatorError: the stop came first.
        """
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self.wait_cancelled())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise CancelledByOperatorError("Stopped by the operator.", state="v1 is untouched.")
            return task.result()
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def wait_go(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the decision or a stop; True when the decision is there."""
        waits = [asyncio.ensure_future(self._go.wait()), asyncio.ensure_future(self._cancelled.wait())]
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return self.decided and not self.cancelled
