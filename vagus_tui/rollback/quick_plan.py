"""The plan of the quick rollback as data: what comes before the one transaction, what is in it, and what after."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.events import Phase
from vagus_tui.journal import store
from vagus_tui.journal.state import DatabaseState, State
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.migration.kept_v1 import new_name
from vagus_tui.migration.noting import Noting, read_noting, still_noted
from vagus_tui.migration.noting_kept import kept_noted
from vagus_tui.migration.plan import SESSION_SETTINGS
from vagus_tui.migration.steps import Plan, PlanStep, stop_unless_zero
from vagus_tui.migration.survey import Survey
from vagus_tui.migration.undo import last_record
from vagus_tui.rollback import ahead, guarded, kept_rows
from vagus_tui.rollback.altered import Altered, read_altered
from vagus_tui.rollback.archive import archive_name, will_be_bound, will_be_bound_words
from vagus_tui.rollback.around import Around
from vagus_tui.rollback.around_reader import read_around
from vagus_tui.rollback.carry_back import CarryBack
from vagus_tui.rollback.findings import Prevents
from vagus_tui.rollback.kept import Kept, read_kept
from vagus_tui.rollback.swap_back import (
    archive_statements,
    lock_statement,
    restore_statements,
    settle_back_statements,
)
from vagus_tui.rollback.touched import Touched
from vagus_tui.rollback.unnoted import COMPARING, DECIDED, NOTE_AGAIN, Comparison
from vagus_tui.rollback.v2_altered import added_columns, added_words, read_v2_altered
from vagus_tui.schema import v1
from vagus_tui.schema.rules import MappingOptions
from vagus_tui.settings import Settings

NEEDED = (NOTE_AGAIN, *COMPARING, DECIDED, ahead.STEP)
"""Steps before the one transaction without which nobody knows what is to be carried back."""

LOCKED_SETTINGS = (
    # Compiling takes longer than these queries, and writers wait for it.
    "set local jit = off",
    # The comparison has just read every row: those that were touched are sooner looked up than all read once more.
    "set local random_page_cost = 1.1",
)
"""How the one transaction is planned."""


async def migrated_run(connection: Connection, state: DatabaseState) -> tuple[store.Run, Survey]:
    """The run that brought v2, and what it wrote down for the way back.

    Raises:
        RefusedError: v2 is not in place, or nothing was written down.
    """
    if state.state is not State.MIGRATED:
        raise RefusedError(
            " ".join((f"There is nothing to roll back: {state.summary}", *state.reasons)),
            next_step="vagus-tui rollback --from BACKUP is the way back that needs nothing of what is left."
            if state.state is State.UNKNOWN and not state.empty
            else "vagus-tui status says what can be done.",
        )
    if (found := await last_record(connection)) is not None:
        return found
    raise RefusedError(
        "No record says how v1 looked before the migration, so its names cannot be put back by us.",
        next_step="If another tool migrated this database, roll back with that tool, or from a backup.",
    )


@dataclass(frozen=True, slots=True)
class WayBack:
    """What a quick rollback needs to know.

    Args:
        survey: what the migration wrote down, as far as it is there or is made again.
        altered, around: what was changed by hand since, about the kept v1 tables and about what points at v2.
        noting: how the noting of what is written to v2 stands.
        added: columns that v2's tables have been given since.
        kept_noted: what happened to rows of the kept v1 was noted.
    """

    run: store.Run
    survey: Survey
    altered: Altered
    around: Around
    noting: Noting
    added: tuple[str, ...] = ()
    kept_noted: bool = True

    @property
    def options(self) -> MappingOptions:
        """The options that v2 was made with."""
        return mapping_options(self.run)

    def told(self) -> list[str]:
        """What is worth knowing beforehand, a sentence each."""
        noting = [f"{self.noting.words} {COMPARED}"] if self.noting.words else []
        kept = [] if self.kept_noted else [NOT_NOTED]
        return [*noting, *kept, *self.altered.told(), *self.around.told(), *added_words(self.added)]

    def before(self, kept: Kept) -> list[PlanStep]:
        """The steps before the one transaction: what was changed by hand is put back, then every row compared."""
        again = []
        if not self.noting.intact:
            again.append(
                PlanStep(
                    NOTE_AGAIN,
                    Phase.PREPARE,
                    "note again what is written to v2",
                    tuple(self.noting.statements()),
                    lock="SHARE ROW EXCLUSIVE on v2's tables, for an instant; ACCESS EXCLUSIVE where triggers go",
                    undo="none needed: it is as the cut-over left it",
                    tables=tuple(self.noting.tables),
                )
            )
        # First that all is noted from now on, then the look for what was not: so nothing falls between the two.
        comparison = Comparison(self.survey, self.options)
        rows = kept_rows.KeptRows(self.survey, kept).step(kept_rows.STEP, Phase.PREPARE)
        last = PlanStep(
            ahead.STEP,
            Phase.PROVE,
            "work out what was written until now, ahead of the locks",
            tuple(Touched(self.survey, self.options, kept).look_ahead(ahead.LASTING)),
            lock="none: it only reads the workout tables",
            undo="none needed",
        )
        return [*again, *self.altered.steps(), rows, *comparison.steps(carried=not self.noting.intact), last]


def mapping_options(run: store.Run) -> MappingOptions:
    """The options of the migration that was done in this run."""
    return MappingOptions(repeat_exercises=bool(run.options.get("repeat_exercises")))


async def way_back(connection: Connection, state: DatabaseState, *, mended: bool = False) -> WayBack:
    """How the quick rollback goes from here.

    Args:
        mended: what was changed by hand was put back as far as it could be.

    Raises:
        RefusedError: there is nothing to roll back, v1's kept tables were changed past help, or something that was
            changed by hand needs a decision.
    """
    run, survey = await migrated_run(connection, state)
    altered = await read_altered(connection, survey)
    altered.refuse()
    noting = await read_noting(connection, survey.shape.schema)
    around = await read_around(connection, altered.survey(survey, mended=mended))
    around = replace(around, prevents=(*await _about_v2(connection, survey, noting), *around.prevents))
    around.refuse()
    added = await added_columns(connection, survey)
    names = [new_name(survey, base) for base in v1.TABLES]
    kept = await kept_noted(connection, survey.shape.schema, names)
    return WayBack(run, around.survey, altered, around, noting, tuple(added), kept)


async def _about_v2(connection: Connection, survey: Survey, noting: Noting) -> list[Prevents]:
    """What about v2 itself only the operator can settle."""
    foreign = [Prevents(f"{V2_CHANGES} {noting.foreign}", noting.settled)] if noting.foreign else []
    return [*foreign, *await read_v2_altered(connection, survey)]


def quick_steps(
    around: Around,
    run: store.Run,
    archive: str,
    kept: Kept,
    *,
    deletions: bool,
    changes: str = V2_CHANGES,
    looked: ahead.Ahead | None = ahead.LASTING,
) -> tuple[list[PlanStep], CarryBack]:
    """The one transaction, step by step, and the carrying back that it holds.

    Args:
        changes: what names the rows that were written, after FROM.
        looked: where that is kept which was worked out ahead; None where nothing was.
    """
    survey = around.survey
    carry = CarryBack(survey, Touched(survey, mapping_options(run), kept, changes, looked))
    held = "ACCESS EXCLUSIVE on v2's and v1's tables until the transaction ends; writes wait"
    undo = "automatic: the transaction fails as a whole"

    def step(name: str, title: str, statements: list[str], printed: tuple[str, ...] = ()) -> PlanStep:
        return PlanStep(name, Phase.ROLLBACK, title, tuple(statements), lock=held, undo=undo, printed=printed)

    proofs = {base: carry.proof(base) for base in v1.TABLES}
    restored = restore_statements(around, archive)
    stops = tuple(stop_unless_zero(query, f"rows of {base} did not arrive in v1") for base, query in proofs.items())
    noted = stop_unless_zero(still_noted(survey.shape.schema), "triggers that note what is written were changed")

    steps = [
        step("lock", "lock v2 and v1", [lock_statement(around)], (lock_statement(around), noted)),
        # From the comparison up to here too.
        kept_rows.KeptRows(survey, kept).step(kept_rows.AGAIN, Phase.ROLLBACK),
        step(
            "collect",
            "find what was written since the cut-over",
            [*carry.collect(deletions=deletions), *([looked.dropped] if looked else [])],
        ),
        step("carry-back", "carry it back into v1", carry.apply(deletions=deletions)),
        step("prove", "prove v1 against v2", list(proofs.values()), stops),
        step(
            "archive",
            f"move v2 into {archive}",
            [guarded.MADE, *archive_statements(around, archive), carry.left_behind(archive), carry.named(archive)],
        ),
        step(
            "restore",
            "v1's names, references, views, functions, policies, publications",
            restored,
            # What could not be bound to v1 again, and its statements: whoever runs the script sees them.
            (*restored, guarded.READ),
        ),
    ]
    return steps, carry


def settle_steps(around: Around) -> list[PlanStep]:
    """After the commit, without hurry: rows that references made again still owe a look, views to be filled."""
    return [
        PlanStep(
            f"settle-{number}",
            Phase.SETTLE,
            title,
            (statement,),
            lock="SHARE UPDATE EXCLUSIVE: reads and writes go on",
            undo="none needed",
        )
        for number, (title, statement) in enumerate(settle_back_statements(around), start=1)
    ]


async def plan_rollback(connection: Connection, settings: Settings, state: DatabaseState) -> Plan:
    """The plan of the quick rollback.

    Raises:
        RefusedError: there is nothing to roll back.
    """
    way = await way_back(connection, state)
    kept = await read_kept(connection, way.survey)
    steps, _ = quick_steps(way.around, way.run, archive_name(datetime.now(UTC)), kept, deletions=False)
    return Plan(
        (*way.before(kept), *steps, *settle_steps(way.around)),
        (
            "Rows deleted in v2 after the cut-over are kept in v1 unless you choose otherwise.",
            *way.told(),
            *will_be_bound_words(await will_be_bound(connection, way.survey)),
        ),
        SESSION_SETTINGS,
    )


NOT_NOTED = (
    "What happened to rows of the kept v1 since the cut-over was not noted, or not of all of them (an earlier version "
    "migrated, or somebody took the triggers off): where such a row differs from v2, the rollback asks what to do."
)
"""What is told where rows of the kept v1 cannot be put back by themselves."""
COMPARED = "The rollback sees to that first, and compares every row of v2 with v1 as it was kept."
"""What is done about writes that were not noted."""
