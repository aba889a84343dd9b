"""Programs on the operator's machine: pg_dump and pg_restore, and the Supabase command line."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path

from vagus_tui.backup.tables import MANAGED_SCHEMAS
from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.database.tls import link_security
from vagus_tui.database.tools import MissingTools, find_tools, install_hint
from vagus_tui.events import Status
from vagus_tui.format import plural

TECHNICAL = "Pre-Migration Checklist · Technical Prerequisites"
CLI_TIMEOUT_SECONDS = 20

_LZ4 = """
select pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname)
from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
where a.attcompression = 'l' and not a.attisdropped and c.relkind in ('r', 'p', 'm')
  and n.nspname <> all($1::text[]) and n.nspname !~ '^pg_' order by 1
"""
"""Columns that were told to be compressed with it. The PostgreSQL that comes along was built without."""


async def _pg_dump(context: Context) -> Outcome:
    number = int(await context.connection.fetchval("select current_setting('server_version_num')"))
    server = major, _ = divmod(number, 10000)
    encrypted = link_security(context.connection).encrypted
    found = await asyncio.to_thread(find_tools, major, encrypted)
    if isinstance(found, MissingTools):
        return Outcome(
            Status.FAIL,
            "none that fits",
            f"{found.reason} Install {found.package}. Until then, the CSV backup works without it.",
            expected=f"{major} or later",
        )
    detail = (str(found.pg_dump), str(found.pg_restore))
    if found.version < server:
        release = ".".join(map(str, server))
        return Outcome(
            Status.WARN,
            found.version_text,
            f"{found.reason} The server is {release}: what it keeps for itself may go into the dump, and "
            f"earlier servers do not take that back. Update {install_hint(major)}.",
            detail=detail,
            expected=f"{release} or later",
        )
    if columns := [row[0] for row in await context.connection.fetch(_LZ4, list(MANAGED_SCHEMAS))]:
        told = plural(len(columns), "column is", "columns are")
        return Outcome(
            Status.WARN,
            f"{len(columns)} with lz4",
            f"{told} set to be compressed with lz4, such as {columns[0]}. A backup takes them, but the PostgreSQL that "
            "restore tests and rehearsals use here does not: there will be neither. alter table … alter … set "
            "compression default lets it; what is stored stays as it is.",
            detail=(*detail, *columns),
            expected="none",
        )
    return Outcome(Status.PASS, found.version_text, found.reason, detail=detail, expected=f"{major} or later")


def cli_program(app_dir: Path | None) -> Path | None:
    """The Supabase command line: on PATH, else as an npm package of the app's checkout or of this folder."""
    if (found := shutil.which("supabase")) is not None:
        return Path(found)
    for folder in (app_dir, Path.cwd()):
        program = folder / "node_modules" / ".bin" / "supabase" if folder else None
        if program is not None and os.access(program, os.X_OK):
            return program
    return None


def cli_version(program: Path) -> str | None:
    """What it says its version is; None when it does not run or says nothing of the kind."""
    try:
        done = subprocess.run(
            [str(program), "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=CLI_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"\d+\.\d+\.\d+\S*", done.stdout)
    return found.group() if found and done.returncode == 0 else None


async def _supabase_cli(context: Context) -> Outcome:
    program = await asyncio.to_thread(cli_program, context.settings.app_dir)
    if program is None:
        return Outcome(
            Status.WARN,
            "not found",
            "Nothing here needs it; the guide's other steps do. Install it with: npm install -g supabase",
        )
    version = await asyncio.to_thread(cli_version, program)
    if version is None:
        return Outcome(Status.WARN, "does not run", f"{program} is there, but does not say its version.")
    return Outcome(Status.PASS, version, str(program))


CHECKS = (
    Check(
        id="pg-dump",
        group=Group.PREREQUISITES,
        title="pg_dump and pg_restore",
        why="A dump is only as good as the program that made it: it must not be older than the server, and must speak "
        "TLS where the server is reached through it.",
        expected="not older",
        probe=_pg_dump,
        guide="Backup Procedures",
    ),
    Check(
        id="supabase-cli",
        group=Group.PREREQUISITES,
        title="Supabase CLI",
        why="The guide lists it. The migration itself does without.",
        expected="installed",
        probe=_supabase_cli,
        guide=TECHNICAL,
    ),
)
