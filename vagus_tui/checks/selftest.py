"""The checks tested: each is shown its faults, one at a time, and must turn red.

A fault is planted in a transaction that is rolled back, as the operator, on the database itself or on a copy. That
nothing stays is not believed either: the server is asked what became of each transaction, and the definitions of
tables, policies, indexes and grants are compared with what they were.

Planting holds a row or a table for as long as the check takes. Outside development no fault is planted whose check
took longer than `LONGEST_SECONDS`: users would wait. Such faults belong on a restored copy; a rehearsal has one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

import asyncpg

from vagus_tui.checks.base import Check, Context, Group, run_check, run_checks
from vagus_tui.checks.fault import Fault
from vagus_tui.checks.verification.base import captured
from vagus_tui.database.connection import Connection
from vagus_tui.database.identifiers import qualified
from vagus_tui.errors import VagusError, server_words
from vagus_tui.events import CheckEvent, Event, Status
from vagus_tui.journal import store
from vagus_tui.journal.schema import journal_exists
from vagus_tui.migration.capture import V2_CHANGES
from vagus_tui.schema import v2
from vagus_tui.settings import Environment

LONGEST_SECONDS = 2.0
"""A live table is held no longer than this, planting and looking together."""
LOCK_MS = 500
ATTEMPTS = 3
TOPIC = "self-test"

_DEFINITIONS = """
select md5(string_agg(line, E'\\n' order by line)) from (
  select pg_catalog.concat_ws('|', 'c', c.relname, c.relrowsecurity, c.relforcerowsecurity, c.relacl::text) as line
    from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'v', 'i')
  union all select pg_catalog.concat_ws('|', 'p', p.polrelid, p.polname, p.polcmd, p.polpermissive, p.polroles::text,
    p.polqual::text, p.polwithcheck::text) from pg_policy p
  union all select pg_catalog.concat_ws('|', 'k', k.conrelid, k.conname, k.convalidated, k.confdeltype, k.conkey::text)
    from pg_constraint k where k.connamespace = 'public'::regnamespace
  union all select pg_catalog.concat_ws('|', 'a', a.attrelid, a.attname, a.attnotnull) from pg_attribute a
    join pg_class c on c.oid = a.attrelid where c.relnamespace = 'public'::regnamespace and a.attnum > 0
  union all select pg_catalog.concat_ws('|', 'f', p.oid, p.prosrc, p.prosqlbody::text) from pg_proc p
    where p.pronamespace = 'public'::regnamespace
) definitions
"""

_FORGET = f"delete from {V2_CHANGES} where xmin = pg_current_xact_id()::xid"
"""What users write is noted and not held against v2: the fault must not pass for theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEvent(Event):
    """One fault shown to one check. `status`: pass, the check turned red; fail, it did not; skip, it was not tried."""

    kind: ClassVar[str] = "self-test"

    check: str
    title: str
    fault: str
    status: Status
    seconds: float | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class SelfTest:
    """How the checks themselves were last tested.

    Attributes:
        seen: faults that turned their check red, by check.
        missed: faults that did not; then the check cannot be trusted.
        skipped: faults that were not tried, with the reason.
        where: where they were tested, in words that follow on "tested"; empty for this database itself.
    """

    seen: dict[str, int] = field(default_factory=dict)
    missed: dict[str, list[str]] = field(default_factory=dict)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    operator: str = ""
    seconds: float = 0.0
    where: str = ""

    @property
    def ok(self) -> bool:
        """Whether every fault that was tried was seen, and at least one was."""
        return not self.missed and bool(self.seen)

    @property
    def figures(self) -> dict[str, int]:
        """How many faults were seen, missed and not tried."""
        return {
            "seen": sum(self.seen.values()),
            "missed": sum(map(len, self.missed.values())),
            "skipped": sum(map(len, self.skipped.values())),
        }


async def last_self_test(connection: Connection) -> SelfTest | None:
    """The latest test of the checks on this database, or None when they were never tested."""
    body = await store.latest_note(connection, TOPIC)
    return None if body is None else SelfTest(**{**body, "at": datetime.fromisoformat(body["at"])})


def with_faults(checks: Iterable[Check]) -> list[Check]:
    """The checks that have a way to be seen failing."""
    return [check for check in checks if check.faults]


def cost(checks: Sequence[Check]) -> str:
    """What testing the checks costs, for people to read before they agree."""
    faults = [fault for check in checks for fault in check.faults]
    exclusive = sum(fault.exclusive for fault in faults)
    return (
        f"{len(faults)} faults are planted, one after another, each in a transaction that is rolled back. "
        f"{exclusive} of them hold a whole table while their check runs, so the app waits for it; the others hold a "
        f"row or nothing. Outside development none is planted whose check takes over {LONGEST_SECONDS:g} s."
    )


async def keep_self_test(connection: Connection, found: SelfTest) -> None:
    """Keep a test of the checks in the journal."""
    await store.note(connection, TOPIC, asdict(found), operator=found.operator)


async def self_test(
    context: Context,
    checks: Sequence[Check],
    *,
    live: bool | None = None,
    short: bool = False,
    healthy: Mapping[str, CheckEvent] | None = None,
) -> AsyncIterator[FaultEvent | SelfTest]:
    """Show every check its faults; yields each with its outcome, and the sum last, which the journal keeps.

    Args:
        live: users may be waiting, so nothing is held for long; by default everywhere but in development.
        short: time is short: a check is shown its first fault alone, and looks at the table that has it.
        healthy: what the checks said just now, by id; those that are not in it are run first.

    Cancelling stops in the midst of a fault: the server rolls it back.

    Raises:
        VagusError: something of a fault stayed behind, which must not be; says what differs.
    """
    connection = context.connection
    started = time.perf_counter()
    if live is None:
        live = context.settings.environment is not Environment.DEVELOPMENT
    found = SelfTest(operator=context.settings.operator)
    before = await connection.fetchval(_DEFINITIONS)
    notes = await captured(context)
    transactions: list[str] = []
    shown = with_faults(checks)
    known = dict(healthy or {})
    missing = [check for check in shown if check.id not in known]
    known |= {event.id: event async for event in run_checks(missing, context)}
    # What the checks of access share is measured by the first of them; each needs it with a fault planted.
    shared = sum(event.seconds or 0 for event in known.values() if event.group == Group.ACCESS)
    for check in shown:
        sound = known[check.id]
        takes = shared if check.group is Group.ACCESS else sound.seconds or 0.0
        for fault in check.faults[: 1 if short else None]:
            focus = fault.table if short and fault.table in v2.TABLES else None
            looking = replace(context, focus=focus, noted=notes)
            event = await _try(looking, check, fault, sound, takes, transactions, live=live)
            if event.status is Status.PASS:
                found.seen[check.id] = found.seen.get(check.id, 0) + 1
            elif event.status is Status.SKIP:
                found.skipped.setdefault(check.id, []).append(f"{fault.title}: {event.message}")
            else:
                found.missed.setdefault(check.id, []).append(fault.title)
            yield event
    await _prove_untouched(connection, before, transactions)
    found = SelfTest(**{**_fields(found), "seconds": time.perf_counter() - started})
    if await journal_exists(connection):
        await keep_self_test(connection, found)
    yield found


def _fields(found: SelfTest) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("seen", "missed", "skipped", "at", "operator")}


async def _try(
    context: Context,
    check: Check,
    fault: Fault,
    healthy: CheckEvent,
    takes: float,
    transactions: list[str],
    *,
    live: bool,
) -> FaultEvent:
    """Show one fault to one check."""

    def outcome(status: Status, message: str | None = None, seconds: float | None = None) -> FaultEvent:
        return FaultEvent(
            check=check.id, title=check.title, fault=fault.title, status=status, message=message, seconds=seconds
        )

    if healthy.status not in (Status.PASS, Status.WARN):
        word = "does not apply here" if healthy.status is Status.SKIP else "is red already"
        return outcome(Status.SKIP, f"the check {word}")
    if live and takes > LONGEST_SECONDS:
        held = f"{fault.table} would be held" if fault.exclusive else f"rows of {fault.table} would be held"
        return outcome(
            Status.SKIP,
            f"the check takes {takes:.1f} s, and {held} as long; test it on a restored copy",
        )
    connection = context.connection
    began = time.perf_counter()
    for attempt in range(ATTEMPTS):
        try:
            seen = await _planted(context, check, fault, transactions, live=live)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            # Somebody is at work on the table: let them go first.
            await asyncio.sleep(0.1 * 2**attempt)
            continue
        except TimeoutError:
            return outcome(Status.SKIP, f"stopped after {LONGEST_SECONDS:g} s, so that nobody waits longer")
        except asyncpg.PostgresError as error:
            said = server_words(error)
            return outcome(Status.SKIP, f"it cannot be planted here: {said}")
        seconds = time.perf_counter() - began
        if seen is None:
            return outcome(Status.SKIP, f"{fault.table} has no row to plant it in", seconds)
        if seen.status.blocks:
            return outcome(Status.PASS, f"seen: {seen.measured}", seconds)
        if fault.table in v2.TABLES and not await connection.fetchval(f"select exists({_any_row(fault.table)})"):
            return outcome(Status.SKIP, f"{fault.table} is empty: there is nothing to see it by", seconds)
        return outcome(Status.FAIL, f"the check said {seen.status}, measured {seen.measured}", seconds)
    return outcome(Status.SKIP, f"{fault.table} was in use; nothing waited for longer than {LOCK_MS} ms")


def _any_row(table: str) -> str:
    return f"select from {qualified('public', table)}"


async def _planted(
    context: Context, check: Check, fault: Fault, transactions: list[str], *, live: bool
) -> CheckEvent | None:
    """What a check says with a fault planted; None where there was no row to plant it in."""
    connection = context.connection
    # The isolation is that of the checks which take their own snapshot: theirs are nested in this one.
    transaction = connection.transaction(isolation="repeatable_read")
    await transaction.start()
    try:
        async with asyncio.timeout(LONGEST_SECONDS if live else None):
            await connection.execute(f"set local lock_timeout = {LOCK_MS}")
            transactions.append(await connection.fetchval("select pg_current_xact_id()::text"))
            done = await connection.execute(fault.statements(context))
            if fault.rows and done.endswith(" 0"):
                return None
            if context.noted:
                await connection.execute(_FORGET)
            return await run_check(check, context)
    finally:
        if not connection.is_closed():
            await transaction.rollback()


async def _prove_untouched(connection: Connection, before: str, transactions: Sequence[str]) -> None:
    """Ask the server what became of every planted transaction, and compare the definitions.

    Raises:
        VagusError: something stayed behind.
    """
    kept = await connection.fetchval(
        "select count(*) from unnest($1::text[]) x where pg_xact_status(x::xid8) is distinct from 'aborted'",
        list(transactions),
    )
    if kept:
        raise VagusError(
            f"{kept} of {len(transactions)} planted faults were not rolled back.",
            state="Something of them may be in the database.",
            next_step="Run the verification again; what it finds is what stayed.",
        )
    if await connection.fetchval(_DEFINITIONS) != before:
        raise VagusError(
            "Definitions in schema public differ from what they were before the checks were tested.",
            state="Every planted fault was rolled back, so somebody else has changed something meanwhile.",
            next_step="Run the verification again.",
        )
