"""A real PgBouncer in front of a test database."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from tests.checks.tls_proxy import FOLDER

_STRICT = (
    "auth_type = scram-sha-256\nauth_file = {folder}/users\nclient_tls_sslmode = require\n"
    "client_tls_key_file = {folder}/server.key\nclient_tls_cert_file = {folder}/server.pem\n"
)


def find_pgbouncer() -> str | None:
    """Where the program is, or None."""
    return shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True, slots=True)
class PgBouncer:
    """A running pooler. `url` goes through it."""

    url: str
    folder: Path
    process: subprocess.Popen[bytes]

    @classmethod
    async def start(cls, server_url: str, mode: str, *, strict: bool = False) -> PgBouncer:
        """Start one with a pool mode: session or transaction. A strict one asks for TLS and the password."""
        program = find_pgbouncer()
        assert program is not None
        parts = urlsplit(server_url)
        name = parts.path.lstrip("/")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        folder = Path(tempfile.mkdtemp(prefix="vagus-pgbouncer-"))
        secret = unquote(parts.password or "")
        (folder / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"{name} = host={parts.hostname} port={parts.port} dbname={name} user={parts.username} password={secret}\n"
            "[pgbouncer]\nlisten_addr = 127.0.0.1\nunix_socket_dir =\n"
            + (_STRICT.format(folder=folder) if strict else "auth_type = any\n")
            + f"listen_port = {port}\npool_mode = {mode}\ndefault_pool_size = 6\nserver_check_query = select 1\n"
        )
        if strict:
            (folder / "users").write_text(f'"{parts.username}" "{secret}"\n')
            for name in ("server.key", "server.pem"):
                shutil.copy(FOLDER / name, folder)
        # It does not run as root.
        user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if user is not None:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user.pw_uid, user.pw_gid)
        process = subprocess.Popen(  # noqa: ASYNC220 - it only starts; nothing is waited for
            [program, "-q", str(folder / "pgbouncer.ini")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        url = urlunsplit((parts.scheme, f"{parts.username}@127.0.0.1:{port}", parts.path, "", ""))
        return cls(url, folder, process)

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(10)
