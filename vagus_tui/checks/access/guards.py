"""Who may do what with a table, as the catalog says it: grants, and the policies' conditions as SQL.

PostgreSQL's own rules for putting policies together: of the permissive ones any must hold, of the restrictive ones
all; UPDATE and DELETE reach only rows that SELECT lets through; a table without row level security, its owner and
roles with BYPASSRLS are not held up at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vagus_tui.checks.access.matrix import COMMANDS
from vagus_tui.database.connection import Connection
from vagus_tui.schema import v2

LETTERS = {"select": "r", "insert": "a", "update": "w", "delete": "d"}

_RELATIONS = """
select c.relname::text as name, c.relrowsecurity as on_, r.rolname::text as role,
  c.relrowsecurity and not (r.rolsuper or r.rolbypassrls)
    and not (pg_has_role(r.oid, c.relowner, 'usage') and not c.relforcerowsecurity) as enforced,
  array(select k from unnest($3::text[]) k where has_schema_privilege(r.oid, n.oid, 'usage')
    and (has_table_privilege(r.oid, c.oid, k) or (k <> 'delete' and has_any_column_privilege(r.oid, c.oid, k))))
    as granted,
  array(select distinct a.attname::text from pg_policy p
    join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid
      and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid > 0
    join pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
    where p.polrelid = c.oid order by 1) as columns
from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join pg_roles r
where n.nspname = $1 and c.relname = any($2::text[]) and r.rolname = any($4::text[])
order by 1, 3
"""

_POLICIES = """
select c.relname::text as relation, p.polname::text as name, p.polcmd::text as command, p.polpermissive as permissive,
  array(select r.rolname::text from pg_roles r where r.rolname = any($3::text[]) and exists (
    select from unnest(p.polroles) x where x = 0 or pg_has_role(r.oid, x, 'usage'))) as roles,
  pg_get_expr(p.polqual, p.polrelid) as reads, pg_get_expr(p.polwithcheck, p.polrelid) as writes
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relname = any($2::text[]) order by 1, 2
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. `command` is pg_policy's letter, * for all; conditions are SQL with every name qualified."""

    name: str
    command: str
    permissive: bool
    roles: frozenset[str]
    reads: str | None
    writes: str | None

    @property
    def text(self) -> str:
        """The policy as it would be written, but for the roles' names."""
        words = {letter: word for word, letter in LETTERS.items()} | {"*": "all"}
        kind = "" if self.permissive else " as restrictive"
        reads = f"\n  using {self.reads}" if self.reads else ""
        writes = f"\n  with check {self.writes}" if self.writes else ""
        return f"“{self.name}”{kind} for {words[self.command]}{reads}{writes}"


@dataclass(frozen=True, slots=True)
class Guard:
    """What stands between the API roles and one table.

    Attributes:
        enforced: the roles that row level security holds for.
        granted: (role, command) pairs that grants allow.
        columns: the table's columns that its policies look at.
    """

    relation: str
    enabled: bool
    enforced: frozenset[str]
    granted: frozenset[tuple[str, str]]
    columns: tuple[str, ...]
    policies: tuple[Policy, ...]

    def for_command(self, role: str, command: str) -> list[Policy]:
        """The policies that bear on a role's command."""
        letters = ("*", LETTERS[command])
        return [policy for policy in self.policies if policy.command in letters and role in policy.roles]

    def gaps(self) -> list[str]:
        """Why policies do not decide about the table: they are not asked, or a command of signed-in users has none."""
        if not self.enabled:
            return [f"{self.relation}: row level security is off, so no policy is asked"]
        without = [
            command
            for command in COMMANDS
            if not any(policy.permissive for policy in self.for_command("authenticated", command))
        ]
        return [f"{self.relation}: no policy for {', '.join(without)}"] if without else []

    def condition(self, role: str, command: str, flags: dict[str, str], prefix: str) -> str:
        """Whether a role may do the command with a row, as a condition over flags.

        Args:
            flags: the policies' conditions met so far, each with the name of the flag that holds its outcome; new
                ones are added, so that every condition is worked out once per row however many commands share it.
            prefix: what new flags' names begin with.
        """
        if (role, command) not in self.granted:
            return "false"
        if role not in self.enforced:
            return "true"

        def flag(text: str) -> str:
            return f"coalesce({flags.setdefault(text, f'{prefix}{len(flags)}')}, false)"

        def together(word: str, *, write: bool) -> str:
            found = [
                (policy.permissive, (policy.writes or policy.reads) if write else policy.reads)
                for policy in self.for_command(role, word)
            ]
            open_ = [flag(text) for permissive, text in found if permissive and text]
            held = [flag(text) for permissive, text in found if not permissive and text]
            return " and ".join([f"({' or '.join(open_)})", *held]) if open_ else "false"

        if command == "insert":
            return together("insert", write=True)
        parts = [together("select", write=False)]
        if command != "select":
            parts.append(together(command, write=False))
        if command == "update":
            parts.append(together("update", write=True))
        return " and ".join(dict.fromkeys(parts))


async def read_guards(connection: Connection, schema: str, names: Iterable[str]) -> Mapping[str, Guard]:
    """The guards of tables, by name. Must run with an empty search_path, so that conditions name everything in full."""
    wanted = list(names)
    roles = list(v2.API_ROLES)
    policies: dict[str, list[Policy]] = {}
    for row in await connection.fetch(_POLICIES, schema, wanted, roles):
        policies.setdefault(row["relation"], []).append(
            Policy(row["name"], row["command"], row["permissive"], frozenset(row["roles"]), row["reads"], row["writes"])
        )
    guards: dict[str, Guard] = {}
    rows = await connection.fetch(_RELATIONS, schema, wanted, list(COMMANDS), roles)
    for name in {row["name"]: None for row in rows}:
        own = [row for row in rows if row["name"] == name]
        guards[name] = Guard(
            relation=name,
            enabled=own[0]["on_"],
            enforced=frozenset(row["role"] for row in own if row["enforced"]),
            granted=frozenset((row["role"], command) for row in own for command in row["granted"]),
            columns=tuple(own[0]["columns"]),
            policies=tuple(policies.get(name, ())),
        )
    return guards
