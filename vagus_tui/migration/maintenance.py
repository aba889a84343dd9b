"""Maintenance: the guide's flag, which tells the app, and the write fence, which holds writes off for real.

The fence is a statement trigger on the workout tables that refuses writes of the API's roles. It looks at who logged
in (session_user), which nobody can set, and at one row in the journal, so switching it on or off takes no lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from vagus_tui.database.connection import Connection
from vagus_tui.journal import store
from vagus_tui.journal.schema import ensure_journal

FENCE_TRIGGER = "vagus_fence"
FROM_THE_APP = "session_user in ('authenticator', 'anon', 'authenticated', 'service_role')"
"""Whether a statement came by the app's API: by who logged in, whatever role was taken on since."""

FENCE_SQL = f"""
create table if not exists vagus_migration.fence (
  one boolean primary key default true check (one),
  raised boolean not null default false,
  operator text not null default '',
  at timestamptz not null default clock_timestamp()
);
insert into vagus_migration.fence default values on conflict do nothing;
create or replace function vagus_migration.fence() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
  if {FROM_THE_APP}
     -- An archive goes along with what a user's own leaving does to it by reference.
     and (tg_argv[0] = 'always' and pg_trigger_depth() = 1
          or tg_argv[0] <> 'always' and (select raised from vagus_migration.fence)) then
    -- PostgREST turns SQLSTATE PTnnn into that HTTP status: 503 tells the app to come back.
    raise sqlstate 'PT503' using
      message = case when tg_argv[0] = 'always' then 'this workout table is an archive; it takes no writes'
                     else 'workout data is under maintenance; please try again in a moment' end;
  end if;
  return null;
end $$;
"""

FLAG_SQL = """
create table if not exists public.system_maintenance (
  id serial primary key,
  enabled boolean default false,
  message text,
  started_at timestamptz,
  estimated_completion timestamptz
);
alter table public.system_maintenance enable row level security;
do $$ begin
  if not exists (select from pg_policy where polrelid = 'public.system_maintenance'::regclass) then
    create policy system_maintenance_read on public.system_maintenance for select using (true);
  end if;
  if exists (select from pg_roles where rolname = 'anon') then
    revoke insert, update, delete, truncate on public.system_maintenance from anon, authenticated;
    grant select on public.system_maintenance to anon, authenticated;
    grant select, insert, update on public.system_maintenance to service_role;
  end if;
end $$;
"""


_UNPROTECTED = """
select coalesce(bool_or(not c.relrowsecurity and pg_has_role(c.relowner, 'usage')), true)
from pg_class c where c.oid = to_regclass('public.system_maintenance')
"""
"""True where the flag's table is missing, or is ours to protect and has no row level security."""


@dataclass(frozen=True, slots=True)
class Maintenance:
    """How maintenance stands: the flag that the app reads, and the fence that the tables obey.

    `since` and `message` are the flag's; `fenced` counts the tables that obey the fence, archives left out.
    """

    flag: bool = False
    fence: bool = False
    message: str = ""
    since: datetime | None = None
    fence_since: datetime | None = None
    fence_operator: str = ""
    fenced: int = 0

    @property
    def on(self) -> bool:
        """Whether either is on."""
        return self.flag or self.fence


def fence_trigger(relation: str, *, always: bool = False) -> str:
    """Put the fence on a table: obeying the switch, or for good on an archived one."""
    argument = "'always'" if always else "'switch'"
    return (
        f"create or replace trigger {FENCE_TRIGGER} before insert or update or delete or truncate on {relation} "
        f"for each statement execute function vagus_migration.fence({argument})"
    )


def remove_fence(relation: str) -> str:
    """Take the fence off a table."""
    return f"drop trigger if exists {FENCE_TRIGGER} on {relation}"


async def ensure_fence(connection: Connection) -> None:
    """Make the fence's switch and function where they are missing."""
    await ensure_journal(connection)
    if not await connection.fetchval("select to_regprocedure('vagus_migration.fence()') is not null"):
        await connection.execute(FENCE_SQL)


async def switch_fence(connection: Connection, *, raised: bool, operator: str) -> None:
    """Raise or lower the fence. One row is written; no lock on the workout tables is needed."""
    await ensure_fence(connection)
    await connection.execute(
        "update vagus_migration.fence set raised = $1, operator = $2, at = clock_timestamp() where one",
        raised,
        operator,
    )


async def ensure_flag(connection: Connection) -> None:
    """Inside a transaction: make the flag's table where it is missing, and protect it where anybody could switch it."""
    if await connection.fetchval(_UNPROTECTED):
        await connection.execute("set local lock_timeout = '500ms'")
        await connection.execute(FLAG_SQL)


async def switch_flag(
    connection: Connection, *, enabled: bool, message: str = "", expected: timedelta = timedelta(minutes=15)
) -> None:
    """Set the maintenance flag. There is never more than one enabled row, whatever was there before.

    A table that the guide's way left open to everybody is closed to all but the service on the way.
    """
    if not enabled and not await connection.fetchval("select to_regclass('public.system_maintenance') is not null"):
        return
    async with connection.transaction():
        if enabled:
            await ensure_flag(connection)
        await connection.execute("update public.system_maintenance set enabled = false where enabled")
        if not enabled:
            return
        updated = await connection.fetchval(
            "update public.system_maintenance set enabled = true, message = $1, started_at = now(), "
            "estimated_completion = now() + $2 where id = (select max(id) from public.system_maintenance) returning id",
            message,
            expected,
        )
        if updated is None:
            await connection.execute(
                "insert into public.system_maintenance (enabled, message, started_at, estimated_completion) "
                "values (true, $1, now(), now() + $2)",
                message,
                expected,
            )


FLAG_RAISED = "flag_raised"
"""Kept with a run whose cut-over switched the flag on, so that whoever comes next knows whose it is to switch off."""


async def raise_flag_for(connection: Connection, run_id: UUID, message: str) -> None:
    """Switch the flag on for a cut-over, unless it is on: what the operator switched on is theirs to switch off."""
    if (await read_maintenance(connection)).flag:
        return
    async with connection.transaction():
        await store.update_run(connection, run_id, catalog={FLAG_RAISED: True})
        await switch_flag(connection, enabled=True, message=message)


async def lower_flag_of_run(connection: Connection) -> bool:
    """Switch the flag off if the latest migration switched it on; True when it did so. Safe to repeat."""
    run = await store.latest_run(connection, "migrate")
    if run is None or not run.catalog.get(FLAG_RAISED):
        return False
    async with connection.transaction():
        await switch_flag(connection, enabled=False)
        await store.update_run(connection, run.id, catalog={FLAG_RAISED: False})
    return True


_FENCED = """
select count(*) from pg_trigger t
where t.tgname = $1 and not t.tgisinternal and encode(t.tgargs, 'escape') like 'switch%'
"""


async def read_maintenance(connection: Connection) -> Maintenance:
    """How flag and fence stand now."""
    row = fence = None
    if await connection.fetchval("select to_regclass('public.system_maintenance') is not null"):
        row = await connection.fetchrow(
            "select message, started_at from public.system_maintenance where enabled order by id desc limit 1"
        )
    if await connection.fetchval("select to_regclass('vagus_migration.fence') is not null"):
        fence = await connection.fetchrow("select operator, at from vagus_migration.fence where raised")
    return Maintenance(
        flag=row is not None,
        fence=fence is not None,
        message=(row["message"] or "") if row else "",
        since=row["started_at"] if row else None,
        fence_since=fence["at"] if fence else None,
        fence_operator=fence["operator"] if fence else "",
        fenced=int(await connection.fetchval(_FENCED, FENCE_TRIGGER)),
    )
