"""The journal as a record for colleagues, auditors and the next environment: what was done, by whom, when, with
which result. It holds no secrets, because the journal holds none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vagus_tui import __version__
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import jsonable
from vagus_tui.journal.schema import journal_exists
from vagus_tui.journal.state import DatabaseState, read_state
from vagus_tui.runbook.index import title_of
from vagus_tui.settings import Settings


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the report. `key` names it in JSON; cells are as the database has them."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    empty: str

    def records(self) -> list[dict[str, Any]]:
        """The rows by column, for JSON."""
        return [{name: jsonable(value) for name, value in zip(self.columns, row, strict=True)} for row in self.rows]


@dataclass(frozen=True, slots=True)
class Report:
    """The whole record, at one moment."""

    made_at: datetime
    database: str
    environment: str
    operator: str
    state: str
    summary: str
    sections: tuple[Section, ...]

    def section(self, key: str) -> Section:
        """One section by its key."""
        return next(section for section in self.sections if section.key == key)

    def to_json(self) -> dict[str, Any]:
        """The report as one JSON object."""
        head = {
            "made_at": self.made_at.isoformat(),
            "made_by": f"vagus-tui {__version__}",
            "database": self.database,
            "environment": self.environment,
            "operator": self.operator,
            "state": self.state,
            "summary": self.summary,
        }
        return {**head, **{section.key: section.records() for section in self.sections}}


@dataclass(frozen=True, slots=True)
class _Query:
    key: str
    title: str
    sql: str
    empty: str


_QUERIES = (
    _Query(
        "runs",
        "Runs",
        "select kind, status, phase, operator, environment, client, started_at, finished_at, "
        "extract(epoch from finished_at - started_at)::float8 as seconds, error, figures::text as figures, "
        "id::text as id from vagus_migration.runs order by started_at",
        "Nothing has been run.",
    ),
    _Query(
        "steps",
        "Steps",
        "select r.kind as run, s.phase, s.step, s.state, s.rows, s.seconds, s.message, s.at "
        "from vagus_migration.steps s join vagus_migration.runs r on r.id = s.run_id "
        "where s.state in ('done', 'failed') order by r.started_at, s.at",
        "No step is on record.",
    ),
    _Query(
        "checks",
        "Checks, latest outcome of each",
        "select distinct on (check_group, check_id) check_group as group, check_id as check, status, measured, "
        "expected, seconds, operator, at from vagus_migration.checks order by check_group, check_id, id desc",
        "No check is on record.",
    ),
    _Query(
        "overrides",
        "Overrides",
        "select check_id as check, reason, operator, withdrawn, at from vagus_migration.overrides order by id",
        "Nothing was overridden.",
    ),
    _Query(
        "sign_offs",
        "Sign-offs",
        "select item, ticked, operator, note, at from vagus_migration.sign_offs order by id",
        "Nothing was signed off.",
    ),
    _Query(
        "backups",
        "Backups",
        "select path, operator, at, verified_at, restored_at from vagus_migration.backups order by id",
        "No backup is on record.",
    ),
    _Query(
        "fixes",
        "Rows repaired or set aside",
        "select remedy, action, table_name as table, count(*) as rows, "
        "count(restored_at) as put_back, min(operator) as operator, min(at) as at "
        "from vagus_migration.quarantine group by batch, remedy, action, table_name order by min(at)",
        "No row was touched.",
    ),
    _Query(
        "notes",
        "Notes",
        "select topic, body::text as body, operator, at from vagus_migration.notes order by id",
        "No notes.",
    ),
)


def _named(section: Section) -> Section:
    """Put the runbook's words beside the ids of signed items."""
    if section.key != "sign_offs":
        return section
    rows = tuple((title_of(row[0]) or row[0], *row) for row in section.rows)
    return Section(section.key, section.title, ("title", *section.columns), rows, section.empty)


async def make_report(
    connection: Connection, database: Database, settings: Settings, state: DatabaseState | None = None
) -> Report:
    """Read the whole journal, in one snapshot. A database without a journal gives an empty report."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        state = state or await read_state(connection)
        exists = await journal_exists(connection)
        sections: list[Section] = []
        for query in _QUERIES:
            statement = await connection.prepare(query.sql) if exists else None
            columns = tuple(attribute.name for attribute in statement.get_attributes()) if statement else ()
            rows = tuple(tuple(row) for row in await statement.fetch()) if statement else ()
            sections.append(_named(Section(query.key, query.title, columns, rows, query.empty)))
    return Report(
        made_at=datetime.now(UTC),
        database=database.label,
        environment=settings.environment.value,
        operator=settings.operator,
        state=state.state.value,
        summary=" ".join((state.summary, *state.reasons)),
        sections=tuple(sections),
    )


def figures_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """The figures of a run's row, which the journal keeps as JSON."""
    found = row.get("figures")
    return json.loads(found) if isinstance(found, str) and found else {}


def as_records(section: Section) -> Sequence[Mapping[str, Any]]:
    """The rows of a section by column name."""
    return [dict(zip(section.columns, row, strict=True)) for row in section.rows]
