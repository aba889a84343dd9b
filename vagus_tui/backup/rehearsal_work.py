"""What a rehearsal does in each of its stages, on the restored copy: the same code as on the real database."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncIterator, Sequence

from pydantic import SecretStr

from vagus_tui.backup.came_back import restored_and_compared
from vagus_tui.backup.copy import RestoredCopy
from vagus_tui.backup.folder import STOPPED
from vagus_tui.backup.forecast import StepForecast
from vagus_tui.backup.manifest import ArchiveEntry
from vagus_tui.backup.rehearsal_record import RealDatabase
from vagus_tui.backup.rehearsal_stages import (
    ON_A_COPY,
    REMOVED,
    Stage,
    StageFailedError,
    analyzed,
    as_in_production,
    space_used,
)
from vagus_tui.backup.rehearsal_users import Traces, Writes, look_for, untouched, write_as_users
from vagus_tui.backup.verify import some
from vagus_tui.checks.base import Check, Context, Group, blocking, run_checks
from vagus_tui.checks.overrides import overridden
from vagus_tui.checks.registry import checks_for
from vagus_tui.checks.selftest import SelfTest, self_test, with_faults
from vagus_tui.control import Control
from vagus_tui.database.connection import Database
from vagus_tui.errors import CancelledByOperatorError
from vagus_tui.events import CheckEvent, Event, NoteEvent, Phase, ResultEvent, Status, StepEvent, StepState
from vagus_tui.format import plural
from vagus_tui.jobs import Emit
from vagus_tui.journal.state import read_state
from vagus_tui.migration.runner import migrate
from vagus_tui.rollback.quick import roll_back
from vagus_tui.sandbox.server import AUTHENTICATOR
from vagus_tui.settings import Settings

_DATABASE = "rehearsal"


class StageWork:
    """The work of every stage, in order: later ones build on what earlier ones did and found.

    Attributes:
        figures: what was measured, by the forecast's names.
        steps: the steps of the first migration.
    """

    def __init__(
        self, copy: RestoredCopy, settings: Settings, real: RealDatabase, control: Control, emit: Emit
    ) -> None:
        self.copy = copy
        self.manifest = copy.manifest
        self.settings = settings
        self.real = real
        self.control = control
        self._emit = emit
        self.copied = settings.model_copy(
            update={"database_url": SecretStr(copy.url(_DATABASE)), "ssl_root_cert": None}
        )
        self.database = Database(self.copied)
        self.writes = Writes()
        self.figures: dict[str, float | int | None] = {}
        self.steps: list[StepForecast] = []
        self._healthy: dict[str, CheckEvent] = {}
        self._began: dict[Phase, float] = {}
        self._ended: dict[Phase, float] = {}
        self._kept: dict[str, str] = {}
        self._archive = ""
        self._allowed = 0

    @property
    def phases(self) -> dict[str, float]:
        """Seconds of each phase of the first migration."""
        return {phase.value: self._ended[phase] - self._began[phase] for phase in self._ended}

    async def do(self, stage: Stage, archive: ArchiveEntry) -> str:
        """Do one stage's work; returns what is worth saying about it.

        Raises:
            StageFailedError: it failed. Whatever else stops it comes as it is.
            CancelledByOperatorError: a stop was asked for.
        """
        match stage.id:
            case "restore":
                return await self._restore(stage, archive)
            case "prerequisites":
                checks = [check for check in checks_for(Group.PREREQUISITES) if check.id in ON_A_COPY]
                return await self._check(stage, checks)
            case "data-quality":
                return await self._check(stage, checks_for(Group.DATA_QUALITY))
            case "migrate" | "migrate-again":
                return await self._migrate(stage)
            case "verification":
                started = time.perf_counter()
                message = await self._check(stage, checks_for(Group.VERIFICATION))
                self.figures["verify_seconds"] = time.perf_counter() - started
                return message
            case "access":
                return await self._check(stage, (*checks_for(Group.ACCESS), *checks_for(Group.PERFORMANCE)))
            case "self-test":
                return await self._test_checks(stage)
            case "writes":
                return await self._write(stage)
            case "rollback":
                return await self._roll_back(stage)
            case _:
                return await self._compare(stage)

    # ── the stages ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _restore(self, stage: Stage, archive: ArchiveEntry) -> str:
        started = time.perf_counter()
        async for event in restored_and_compared(self.copy, archive, _DATABASE, self.settings, self.control):
            self._pass_on(stage, event)
            if isinstance(event, StepEvent):
                self.figures["restore_seconds"] = time.perf_counter() - started
        if self.copy.complaints:
            self._emit(
                NoteEvent(
                    message=f"{len(self.copy.complaints)} statements outside the compared tables did not run here: "
                    f"{some(self.copy.complaints)}"
                )
            )
        rows = await analyzed(self.copy, archive, _DATABASE)
        await as_in_production(self.copy)
        return f"{plural(rows, 'row')}, each as in the manifest"

    async def _check(self, stage: Stage, checks: Sequence[Check]) -> str:
        if not checks:
            return "there are none"
        outcomes: list[CheckEvent] = []
        async with self.database.connection("rehearsal", statement_timeout="0") as connection:
            context = Context(self.database, connection, self.copied, await read_state(connection))
            async for event in run_checks(checks, context):
                shown = overridden(event, self.real.overrides)
                self._emit(shown)
                if event.status not in (Status.PENDING, Status.RUNNING):
                    outcomes.append(shown)
                    self._healthy[event.id] = event
                if self.control.cancelled:
                    raise CancelledByOperatorError(STOPPED, state=REMOVED)
        if held := blocking(outcomes):
            named = some([event.title for event in held])
            raise StageFailedError(stage, f"{len(held)} of {len(outcomes)} checks fail: {named}.")
        passed = sum(event.status is Status.PASS for event in outcomes)
        return f"{passed} of {len(outcomes)} pass, none fails"

    async def _test_checks(self, stage: Stage) -> str:
        """Show the checks of v2 their faults: here whole tables may be held, since nobody waits for them."""
        checks = with_faults((*checks_for(Group.VERIFICATION), *checks_for(Group.ACCESS)))
        found = SelfTest()
        async with self.database.connection("rehearsal", statement_timeout="0") as connection:
            context = Context(self.database, connection, self.copied, await read_state(connection))
            async for item in self_test(context, checks, live=False, short=True, healthy=self._healthy):
                if isinstance(item, SelfTest):
                    found = item
                else:
                    self._emit(item)
                if self.control.cancelled:
                    raise CancelledByOperatorError(STOPPED, state=REMOVED)
        await self.real.keep_self_test(found)
        if found.missed:
            raise StageFailedError(
                stage, f"Not seen: {some([f'{name}: {faults[0]}' for name, faults in found.missed.items()])}."
            )
        return f"{found.figures['seen']} planted faults seen, one per check"

    async def _migrate(self, stage: Stage) -> str:
        first = stage.id == "migrate"
        before = await space_used(self.copy, _DATABASE)
        result = await self._run(stage, migrate(self.database, self.copied, self.control, hold=False))
        figures = result.figures or {}
        if first:
            after = await space_used(self.copy, _DATABASE)
            self.figures |= {
                "migrate_seconds": result.seconds,
                "writes_blocked_seconds": figures.get("writes_waited_seconds"),
                "disk_bytes": max(0, after.disk - before.disk),
                "wal_bytes": max(0, after.log - before.log),
            }
        else:
            self.figures["again_seconds"] = result.seconds
        return f"{plural(figures.get('proved_rows', 0), 'row')} proved, no difference"

    async def _write(self, stage: Stage) -> str:
        self.writes = await write_as_users(
            self.copy.url(_DATABASE, AUTHENTICATOR), self.copy.url(_DATABASE), self.control
        )
        if self.writes.users and not self.writes.written:
            raise StageFailedError(stage, f"No user could write: {self.writes.refusals()}.")
        if not self.writes.users:
            return "nobody owns a plan: nothing to write"
        async with self.database.connection("rehearsal") as connection:
            shape = (await read_state(connection)).shape
            assert shape is not None
            self._kept = await untouched(connection, shape, self.manifest, self.writes)
        refused = f", {self.writes.refusals()}" if self.writes.refused else ""
        return f"{plural(self.writes.written, 'row')} by {plural(self.writes.users, 'user')}{refused}"

    async def _roll_back(self, stage: Stage) -> str:
        result = await self._run(stage, roll_back(self.database, self.copied, self.control))
        figures = result.figures or {}
        self._archive = str(figures.get("archive", ""))
        self._allowed = int(figures.get("not_expressible", 0)) + int(figures.get("kept_values", 0))
        self.figures |= {
            "rollback_seconds": result.seconds,
            "rollback_blocked_seconds": figures.get("writes_waited_seconds"),
        }
        carried = sum(sum(values.values()) for values in figures.get("carried_back", {}).values())
        return f"{plural(carried, 'row')} carried back"

    async def _compare(self, stage: Stage) -> str:
        async with self.database.connection("rehearsal") as connection:
            shape = (await read_state(connection)).shape
            assert shape is not None
            traces = await look_for(connection, shape, self._archive, self.writes)
            kept = await untouched(connection, shape, self.manifest, self.writes) if self.writes.users else None
        self._judge(stage, traces)
        if kept is not None and kept != self._kept:
            tables = some([table for table in kept if kept[table] != self._kept.get(table)])
            raise StageFailedError(stage, f"Rows that nobody wrote to are not as they were: {tables}.")
        only = f", {traces.archived:,} archived" if traces.archived else ""
        deleted = sum(len(rows) for rows in self.writes.deleted.values())
        kept_too = f"; {deleted:,} they deleted are kept in v1" if deleted else ""
        return f"none lost: {traces.in_v1:,} in v1{only}{kept_too}; the rest as before"

    def _judge(self, stage: Stage, traces: Traces) -> None:
        if traces.lost:
            raise StageFailedError(
                stage, f"{plural(len(traces.lost), 'row is', 'rows are')} lost: {some(traces.lost)}."
            )
        if traces.archived > traces.only_v2 + self._allowed:
            raise StageFailedError(
                stage,
                f"{traces.archived:,} writes are in the archive alone; the rollback reported {self._allowed:,}.",
            )

    # ── what the stages share ────────────────────────────────────────────────────────────────────────────────────

    async def _run(self, stage: Stage, events: AsyncIterator[Event]) -> ResultEvent:
        """Run a migration or a rollback to its end.

        Raises:
            StageFailedError: it failed.
        """
        result: ResultEvent | None = None
        async for event in events:
            if isinstance(event, ResultEvent):
                result = event
            else:
                self._pass_on(stage, event)
        if result is None or not result.ok:
            raise StageFailedError(stage, result.message if result else "It ended without a result.")
        return result

    def _pass_on(self, stage: Stage, event: Event) -> None:
        """Tell an event of the work inside a stage, and measure by it."""
        if not isinstance(event, StepEvent):
            self._emit(event)
            return
        if stage.id == "migrate":
            self._measure(event)
        self._emit(dataclasses.replace(event, id=f"{stage.id}-{event.id}"))

    def _measure(self, event: StepEvent) -> None:
        now = time.perf_counter()
        self._began.setdefault(event.phase, now)
        if event.state is StepState.DONE:
            # What is told only after its transaction began earlier than we heard of it.
            self._ended[event.phase] = now
            self.steps.append(
                StepForecast(
                    id=event.id, phase=event.phase, title=event.title, seconds=event.seconds or 0.0, rows=event.rows
                )
            )
