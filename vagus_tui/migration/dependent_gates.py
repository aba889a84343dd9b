"""Gates about everything that points at v1: one per kind, which holds the migration up while something needs a person.

Overriding one means: what is listed stays with the kept v1 tables, or out, as the list says; a rollback finds it
untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.checks.column_types import misfits
from vagus_tui.database.dependent_reader import COMPAT, read_dependents
from vagus_tui.database.dependents import Dependent, Fate, Kind
from vagus_tui.errors import VagusError
from vagus_tui.events import Status
from vagus_tui.format import plural
from vagus_tui.migration import function_text
from vagus_tui.migration.binding import same_columns
from vagus_tui.migration.carried import Bound, check_notes, read_bound
from vagus_tui.migration.fates import BY_ITS_OWNER, decide, replace_name
from vagus_tui.migration.otherwise import otherwise
from vagus_tui.migration.plain_tables import ODDITIES_NEXT, no_room, table_oddities
from vagus_tui.migration.repoint import policy_bound
from vagus_tui.migration.tuning import NO_PLACE
from vagus_tui.migration.unmet import unmet
from vagus_tui.schema.identifiers import qualified, quote
from vagus_tui.schema.v1 import V1Shape

_CACHE, _BOUND = "dependents", "bound"

_LESS = ("no longer be written", "nothing can be inserted", "is repeated", *NO_PLACE)
"""Words of reasons that tell of something that is not quite as before."""


async def dependents_of(context: Context) -> tuple[Dependent, ...]:
    """Every dependent with its fate, read once per run of the checks."""
    if _CACHE not in context.cache:
        found = await read_dependents(context.connection, context.shape)
        repeat = context.settings.repeat_exercises
        context.cache[_CACHE] = await decide(context.connection, context.shape, found, repeat_exercises=repeat)
    decided: tuple[Dependent, ...] = context.cache[_CACHE]
    return decided


async def _bound_of(context: Context) -> tuple[Bound, ...]:
    """Every check and unique index of v1, read once per run of the checks."""
    if _BOUND not in context.cache:
        repeat = context.settings.repeat_exercises
        context.cache[_BOUND] = await read_bound(context.connection, context.shape, repeat_exercises=repeat)
    bound: tuple[Bound, ...] = context.cache[_BOUND]
    return bound


@dataclass(frozen=True, slots=True)
class _Gate:
    """One gate: the kinds it asks for, and what it says about them."""

    id: str
    title: str
    why: str
    kinds: tuple[Kind, ...]
    one: str
    many: str


_GATES = (
    _Gate(
        "dependent-foreign-keys",
        "References of other tables follow",
        "A reference is bound to its table, not to the name: one that stays with the kept v1 table refuses rows about "
        "plans, exercises and sessions that are made after the cut-over.",
        (Kind.FOREIGN_KEY, Kind.REFERENCE),
        "reference",
        "references",
    ),
    _Gate(
        "dependent-views",
        "Views follow",
        "A view that stays with the kept v1 tables goes on working and shows what was there at the cut-over, for ever.",
        (Kind.VIEW, Kind.MATERIALIZED_VIEW),
        "view",
        "views",
    ),
    _Gate(
        "dependent-rules",
        "No rewrite rules about v1",
        "A rule on or about a v1 table goes on rewriting statements for the kept table, where nobody looks.",
        (Kind.RULE,),
        "rule",
        "rules",
    ),
    _Gate(
        "dependent-policies",
        "Policies of other tables follow",
        "A policy that looks into a v1 table goes on looking into the kept one: rights that change after the cut-over "
        "are not seen.",
        (Kind.POLICY,),
        "policy",
        "policies",
    ),
    _Gate(
        "dependent-functions",
        "Functions that name v1's tables",
        "A function finds tables by name when it runs, and so finds v2, whose columns are others: it breaks, or works "
        "on the wrong thing.",
        (Kind.FUNCTION,),
        "function",
        "functions",
    ),
    _Gate(
        "dependent-triggers",
        "Triggers on v1's tables",
        "A trigger stays with its table: what it did for v1, such as an audit, nobody does for v2.",
        (Kind.TRIGGER,),
        "trigger",
        "triggers",
    ),
    _Gate(
        "dependent-publications",
        "Publications follow",
        "A publication that carries a v1 table goes on carrying the kept one, where nothing happens any more.",
        (Kind.PUBLICATION,),
        "published table",
        "published tables",
    ),
    _Gate(
        "dependent-columns",
        "Columns that use v1's sequences and row types",
        "They go on as they are, bound to the kept v1 tables; when those are removed, they are in the way.",
        (Kind.DEFAULT, Kind.ROW_TYPE),
        "column",
        "columns",
    ),
    _Gate(
        "dependent-settings",
        "Settings of v1's tables follow",
        "Statistics targets, storage, planner statistics, comments and marks are what somebody found out the hard way; "
        "without them v2 holds the same rows and answers more slowly, or says less to those who read the schema.",
        (Kind.SETTING, Kind.STATISTICS),
        "setting",
        "settings",
    ),
)


def proposal(dependent: Dependent, shape: V1Shape) -> str:
    """What a person could do about a dependent, as SQL to be reviewed or advice in a sentence."""
    relation = qualified(dependent.schema, dependent.on) if dependent.on and dependent.schema else ""
    name = quote(dependent.name)
    if dependent.kind in (Kind.FOREIGN_KEY, Kind.REFERENCE):
        return f"alter table {relation} drop constraint {name}; and make another on v2 afterwards"
    if dependent.kind is Kind.RULE:
        return f"drop rule {name} on {relation}; and give v2 a trigger instead"
    if dependent.kind is Kind.POLICY and dependent.reason.endswith(BY_ITS_OWNER):
        bound = policy_bound(dependent, f"{quote(COMPAT)}, {quote(shape.schema)}, pg_temp")
        return f"after the cut-over, by its owner: begin; {'; '.join(bound)}; commit;"
    if dependent.kind is Kind.POLICY:
        return f"alter policy {name} on {relation} using (…); in words that v2 knows, after the cut-over"
    if dependent.kind is Kind.TRIGGER:
        target = qualified(shape.schema, dependent.base)
        return f"after the cut-over, once its function knows v2: {function_text.trigger_on(dependent, target)};"
    if dependent.kind is Kind.PUBLICATION:
        table = qualified(shape.schema, dependent.base)
        return f"after the cut-over: alter publication {name} add table {table} …; with a filter that v2 knows"
    if dependent.kind is Kind.FUNCTION:
        names = [table.name for table in shape.tables.values()]
        source = function_text.words(dependent.fact("source") or dependent.definition)
        if dependent.fact("row_type") or function_text.writes(source, names):
            return "rewrite it for v2, and put the new one in place right after the cut-over"
        return (
            f"rewrite it for v2; or, if it only reads: alter function {qualified(dependent.schema, dependent.name)}"
            f"{dependent.detail} set search_path = {function_text.path_with(dependent, 'workout_v1_compat')};"
        )
    return "rewrite it for v2, with only columns that v2 or the schema workout_v1_compat has, or drop it"


def account(dependent: Dependent, shape: V1Shape) -> tuple[str, ...]:
    """What is said about one dependent that needs a person: why, its SQL or the lines that matter, and a proposal."""
    names = [table.name for table in shape.tables.values()]
    if dependent.kind is Kind.FUNCTION and not dependent.fact("atomic"):
        shown = tuple(f"    {line}" for line in function_text.lines(dependent.fact("source"), names))
    else:
        shown = tuple(f"    {line}" for line in dependent.definition.strip().splitlines())
    return (
        f"{dependent.kind.value} {dependent.title}: {dependent.reason}.",
        *shown,
        f"  Proposal: {proposal(dependent, shape)}",
    )


def _probe(gate: _Gate) -> Callable[[Context], Awaitable[Outcome]]:
    async def probe(context: Context) -> Outcome:
        if misfits(context.shape):
            # What becomes of each is tried on v2 made from these very columns.
            raise VagusError(
                "It cannot be tried before v1's columns have types that can be mapped.",
                next_step="See the check column-types.",
            )
        mine = [one for one in await dependents_of(context) if one.kind in gate.kinds]
        if not mine:
            return Outcome(Status.PASS, "none")
        stuck = [one for one in mine if one.fate is Fate.PERSON]
        rest = [one for one in mine if one.fate is not Fate.PERSON]
        detail = [line for one in stuck for line in account(one, context.shape)]
        for one in rest:
            detail.append(f"{one.kind.value} {one.title}: {one.reason}")
            if any(words in one.reason for words in NO_PLACE):
                detail += [f"    {line}" for line in one.definition.splitlines()]
        counted = plural(len(mine), gate.one, gate.many)
        if stuck:
            return Outcome(
                Status.FAIL,
                f"{len(stuck)} of {counted}",
                f"{plural(len(stuck), 'needs', 'need')} a person:",
                rows=len(stuck),
                detail=tuple(detail),
            )
        lost = any(word in one.reason for one in rest for word in _LESS) or gate.kinds[0] is Kind.DEFAULT
        return Outcome(Status.WARN if lost else Status.PASS, counted, "", detail=tuple(detail))

    return probe


async def _unique(context: Context) -> Outcome:
    shape = context.shape
    # What other tables refer to is unique in v2 as well.
    referred = [one for one in await dependents_of(context) if one.kind is Kind.FOREIGN_KEY]
    unique = [one for one in await _bound_of(context) if one.unique is not None]
    lost = [one for one in unique if not one.kept and not any(_is_behind(one, key) for key in referred)]
    followed = [f"{shape.tables[one.base].name}: {one.name} follows" for one in unique if one not in lost]
    if not lost:
        return Outcome(Status.PASS, f"{len(followed)} follow" if followed else "none", detail=tuple(followed))
    detail = []
    for one in lost:
        detail += [
            f"{shape.tables[one.base].name}: {one.definition}",
            f"    {one.reason}",
            f"    {_by_hand(shape, one)}",
        ]
    detail.append("Until then the app's “on conflict” over these columns fails, and nothing keeps values apart.")
    counted = f"{len(lost)} of {plural(len(unique), 'unique index', 'unique indexes')}"
    return Outcome(Status.FAIL, counted, "v2 will be without:", rows=len(lost), detail=(*detail, *followed))


def _by_hand(shape: V1Shape, one: Bound) -> str:
    """What could keep v2's rows apart instead."""
    there = frozenset(one.columns) <= same_columns(replace_name(shape, one.base), one.base)
    if one.definition.startswith("CONSTRAINT ") and there:
        return f"After the cut-over: alter table {qualified(shape.schema, one.base)} add {one.definition};"
    if there:
        return f"After the cut-over, if its rows allow it: {one.definition};"
    return "After the cut-over, with columns that v2 has: create unique index concurrently … on … (…);"


def _is_behind(one: Bound, key: Dependent) -> bool:
    """Whether a reference of another table is to what the index keeps apart."""
    columns = frozenset(use.partition(".")[2] for use in key.uses)
    return one.unique is not None and key.base == one.base and one.unique.plainly_by(columns)


async def _otherwise(context: Context) -> Outcome:
    shape = context.shape
    found = await otherwise(context.connection, shape)
    bound = await _bound_of(context)
    for base in shape.tables:
        found += tuple(check_notes(shape, bound, base))
    for one in bound:
        if one.kept and one.asks:
            counted = await unmet(context.connection, shape, one)
            found += (f"{shape.tables[one.base].name}: check {one.name}: {counted}",)
    if not found:
        return Outcome(Status.PASS, "none")
    counted = plural(len(found), "rule")
    return Outcome(Status.WARN, counted, "Settled by v2's design; make up for it after the cut-over:", detail=found)


async def _plain(context: Context) -> Outcome:
    oddities = await table_oddities(context.connection, context.shape)
    if oddities:
        return Outcome(Status.FAIL, f"{len(oddities)} are not", " ".join((*oddities, ODDITIES_NEXT)))
    if lacking := await no_room(context.connection, context.shape):
        return Outcome(Status.FAIL, "no room in v2", " ".join(lacking))
    return Outcome(Status.PASS, "4 plain tables")


DEPENDENT_GATES: tuple[Check, ...] = (
    Check(
        id="v1-plain-tables",
        group=Group.PREREQUISITES,
        title="v1's tables are plain tables",
        why="A partitioned or inherited table has rows elsewhere, a view has none of its own, and what belongs to an "
        "extension cannot be renamed. Nor is there room in v2 for more than 800 columns, or for days that no timestamp "
        "knows.",
        expected="4 plain tables",
        probe=_plain,
        overridable=False,
        needs_v1=True,
    ),
    Check(
        id="carried-unique",
        group=Group.PREREQUISITES,
        title="Unique indexes of v1 follow",
        why="What keeps v1's rows apart keeps v2's apart too. Where v2 has not the same columns, or the mapping makes "
        "equal what was not, that cannot be: then v2 takes rows that v1 refused.",
        expected="all follow",
        probe=_unique,
        needs_v1=True,
    ),
    Check(
        id="v2-otherwise",
        group=Group.PREREQUISITES,
        title="Rules that v2 has otherwise",
        why="Defaults, NOT NULL, what a deletion takes along, and policies about others than owners and coaches are "
        "v2's own; a check needs the columns that it is about. Whoever relied on v1's should know before users do.",
        expected="none",
        probe=_otherwise,
        needs_v1=True,
    ),
    *(
        Check(
            id=gate.id,
            group=Group.PREREQUISITES,
            title=gate.title,
            why=gate.why,
            expected="all follow",
            probe=_probe(gate),
            needs_v1=True,
        )
        for gate in _GATES
    ),
)
"""The gates about what points at v1, and about v1's tables themselves."""
