"""Runs steps side by side on several connections: what most waits for first, never two on one table's keys."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from vagus_tui.migration.gauge import weight
from vagus_tui.migration.steps import PlanStep

Run = Callable[[int, PlanStep], Awaitable[None]]

LOOK_SECONDS = 1.0
"""How often it is looked whether more may be under way."""


def work_ahead(steps: Sequence[PlanStep]) -> dict[str, float]:
    """By step: its weight and that of the heaviest chain of those who wait for it.

    What has most ahead goes first: in the end everything waits for that chain.
    """
    followers: dict[str, list[PlanStep]] = {step.id: [] for step in steps}
    for step in steps:
        for need in step.needs:
            if need in followers:
                followers[need].append(step)
    found: dict[str, float] = {}

    def ahead(step: PlanStep) -> float:
        if step.id not in found:
            found[step.id] = weight(step) + max(map(ahead, followers[step.id]), default=0)
        return found[step.id]

    return {step.id: ahead(step) for step in steps}


async def run_graph(
    steps: Sequence[PlanStep], done: set[str], workers: int, run: Run, at_once: Callable[[], int]
) -> None:
    """Run every step that is not done, on `workers` lanes, honouring what each needs and what it has for itself.

    Args:
        done: ids of finished steps; grows as steps finish. Needs that are not in `steps` count as done.
        run: runs one step on a lane (0 … workers − 1).
        at_once: how many steps may be under way now; that may change, and what has begun goes on to its end.

    Raises:
        Whatever a failing step raises; the others are cancelled and waited for, and `done` has those that finished.
    """
    known = {step.id for step in steps}
    ahead = work_ahead(steps)
    waiting = [step for step in steps if step.id not in done]
    lanes = list(range(workers))
    running: dict[asyncio.Task[None], tuple[PlanStep, int]] = {}

    def ready(step: PlanStep) -> bool:
        if any(need in known and need not in done for need in step.needs):
            return False
        taken = {table for other, _ in running.values() for table in other.tables}
        return not taken.intersection(step.tables)

    try:
        while waiting or running:
            for step in sorted((step for step in waiting if ready(step)), key=lambda step: -ahead[step.id]):
                if not lanes or (running and len(running) >= at_once()):
                    break
                if not ready(step):
                    continue
                waiting.remove(step)
                lane = lanes.pop(0)
                running[asyncio.create_task(_as_coroutine(run, lane, step))] = (step, lane)
            finished, _ = await asyncio.wait(running, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                if task.exception() is None:
                    step, lane = running.pop(task)
                    lanes.append(lane)
                    done.add(step.id)
            for task in finished:
                task.result()
    finally:
        for task in running:
            task.cancel()
        for result, (step, _) in zip(
            await asyncio.gather(*running, return_exceptions=True), running.values(), strict=True
        ):
            if not isinstance(result, BaseException):
                done.add(step.id)


async def _as_coroutine(run: Run, lane: int, step: PlanStep) -> None:
    await run(lane, step)
