"""What the quick rollback would do: its plan as data, and what it would carry back now."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import asyncpg

from vagus_tui.database.connection import Connection
from vagus_tui.errors import RefusedError
from vagus_tui.events import Phase
from vagus_tui.format import plural
from vagus_tui.journal import store
from vagus_tui.journal.state import DatabaseState, State
from vagus_tui.migration.capture import V2_CHANGES, V2_UNNOTED
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
from vagus_tui.rollback.carry_back import REPLACED, CarryBack
from vagus_tui.rollback.findings import Prevents
from vagus_tui.rollback.kept import Kept, read_kept
from vagus_tui.rollback.swap_back import (
    archive_statements,
    lock_statement,
    restore_statements,
    settle_back_statements,
)
from vagus_tui.rollback.touched import Touched
from vagus_tui.rollback.unnoted import NOTE_AGAIN, TEMPORARY, UNDECIDED, Comparison, read_unnoted
from vagus_tui.rollback.v2_altered import added_columns, added_words, read_v2_altered
from vagus_tui.schema import v1, v2
from vagus_tui.schema.identifiers import qualified
from vagus_tui.schema.rules import MappingOptions
from vagus_tui.settings import Settings

SHORT_MS = 500
"""How long a preview waits for a lock."""
LOCKED_SETTINGS = (
    # Compiling takes longer than these queries, and writers wait for it.
    "set local jit = off",
    # The comparison has just read every row: those that were touched are sooner looked up than all read once more.
    "set local random_page_cost = 1.1",
)
"""How the one transaction is planned."""
SHOWN = 5
"""So many rows are named where there may be many."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What is carried back into one v1 table, or would be."""

    table: str
    new: int
    changed: int
    deleted: int
    not_expressible: int
    kept_values: int = 0


@dataclass(frozen=True, slots=True)
class Preview:
    """What a rollback would do now: rows carried back per table, and what stays in the archive alone.

    Args:
        kept_out: the first rows of which v1 cannot hold something: table, id, and the columns in the way.
        by_hand: what was changed about the kept v1 tables and what points at v2 since the cut-over, and what becomes
            of it.
        bound: what others have made on v2 since, which will hang on the archive.
        put_back: what becomes of rows of the kept v1 that went or were changed since.
        compared: what comparing every row has shown, where that was done and showed something.
        whole: every row was compared.
        replaced: sets that were deleted and have another in their place; those are set aside, unless all is to go.
        seconds: how long it took to find out what was written, as far as that is done while writes wait.
    """

    carried: tuple[Carried, ...]
    only_in_v2: dict[str, int]
    kept_out: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    put_back: tuple[str, ...] = ()
    compared: tuple[str, ...] = ()
    whole: bool = False
    replaced: int = 0
    seconds: float = 0.0

    @property
    def told(self) -> list[str]:
        """All that is otherwise than the cut-over left it, and what becomes of it: a sentence each."""
        return [*self.by_hand, *self.put_back, *self.compared, *will_be_bound_words(self.bound)]

    @property
    def total(self) -> int:
        """Rows written since the cut-over that would be carried back."""
        return sum(item.new + item.changed for item in self.carried)

    @property
    def deletions(self) -> int:
        """Rows deleted since the cut-over, which stay in v1 unless chosen otherwise, but for replaced sets."""
        return sum(item.deleted for item in self.carried)


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
            Phase.PREPARE,
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
    carry = CarryBack(survey, mapping_options(run), kept, changes, looked)
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


async def preview(connection: Connection, state: DatabaseState, *, compare: bool = False) -> Preview:
    """What a rollback would carry back now. Reads only: its transaction is rolled back.

    Args:
        compare: compare every row, though every write seems to have been noted. It takes about as long as the proof.

    Raises:
        RefusedError: there is nothing to roll back.
    """
    way = await way_back(connection, state)
    kept = await read_kept(connection, way.survey)
    noting, changes, compared = way.noting, V2_CHANGES, list[str]()
    if not noting.intact:
        listed = "" if noting.gone else f"select table_name, row_id from {V2_CHANGES} union all "
        changes = f"({listed}select table_name, row_id from pg_temp.{TEMPORARY}) written"
    archive = archive_name(datetime.now(UTC))
    _, carry = quick_steps(way.around, way.run, archive, kept, deletions=False, changes=changes, looked=ahead.TEMPORARY)
    compare = compare or not noting.intact
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        put_back = await _as_kept(connection, kept_rows.KeptRows(way.survey, kept))
        if compare:
            for statement in Comparison(way.survey, way.options).temporary(noted=not noting.gone):
                await connection.execute(statement)
            unnoted = await read_unnoted(connection, f"pg_temp.{TEMPORARY}")
            compared = unnoted.told() if noting.intact else [unnoted.carried()]
        elif await connection.fetchval("select to_regclass($1) is not null", V2_UNNOTED):
            # What an earlier attempt has found, and nobody has decided about yet.
            compared = (await read_unnoted(connection, UNDECIDED)).told()
        for statement in (*carry.rows.look_ahead(ahead.TEMPORARY), *LOCKED_SETTINGS):
            await connection.execute(statement)
        began = time.perf_counter()
        for statement in carry.collect():
            await connection.execute(statement)
        found = await counts(connection, way.survey, carry)
        seconds = time.perf_counter() - began
        bound = await will_be_bound(connection, way.survey)
        return replace(
            found,
            by_hand=tuple(way.told()),
            bound=tuple(bound),
            put_back=tuple(put_back),
            compared=tuple(compared),
            whole=compare,
            seconds=seconds,
        )
    finally:
        await transaction.rollback()


async def _as_kept(connection: Connection, rows: kept_rows.KeptRows) -> list[str]:
    """Within a transaction that is taken back: put back rows of the kept v1, and say which; nobody waits long."""
    try:
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = {SHORT_MS}")
            for statement in rows.statements():
                await connection.execute(statement)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
        return ["Somebody is leaving just now: rows of the kept v1 that they take along are not counted in here."]
    return kept_rows.put_back_words(await kept_rows.read_put_back(connection))


NOT_NOTED = (
    "What happened to rows of the kept v1 since the cut-over was not noted, or not of all of them (an earlier version "
    "migrated, or somebody took the triggers off): where such a row differs from v2, the rollback asks what to do."
)
"""What is told where rows of the kept v1 cannot be put back by themselves."""
COMPARED = "The rollback sees to that first, and compares every row of v2 with v1 as it was kept."
"""What is done about writes that were not noted."""


async def counts(connection: Connection, survey: Survey, carry: CarryBack) -> Preview:
    carried = []
    for base in v1.TABLES:
        row = await connection.fetchrow(carry.counts(base))
        assert row is not None
        carried.append(Carried(base, **dict(row)))
    only: dict[str, int] = {}
    for table in (v2.WEEKS, v2.DAYS, v2.GROUPS):
        count = await connection.fetchval(
            "select count(*) from pg_temp.vagus_changed c join "
            f"{qualified(survey.shape.schema, table)} t on t.id::text = c.id where c.table_name = $1",
            table,
        )
        if count:
            only[table] = count
    named: list[str] = []
    if any(item.not_expressible or item.kept_values for item in carried):
        rows = await connection.fetch(f"select * from (\n{carry.kept_out()}\n) k order by 1, 2 limit {SHOWN}")
        named = [f"{row['table_name']} {row['row_id']} ({', '.join(row['columns'])})" for row in rows]
    replaced = int(await connection.fetchval(carry.replaced())) if carried[-1].deleted else 0
    return Preview(tuple(carried), only, tuple(named), replaced=replaced)


def replaced_words(sets: int) -> str:
    """What becomes of deleted sets where others are in their place, in a sentence or two."""
    are = plural(sets, "of the deleted sets has", "of the deleted sets have")
    return (
        f"{are} another in their place in v2, with the same session, exercise and number. Those come back into v1, and "
        "the deleted ones go whole into the journal: vagus-tui fix lists them as "
        f"{REPLACED}, and puts them back beside the others if that is wanted."
    )
