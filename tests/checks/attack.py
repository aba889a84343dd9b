"""Random statements of random users against v2, and who may see and write what, worked out without the policies."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vagus_tui.database.connection import Connection
from vagus_tui.database.impersonation import NOBODY
from vagus_tui.schema import v2

PARENTS: Mapping[str, tuple[str, str]] = {
    v2.WEEKS: ("plan_id", v2.PLANS),
    v2.DAYS: ("week_id", v2.WEEKS),
    v2.GROUPS: ("day_id", v2.DAYS),
    v2.EXERCISES: ("day_id", v2.DAYS),
    v2.LOGS: ("session_id", v2.SESSIONS),
}
OWNERS: Mapping[str, str] = {
    v2.PLANS: "select id::text, user_id::text from workout_plans",
    v2.WEEKS: "select w.id::text, p.user_id::text from workout_weeks w join workout_plans p on p.id = w.plan_id",
    v2.DAYS: "select d.id::text, p.user_id::text from workout_days d join workout_weeks w on w.id = d.week_id "
    "join workout_plans p on p.id = w.plan_id",
    v2.GROUPS: "select g.id::text, p.user_id::text from exercise_groups g join workout_days d on d.id = g.day_id "
    "join workout_weeks w on w.id = d.week_id join workout_plans p on p.id = w.plan_id",
    v2.EXERCISES: "select e.id::text, p.user_id::text from exercises e join workout_days d on d.id = e.day_id "
    "join workout_weeks w on w.id = d.week_id join workout_plans p on p.id = w.plan_id",
    v2.SESSIONS: "select id::text, user_id::text from workout_sessions",
    v2.LOGS: "select l.id::text, s.user_id::text from exercise_logs l join workout_sessions s on s.id = l.session_id",
}
FILTERS: Mapping[str, tuple[str, ...]] = {
    v2.PLANS: ("total_weeks > 4", "status = 'active'", "is_template", "name ~ 'secret'", "user_id is not null"),
    v2.WEEKS: ("week_number <= 2", "deload is not true", "start_date is null or start_date > '2025-03-01'"),
    v2.DAYS: ("day_number = 1", "muscle_groups && array['chest', 'back']", "day_label is not null"),
    v2.GROUPS: ("rounds = 1", "type <> 'circuit'"),
    v2.EXERCISES: ("sets > 3", "target_weight > 20", "name ~* 'e'", "notes is null", "group_id is null"),
    v2.SESSIONS: ("completed_at is not null", "total_sets > 3", "day_id is not null", "notes is null"),
    v2.LOGS: ("reps > 5", "weight < 100", "rpe is null", "set_number = 1"),
}
HARMLESS: Mapping[str, str] = {
    v2.PLANS: "description = 'x'",
    v2.WEEKS: "notes = 'x'",
    v2.DAYS: "client_comment = 'x'",
    v2.GROUPS: "rounds = 2",
    v2.EXERCISES: "notes = 'x'",
    v2.SESSIONS: "notes = 'x'",
    v2.LOGS: "notes = 'x'",
}
COACH_WRITES = frozenset({v2.PLANS, v2.WEEKS, v2.DAYS, v2.GROUPS, v2.EXERCISES})
TREE = (v2.PLANS, v2.WEEKS, v2.DAYS, v2.EXERCISES)


@dataclass(frozen=True, slots=True)
class Shot:
    """One statement. `reads` names the table that each column of ids comes from; `exact` is the condition on the one
    table read, where the rows found must be all that are the user's; `cascades` when it may delete what hangs below."""

    sql: str
    reads: tuple[str, ...] = ()
    exact: str | None = None
    cascades: bool = False


@dataclass(slots=True)
class World:
    """Whose every row is, who coaches whom, and people to act as."""

    owner: dict[str, dict[str, str]]
    clients: dict[str, frozenset[str]]
    people: list[str]
    lists: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    async def read(cls, conn: Connection) -> World:
        """Read it as somebody whom no policy holds up."""
        owner = {table: {row[0]: row[1] for row in await conn.fetch(query)} for table, query in OWNERS.items()}
        clients: dict[str, set[str]] = {}
        for row in await conn.fetch(
            "select coach_id::text, client_id::text from coach_clients where status = 'active'"
        ):
            clients.setdefault(row[0], set()).add(row[1])
        people = [row[0] for row in await conn.fetch("select id::text from auth.users order by id")]
        lists = {table: sorted(rows) for table, rows in owner.items()}
        return cls(owner, {coach: frozenset(ids) for coach, ids in clients.items()}, [*people, NOBODY], lists)

    def may_read(self, user: str) -> frozenset[str]:
        """The users whose rows somebody may read."""
        return frozenset({user}) | self.clients.get(user, frozenset())

    def may_write(self, user: str, table: str) -> frozenset[str]:
        """The users whose rows of a table somebody may write."""
        return self.may_read(user) if table in COACH_WRITES else frozenset({user})


class Attacker:
    """Makes statements, always the same ones for the same seed."""

    def __init__(self, world: World, seed: int, *, merges: bool = True) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.kinds: tuple[Callable[[str], Shot], ...] = (
            *(self.select, self.select, self.count, self.joined, self.joined, self.tricky, self.view, self.function),
            *(self.update, self.update, self.move, self.take_over, self.insert, self.insert_copies, self.upsert),
            *(self.delete, self.delete_joined, self.merge if merges else self.delete),
        )

    def shot(self) -> tuple[str, str, Shot]:
        """A user, what kind of statement it is, and the statement."""
        user = self.random.choice(self.world.people)
        kind = self.random.choice(self.kinds)
        return user, kind.__name__, kind(user)

    def table(self) -> str:
        """Any table."""
        return self.random.choice(v2.TABLES)

    def a_filter(self, table: str, alias: str = "") -> str:
        """A condition on a table, which may well be true of everybody's rows."""
        text = self.random.choice((*FILTERS[table], "true"))
        return f"({text})" if not alias else f"({alias}.id is not null)"

    def any_row(self, table: str, user: str) -> str:
        """The id of a row: mostly somebody else's, at times one that is the user's to read."""
        rows = self.world.lists[table]
        if self.random.random() < 0.3:
            allowed = self.world.may_read(user)
            rows = [row for row in rows if self.world.owner[table][row] in allowed] or rows
        return self.random.choice(rows) if rows else NOBODY

    # Reading

    def select(self, user: str) -> Shot:
        """One table, some condition."""
        table = self.table()
        where = self.a_filter(table)
        return Shot(f"select id::text from {table} where {where}", (table,), exact=where)

    def count(self, user: str) -> Shot:
        """Ids by way of an aggregate and a whole row."""
        table = self.table()
        form = self.random.choice(
            (
                "select unnest(array_agg(id))::text from {0}",
                "select (t).id::text from (select t from {0} t) x",
                "select id::text from (table {0}) x",
                "select (jsonb_array_elements(jsonb_agg(to_jsonb(t))) ->> 'id') from {0} t",
            )
        )
        return Shot(form.format(table), (table,), exact="true")

    def joined(self, user: str) -> Shot:
        """Tables joined up or down the tree, inner or outer, by the key or by nothing."""
        child = self.random.choice(list(PARENTS))
        column, parent = PARENTS[child]
        kind = self.random.choice(("join", "left join", "right join", "full join"))
        on = f"p.id = c.{column}"
        if self.random.random() < 0.3:
            kind, on = "join", self.random.choice(("true", f"p.id <> c.{column}"))
        return Shot(
            f"select c.id::text, p.id::text from {child} c {kind} {parent} p on {on} "
            f"where c.id is null or {self.a_filter(child, 'c')} limit 500",
            (child, parent),
        )

    def tricky(self, user: str) -> Shot:
        """Conditions that try to look at rows before the policies do, and forms that are seldom thought of."""
        table = self.table()
        other = self.table()
        form = self.random.choice(
            (
                f"select id::text from {table} where (case when id::text ~ 'a' then 1 else 0 end) = 1",
                f"with x as materialized (select * from {table}) select id::text from x",
                f"select a.id::text from {table} a where exists (select from {other} b where b.id::text <> a.id::text)",
                f"select id::text from {table} union all select id::text from {table}",
                f"select x.id::text from {other} o, lateral (select t.id from {table} t limit 3) x limit 300",
                f"select id::text from {table} tablesample bernoulli (90) repeatable (7)",
                f"select id::text from {table} where id::text = any (select id::text from {table})",
                f"select id::text from {table} order by id offset 1 limit 200",
                f"select id::text from {table} where id = '{self.any_row(table, user)}'",
                f"select id::text from {table} where id = '{self.any_row(table, user)}' for update",
            )
        )
        if table == v2.PLANS and self.random.random() < 0.5:
            # The error would tell what is in a row that must not be seen.
            form = "select id::text from workout_plans where name::integer > 0"
        return Shot(form, (table,))

    def view(self, user: str) -> Shot:
        """By way of views that were written for v1, of the compatibility schema, and of v1's kept tables."""
        name, table = self.random.choice(
            (
                ("active_plans", v2.PLANS),
                *((f"workout_v1_compat.{table}", table) for table in v2.V1_BASES),
                *((f"{table}_v1", table) for table in v2.V1_BASES),
            )
        )
        return Shot(f"select id::text from {name}", (table,))

    def function(self, user: str) -> Shot:
        """The helpers and the analytics, about anybody."""
        athlete, plan = self.random.choice(self.world.people), self.any_row(v2.PLANS, user)
        form, table = self.random.choice(
            (
                ("select workout_my_plans()::text", v2.PLANS),
                ("select workout_my_weeks()::text", v2.WEEKS),
                ("select workout_my_days()::text", v2.DAYS),
                ("select workout_my_sessions()::text", v2.SESSIONS),
                ("select workout_readable_sessions()::text", v2.SESSIONS),
                (f"select '{plan}' where calculate_plan_volume('{plan}') > 0", v2.PLANS),
                (f"select exercise_id::text from detect_prs('{athlete}', 'Bench Press')", v2.EXERCISES),
                (
                    f"select '{athlete}' where exists (select from get_muscle_group_volume('{athlete}', "
                    "'2020-01-01', '2030-01-01'))",
                    "athlete",
                ),
            )
        )
        return Shot(form, (table,))

    # Writing

    def update(self, user: str) -> Shot:
        """A harmless change, to whatever it reaches."""
        table = self.table()
        returning = " returning id::text" if self.random.random() < 0.5 else ""
        sql = f"update {table} set {HARMLESS[table]} where {self.a_filter(table)}{returning}"
        return Shot(sql, (table,) if returning else ())

    def move(self, user: str) -> Shot:
        """A row under somebody else's parent, or somebody else's row under one's own."""
        table = self.random.choice(list(PARENTS))
        column, parent = PARENTS[table]
        where = self.random.choice(("true", f"id = '{self.any_row(table, user)}'", self.a_filter(table)))
        target = self.random.choice(
            (f"'{self.any_row(parent, user)}'", f"(select id from {parent} order by id desc limit 1)")
        )
        return Shot(f"update {table} set {column} = {target} where {where}")

    def take_over(self, user: str) -> Shot:
        """Another owner for plans and sessions, one's own or somebody else's."""
        table = self.random.choice((v2.PLANS, v2.SESSIONS))
        target = self.random.choice((user, self.random.choice(self.world.people)))
        where = self.random.choice((f"id = '{self.any_row(table, user)}'", "true"))
        return Shot(f"update {table} set user_id = '{target}' where {where}")

    def _values(self, table: str, user: str, parent: str) -> tuple[str, str]:
        columns = {
            v2.PLANS: ("user_id, name, goal, total_weeks", f"'{user}', 'x', 'strength', 1"),
            v2.WEEKS: ("plan_id, week_number", f"'{parent}', {self.random.randint(53, 9999)}"),
            v2.DAYS: ("week_id, day_label", f"'{parent}', 'x'"),
            v2.GROUPS: ("day_id, type, order_index", f"'{parent}', 'circuit', 1"),
            v2.EXERCISES: ("day_id, name, muscle_group, sets, order_index", f"'{parent}', 'x', 'general', 1, 1"),
            v2.SESSIONS: ("user_id, started_at", f"'{user}', now()"),
            v2.LOGS: (
                "session_id, exercise_id, set_number, reps, weight",
                f"'{parent}', '{self.any_row(v2.EXERCISES, user)}', {self.random.randint(1000, 9999)}, 1, 1",
            ),
        }
        return columns[table]

    def insert(self, user: str) -> Shot:
        """A row under anybody's parent, in anybody's name."""
        table = self.table()
        parent = self.any_row(PARENTS[table][1], user) if table in PARENTS else ""
        columns, values = self._values(table, self.random.choice((user, self.random.choice(self.world.people))), parent)
        return Shot(f"insert into {table} ({columns}) values ({values})")

    def insert_copies(self, user: str) -> Shot:
        """What is seen elsewhere, put under one's own or under anybody's parent."""
        day = self.any_row(v2.DAYS, user)
        form = self.random.choice(
            (
                "insert into workout_weeks (plan_id, week_number) select id, 777 from workout_plans",
                "insert into workout_days (week_id, day_label) select id, 'x' from workout_weeks limit 50",
                "insert into exercises (day_id, name, muscle_group, sets, order_index) "
                f"select '{day}', name, muscle_group, sets, order_index from exercises limit 20",
                "insert into workout_sessions (user_id, started_at, notes) "
                f"select user_id, now(), name from workout_plans where user_id <> '{user}' limit 5",
                "insert into exercise_logs (session_id, exercise_id, set_number, reps, weight) "
                "select s.id, l.exercise_id, 4000 + l.set_number, l.reps, l.weight from exercise_logs l, "
                "(select id from workout_sessions limit 1) s limit 10 on conflict do nothing",
            )
        )
        return Shot(form)

    def upsert(self, user: str) -> Shot:
        """On conflict with somebody else's row."""
        table = self.table()
        parent = self.any_row(PARENTS[table][1], user) if table in PARENTS else ""
        columns, values = self._values(table, user, parent)
        owner = "user_id = excluded.user_id, " if table in (v2.PLANS, v2.SESSIONS) else ""
        return Shot(
            f"insert into {table} (id, {columns}) values ('{self.any_row(table, user)}', {values}) "
            f"on conflict (id) do update set {owner}{HARMLESS[table]}"
        )

    def delete(self, user: str) -> Shot:
        """Somebody's row, or all that are reached."""
        table = self.table()
        where = self.random.choice((f"id = '{self.any_row(table, user)}'", self.a_filter(table)))
        return Shot(f"delete from {table} where {where}", cascades=table in TREE)

    def delete_joined(self, user: str) -> Shot:
        """Rows reached by way of others."""
        child = self.random.choice(list(PARENTS))
        column, parent = PARENTS[child]
        return Shot(
            f"delete from {child} c using {parent} p where p.id {self.random.choice(('=', '<>'))} c.{column} "
            f"and {self.a_filter(child, 'c')}",
            cascades=child in TREE,
        )

    def merge(self, user: str) -> Shot:
        """Changes and deletes in one."""
        table = self.table()
        action = self.random.choice((f"update set {HARMLESS[table]}", "delete"))
        return Shot(
            f"merge into {table} t using (select '{self.any_row(table, user)}'::uuid as id union all "
            f"select id from {table} limit 20) s on s.id = t.id when matched then {action}",
            cascades=table in TREE and action == "delete",
        )
