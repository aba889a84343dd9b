"""What is in the report: a record for colleagues, auditors and the next environment. It holds no secrets, because the
journal holds none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from vagus_tui import __version__
from vagus_tui.checks.access.matrix import AccessMatrix, access_matrix, packed
from vagus_tui.database.connection import Connection, Database
from vagus_tui.events import jsonable
from vagus_tui.journal.backup_records import DAMAGE_OF
from vagus_tui.journal.schema import journal_exists
from vagus_tui.journal.state import DatabaseState, read_state, state_words
from vagus_tui.report.story import Line, tell
from vagus_tui.report.timeline import RunTimeline, run_timelines
from vagus_tui.report.words import moment
from vagus_tui.runbook.index import title_of
from vagus_tui.settings import Settings

STORY = "story"
"""The section that is told rather than listed."""


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
    story: tuple[Line, ...] = ()
    timelines: tuple[RunTimeline, ...] = ()
    access: AccessMatrix | None = None

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
        drawn = {
            "timelines": [jsonable(asdict(timeline)) for timeline in self.timelines],
            "access": packed(self.access) if self.access is not None else None,
        }
        return {**head, **drawn, **{section.key: section.records() for section in self.sections}}


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
        "select kind, status, phase, operator, environment, options ->> 'database' as database, client, started_at, "
        "finished_at, extract(epoch from finished_at - started_at)::float8 as seconds, error, "
        "figures::text as figures, id::text as id from vagus_migration.runs order by started_at",
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
        "proof",
        "Proof: every row and every mapped column, v1 against v2, both ways",
        "select substr(s.step, 7) as table, s.rows as rows_compared, s.message as outcome, s.seconds, s.at "
        "from vagus_migration.steps s where s.phase = 'prove' and s.step like 'prove-%' order by s.at",
        "Nothing was proved yet.",
    ),
    _Query(
        "carried",
        "Carried back by rollbacks",
        "select r.started_at as rolled_back_at, t.key as table, (t.value ->> 'new')::bigint as new_rows, "
        "(t.value ->> 'changed')::bigint as changed_rows, "
        "coalesce((r.figures -> 'deleted_in_v2' ->> t.key)::bigint, 0) as deleted_in_v2, "
        "r.figures ->> 'deletions' as deletions, r.figures ->> 'archive' as archive "
        "from vagus_migration.runs r cross join lateral jsonb_each(r.figures -> 'carried_back') t "
        "where r.kind = 'rollback' and jsonb_typeof(r.figures -> 'carried_back') = 'object' "
        "order by r.started_at, t.key",
        "Nothing was rolled back.",
    ),
    _Query(
        "checks",
        "Checks, latest outcome of each",
        "select distinct on (check_group, check_id) check_group as group, check_id as check, status, measured, "
        "expected, seconds, operator, at from vagus_migration.checks order by check_group, check_id, id desc",
        "No check is on record.",
    ),
    _Query(
        "performance",
        "Performance before and after the cut-over",
        "with cut as (select max(finished_at) as at from vagus_migration.runs "
        "where kind = 'migrate' and status = 'done'), "
        "latest as (select distinct on (c.check_id, c.at > cut.at) c.*, coalesce(c.at > cut.at, false) as later "
        "from vagus_migration.checks c cross join cut where c.check_group = 'performance' "
        "order by c.check_id, c.at > cut.at, c.id desc) "
        "select coalesce(a.check_id, b.check_id) as page, b.measured as before, a.measured as after, "
        "coalesce(a.expected, b.expected) as limit, coalesce(a.status, b.status) as status, coalesce(a.at, b.at) as at "
        "from (select * from latest where later) a full join (select * from latest where not later) b "
        "using (check_id) order by 1",
        "Performance was not measured.",
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
        "acceptance",
        "Acceptance test, person by person",
        "select body ->> 'person' as person, body ->> 'profile' as profile, body ->> 'step' as step, "
        "body ->> 'verdict' as verdict, body ->> 'note' as note, operator, at "
        "from vagus_migration.notes where starts_with(topic, 'acceptance.') order by id",
        "Nobody has tested.",
    ),
    _Query(
        "backups",
        "Backups",
        f"select b.path, b.operator, b.at, b.verified_at, b.restored_at, coalesce(({DAMAGE_OF}), '') as damage "
        "from vagus_migration.backups b order by b.id",
        "No backup is on record.",
    ),
    _Query(
        "files",
        "Files of the backups",
        "select b.path, f ->> 'name' as file, (f ->> 'bytes')::bigint as bytes, f ->> 'sha256' as sha256 "
        "from vagus_migration.backups b cross join lateral jsonb_array_elements("
        "case when jsonb_typeof(b.manifest -> 'files') = 'array' then b.manifest -> 'files' else '[]' end) f "
        "order by b.id, f ->> 'name'",
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
    """Put the runbook's words beside the ids of signed items, and in the place of profiles and steps."""
    if section.key == "acceptance":
        told = tuple((row[0], title_of(row[1]) or row[1], title_of(row[2]) or row[2], *row[3:]) for row in section.rows)
        return replace(section, rows=told)
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
        story, timelines = await tell(connection), await run_timelines(connection)
        access = await access_matrix(connection)
    told = tuple((line.at, line.who, line.what, line.tone) for line in story)
    sections.insert(0, Section(STORY, "What happened", ("at", "who", "what", "tone"), told, "Nothing has been run."))
    return Report(
        made_at=datetime.now(UTC),
        database=database.label,
        environment=settings.environment.value,
        operator=settings.operator,
        state=state.state.value,
        summary=" ".join((state.summary, *state.reasons)),
        sections=tuple(sections),
        story=story,
        timelines=timelines,
        access=access,
    )


def facts(report: Report) -> tuple[tuple[str, str], ...]:
    """The head of the report: what it is about, and where things stand."""
    return (
        ("Database", report.database),
        ("Environment", report.environment),
        ("State", f"{state_words(report.state)}: {report.summary}"),
        ("Written", f"{moment(report.made_at)}, for {report.operator}, by vagus-tui {__version__}"),
    )
