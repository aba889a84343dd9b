"""Whose access is measured: a sample that the data itself proposes, or everybody."""

from __future__ import annotations

from collections.abc import Sequence

from vagus_tui.checks.access.matrix import Kind, Person
from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import NOBODY
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import qualified

ROLES_WITHOUT_USER = (
    Person("anon", "anon", Kind.ANON, "nobody logged in"),
    Person("service_role", "service_role", Kind.SERVICE, "the service's key"),
)
STRANGER = Person(NOBODY, "authenticated", Kind.OTHER, "logged in, unknown to the data")

_PLANS = qualified("public", v2.PLANS)
_SESSIONS = qualified("public", v2.SESSIONS)
_COACHES = "pg_temp.vagus_access_coaches"

_EVERYBODY = f"""
create temporary table vagus_access_people as
select u.id, case when coalesce(c.active, 0) > 0 then '{Kind.COACH}' when c.coach is not null then '{Kind.FORMER_COACH}'
    when coalesce(p.plans, 0) + coalesce(s.sessions, 0) > 0 then '{Kind.OWNER}' else '{Kind.OTHER}' end as kind,
  coalesce(p.plans, 0) as plans, coalesce(p.templates, 0) as templates, coalesce(s.sessions, 0) as sessions,
  coalesce(c.active, 0) as clients, coalesce(c.ended, 0) as ended, coalesce(c.reach, 0) as reach,
  k.client is not null as is_client
from (
  select user_id::text as id from {_PLANS} union select user_id::text from {_SESSIONS}
  union select coach from {_COACHES} union select client from {_COACHES}{{users}}
) u
left join (select user_id::text as id, count(*) as plans, count(*) filter (where is_template) as templates
  from {_PLANS} group by 1) p on p.id = u.id
left join (select user_id::text as id, count(*) as sessions from {_SESSIONS} group by 1) s on s.id = u.id
left join (select r.coach, count(*) filter (where r.active) as active, count(*) filter (where not r.active) as ended,
    sum(n.plans) filter (where r.active) as reach
  from {_COACHES} r left join (select user_id::text as id, count(*) as plans from {_PLANS} group by 1) n
    on n.id = r.client group by 1) c on c.coach = u.id
left join (select distinct client from {_COACHES} where active) k on k.client = u.id
where u.id is not null
"""

_SAMPLE = """
select distinct on (id) id, kind, label from (
  (select id, kind, 'most plans: ' || plans as label, 1 as place from vagus_access_people
   where kind = 'owner' and plans > 0 order by plans desc, id limit 2)
  union all (select id, kind, 'fewest plans: ' || plans, 2 from vagus_access_people
   where kind = 'owner' and plans > 0 order by plans, id desc limit 1)
  union all (select id, kind, 'most sessions: ' || sessions, 3 from vagus_access_people
   where kind = 'owner' and sessions > 0 order by sessions desc, id limit 1)
  union all (select id, kind, 'templates: ' || templates, 4 from vagus_access_people
   where templates > 0 order by (kind = 'owner') desc, templates desc, id limit 1)
  union all (select id, kind, 'client of an active coach', 5 from vagus_access_people
   where kind = 'owner' and is_client and plans > 0 order by plans desc, id limit 1)
  union all (select id, kind, 'active clients: ' || clients, 6 from vagus_access_people
   where kind = 'coach' order by reach desc, clients desc, id limit 2)
  union all (select id, kind, 'active ' || clients || ', not active ' || ended, 7 from vagus_access_people
   where kind = 'coach' and ended > 0 order by ended desc, id limit 1)
  union all (select id, kind, 'coach of ' || ended || ', none active', 8 from vagus_access_people
   where kind = 'former coach' order by ended desc, id limit 2)
  union all (select id, kind, 'no plans, no sessions', 9 from vagus_access_people
   where kind = 'neither' order by id limit 2)
) chosen order by id, place
"""

_ORDER = {kind: place for place, kind in enumerate(Kind)}


async def people_statements(connection: Connection) -> str:
    """The statements that list everybody there is in a temporary table, with what they are to the data."""
    readable = await connection.fetchval(
        "select coalesce(has_table_privilege(to_regclass('auth.users'), 'select'), false)"
    )
    users = "\n  union select id::text from auth.users" if readable else ""
    return f"{_EVERYBODY.format(users=users)}; create unique index on pg_temp.vagus_access_people (id)"


async def sample(connection: Connection) -> tuple[Person, ...]:
    """Owners with most and fewest plans, of templates, coaches with active and ended clients, and who has nothing.

    The choice is the same every time as long as the data is. What `people_statements` gives must have run.
    """
    rows = await connection.fetch(_SAMPLE)
    people = [Person(row["id"], "authenticated", Kind(row["kind"]), row["label"]) for row in rows]
    people.sort(key=lambda person: (_ORDER[person.kind], person.label, person.id))
    return (*people, STRANGER, *ROLES_WITHOUT_USER)


async def next_people(connection: Connection, after: str, limit: int) -> Sequence[Person]:
    """The next users after an id, in the order of ids; what `people_statements` gives must have run."""
    rows = await connection.fetch(
        "select id, kind from pg_temp.vagus_access_people where id > $1 order by id limit $2", after, limit
    )
    return [Person(row["id"], "authenticated", Kind(row["kind"])) for row in rows]
