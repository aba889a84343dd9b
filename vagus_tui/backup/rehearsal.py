"""The rehearsal: the whole migration and the way back, on a restored backup, timed.

A rollback is what has been rehearsed. The backup is restored into a local embedded PostgreSQL; there the checks, the
migration with its proof, the verification, a rollback with what users wrote meanwhile, and the migration again are
run by the same code as on the real database, which is not touched. What it took is the forecast for the real run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

from vagus_tui.backup.copy import RestoredCopy, restoring_tools
from vagus_tui.backup.folder import STOPPED
from vagus_tui.backup.forecast import Forecast, StageForecast
from vagus_tui.backup.job import or_stopped
from vagus_tui.backup.manifest import ArchiveEntry, Manifest, read_manifest
from vagus_tui.backup.rehearsal_record import RealDatabase, keep_forecast
from vagus_tui.backup.rehearsal_stages import (
    REMOVED,
    STAGES,
    Stage,
    StageFailedError,
    failure_of,
    stage_event,
    suitable_archive,
)
from vagus_tui.backup.rehearsal_work import StageWork
from vagus_tui.control import Control
from vagus_tui.errors import CancelledByOperatorError
from vagus_tui.events import Event, NoteEvent, ResultEvent, StepState
from vagus_tui.jobs import Emit, streamed
from vagus_tui.schema import v1
from vagus_tui.settings import Settings


def rehearse(path: Path, settings: Settings, control: Control) -> AsyncIterator[Event]:
    """Rehearse the migration on a backup.

    Yields a `StepEvent` of phase `rehearse` per stage (`rehearse-restore`, `rehearse-migrate` …), between them the
    steps of the restore, the migrations and the rollback (their ids with the stage's name before them) and the checks,
    and last a `ResultEvent` whose figures are the `Forecast`. It is kept in the backup's folder and, where the
    settings name the database that the backup is of, in its journal.

    The result has exit status 1 when a stage failed: the real database was not touched, and the message says what the
    failure would mean for it. A stop leaves neither a process nor a folder behind.
    """
    return streamed(_Rehearsal(path, settings, control).run)


class _Rehearsal:
    """One rehearsal. Create it, then `await run(emit)`."""

    def __init__(self, path: Path, settings: Settings, control: Control) -> None:
        self.path = path
        self.real = RealDatabase(settings)
        self.settings = settings
        self.control = control
        self._emit: Emit = lambda _: None
        self._stages: list[StageForecast] = []

    async def run(self, emit: Emit) -> ResultEvent:
        """Run to the end.

        Raises:
            DamagedBackupError, RefusedError: this backup cannot be rehearsed on, or not with what is installed here.
            CancelledByOperatorError: a stop was asked for; the copy is gone.
        """
        self._emit = emit
        started = time.perf_counter()
        self.manifest = await asyncio.to_thread(read_manifest, self.path)
        archive = suitable_archive(self.manifest)
        await asyncio.to_thread(restoring_tools, self.manifest)
        await self.real.look(self.manifest)
        if self.real.note:
            emit(NoteEvent(message=self.real.note, level="warning"))
        failure: StageFailedError | None = None
        copy = await RestoredCopy.start(self.path, self.manifest)
        try:
            work = StageWork(copy, self.settings, self.real, self.control, emit)
            for stage in STAGES:
                await self._stage(stage, work, archive)
        except StageFailedError as error:
            failure = error
        except CancelledByOperatorError:
            raise CancelledByOperatorError(STOPPED, state=REMOVED) from None
        finally:
            await copy.stop()
        forecast = self._forecast(work, complete=failure is None)
        for note in await keep_forecast(self.path, forecast, self.real):
            emit(NoteEvent(message=note, level="warning"))
        return _result(self.path, forecast, failure, time.perf_counter() - started)

    async def _stage(self, stage: Stage, work: StageWork, archive: ArchiveEntry) -> None:
        """Do a stage, and say how it went.

        Raises:
            StageFailedError: it failed; the later ones are not run.
        """
        if self.control.cancelled:
            raise CancelledByOperatorError(STOPPED, state=REMOVED)
        started = time.perf_counter()
        self._emit(stage_event(stage, StepState.STARTED))
        try:
            message = await or_stopped(work.do(stage, archive), self.control)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if self.control.cancelled or isinstance(error, CancelledByOperatorError):
                raise CancelledByOperatorError(STOPPED, state=REMOVED) from None
            failed = failure_of(stage, error)
            if failed is None:
                raise
            seconds = time.perf_counter() - started
            self._stages.append(
                StageForecast(id=stage.id, title=stage.title, seconds=seconds, ok=False, message=failed.happened)
            )
            self._emit(stage_event(stage, StepState.FAILED, seconds, failed.happened))
            raise failed from None
        seconds = time.perf_counter() - started
        self._stages.append(StageForecast(id=stage.id, title=stage.title, seconds=seconds, message=message))
        self._emit(stage_event(stage, StepState.DONE, seconds, message))

    def _forecast(self, work: StageWork, *, complete: bool) -> Forecast:
        manifest = self.manifest
        dumped = [
            manifest.timings.get(f"{step}-{part}") for step in ("dump", "compress") for part in ("tables", "full")
        ]
        return Forecast.model_validate(
            {
                "rehearsed_at": datetime.now(UTC),
                "complete": complete,
                "backup": manifest.id,
                "server_major": work.copy.major,
                "operator": self.settings.operator,
                "environment": self.settings.environment.value,
                "rows": v1_rows(manifest),
                "stages": tuple(self._stages),
                "steps": tuple(work.steps),
                "phases": work.phases,
                "dump_seconds": sum(filter(None, dumped)) or None,
                **work.figures,
            }
        )


def v1_rows(manifest: Manifest) -> dict[str, int]:
    """Rows by v1 table, under their own names whether or not they are renamed."""
    found = {table.name: table.rows for table in manifest.tables if table.workout}
    return {base: found.get(base, found.get(base + v1.SUFFIX, 0)) for base in v1.TABLES}


def _result(path: Path, forecast: Forecast, failure: StageFailedError | None, seconds: float) -> ResultEvent:
    figures = {"path": str(path), **forecast.model_dump(mode="json")}
    if failure is None:
        return ResultEvent(
            ok=True,
            message="Rehearsed to its end: nothing was lost.",
            exit_status=0,
            seconds=round(seconds, 3),
            figures=figures,
        )
    return ResultEvent(
        ok=False,
        message=f"The rehearsal failed at “{failure.stage.title}”: {failure.happened}",
        state=f"{REMOVED} {failure.state}",
        next_step=failure.next_step or None,
        exit_status=1,
        seconds=round(seconds, 3),
        figures=figures,
    )
