"""The plan as data: an ordered list of steps, each with its SQL, its lock, its estimate and its undo.

The same plan is shown in the wizard, printed for a DBA, run by the runner and rehearsed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vagus_tui.database.dependents import Dependent
from vagus_tui.events import Phase, StepEvent, StepState
from vagus_tui.schema.identifiers import literal

_BREAKS = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]+")


@dataclass(frozen=True, slots=True)
class PlanStep:
    """One step.

    Args:
        id: kebab-case, unique within the plan; a resumed run goes by it.
        statements: run in order, in one transaction.
        lock: what it locks and for how long, in words.
        undo: what takes it back, in words.
        rows: how many rows it makes or looks at, where that is known beforehand.
        needs: steps that must be done before.
        tables: tables it needs for itself; no other step that names one of them runs beside it.
        snapshot: it reads v1 in the run's exported snapshot.
        unit: what `rows` counts and resuming treats as one: parts of one table share it.
        table: the v2 table it fills, if it fills one.
        printed: what a script has in place of the statements: a proof must stop psql by itself.
        one_moment: it reads notes and rows of one moment, so it runs REPEATABLE READ.
    """

    id: str
    phase: Phase
    title: str
    statements: tuple[str, ...]
    lock: str = "none on v1"
    undo: str = "drop the staging schema"
    rows: int | None = None
    needs: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    snapshot: bool = False
    unit: str = ""
    table: str = ""
    printed: tuple[str, ...] = ()
    one_moment: bool = False

    @property
    def sql(self) -> str:
        """The step's SQL as it would be run."""
        return ";\n\n".join(self.statements) + ";"

    @property
    def script(self) -> str:
        """The step's SQL for a script that nobody watches."""
        return ";\n\n".join(self.printed or self.statements) + ";"

    def event(
        self,
        state: StepState,
        *,
        since: float | None = None,
        rows: int | None = None,
        total: int | None = None,
        message: str | None = None,
    ) -> StepEvent:
        """The word that it has begun, how far it is, or how it has ended.

        Args:
            since: when it began, by `time.perf_counter()`; None leaves out how long it took.
            total: of the rows; None for the number known beforehand.
        """
        return StepEvent(
            id=self.id,
            phase=self.phase,
            title=self.title,
            state=state,
            seconds=None if since is None else time.perf_counter() - since,
            rows=rows,
            total=self.rows if total is None else total,
            message=message,
        )


@dataclass(frozen=True, slots=True)
class ScriptJournal:
    """What a script writes into the journal, as the runner does by itself: without it no rollback knows the way back.

    `begun` follows the first step, which makes the journal; `swapped` ends the cut-over's transaction; `done` is last.
    `note` gives what ends a step's own transaction, or nothing.
    """

    begun: str
    swapped: str
    done: str
    note: Callable[[PlanStep], str] = lambda _: ""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that will be run, in the order of its phases, and what is worth knowing beforehand."""

    steps: tuple[PlanStep, ...]
    notes: tuple[str, ...] = ()
    settings: tuple[str, ...] = field(default=())
    journal: ScriptJournal | None = None
    dependents: tuple[Dependent, ...] = ()

    def of(self, phase: Phase) -> tuple[PlanStep, ...]:
        """The steps of one phase."""
        return tuple(step for step in self.steps if step.phase is phase)

    def sql_text(self) -> str:
        """The whole plan as a script that psql runs, stopping at the first error."""
        parts = ["\\set ON_ERROR_STOP on", *self.settings]
        parts.extend(f"-- {in_one_line(note)}" for note in self.notes)
        first = self.steps[0] if self.steps else None
        for phase in dict.fromkeys(step.phase for step in self.steps):
            one_transaction = phase in (Phase.CUT_OVER, Phase.ROLLBACK)
            parts.append(f"\n-- ═══ {phase.value} " + "═" * 60)
            if one_transaction:
                parts.append(
                    "-- If it stops here because somebody is in the way, nothing has changed: run it again from here.\n"
                    "begin;\nset local lock_timeout = '500ms';"
                )
            for step in self.of(phase):
                said = (f"{step.id}: {step.title}", f"lock: {step.lock}", f"undo: {step.undo}")
                parts.append("\n" + "\n".join(f"-- {in_one_line(text)}" for text in said))
                script = step.script
                if self.journal is not None and step is first:
                    script += f"\n\n{self.journal.begun}"
                if self.journal is not None and not one_transaction and (note := self.journal.note(step)):
                    script += f"\n\n{note}"
                isolation = " isolation level repeatable read" if step.one_moment or step.snapshot else ""
                parts.append(script if one_transaction else f"begin{isolation};\n{script}\ncommit;")
            if one_transaction:
                if self.journal is not None:
                    parts.append(f"\n-- what a rollback needs to know\n{self.journal.swapped}")
                parts.append("commit;")
        if self.journal is not None:
            parts.append(f"\n{self.journal.done}")
        return "\n".join(parts) + "\n"


def latest_run(kind: str) -> str:
    """The condition for the run that a script has begun itself: the last of its kind in the journal."""
    return f"where id = (select id from vagus_migration.runs where kind = '{kind}' order by started_at desc limit 1)"


def in_one_line(text: str) -> str:
    """Text that stays within a comment of one line, whatever names of things in the database hold."""
    return _BREAKS.sub(" ", text)


def stop_unless_zero(query: str, message: str) -> str:
    """A statement that fails with a message and the number, unless a query of one number says 0."""
    body = (
        "declare found bigint;\nbegin\n"
        f"found := (\n{query}\n);\n"
        f"if found > 0 then raise exception '%: %', found, {literal(message)}; end if;\nend"
    )
    return f"do {literal(body)}"
