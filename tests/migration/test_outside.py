"""What acts on the database from outside its tables: event triggers, jobs that run by the clock, subscriptions."""

from __future__ import annotations

from tests.conftest import Connect, MakeDatabase
from tests.databases import TestDatabase
from tests.migration.support import migrated, rolled_back
from tests.migration.test_dependents import context_of
from tests.oracle import catalog_fingerprint, changes, v2_differences
from vagus_tui.checks.base import run_checks
from vagus_tui.database.connection import Connection
from vagus_tui.events import CheckEvent, Status
from vagus_tui.migration.outside_gates import OUTSIDE_GATES
from vagus_tui.sandbox.options import SandboxOptions

WATCHING = """
create function extensions.pgrst_ddl_watch() returns event_trigger language plpgsql as $$
declare cmd record; begin
  -- exercises are as any table to it
  for cmd in select * from pg_event_trigger_ddl_commands() loop
    if cmd.schema_name is distinct from 'pg_temp' then notify pgrst, 'reload schema'; end if;
  end loop; end $$;
create function extensions.pgrst_drop_watch() returns event_trigger language plpgsql as $$
declare obj record; begin
  for obj in select * from pg_event_trigger_dropped_objects() loop
    if obj.is_temporary is false then notify pgrst, 'reload schema'; end if;
  end loop; end $$;
create function public.rls_auto_enable() returns event_trigger language plpgsql security definer as $$
declare cmd record; begin
  for cmd in select * from pg_event_trigger_ddl_commands() where command_tag = 'CREATE TABLE' loop
    if cmd.schema_name = 'public' then
      execute format('alter table if exists %s enable row level security', cmd.object_identity);
    end if;
  end loop; end $$;
create event trigger pgrst_ddl_watch on ddl_command_end execute function extensions.pgrst_ddl_watch();
create event trigger pgrst_drop_watch on sql_drop execute function extensions.pgrst_drop_watch();
create event trigger ensure_rls on ddl_command_end when tag in ('CREATE TABLE')
  execute function public.rls_auto_enable();
"""
"""As a Supabase project has them."""

NAMING = """
create function public.log_ddl() returns event_trigger language plpgsql as $$
begin
  perform count(*) from public.exercises;
end $$;
create event trigger log_ddl on ddl_command_end execute function public.log_ddl();
"""

REFUSING = """
create function public.no_drop() returns event_trigger language plpgsql as $$
begin
  if exists (select from pg_event_trigger_dropped_objects() where object_type = 'trigger') then
    raise exception 'nothing is dropped here';
  end if;
end $$;
create event trigger "no drop" on sql_drop execute function public.no_drop();
"""

ADDING = """
create function public.nothing() returns trigger language plpgsql as $$ begin return null; end $$;
create function public.audited() returns event_trigger language plpgsql as $$
declare made record; begin
  for made in select * from pg_event_trigger_ddl_commands() where object_type = 'table' loop
    execute format('alter table %s add column tenant int', made.object_identity);
    execute format('create trigger audit after delete on %s execute function nothing()', made.object_identity);
  end loop; end $$;
create event trigger audited on ddl_command_end when tag in ('CREATE TABLE') execute function public.audited();
"""

CRON = """
create schema cron;
create table cron.job (jobid bigint generated always as identity primary key, schedule text not null,
  command text not null, database text not null default current_database(), username text not null default 'postgres',
  active boolean not null default true, jobname text);
insert into cron.job (schedule, command, jobname, active) values
  ('0 3 * * *', 'delete from workout_sessions where completed_at is null', 'tidy', true),
  ('0 4 * * *', 'select 1 -- exercises', 'nothing', true),
  ('0 5 * * *', 'vacuum analyze public.exercise_logs; reindex table exercises', null, true),
  ('0 6 * * *', 'update exercises set notes = null', 'asleep', false);
insert into cron.job (schedule, command, database) values ('0 7 * * *', 'delete from exercises', 'another');
"""


async def gates_of(database: TestDatabase, conn: Connection) -> dict[str, CheckEvent]:
    context = await context_of(database, conn)
    return {event.id: event async for event in run_checks(OUTSIDE_GATES, context)}


async def test_event_triggers(make_database: MakeDatabase, connect: Connect) -> None:
    """Those of a Supabase project see all of a migration and let it through; others are named before it begins."""
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    assert (await gates_of(database, conn))["event-triggers"].measured == "none"
    async with database.as_admin() as admin:
        await admin.execute(WATCHING)
        catalog = await catalog_fingerprint(conn)
        gate = (await gates_of(database, conn))["event-triggers"]
        assert (gate.status, gate.measured) == (Status.PASS, "3 event triggers")
        await migrated(database)
        assert await v2_differences(conn) == []
        await rolled_back(database)
        assert changes(catalog, await catalog_fingerprint(conn)) == []

        await admin.execute(NAMING)
        gate = (await gates_of(database, conn))["event-triggers"]
        assert (gate.status, gate.rows, gate.overridable) == (Status.FAIL, 1, True)
        for words in ("log_ddl names v1's tables", "3: perform count(*)", 'alter event trigger "log_ddl" disable;'):
            assert words in (gate.message or "")
        assert "pgrst_ddl_watch names" not in (gate.message or "")
        await admin.execute("alter event trigger log_ddl disable")

        await admin.execute(REFUSING)
        catalog = await catalog_fingerprint(conn)
        gate = (await gates_of(database, conn))["event-triggers"]
        assert (gate.status, gate.overridable) == (Status.FAIL, False)
        assert "and refused: nothing is dropped here" in (gate.message or "")
        assert 'alter event trigger "no drop" enable;' in (gate.message or "")
        assert changes(catalog, await catalog_fingerprint(conn)) == []
        await admin.execute('alter event trigger "no drop" disable')
        assert (await gates_of(database, conn))["event-triggers"].status is Status.PASS

        await admin.execute(ADDING)
        gate = (await gates_of(database, conn))["event-triggers"]
        assert (gate.status, gate.overridable) == (Status.FAIL, False)
        assert "got more than was asked for: column tenant and trigger audit" in (gate.message or "")
        assert 'alter event trigger "audited" disable;' in (gate.message or "")


SUBSCRIBED = """
create subscription "A feed" connection 'dbname=elsewhere' publication p with (connect = false, slot_name = none);
insert into pg_subscription_rel (srsubid, srrelid, srsubstate)
select s.oid, c.oid, 'r' from pg_subscription s, pg_class c
where s.subname = 'A feed' and c.oid in ('public.exercise_logs'::regclass, 'auth.users'::regclass);
"""


async def test_jobs_and_subscriptions(make_database: MakeDatabase, connect: Connect) -> None:
    database = await make_database(SandboxOptions(plans=12, clean=True))
    conn = await connect(database.url)
    gates = await gates_of(database, conn)
    assert gates["scheduled-jobs"].measured == gates["subscriptions"].measured == "none"
    async with database.as_admin() as admin:
        await admin.execute(CRON)
        context = await context_of(database, conn)
        await conn.execute("set role authenticated")
        hidden = [event async for event in run_checks(OUTSIDE_GATES[1:2], context)][-1]
        assert (hidden.id, hidden.status) == ("scheduled-jobs", Status.WARN)
        await conn.execute("reset role")
        gate = (await gates_of(database, conn))["scheduled-jobs"]
        assert (gate.status, gate.measured, gate.overridable) == (Status.FAIL, "1 of 3", True)
        said = (gate.message or "").splitlines()
        assert said[1:5] == [
            "job 1 tidy (0 3 * * *, as postgres):",
            "    delete from workout_sessions where completed_at is null",
            "  Before the cut-over: select cron.alter_job(1, active := false);",
            "  Then, in words that v2 knows: select cron.alter_job(1, command := '…', active := true);",
        ]
        assert said[5].startswith("job 3 (0 5 * * *, as postgres): finds v2's tables by name")
        assert said[6].startswith("job 4 asleep (0 6 * * *, as postgres): not active") and len(said) == 7
        await admin.execute("update cron.job set active = false where jobid = 1")
        await admin.execute("set client_min_messages = error")
        await admin.execute(SUBSCRIBED)
        try:
            gates = await gates_of(database, conn)
        finally:
            await admin.execute('drop subscription "A feed"')
        assert gates["scheduled-jobs"].status is Status.PASS
        gate = gates["subscriptions"]
        assert (gate.status, gate.measured, gate.overridable) == (Status.FAIL, "1 subscription", True)
        said = (gate.message or "").splitlines()
        assert said[1:3] == [
            "A feed of supabase_admin, disabled writes to exercise_logs. Once it has caught up:",
            '    alter subscription "A feed" disable;',
        ]
