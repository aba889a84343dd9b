"""The journal's own schema, `vagus_migration`: made on first use, closed to the API roles, never dropped by us."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from vagus_tui.database.connection import Connection
from vagus_tui.schema.rights import bare_schema

SCHEMA = "vagus_migration"

PROGRESS_DDL = """
create table if not exists vagus_migration.progress (
  run_id uuid not null references vagus_migration.runs,
  step text not null,
  phase text not null,
  title text not null,
  state text not null,
  rows bigint,
  total bigint,
  unit text,
  seconds double precision,
  message text,
  started_at timestamptz not null default clock_timestamp(),
  at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  primary key (run_id, step)
);
comment on table vagus_migration.progress is 'How each step of a run stands, for others to watch; steps is the record.';
"""

_MADE = f"""
do $$ begin
  if to_regnamespace('{SCHEMA}') is null then
    create schema {SCHEMA};
    {bare_schema(SCHEMA)};
  end if;
end $$;
"""
DDL = (
    _MADE
    + """
revoke all on schema vagus_migration from public;

create table if not exists vagus_migration.runs (
  id uuid primary key default gen_random_uuid(),
  kind text not null check (kind in ('migrate', 'rollback', 'restore', 'clean-up')),
  status text not null default 'running'
    check (status in ('running', 'ready', 'done', 'failed', 'cancelled', 'abandoned', 'interrupted')),
  phase text not null default 'prepare',
  operator text not null,
  environment text not null,
  client text not null default '',
  options jsonb not null default '{}',
  catalog jsonb not null default '{}',
  figures jsonb not null default '{}',
  error text,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz
);
comment on table vagus_migration.runs is 'One row per migration or rollback; catalog holds what an undo needs.';

create table if not exists vagus_migration.steps (
  run_id uuid not null references vagus_migration.runs,
  step text not null,
  phase text not null,
  state text not null,
  seconds double precision,
  rows bigint,
  message text,
  at timestamptz not null default clock_timestamp()
);
create index if not exists steps_run on vagus_migration.steps (run_id, at);
comment on table vagus_migration.steps is 'What every step did, in order; appended to, never changed.';

create table if not exists vagus_migration.checks (
  id bigint generated always as identity primary key,
  check_id text not null,
  check_group text not null,
  status text not null,
  measured text,
  expected text,
  seconds double precision,
  operator text not null,
  run_id uuid,
  at timestamptz not null default clock_timestamp()
);
-- Journals of before have the table without the figure that is drawn over time.
alter table vagus_migration.checks add column if not exists value double precision;
create index if not exists checks_latest on vagus_migration.checks (check_id, at desc);
create index if not exists checks_failed on vagus_migration.checks (check_id, at desc)
  where status in ('fail', 'error');
comment on table vagus_migration.checks is 'Every outcome of every check; appended to, never changed.';

create table if not exists vagus_migration.sign_offs (
  id bigint generated always as identity primary key,
  item text not null,
  ticked boolean not null,
  operator text not null,
  note text not null default '',
  at timestamptz not null default clock_timestamp()
);
create index if not exists sign_offs_latest on vagus_migration.sign_offs (item, id desc);
comment on table vagus_migration.sign_offs is 'Every tick and untick of a checklist item; the latest counts.';

create table if not exists vagus_migration.overrides (
  id bigint generated always as identity primary key,
  check_id text not null,
  reason text not null check (btrim(reason) <> ''),
  operator text not null,
  withdrawn boolean not null default false,
  at timestamptz not null default clock_timestamp()
);

create table if not exists vagus_migration.backups (
  id bigint generated always as identity primary key,
  path text not null,
  manifest jsonb not null,
  verified_at timestamptz,
  restored_at timestamptz,
  operator text not null,
  at timestamptz not null default clock_timestamp()
);

create table if not exists vagus_migration.quarantine (
  id bigint generated always as identity primary key,
  batch uuid not null,
  remedy text not null,
  action text not null check (action in ('set-aside', 'changed')),
  table_name text not null,
  row_id text not null,
  original jsonb not null,
  result jsonb,
  operator text not null,
  at timestamptz not null default clock_timestamp(),
  restored_at timestamptz,
  restored_by text
);
create index if not exists quarantine_batch on vagus_migration.quarantine (batch);
comment on table vagus_migration.quarantine is
  'The whole original of every row that a guided fix changed or set aside; it can be put back while '
  'the row still is as the fix left it (result).';

create table if not exists vagus_migration.notes (
  id bigint generated always as identity primary key,
  topic text not null,
  body jsonb not null,
  operator text not null,
  at timestamptz not null default clock_timestamp()
);
create index if not exists notes_topic on vagus_migration.notes (topic, id desc);
comment on table vagus_migration.notes is 'Anything else worth keeping: the planned date, dismissed hints, texts.';
"""
)


_COMPLETE = """
select to_regclass('vagus_migration.notes') is not null and exists(
  select from pg_attribute where attrelid = to_regclass('vagus_migration.checks') and attname = 'value')
"""


TAKES_WRITES = "select not pg_is_in_recovery() and not current_setting('transaction_read_only')::boolean"
"""False on a read replica, and where a database or role is closed to writes."""


async def ensure_journal(connection: Connection) -> None:
    """Make the journal's schema and tables where they are missing. Safe to repeat, and beside other operators."""
    if await connection.fetchval(_COMPLETE):
        return
    async with connection.transaction():
        # CREATE … IF NOT EXISTS is not safe against a second session doing the same: let one go first.
        await connection.execute("select pg_advisory_xact_lock(hashtext('vagus_migration.ensure'))")
        # Looking again is more than saving work: a lock of this kind brings no news of the catalog, and this session
        # would go on believing that the schema, which the other has just made, is not there.
        if await connection.fetchval(_COMPLETE):
            return
        await connection.execute(DDL)
        await connection.execute(PROGRESS_DDL)


_KNOWN: ContextVar[dict[int, bool] | None] = ContextVar("journal known", default=None)


@contextlib.contextmanager
def asked_once() -> Iterator[None]:
    """Within it, whether there is a journal is asked but once: for a look that reads much of it, and makes none."""
    # Within another one, that one's answer counts.
    token = _KNOWN.set({} if (known := _KNOWN.get()) is None else known)
    try:
        yield
    finally:
        _KNOWN.reset(token)


async def journal_exists(connection: Connection) -> bool:
    """Whether anything has been written to a journal in this database."""
    known = _KNOWN.get()
    if known is not None and id(connection) in known:
        return known[id(connection)]
    found = bool(await connection.fetchval("select to_regclass('vagus_migration.notes') is not null"))
    if known is not None:
        known[id(connection)] = found
    return found
