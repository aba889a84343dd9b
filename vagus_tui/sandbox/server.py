"""An embedded PostgreSQL with the Supabase roles: for the sandbox, for tests and for trying out a restore."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from vagus_tui.database.identifiers import literal
from vagus_tui.database.identifiers import quote as quote_name
from vagus_tui.sandbox import binaries, template
from vagus_tui.sandbox.leftovers import remove_leftovers
from vagus_tui.sandbox.process import ServerProcess, find_place
from vagus_tui.sandbox.scram import verifier
from vagus_tui.sandbox.template import ADMIN, run_script

OPERATOR = "postgres"
AUTHENTICATOR = "authenticator"
LOGIN_ROLES = (ADMIN, OPERATOR, AUTHENTICATOR, "supabase_auth_admin")


class EmbeddedServer:
    """A running embedded PostgreSQL whose login roles have random passwords.

    Attributes:
        host, port: where it listens (TCP, this machine only).
        passwords: by role. Secret.
    """

    host = "127.0.0.1"

    def __init__(self, process: ServerProcess, passwords: Mapping[str, str]) -> None:
        self._process = process
        self.passwords = passwords

    @property
    def port(self) -> int:
        return self._process.port

    @property
    def socket_dir(self) -> Path:
        """The folder of its unix socket."""
        return self.folder

    @property
    def folder(self) -> Path:
        """Its own folder in the temp folder; gone after `stop()` unless it was started with `keep`."""
        return self._process.place.folder

    @property
    def data_dir(self) -> Path:
        """Its data; gone after `stop()` unless it was started with `keep`."""
        return self._process.place.data_dir

    @property
    def log_file(self) -> Path:
        return self._process.log_file

    @property
    def running(self) -> bool:
        """Whether it takes connections."""
        return self._process.ready

    def url(self, role: str = OPERATOR, database: str = "postgres") -> str:
        """The address, password included, under which `role` reaches `database`."""
        password = quote(self.passwords[role], safe="")
        return f"postgresql://{role}:{password}@{self.host}:{self.port}/{quote(database, safe='')}"

    def admin_url(self, database: str = "postgres") -> str:
        """The superuser's address of `database`."""
        return self.url(ADMIN, database)

    @classmethod
    async def start(
        cls,
        data_dir: Path | None = None,
        *,
        keep: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> EmbeddedServer:
        """Start a server on a copy of the cached cluster; under a second when the cache is warm.

        Args:
            data_dir: where the data goes, if it needs a roomier place than the temp folder; new or empty.
            keep: leave the files behind at the end.
            settings: further postgresql.conf settings.

        Raises:
            SandboxError: it did not start; the message holds the end of the server's log.
        """
        start = asyncio.create_task(asyncio.to_thread(cls.start_blocking, data_dir, keep=keep, settings=settings))
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            # The thread cannot be interrupted; what it started must not stay.
            server = await start
            await server.stop()
            raise

    @classmethod
    def start_blocking(
        cls,
        data_dir: Path | None = None,
        *,
        keep: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> EmbeddedServer:
        """`start()` for callers without an event loop."""
        remove_leftovers()
        cluster = template.cached_cluster()
        process = ServerProcess(find_place(binaries.private_user(), data_dir, keep=keep), keep=keep)
        try:
            cluster.copy_to(process.place.data_dir)
            process.launch(settings or {})
            return cls(process, _fresh_passwords(process, cluster.password))
        except BaseException:
            process.keep = False
            process.stop()
            raise

    async def stop(self) -> None:
        """Shut down and, unless kept, remove the files. Safe to call twice."""
        await asyncio.to_thread(self.stop_blocking)

    def stop_blocking(self) -> None:
        """`stop()` for callers without an event loop."""
        self._process.stop()


def _fresh_passwords(process: ServerProcess, bootstrap: str) -> dict[str, str]:
    """Give every login role a new random password, in place of the cached cluster's one."""
    fresh = {role: secrets.token_urlsafe(18) for role in LOGIN_ROLES}
    script = "; ".join(
        f"ALTER ROLE {quote_name(role)} PASSWORD {literal(verifier(password))}" for role, password in fresh.items()
    )
    run_script(process, bootstrap, script)
    return fresh
