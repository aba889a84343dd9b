"""Keeping what a rehearsal measured: beside the backup, and in the journal of the database that the backup is of."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import asyncpg

from vagus_tui.backup.folder import REHEARSAL
from vagus_tui.backup.forecast import TOPIC, Forecast
from vagus_tui.backup.identity import read_fingerprint
from vagus_tui.backup.manifest import Manifest
from vagus_tui.checks.selftest import SelfTest, keep_self_test
from vagus_tui.database.connection import Database
from vagus_tui.errors import VagusError, account
from vagus_tui.journal import decisions, store
from vagus_tui.settings import Settings


class RealDatabase:
    """The database that the settings name, as far as a rehearsal has to do with it: read first, told at the end.

    Attributes:
        overrides: checks that may pass there by name; they may pass in the rehearsal too.
        note: why nothing can be kept in its journal, or "".
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.overrides: Mapping[str, decisions.Override] = {}
        self.note = ""

    async def look(self, manifest: Manifest) -> None:
        """Read its overrides, if it can be reached and is the one that the backup is of."""
        if self.settings.database_url is None:
            self.note = "No database address is set: the figures are kept beside the backup only."
            return
        try:
            database = Database(self.settings)
            async with database.connection("rehearsal") as connection:
                found = await read_fingerprint(connection, database.label)
                if not manifest.fingerprint.same_database(found):
                    self.note = (
                        "The backup is of another database than the settings name: "
                        "the figures are kept beside the backup only."
                    )
                    return
                self.overrides = await decisions.overrides(connection)
        except (VagusError, asyncpg.PostgresError) as error:
            self.note = (
                f"The real database cannot be asked: the figures are kept beside the backup only. {account(error)}"
            )

    async def keep(self, forecast: Forecast) -> str:
        """Write the forecast into its journal; returns why that was not possible, or ""."""
        if self.note:
            return ""
        try:
            async with Database(self.settings).connection("rehearsal") as connection:
                await store.note(connection, TOPIC, forecast.model_dump(mode="json"), operator=self.settings.operator)
        except (VagusError, asyncpg.PostgresError) as error:
            return (
                "The rehearsal could not be written into the journal: its figures lie beside the backup. "
                f"{account(error)}"
            )
        return ""

    async def keep_self_test(self, found: SelfTest) -> None:
        """Write into its journal how the checks were tested; where that is not possible the next one will be."""
        if not self.note:
            with contextlib.suppress(VagusError, asyncpg.PostgresError):
                async with Database(self.settings).connection("rehearsal") as connection:
                    await keep_self_test(connection, replace(found, where="in a rehearsal"))


def write_forecast(folder: Path, forecast: Forecast) -> None:
    """Put the forecast beside the manifest, whole or not at all.

    Raises:
        OSError: it cannot be written there.
    """
    part = folder / f".{REHEARSAL}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(forecast.model_dump_json(indent=1) + "\n")
    part.replace(folder / REHEARSAL)


async def keep_forecast(folder: Path, forecast: Forecast, real: RealDatabase) -> list[str]:
    """Keep a forecast in both places; returns what did not work, in words."""
    notes = []
    try:
        await asyncio.to_thread(write_forecast, folder, forecast)
    except OSError as error:
        notes.append(f"The figures could not be kept beside the backup: {error.strerror or 'no access'}.")
    if note := await real.keep(forecast):
        notes.append(note)
    return notes
