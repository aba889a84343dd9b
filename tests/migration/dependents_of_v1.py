"""SQL that makes, around a clean v1, one of everything that can point at it; for the tests beside this file."""

from __future__ import annotations

FOLLOWING = """
alter table public.workout_plans add column slug varchar(40), add column parent_id uuid, add column gym_id integer;
update public.workout_plans set slug = 'plan-' || left(id::text, 13);
alter table public.workout_plans add constraint plan_slugs unique (slug);
create unique index plan_owner on public.workout_plans (id, user_id);
create table public.gyms (id integer primary key, name text);
insert into public.gyms values (1, 'north'), (2, 'south');
update public.workout_plans p set gym_id = 1,
  parent_id = (select o.id from public.workout_plans o where o.user_id = p.user_id order by o.id limit 1);
alter table public.workout_plans
  add constraint plan_parent foreign key (parent_id) references public.workout_plans (id) on delete set null,
  add constraint plan_gym foreign key (gym_id) references public.gyms (id) on update cascade;

create table public.reviews (id bigint generated always as identity primary key, "Plan" uuid not null,
  by_user uuid, slug varchar(40), session_id uuid, exercise_id uuid, stars integer,
  parent bigint references public.reviews (id),
  constraint "reviews Plan ""x"" fkey" foreign key ("Plan") references public.workout_plans (id)
    on delete cascade on update cascade deferrable initially deferred,
  constraint reviews_owner foreign key ("Plan", by_user) references public.workout_plans (id, user_id) match full
    on delete cascade,
  constraint reviews_slug foreign key (slug) references public.workout_plans (slug) on update cascade,
  constraint reviews_session foreign key (session_id) references public.workout_sessions (id) on delete set null);
alter table public.reviews add constraint reviews_exercise
  foreign key (exercise_id) references public.exercises (id) not valid;
insert into public.reviews ("Plan", by_user, slug, stars) select id, user_id, slug, 4 from public.workout_plans;
update public.reviews r set exercise_id = (select e.id from public.exercises e where e.plan_id = r."Plan" limit 1);
set constraints all immediate;

create table public.visits (plan_id uuid not null, at date not null,
  constraint visits_plan foreign key (plan_id) references public.workout_plans (id) on delete cascade)
  partition by range (at);
create table public.visits_old partition of public.visits for values from (minvalue) to ('2026-01-01');
create table public.visits_new partition of public.visits for values from ('2026-01-01') to (maxvalue)
  partition by list (at);
create table public.visits_new_all partition of public.visits_new default;
insert into public.visits select id, date '2025-12-30' + (row_number() over ())::integer % 4 from public.workout_plans;

create view public.names @INVOKER@ as select id, user_id, name from public.workout_plans where name <> ''
  with cascaded check option;
grant select, insert (id), update (name) on public.names to authenticated;
comment on view public.names is 'written through';
comment on column public.names.name is 'as the user says';
create view public.plan_sizes as
  select p.id, p.name, p.user_id, coalesce(p.duration_weeks, 4) as weeks, p.is_active, count(e.id) as exercises
  from public.workout_plans p left join public.exercises e on e.plan_id = p.id group by 1, 2, 3, 4, 5;
create view public.barred with (security_barrier = true) as
  select s.id, s.plan_id, s.started_at, l.reps, l.weight from public.workout_sessions s
  join public.exercise_logs l on l.session_id = s.id;
create view public.big_plans as select * from public.plan_sizes where exercises > 3;
create view public.as_json as
  select p.id, to_jsonb(p.*) - 'goal' - 'duration_weeks' as whole from public.workout_plans p;
grant select on public.plan_sizes, public.barred, public.big_plans to authenticated;
create function public.no_writing() returns trigger language plpgsql as $$ begin return null; end $$;
create trigger swallow instead of insert or update or delete on public.big_plans
  for each row execute function public.no_writing();

create schema reports;
create materialized view reports.totals with (fillfactor = 90) as
  select p.id, p.user_id, p.is_active, count(e.id) as exercises, sum(e.sets) as sets
  from public.workout_plans p join public.exercises e on e.plan_id = p.id group by 1, 2, 3;
create unique index totals_id on reports.totals (id);
create index totals_sets on reports.totals (user_id, sets desc) where sets > 1;
grant select on reports.totals to service_role;
grant select (id, user_id) on reports.totals to authenticated;
comment on materialized view reports.totals is 'every night';
comment on column reports.totals.sets is 'added up';
comment on index reports.totals_sets is 'for the list';
alter materialized view reports.totals alter column user_id set statistics 700;
create index totals_of_user on reports.totals ((user_id::text));
alter index reports.totals_of_user alter column 1 set statistics 300;
alter materialized view reports.totals cluster on totals_of_user;
create statistics public."Totals; --" (ndistinct) on user_id, sets from reports.totals;
create table public.ranks (plan_id uuid);
alter table public.ranks enable row level security;
create policy in_totals on public.ranks using (plan_id in (select t.id from reports.totals t));
create function public.totals() returns bigint language sql stable
begin atomic select count(*) from reports.totals; end;
create materialized view public.days_trained as
  select user_id, started_at::date as day, count(*) from public.workout_sessions group by 1, 2;
create materialized view public.of_a_view as select id, exercises from public.plan_sizes;
create materialized view public.never_filled as select id, weight from public.exercise_logs with no data;
create view public.of_totals as
  select t.id, t.sets, p.name from reports.totals t join public.workout_plans p using (id);

create function public.count_plans(of_user uuid) returns bigint language sql stable as $$
  select count(*) from workout_plans where user_id = of_user and is_active $$;
create function public.weeks_of(plan uuid) returns integer language plpgsql stable security definer
  set search_path = '' as $$
declare found public.workout_plans%rowtype;
begin
  -- workout_plans has it
  select * into found from public.workout_plans p where p.id = plan;
  return found.duration_weeks;
end $$;
revoke all on function public.weeks_of(uuid) from public;
grant execute on function public.weeks_of(uuid) to service_role;
create function public.exercises_of(plan uuid) returns setof uuid language sql stable
begin atomic select id from public.exercises where plan_id = plan; end;
create function public.user_of(plan uuid) returns uuid language sql stable
begin atomic select user_id from public.workout_plans where id = plan; end;
comment on function public.user_of(uuid) is 'whose';
create function public.only_says() returns void language plpgsql as $$
begin raise notice 'nothing about workout_plans'; end $$;

create table public.audit (id bigint generated always as identity primary key, what text, row_id uuid, name text);
create function public.audited() returns trigger language plpgsql security definer as $$
begin
  insert into public.audit (what, row_id, name) values (tg_table_name || ' ' || tg_op, new.id, new.name);
  return new;
end $$;
create trigger audit_names after insert or update of name on public.workout_plans
  for each row when (new.name is not null) execute function public.audited();
alter table public.workout_plans enable always trigger audit_names;
comment on trigger audit_names on public.workout_plans is 'for the auditors';

alter table public.reviews enable row level security;
grant select, insert on public.reviews to authenticated;
create policy own_plans on public.reviews for select to authenticated
  using ("Plan" in (select p.id from public.workout_plans p where p.user_id = (select auth.uid())));
create policy own_exercises on public.reviews for all to authenticated
  using (exists (select from public.exercises e join public.workout_plans p on p.id = e.plan_id
    where e.id = reviews.exercise_id and p.is_active and p.user_id = (select auth.uid())))
  with check (exercise_id is null or exercise_id in (select e.id from public.exercises e));
create policy "never, as a rule" on public.reviews as restrictive for delete to public using (false);

create view reports."we""ird; drop view -- [/b]" as select p.id, p.is_active as "On; --" from public.workout_plans p;
create materialized view reports."to""tals
 $1 \\ $vagus$" as select id as "I""d", start_date from public.workout_plans;
create unique index "i""x; --" on reports."to""tals
 $1 \\ $vagus$" ("I""d");
comment on materialized view reports."to""tals
 $1 \\ $vagus$" is E'it''s \\\\ $vagus$ "so"';
create function reports."f""; --"("A; B" uuid) returns text language sql stable as $f$
  select name || '$vagus$' || E'\\n' from public.workout_plans where id = $1 and is_active $f$;
create policy "p""; -- $vagus$" on public.reviews for update to authenticated
  using (exists (select from public.exercises e where e.plan_id = reviews."Plan" and e.name <> '$vagus$'));
create trigger "t""; --" after delete on public.workout_plans
  for each statement execute function public.no_writing();
create publication narrow for table public.exercise_logs, public.exercises;
alter table public.exercises replica identity full;
comment on table public.workout_plans is 'all plans';
comment on column public.workout_plans.goal is 'free text';
comment on constraint exercise_logs_session_id_fkey on public.exercise_logs is 'sets';
comment on constraint plan_slugs on public.workout_plans is 'for links';
alter table public.workout_plans add constraint plan_named check (name <> '');
alter table public.workout_plans set (autovacuum_vacuum_scale_factor = 0.02, fillfactor = 80);
alter table public.workout_plans alter column name set statistics 500, alter column metadata set storage external;
create statistics public.plan_stats (dependencies) on user_id, goal from public.workout_plans;
grant select (id, name) on public.workout_plans to anon;
create sequence public.tickets owned by public.exercises.order_index;
create table public.queue (ticket bigint default nextval('public.tickets'), last_plan public.workout_plans);
"""
"""Everything in it goes on working on v2."""

STUCK = {
    "dependent-foreign-keys": """
        alter table workout_plans add constraint by_goal unique (id, is_active);
        create table marks (plan_id uuid, active boolean, constraint marks_of_plan
          foreign key (plan_id, active) references workout_plans (id, is_active))""",
    "dependent-views": "create view whole_plans as select p from workout_plans p",
    "dependent-rules": """
        create view writable as select id, name from workout_plans;
        create rule write_it as on insert to writable do instead
          insert into workout_plans (name, user_id, is_active) values (new.name, auth.uid(), true)""",
    "dependent-policies": """
        create table notes (id uuid primary key, plan_id uuid);
        alter table notes enable row level security;
        create policy same_plan on notes using (exists (
          select from workout_plans p where p.id = notes.plan_id and p.tableoid <> 0))""",
    "dependent-functions": """
        create function close_plan(plan uuid) returns void language plpgsql as $$
        begin
          -- closes it
          update workout_plans set is_active = false where id = plan;
        end $$""",
    "dependent-triggers": """
        create function check_plan() returns trigger language plpgsql as $$
        begin if new.is_active is null then new.is_active := true; end if; return new; end $$;
        create trigger checked before insert on workout_plans for each row execute function check_plan()""",
    "dependent-publications": "create publication active for table workout_plans where (is_active)",
}
"""By the gate that holds the migration up over it."""
