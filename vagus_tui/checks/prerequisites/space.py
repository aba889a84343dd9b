"""Space: on the operator's disk for the backup, in the server for v2 beside v1."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vagus_tui.backup.folder import RESERVE_BYTES
from vagus_tui.checks.base import Check, Context, Group, Outcome
from vagus_tui.events import Status
from vagus_tui.format import size
from vagus_tui.schema import v1

TECHNICAL = "Pre-Migration Checklist · Technical Prerequisites"
PREPARATION = "Pre-Migration Checklist · Environment Preparation"
GUIDE_MINIMUM = 500_000_000
"""The guide's flat figure, in bytes: below it a backup that fits is still worth a second look."""
DUMP_SHARE = 0.6
"""A compressed dump, of the tables' size without indexes: generous, most data compresses to a third."""
CSV_SHARE = 1.2
BUILD_SHARE = 2.5
"""v2 with its weeks, days and indexes, and the log of writing it, of v1's size with indexes."""
LARGE_BUILD = 1_000_000_000
LARGE_TABLES = 10_000_000_000
"""Bytes from which nobody should guess how long build and backup take."""

_SIZES = """
select coalesce(sum(pg_table_size(c.oid)), 0)::bigint as everything,
  coalesce(sum(pg_table_size(c.oid)) filter (where n.nspname = 'public' and c.relname = any($1::text[])), 0)::bigint
    as workout,
  coalesce(sum(pg_total_relation_size(c.oid)) filter (where n.nspname = 'public' and c.relname = any($1::text[])), 0)
    ::bigint as workout_with_indexes
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_'
"""

_TABLES = """
select c.oid::regclass::text as table_name, pg_size_pretty(pg_total_relation_size(c.oid)) as total,
  pg_size_pretty(pg_table_size(c.oid)) as data, pg_size_pretty(pg_indexes_size(c.oid)) as indexes,
  greatest(c.reltuples, 0)::bigint as rows_estimated
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relkind in ('r', 'm')
"""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes: all tables without indexes, the workout tables without, and those with indexes."""

    everything: int
    workout: int
    workout_with_indexes: int

    @property
    def backup(self) -> int:
        """What the dumps and the CSV files will need at most."""
        return int(DUMP_SHARE * (self.everything + self.workout) + CSV_SHARE * self.workout)


async def read_sizes(context: Context) -> Sizes:
    """The sizes in one query."""
    shape = context.state.shape
    tables = [table.name for table in shape.tables.values()] if shape else list(v1.TABLES)
    row = await context.connection.fetchrow(_SIZES, tables)
    assert row is not None
    return Sizes(**dict(row))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def unwritable(folder: Path) -> str | None:
    """Why no files can be written into a folder (or made with it), or None; leaves nothing behind."""
    try:
        existing = _existing(folder)
    except OSError as error:
        return f"{folder} cannot be reached: {error.strerror or 'refused'}."
    if not existing.is_dir():
        return f"{existing} is not a folder."
    if existing != folder:
        if not os.access(existing, os.W_OK | os.X_OK):
            return f"{folder} is not there and cannot be made in {existing}."
        return None
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".vagus-"):
            return None
    except OSError as error:
        return f"Nothing can be written to {folder}: {error.strerror or 'refused'}."


def free_bytes(folder: Path) -> int:
    """Free space where a folder is, or will be."""
    return shutil.disk_usage(_existing(folder)).free


async def _disk_space(context: Context) -> Outcome:
    folder = context.settings.backup_dir
    backup = (await read_sizes(context)).backup
    needed = backup + RESERVE_BYTES
    expected = f"≥ {size(needed)}"
    if reason := await asyncio.to_thread(unwritable, folder):
        return Outcome(Status.FAIL, "not writable", f"{reason} Set VAGUS_BACKUP_DIR.", expected=expected)
    free = await asyncio.to_thread(free_bytes, folder)
    where = f"In {folder}, for dumps and CSV files of about {size(backup)} at most, and {size(RESERVE_BYTES)} to spare."
    if free < needed:
        return Outcome(
            Status.FAIL, size(free), f"{where} Make room, or set VAGUS_BACKUP_DIR to another disk.", expected=expected
        )
    if free < GUIDE_MINIMUM:
        return Outcome(
            Status.WARN, size(free), f"{where} It fits; the guide asks for 500 MB all the same.", expected=expected
        )
    return Outcome(Status.PASS, size(free), where, expected=expected)


async def _server_space(context: Context) -> Outcome:
    sizes = await read_sizes(context)
    needed = int(BUILD_SHARE * sizes.workout_with_indexes)
    text = (
        f"v1 takes {size(sizes.workout_with_indexes)} and stays; v2 and the log of writing it need about as much as "
        "shown. How much is free is not visible from here: look at the project's disk in the dashboard."
    )
    if needed >= LARGE_BUILD:
        return Outcome(Status.WARN, f"about {size(needed)}", text)
    return Outcome(Status.PASS, f"about {size(needed)}", text)


async def _table_sizes(context: Context) -> Outcome:
    sizes = await read_sizes(context)
    text = f"The workout tables, with their indexes; all tables without indexes: {size(sizes.everything)}."
    if sizes.workout_with_indexes >= LARGE_TABLES:
        return Outcome(
            Status.WARN,
            size(sizes.workout_with_indexes),
            f"{text} Build and backup will take long: rehearse on a restored backup before setting a time.",
        )
    return Outcome(Status.PASS, size(sizes.workout_with_indexes), text)


CHECKS = (
    Check(
        id="disk-space",
        group=Group.PREREQUISITES,
        title="Space for the backup",
        why="A dump that runs out of space is no backup. What is needed is estimated from the tables; 500 MB, as the "
        "guide has it, may be far too little.",
        expected="enough room",
        probe=_disk_space,
        guide=TECHNICAL,
        sql=lambda _: _SIZES.strip(),
    ),
    Check(
        id="server-space",
        group=Group.PREREQUISITES,
        title="Space in the server",
        why="v2 is built beside v1, which is kept. A Supabase project whose disk is full becomes read-only.",
        expected="to be free",
        probe=_server_space,
        sql=lambda _: _SIZES.strip(),
    ),
    Check(
        id="table-sizes",
        group=Group.PREREQUISITES,
        title="Table sizes",
        why="They decide how long the build and the backup take.",
        expected="under 10 GB",
        probe=_table_sizes,
        guide=PREPARATION,
        sql=lambda _: _TABLES.strip(),
        rows_sql=lambda _: _TABLES,
    ),
)
