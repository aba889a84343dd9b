"""The statements that measure access: one per table for one person, all commands at once, in a block for many people.

What counts, since nobody may lose and nobody may gain:

- v1's access is what v1's own policies give, as they were found. They stay on the kept `*_v1` tables, and are read
  from there; nothing has to be opened for it. Weeks, days and groups had no tables in v1: theirs is the plan's.
- v2's access is what the policies in force on v2 give.
- v2's rules promise the owner everything from the plan down, an active coach the same for the client's plans and the
  reading of sessions and logs, and nobody else anything; all of it within the grants that v1's tables had.
- **lost**: v1 gave it, or v2's rules promise it, and v2 does not give it. **gained**: v2 gives it, and neither did v1
  nor do the rules promise it. Both are failures. **By design**: v1 did not give it, and v2 does, as promised.
- Whose a row is, is what v1 said, so that an exercise that strayed to another user's plan is lost to the one and
  gained by the other. Rows written since the cut-over are held against the rules alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vagus_tui.checks.access.classes import COACHES, INNER, class_table, v1_base
from vagus_tui.checks.access.guards import Guard
from vagus_tui.checks.access.matrix import COMMANDS, Person
from vagus_tui.schema import v2
from vagus_tui.schema.identifiers import literal, quote

FOUND = "pg_temp.vagus_access_found"
LISTED_IDS = 50
STATEMENT_MS = 600_000
SETTINGS = "set local search_path = public, extensions; set local jit = off; set local work_mem = '64MB'"
"""The path is the one that the API sets: functions behind policies may rely on it."""

_INNER = ", ".join(INNER)

COACH_WRITES = frozenset({v2.PLANS, v2.WEEKS, v2.DAYS, v2.GROUPS, v2.EXERCISES})
"""The tables that v2's rules let a client's coach write; sessions and logs they read."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What a measurement stands on: the guards of both sides, by table of v1 (its v1 name) and of v2."""

    old: Mapping[str, Guard]
    new: Mapping[str, Guard]

    @property
    def compared(self) -> bool:
        """Whether v1 is still there."""
        return bool(self.old)

    def old_for(self, table: str) -> Guard | None:
        """The guard of the v1 table that a v2 table is compared with."""
        return self.old.get(v1_base(table))


def _promise(table: str, role: str, command: str, ground: Ground) -> str:
    """What v2's rules promise, as a condition: the owner's, the coach's, nobody's; within what v1 granted."""
    like = ground.old.get(v2.MODEL[table].grants_like) or ground.new[table]
    if (role, command) not in like.granted or role == "anon":
        return "false"
    if role == "service_role":
        return "true"
    if command == "select" or table in COACH_WRITES:
        return "(own or coached)"
    return "own"


def evaluation(table: str, role: str, ground: Ground, *, v1_gives: bool = True, v2_gives: bool = True) -> str:
    """The statement that measures one table for the person in `v_person`, all commands at once.

    Args:
        v1_gives, v2_gives: whether that side's policies can be asked at all; where they cannot, it gives no row.
    """
    old, new = ground.old_for(table) if v1_gives else None, ground.new[table]
    old_flags: dict[str, str] = {}
    new_flags: dict[str, str] = {}
    kept = {
        command: (
            "false" if old is None else old.condition(role, command, old_flags, "f_o"),
            new.condition(role, command, new_flags, "f_t") if v2_gives else "false",
            _promise(table, role, command, ground),
        )
        for command in COMMANDS
    }
    body = f"select c.* from {class_table(table)} c"
    if old is not None:
        body = _asked_v1(body, old, new, old_flags)
    return _counted(table, kept, _asked_v2(body, new, old_flags, new_flags))


def _asked_v1(rows: str, old: Guard, new: Guard, flags: Mapping[str, str]) -> str:
    """One step per side: under the table's own name, with the columns its policies look at under their own names."""
    columns = "".join(f", c.o_{number} as {quote(name)}" for number, name in enumerate(old.columns))
    later = "".join(f", c.t_{number}" for number in range(len(new.columns)))
    through = "".join(f", t_{number}" for number in range(len(new.columns)))
    return (
        f"select {_INNER}{through}{_named(flags)}\n"
        f"from (select {_INNER}{later}{columns} from ({rows}) c) as {quote(old.relation)} offset 0"
    )


def _asked_v2(rows: str, new: Guard, old_flags: Mapping[str, str], flags: Mapping[str, str]) -> str:
    """The same for v2, where it is also known whose a row is and who coaches them."""
    columns = "".join(f", c.t_{number} as {quote(name)}" for number, name in enumerate(new.columns))
    through = "".join(f", {name}" for name in old_flags.values())
    return (
        f"select {_INNER}{through}{_named(flags)},\n  coalesce(vagus_owner = v_person, false) as own,\n"
        f"  coalesce(vagus_owner in (select k.client from {COACHES} k where k.coach = v_person and k.active), false)\n"
        "    as coached\n"
        f"from (select {_INNER}{through}{columns} from (\n{rows}\n) c) as {quote(new.relation)} offset 0"
    )


def _named(flags: Mapping[str, str]) -> str:
    """Conditions as columns, each worked out once."""
    return "".join(f", {text} as {name}" for text, name in flags.items())


def _counted(table: str, kept: Mapping[str, tuple[str, str, str]], body: str) -> str:
    """The counts per command, from what v1 gave, v2 gives and the rules promise of each row."""
    reach = {text for texts in kept.values() for text in texts}
    judged = ",\n  ".join(
        f"('{command}', x.vagus_before and ({was}), x.vagus_now and ({now}), {meant})"
        for command, (was, now, meant) in kept.items()
    )
    return (
        f"insert into {FOUND}\n"
        f"select v_person, {literal(table).strip()}, w.command,\n"
        "  coalesce(sum(j.n) filter (where j.had), 0), coalesce(sum(j.n) filter (where j.had and j.compared), 0),\n"
        "  coalesce(sum(j.n) filter (where j.has), 0), coalesce(sum(j.n) filter (where j.has and not j.compared), 0),\n"
        "  coalesce(sum(j.n) filter (where j.lost), 0), coalesce(sum(j.n) filter (where j.gained), 0),\n"
        "  coalesce(sum(j.n) filter (where j.compared and j.has and not j.had and j.meant), 0),\n"
        f"  (array_agg(j.id order by j.id) filter (where j.lost))[1:{LISTED_IDS}],\n"
        f"  (array_agg(j.id order by j.id) filter (where j.gained))[1:{LISTED_IDS}]\n"
        # A table without rows has its line of zeros too.
        f"from (values {', '.join(f'({literal(name).strip()})' for name in COMMANDS)}) w (command) left join (\n"
        "  select k.command, x.vagus_rows as n, x.vagus_id as id, k.had, k.has, k.meant,\n"
        "    x.vagus_before and not x.vagus_since as compared,\n"
        "    not k.has and (k.had and not x.vagus_since or k.meant and x.vagus_now) as lost,\n"
        "    k.has and not k.meant and (not k.had or x.vagus_since) as gained\n"
        # Most rows are out of everybody's reach but their owner's: those go before they are counted four times.
        f"  from (select * from (\n{body}\n) x where {' or '.join(f'({text})' for text in sorted(reach))}) x\n"
        f"  cross join lateral (values\n  {judged}\n) k (command, had, has, meant)\n"
        ") j on j.command = w.command group by w.command"
    )


def _tried(table: str, role: str, ground: Ground) -> str:
    """The statement for one table; a side whose policies read what the role may not read gives it nothing.

    The role's own SELECT would fail with the same error, and its user would see no row.
    """
    ways = ((True, True), (False, True), (True, False), (False, False))
    text = ""
    for v1_gives, v2_gives in reversed(ways):
        statement = evaluation(table, role, ground, v1_gives=v1_gives, v2_gives=v2_gives)
        otherwise = f"\n    exception when insufficient_privilege then\n{text}" if text else ""
        text = f"    begin\n{statement};{otherwise}\n    end;"
    return text


def block(role: str, persons: Sequence[Person], ground: Ground) -> str:
    """One DO block: every person in turn, as their role and with their claims, every table."""
    listed = ", ".join(literal(person.id).strip() for person in persons)
    statements = "\n".join(_tried(table, role, ground) for table in ground.new)
    # A role without a user has no sub in its claims; its rows are kept under the role's name.
    user = "''" if persons[0].user_id is None else "v_person"
    claims = f"json_strip_nulls(json_build_object('role', {literal(role).strip()}, 'sub', nullif({user}, '')))::text"
    body = (
        "declare\n  v_person text;\nbegin\n"
        f"  set local role {quote(role)};\n"
        f"  foreach v_person in array array[{listed}]::text[] loop\n"
        f"    perform set_config('request.jwt.claim.sub', {user}, true), "
        f"set_config('request.jwt.claim.role', {literal(role).strip()}, true),\n"
        f"      set_config('request.jwt.claims', {claims}, true);\n"
        f"{statements}\n"
        "  end loop;\nend"
    )
    return f"do {literal(body)}"
