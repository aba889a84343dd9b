"""What a demo works on: an embedded database with its made-up users, from its start to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import SecretStr

from vagus_tui.settings import Settings

if TYPE_CHECKING:
    from vagus_tui.sandbox import Sandbox, SandboxOptions
    from vagus_tui.sandbox.traffic import Traffic


class Demo:
    """The embedded database and its users.

    Args:
        options: how it is filled.
        traffic_rate: let made-up users work on it, so many requests per second; None for nobody.

    Attributes:
        lines: what its start has told so far.
        sandbox: the database, once it has started.
    """

    def __init__(self, options: SandboxOptions, traffic_rate: float | None = None) -> None:
        self.lines: list[str] = []
        self.sandbox: Sandbox | None = None
        self._options = options
        self._rate = traffic_rate
        self._traffic: Traffic | None = None

    async def start(self, settings: Settings, news: Callable[[], object]) -> Settings:
        """Start the database.

        Args:
            news: called when there is another line.

        Returns:
            The settings with which it is worked on.

        Raises:
            VagusError: it cannot start here; says why.
        """
        from vagus_tui.sandbox import start_sandbox

        def tell(line: str) -> None:
            self.lines.append(line)
            news()

        self.sandbox = await start_sandbox(self._options, tell)
        # The sandbox is thrown away, and its backups with it: none of them belongs among those of a real database, or
        # into the bucket where those are copied to. A copy of its journal would be of nothing.
        values = {
            "database_url": SecretStr(self.sandbox.url),
            "ssl_root_cert": None,
            "journal_dir": None,
            "backup_dir": self.sandbox.server.folder / "backups",
            "upload_url": "",
        }
        return settings.model_copy(update=values)

    async def let_users_work(self) -> None:
        """Put the made-up users to work, where some are wanted."""
        from vagus_tui.sandbox.traffic import Traffic

        if self._rate and self.sandbox is not None:
            self._traffic = Traffic(self.sandbox.authenticator_url, self._rate)
            await self._traffic.start()

    async def stop(self) -> None:
        """Stop the users, then the database."""
        try:
            if self._traffic is not None:
                await self._traffic.stop()
        finally:
            if self.sandbox is not None:
                await self.sandbox.stop()
