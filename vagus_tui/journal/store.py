"""Reading and writing the journal: runs, their steps, outcomes of checks, notes.

Every function takes a connection, makes the journal where it writes, and reads an absent journal as empty.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from vagus_tui.database.connection import Connection
from vagus_tui.events import CheckEvent, Status, StepEvent, figure, jsonable
from vagus_tui.journal.schema import TAKES_WRITES, ensure_journal, journal_exists
from vagus_tui.schema.identifiers import literal

RESUMED = "resumed"
"""The step that marks, in the journal, where an interrupted run was taken up again."""

_KINDS = {"migrate": "migration", "rollback": "quick rollback", "restore": "rollback from a backup"}


def run_words(kind: str) -> str:
    """What a kind of run is called."""
    return _KINDS.get(kind, kind)


@dataclass(frozen=True, slots=True)
class Run:
    """One migration or rollback as the journal has it."""

    id: UUID
    kind: str
    status: str
    phase: str
    operator: str
    environment: str
    client: str
    options: Mapping[str, Any]
    catalog: Mapping[str, Any]
    figures: Mapping[str, Any]
    error: str | None
    started_at: datetime
    finished_at: datetime | None

    @property
    def at_work(self) -> str:
        """Who runs it: whoever took it up last, or else began it, and on which machine."""
        where = self.figures.get("taken_up_on") if self.taken_up_by else self.client
        return f"{self.taken_up_by or self.operator} on {where or 'another machine'}"

    @property
    def taken_up_by(self) -> str:
        """Who took it up last after it had broken off; empty where it never did."""
        return str(self.figures.get("taken_up_by") or "")


def as_json(value: object) -> str:
    """A value as the journal keeps it."""
    return json.dumps(jsonable(value), ensure_ascii=False)


def _run(row: Any) -> Run:
    values = dict(row)
    for name in ("options", "catalog", "figures"):
        values[name] = json.loads(values[name])
    return Run(**values)


AFTER_ALL_RUNS = (
    "greatest(clock_timestamp(), (select max(r.started_at) + interval '1 microsecond' from vagus_migration.runs r))"
)
"""When a run begins, as SQL: after all others, even where the server's clock was set back since. The newest one tells
what state the database is in."""

_RUN_COLUMNS = (
    "id, kind, status, phase, operator, environment, client, options, catalog, figures, error, started_at, finished_at"
)


async def start_run(
    connection: Connection, kind: str, *, operator: str, environment: str, options: Mapping[str, Any]
) -> UUID:
    """Open a run and return its id."""
    await ensure_journal(connection)
    run_id: UUID = await connection.fetchval(
        "insert into vagus_migration.runs (kind, operator, environment, client, options, started_at) "
        f"values ($1, $2, $3, $4, $5::jsonb, {AFTER_ALL_RUNS}) returning id",
        kind,
        operator,
        environment,
        platform.node(),
        as_json(options),
    )
    return run_id


async def update_run(connection: Connection, run_id: UUID, *, finished: bool = False, **values: Any) -> None:
    """Set columns of a run: status, phase, error; `catalog` and `figures` are merged in.

    Args:
        finished: it has ended now, by the server's clock, by which it began too.
    """
    columns = {"status", "phase", "error", "catalog", "figures"}
    if not values.keys() <= columns:
        raise ValueError(f"runs have no {', '.join(sorted(values.keys() - columns))}")
    sets, arguments = (["finished_at = greatest(started_at, clock_timestamp())"] if finished else []), []
    for number, (name, value) in enumerate(values.items(), start=2):
        if name in ("catalog", "figures"):
            sets.append(f"{name} = {name} || ${number}::jsonb")
            arguments.append(as_json(value))
        else:
            sets.append(f"{name} = ${number}")
            arguments.append(value)
    await connection.execute(f"update vagus_migration.runs set {', '.join(sets)} where id = $1", run_id, *arguments)


def ended_by(operator: str) -> dict[str, str]:
    """For a run's figures: who ended it, where that is not whoever began it; on which machine."""
    return {"ended_by": operator, "ended_on": platform.node()}


async def latest_run(connection: Connection, *kinds: str, done: bool = False) -> Run | None:
    """The newest run, of the given kinds if any are given; with `done`, of those that were done."""
    if not await journal_exists(connection):
        return None
    row = await connection.fetchrow(
        f"select {_RUN_COLUMNS} from vagus_migration.runs "
        "where (cardinality($1::text[]) = 0 or kind = any($1)) and (not $2 or status = 'done') "
        "order by started_at desc limit 1",
        list(kinds),
        done,
    )
    return _run(row) if row else None


async def runs(connection: Connection) -> list[Run]:
    """Every run, oldest first."""
    if not await journal_exists(connection):
        return []
    rows = await connection.fetch(f"select {_RUN_COLUMNS} from vagus_migration.runs order by started_at")
    return [_run(row) for row in rows]


async def record_step(connection: Connection, run_id: UUID, *events: StepEvent) -> None:
    """Append the outcome of one step, or of several at once."""
    if events:
        await connection.execute(recording(run_id, *events))


def recording(run_id: UUID, *events: StepEvent) -> str:
    """The statement that appends the outcome of steps, for a message that does more than that."""
    return (
        "insert into vagus_migration.steps (run_id, step, phase, state, seconds, rows, message) values\n"
        + ",\n".join(_recorded(run_id, event) for event in events)
    )


def _recorded(run_id: UUID, event: StepEvent) -> str:
    texts = (str(run_id), event.id, event.phase.value, event.state.value, event.message)
    run, step, phase, state, message = ("null" if text is None else literal(text) for text in texts)
    seconds, rows = ("null" if number is None else repr(number) for number in (event.seconds, event.rows))
    return f"({run}, {step}, {phase}, {state}, {seconds}, {rows}, {message})"


async def steps_done(connection: Connection, run_id: UUID) -> set[str]:
    """The steps of a run whose latest word is that they are done, so that a resumed run need not repeat them."""
    rows = await connection.fetch(
        "select step from (select distinct on (step) step, state from vagus_migration.steps "
        "where run_id = $1 order by step, at desc) latest where state = 'done'",
        run_id,
    )
    return {row["step"] for row in rows}


async def record_checks(
    connection: Connection, events: Iterable[CheckEvent], *, operator: str, run_id: UUID | None = None
) -> None:
    """Append the outcome of checks; on a server that takes no writes, such as a replica, there is no record."""
    if not await connection.fetchval(TAKES_WRITES):
        return
    await ensure_journal(connection)
    await connection.executemany(
        "insert into vagus_migration.checks "
        "(check_id, check_group, status, measured, expected, seconds, operator, run_id, value) "
        "values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        [
            (
                event.id,
                event.group,
                event.status.value,
                None if event.measured is None else str(event.measured),
                None if event.expected is None else str(event.expected),
                event.seconds,
                operator,
                run_id,
                figure(event),
            )
            for event in events
        ],
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """One outcome of one check as the journal has it; `value` is what is drawn over time."""

    check_id: str
    status: Status
    value: float | None
    at: datetime


async def recent_checks(connection: Connection, check_ids: Iterable[str], *, each: int) -> list[Recorded]:
    """The latest outcomes of these checks, oldest first, at most `each` of one check."""
    if not await journal_exists(connection):
        return []
    rows = await connection.fetch(
        # By way of JSON, so that a journal of before there was a value can be read as well.
        "select c.check_id, c.status, (to_jsonb(c) ->> 'value')::float8 as value, c.at "
        "from unnest($1::text[]) wanted(id) cross join lateral ("
        "  select * from vagus_migration.checks where check_id = wanted.id order by at desc limit $2) c "
        "order by c.at",
        list(check_ids),
        each,
    )
    return [Recorded(row["check_id"], Status(row["status"]), row["value"], row["at"]) for row in rows]


async def note(connection: Connection, topic: str, body: object, *, operator: str) -> None:
    """Keep something under a topic; the latest counts."""
    await ensure_journal(connection)
    await connection.execute(
        "insert into vagus_migration.notes (topic, body, operator) values ($1, $2::jsonb, $3)",
        topic,
        as_json(body),
        operator,
    )


async def latest_note(connection: Connection, topic: str) -> Any:
    """The latest thing kept under a topic, or None."""
    if not await journal_exists(connection):
        return None
    body = await connection.fetchval(
        "select body from vagus_migration.notes where topic = $1 order by id desc limit 1", topic
    )
    return None if body is None else json.loads(body)


async def latest_notes(connection: Connection, topic: str, *, limit: int = 20) -> list[Any]:
    """The latest things kept under a topic, newest first."""
    if not await journal_exists(connection):
        return []
    rows = await connection.fetch(
        "select body from vagus_migration.notes where topic = $1 order by id desc limit $2", topic, limit
    )
    return [json.loads(row["body"]) for row in rows]


async def notes_by_topic(connection: Connection, prefix: str) -> dict[str, Any]:
    """The latest thing kept under each topic that begins with `prefix`, by the rest of the topic."""
    if not await journal_exists(connection):
        return {}
    rows = await connection.fetch(
        "select distinct on (topic) substr(topic, length($1) + 1) as rest, body from vagus_migration.notes "
        "where starts_with(topic, $1) order by topic, id desc",
        prefix,
    )
    return {row["rest"]: json.loads(row["body"]) for row in rows}
