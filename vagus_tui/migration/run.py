"""One run in hand: what its phases share, and the connections it works on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from vagus_tui.control import Control
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import Phase
from vagus_tui.jobs import Emit
from vagus_tui.journal import store
from vagus_tui.migration.courtesy import Courtesy
from vagus_tui.migration.plan import MigrationPlan
from vagus_tui.migration.work import open_session
from vagus_tui.schema.identifiers import qualified
from vagus_tui.settings import Settings

LONGEST_REST_SECONDS = 30.0
"""A throttled run never rests longer than this between two steps."""


class Lanes:
    """The connections that steps run on side by side, opened when they are first needed."""

    def __init__(self, database: Database, wanted: int) -> None:
        self._database = database
        self._wanted = wanted
        self._stack = AsyncExitStack()
        self._connections: list[Connection] = []

    def __len__(self) -> int:
        return len(self._connections)

    def __getitem__(self, number: int) -> Connection:
        return self._connections[number]

    async def open(self) -> None:
        """Open those that are not open yet."""
        for number in range(len(self._connections), self._wanted):
            session = open_session(self._database, f"build {number + 1}")
            self._connections.append(await self._stack.enter_async_context(session))

    async def close(self) -> None:
        """Close them all; they can be opened again."""
        self._connections.clear()
        await self._stack.aclose()


@dataclass
class MigrationRun:
    """One migration under way.

    Attributes:
        main: the connection that holds the operator's lock and that everything but the side-by-side work runs on.
        done: ids of finished steps, those of an earlier attempt at the same run included.
        figures: what is worth keeping with the run: when it was proved, how long writes waited.
        working: the server process of the connection that a running step is on, by step.
        proved: `time.perf_counter()` when every row was last proved; None before.
        rows: how many rows that proof compared, by table of v2.
        noted: the mark of change capture from right before that proof: see `vigil`.
        staged: what was built beside v1, as the build left it: see `staged`; empty until it has.
        courtesy: how much of the server is left to the app.
    """

    database: Database
    settings: Settings
    control: Control
    emit: Emit
    main: Connection
    lanes: Lanes
    made: MigrationPlan
    id: UUID
    done: set[str]
    figures: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    proved: float | None = None
    rows: dict[str, int] = field(default_factory=dict)
    noted: str | None = None
    staged: dict[str, str] = field(default_factory=dict)
    working: dict[str, int] = field(default_factory=dict)
    courtesy: Courtesy = field(init=False)

    def __post_init__(self) -> None:
        shape = self.made.survey.shape
        self.courtesy = Courtesy([qualified(shape.schema, table.name) for table in shape.tables.values()])

    def at_once(self) -> int:
        """How many steps may be under way at once now."""
        return 1 if self.courtesy.yielding else len(self.lanes)

    @property
    def proof_age(self) -> float:
        """Seconds since every row was last proved."""
        return float("inf") if self.proved is None else time.perf_counter() - self.proved

    async def enter(self, phase: Phase) -> None:
        """Begin a phase, unless the operator pauses or stops the run."""
        await self.control.checkpoint()
        await store.update_run(self.main, self.id, phase=phase.value)

    async def rest(self, worked: float) -> None:
        """Rest as long as the throttle asks after so many seconds of work, or until the operator stops the run."""
        if self.control.throttle < 1:
            seconds = min(worked * (1 / max(self.control.throttle, 0.05) - 1), LONGEST_REST_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.control.wait_cancelled(), seconds)
