"""How the server is reached: directly or through which pooler, and whether TLS proves who answers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr

from tests.checks.conftest import MakePooler
from tests.checks.support import measured
from tests.checks.tls_proxy import CA, OTHER_CA, TlsProxy
from tests.cli.program import vagus
from tests.databases import TestDatabase
from tests.listening import connected_to, listening, pass_on
from tests.migration.support import settings_for
from vagus_tui.database.connection import GONE_AFTER, Database
from vagus_tui.database.pooling import ConnectionKind, conclude
from vagus_tui.database.refusals import explained
from vagus_tui.database.target import target_of
from vagus_tui.database.tls import LinkSecurity
from vagus_tui.errors import ConfigurationError, ConnectionFailedError
from vagus_tui.events import Status
from vagus_tui.settings import Environment, Settings


@pytest.mark.parametrize(
    ("first", "second", "told", "kind"),
    [
        ([1, 1, 1], [2, 2, 2], [1, 2], ConnectionKind.DIRECT),
        ([1, 1, 1], [2, 2, 2], [77, 78], ConnectionKind.SESSION_POOLER),
        ([1, 1, 1], [2, 1, 2], [77, 78], ConnectionKind.TRANSACTION_POOLER),
        ([1, 1, 1], [1, 1, 1], [77, 78], ConnectionKind.TRANSACTION_POOLER),
        ([1, 3, 1], [2, 2, 2], [1, 2], ConnectionKind.TRANSACTION_POOLER),
        ([1, 1, 1], [2, 3, 2], [1, 2], ConnectionKind.TRANSACTION_POOLER),
    ],
)
def test_the_kind_is_concluded_from_who_served_whom(
    first: list[int], second: list[int], told: list[int], kind: ConnectionKind
) -> None:
    assert conclude(first, second, told).kind is kind


async def test_a_direct_connection(clean_database: TestDatabase) -> None:
    event = await measured("connection-kind", clean_database)
    assert (event.status, event.measured) == (Status.PASS, "direct")
    # A way to the server that is gone, as behind a laptop that changes networks, is found out in half a minute.
    async with Database(settings_for(clean_database)).connection() as connection:
        used = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
        assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for name, value in GONE_AFTER.items():
            if option := getattr(socket, name, None):
                assert used.getsockopt(socket.IPPROTO_TCP, option) == value


@pytest.mark.parametrize(
    ("seconds", "status", "words"),
    [
        (0.0, Status.PASS, "waits for 13 answers"),
        (0.08, Status.WARN, "s for the way alone"),
        (0.2, Status.FAIL, "would not come to its end in the 3 s"),
    ],
)
async def test_answers_that_take_long_say_how_long_users_would_wait(
    seconds: float, status: Status, words: str, clean_database: TestDatabase
) -> None:
    target = urlsplit(clean_database.url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def answer(up: asyncio.StreamReader) -> None:
            while data := await up.read(65536):
                if b"SELECT 1" in data:
                    await asyncio.sleep(seconds)
                writer.write(data)
            writer.close()

        async with connected_to(target.hostname, target.port) as (up, down):
            await asyncio.gather(pass_on(reader, down), answer(up))

    async with listening(serve) as port:
        event = await measured("answer-time", clean_database.url.replace(f":{target.port}/", f":{port}/"))
    assert event.status is status, event
    assert words in (event.message or ""), event


async def test_a_connection_that_is_given_up_leaves_nothing_behind(clean_database: TestDatabase) -> None:
    said: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))

    async def hang_up(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read(8)

    async def give_up(database: Database, turns: int) -> None:
        opening = asyncio.ensure_future(database.connect("given up"))
        for _ in range(turns):
            await asyncio.sleep(0)
        opening.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionFailedError):
            await opening

    async with listening(hang_up) as port:
        elsewhere = Settings.model_validate({"database_url": f"postgresql://somebody@127.0.0.1:{port}/x"})
        for turns in range(20):
            await give_up(Database(elsewhere), turns)
    # What is reached all the same is let go.
    database = Database(settings_for(clean_database))
    for turns in range(0, 100, 20):
        await give_up(database, turns)
    async with clean_database.connect() as conn:
        for _ in range(500):
            left = await conn.fetchval("select count(*) from pg_stat_activity where application_name like '%given up'")
            if not left:
                break
            await asyncio.sleep(0.01)
    gc.collect()
    assert said == [] and left == 0


@pytest.mark.needs_pgbouncer
async def test_a_session_pooler_passes(clean_database: TestDatabase, make_pooler: MakePooler) -> None:
    event = await measured("connection-kind", await make_pooler(clean_database, "session"))
    assert (event.status, event.measured) == (Status.PASS, "session pooler")


@pytest.mark.needs_pgbouncer
async def test_what_a_pooler_refuses_is_told_in_its_words(
    clean_database: TestDatabase, make_pooler: MakePooler
) -> None:
    address = (await make_pooler(clean_database, "session")).replace(clean_database.name, "nowhere")
    with pytest.raises(ConnectionFailedError, match=r"refused the connection: \w") as caught:
        await Database(Settings(database_url=SecretStr(address))).connect()
    assert "hung up" not in caught.value.happened and "the database" in (caught.value.next_step or "")


@pytest.mark.needs_pgbouncer
async def test_a_pooler_that_insists_on_tls_does_not_hide_a_wrong_password(
    clean_database: TestDatabase, make_pooler: MakePooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver tries again without TLS where the first try was refused, and is told then that TLS is needed."""
    address = await make_pooler(clean_database, "session", strict=True)
    wrong = address.replace("postgres@", "postgres:wrong@")
    for url in (wrong, f"{wrong}?sslmode=require", f"{wrong}?sslmode=allow"):
        with pytest.raises(ConnectionFailedError, match="authentication failed") as caught:
            await Database(Settings(database_url=SecretStr(url))).connect()
        assert "the password" in caught.value.next_step
    with pytest.raises(ConnectionFailedError, match="authentication failed") as caught:
        await Database(Settings(database_url=SecretStr(address))).connect()
    assert "holds no password" in caught.value.next_step
    with monkeypatch.context() as shell, pytest.raises(ConnectionFailedError, match="authentication failed"):
        shell.setenv("PGSSLMODE", "allow")
        await Database(Settings(database_url=SecretStr(wrong))).connect()
    # Where TLS is really what is missing, that is what is told.
    with pytest.raises(ConnectionFailedError, match="SSL required"):
        await Database(Settings(database_url=SecretStr(f"{wrong}?sslmode=disable"))).connect()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (asyncpg.InvalidAuthorizationSpecificationError, 'no pg_hba.conf entry for host "::1", no encryption'),
        (asyncpg.InternalServerError, "Tenant or user not found"),
        (asyncpg.ConfigurationLimitExceededError, 'temporary file size exceeds "temp_file_limit" (64kB)'),
    ],
)
def test_who_is_not_let_in_hears_why(error: type[asyncpg.PostgresError], said: str) -> None:
    told = explained(error(said), target_of("postgresql://postgres:secret@db.example.org/postgres"))
    assert isinstance(told, ConnectionFailedError) and said in told.happened
    # The password was not even looked at.
    assert "password" not in told.happened and "secret" not in str(told)


def test_a_connection_that_breaks_at_once_is_no_wrong_address() -> None:
    target = target_of("postgresql://postgres:secret@db.example.org/postgres")
    for error in (asyncpg.InterfaceError("connection is closed"), asyncpg.InternalClientError("another operation")):
        told = explained(error, target)
        assert isinstance(told, ConnectionFailedError) and "hung up" in told.happened
    assert isinstance(explained(asyncpg.ClientConfigurationError("x"), target), ConfigurationError)


@pytest.mark.needs_pgbouncer
async def test_a_transaction_pooler_is_refused_with_the_address_to_use(
    clean_database: TestDatabase, make_pooler: MakePooler
) -> None:
    address = await make_pooler(clean_database, "transaction")
    for _ in range(3):
        event = await measured("connection-kind", address)
        assert (event.status, event.measured) == (Status.FAIL, "transaction pooler")
        assert not event.overridable
        assert "5432" in (event.message or "")


@pytest.mark.needs_pgbouncer
async def test_a_transaction_pooler_that_mixes_clients_up_is_named(
    clean_database: TestDatabase, make_pooler: MakePooler
) -> None:
    # A later program meets the prepared statements that an earlier one has left in a process of the server.
    address = await make_pooler(clean_database, "transaction")
    for _ in range(8):
        ran = await vagus("status", "--json", url=address)
        if ran.status:
            break
    assert ran.status == 2
    assert "a transaction pooler" in ran.result["message"] and "5432" in ran.result["next_step"]


async def test_tls_is_off(clean_database: TestDatabase) -> None:
    # On one's own machine nobody listens in; a tunnel's other end is another matter, and other environments have one.
    event = await measured("tls", clean_database)
    assert (event.status, event.measured) == (Status.PASS, "this machine")
    assert (await measured("tls", clean_database, environment=Environment.STAGING)).status is Status.WARN
    event = await measured("tls", clean_database, environment=Environment.PRODUCTION)
    assert (event.status, event.measured) == (Status.FAIL, "off")


async def test_only_what_stays_on_this_machine_may_do_without_tls(
    clean_database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = urlsplit(clean_database.url)

    async def pass_through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with connected_to(parts.hostname, parts.port) as (back, there):
            await asyncio.gather(pass_on(reader, there), pass_on(back, writer))

    async with await asyncio.start_unix_server(pass_through, tmp_path / ".s.PGSQL.5432"):
        local = f"postgresql://{parts.netloc.partition('@')[0]}@{parts.path}?host={tmp_path}"
        for environment, status in ((Environment.STAGING, Status.PASS), (Environment.PRODUCTION, Status.FAIL)):
            event = await measured("tls", local, environment=environment)
            assert (event.status, event.measured) == (status, "local socket")
    monkeypatch.setattr(
        "vagus_tui.checks.prerequisites.link.link_security", lambda _: LinkSecurity(encrypted=False, verified=False)
    )
    event = await measured("tls", clean_database, environment=Environment.DEVELOPMENT)
    assert (event.status, event.measured) == (Status.WARN, "off")


async def test_tls_without_a_check_of_who_answers_is_not_enough_in_production(tls_url: str) -> None:
    for environment, status in ((Environment.STAGING, Status.WARN), (Environment.PRODUCTION, Status.FAIL)):
        # Nor is it that somebody has a certificate of this authority, whoever that may be.
        for mode in ("require", f"verify-ca&sslrootcert={CA}"):
            event = await measured("tls", f"{tls_url}?sslmode={mode}", environment=environment)
            assert (event.status, event.measured) == (status, "not verified")


async def test_verified_tls_passes(tls_url: str) -> None:
    event = await measured("tls", tls_url, ssl_root_cert=CA, environment=Environment.PRODUCTION)
    assert (event.status, event.measured) == (Status.PASS, "verify-full")
    assert (event.message or "").startswith("TLSv1.")


async def test_another_authority_is_refused_before_the_password_is_sent(tls_url: str) -> None:
    with pytest.raises(ConnectionFailedError, match=r"TLS with localhost:\d+ .* not in the CA file\.") as refused:
        await measured("tls", tls_url, ssl_root_cert=OTHER_CA)
    assert "VAGUS_SSL_ROOT_CERT" in refused.value.next_step


@pytest.mark.parametrize(
    ("code", "said"), [(9, "not valid yet"), (10, "has expired"), (62, "another host"), (19, "not in the CA file")]
)
def test_why_a_certificate_was_refused(code: int, said: str) -> None:
    error = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED]")
    error.verify_code = code
    told = explained(error, target_of("postgresql://postgres:secret@db.example.org/postgres"))
    assert isinstance(told, ConnectionFailedError) and said in told.happened and told.next_step


async def test_a_certificate_for_another_host_is_refused(clean_database: TestDatabase) -> None:
    async with TlsProxy.before(clean_database.url, "127.0.0.2") as proxy:
        with pytest.raises(ConnectionFailedError, match=r"TLS with 127\.0\.0\.2:\d+ .* for another host\.") as refused:
            await measured("tls", proxy.url, ssl_root_cert=CA)
        assert "host name that the project's database settings show" in refused.value.next_step
        # Without a file nobody checks, and that is what is said.
        event = await measured("tls", proxy.url, environment=Environment.PRODUCTION)
        assert (event.status, event.measured) == (Status.FAIL, "not verified")


async def test_a_file_that_is_no_certificate_is_named(clean_database: TestDatabase, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    for name, reason in (("ca.pem", "it holds no certificate"), ("missing.pem", "No such file")):
        with pytest.raises(ConfigurationError, match=f"VAGUS_SSL_ROOT_CERT names cannot be used: {reason}"):
            await measured("tls", clean_database, ssl_root_cert=tmp_path / name)
