"""Finding pg_dump and pg_restore: fit for the server's version and for TLS, and plain words where none is."""

from __future__ import annotations

from pathlib import Path

import pytest

from vagus_tui.database.tools import (
    ClientTools,
    MissingTools,
    bundled_tools,
    find_tools,
    install_hint,
    without_libpq_settings,
)


def _program(folder: Path, name: str, version: str, *, tls: bool = True) -> None:
    refusal = "" if tls else "echo 'sslmode value invalid when SSL support is not compiled in' >&2; exit 1"
    path = folder / name
    path.write_text(
        f"#!/bin/sh\ncase \"$1\" in --version) echo '{name} (PostgreSQL) {version}'; exit 0;; esac\n{refusal}\nexit 1\n"
    )
    path.chmod(0o755)


@pytest.fixture
def path_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    return folder


def _only(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("vagus_tui.database.tools._SYSTEM_FOLDERS", ())


def test_bundled_tools_are_found_and_known_to_lack_tls_and_zstd() -> None:
    tools = bundled_tools()
    assert tools is not None
    assert tools.major >= 18
    assert (tools.tls, tools.zstd) == (False, False)
    assert tools.pg_restore.parent == tools.pg_dump.parent


def test_tools_on_path_come_first(path_folder: Path) -> None:
    for name in ("pg_dump", "pg_restore", "psql"):
        _program(path_folder, name, "17.9")
    tools = find_tools(15, needs_tls=True)
    assert isinstance(tools, ClientTools)
    assert (tools.source, tools.version, tools.tls) == ("path", (17, 9), True)
    assert tools.pg_dump == path_folder / "pg_dump"
    assert tools.psql == path_folder / "psql"
    assert "17.9" in tools.reason


def test_tools_older_than_the_server_are_passed_over(path_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, path_folder)
    for name in ("pg_dump", "pg_restore"):
        _program(path_folder, name, "14.2")
    tools = find_tools(17, needs_tls=False)
    assert isinstance(tools, ClientTools)
    assert tools.source == "bundled"


def test_a_pair_of_two_versions_is_no_pair(path_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, path_folder)
    _program(path_folder, "pg_dump", "18.1")
    _program(path_folder, "pg_restore", "16.1")
    tools = find_tools(17, needs_tls=False)
    assert isinstance(tools, ClientTools)
    assert tools.source == "bundled"


def test_tls_rules_out_tools_built_without_it(path_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, path_folder)
    for name in ("pg_dump", "pg_restore"):
        _program(path_folder, name, "18.0", tls=False)
    missing = find_tools(17, needs_tls=True)
    assert isinstance(missing, MissingTools)
    assert "without TLS" in missing.reason
    assert "17" in missing.package


def test_a_server_newer_than_every_tool_is_said_so(path_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, path_folder)
    missing = find_tools(99, needs_tls=False)
    assert isinstance(missing, MissingTools)
    assert "99" in missing.reason and "99" in missing.package


def test_a_program_that_does_not_run_is_no_tool(path_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _only(monkeypatch, path_folder)
    for name in ("pg_dump", "pg_restore"):
        (path_folder / name).write_text("not a program")
        (path_folder / name).chmod(0o755)
    tools = find_tools(17, needs_tls=False)
    assert isinstance(tools, ClientTools)
    assert tools.source == "bundled"


def test_the_environment_for_tools_holds_nothing_that_leads_libpq_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGSERVICE", "other")
    monkeypatch.setenv("VAGUS_DATABASE_URL", "postgresql://u:secret@h/d")
    environment = without_libpq_settings()
    assert not {"PGHOST", "PGSERVICE", "VAGUS_DATABASE_URL"} & environment.keys()
    assert "PATH" in environment


def test_the_hint_names_the_major_version() -> None:
    assert "17" in install_hint(17) or "postgresql-libs" in install_hint(17)
