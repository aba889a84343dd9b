"""What can be typed, and what is said when it cannot: exit status 2, nothing done, no secrets."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import zoneinfo
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.cli.program import SECRET, vagus, with_password
from tests.databases import TestDatabase
from vagus_tui import __version__, zones
from vagus_tui.commands.check import CheckCommand
from vagus_tui.commands.cleanup import CleanupCommand
from vagus_tui.commands.fix import FixCommand
from vagus_tui.commands.keep import BackupCommand, named
from vagus_tui.commands.maintain import AbandonCommand, MaintenanceCommand
from vagus_tui.commands.misspelt import misspelt
from vagus_tui.commands.move import MigrateCommand, RollbackCommand
from vagus_tui.commands.options import Command
from vagus_tui.commands.outcome import Finished
from vagus_tui.commands.sign import SignCommand
from vagus_tui.commands.status import StatusCommand
from vagus_tui.errors import ConfigurationError
from vagus_tui.settings import Settings

COMMANDS = ("demo", "sandbox", "status", "check", "sql", "migrate", "rollback", "backup", "report")


def test_version() -> None:
    # Started afresh, as nobody's child: the other tests fork a process that has everything imported.
    ran = subprocess.run([sys.executable, "-m", "vagus_tui", "--version"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"vagus-tui {__version__}\n", "")


async def test_help_names_every_command_and_the_exit_statuses() -> None:
    ran = await vagus("--help")
    assert ran.status == 0
    assert all(command in ran.out for command in COMMANDS)
    assert all(f"{status} " in ran.out for status in range(5))


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_explains_itself(command: str) -> None:
    ran = await vagus(command, "--help")
    assert ran.status == 0
    assert ran.out.startswith(f"usage: vagus-tui {command} ")
    assert "list[str]" not in ran.out and "default: []" not in ran.out


TOGETHER: list[tuple[type[Command], dict[str, object], str]] = [
    (RollbackCommand, {"from": "/x", "apply_deletions": True}, "--apply-deletions is for the quick rollback"),
    (RollbackCommand, {"other_database": True}, "--other-database goes with --from"),
    (RollbackCommand, {"finish": True, "from": "/x"}, "--finish stands alone"),
    (RollbackCommand, {"finish": True, "apply_deletions": True}, "--finish stands alone"),
    (BackupCommand, {"kind": ["csv"], "verify": "/x"}, "exclude each other"),
    (BackupCommand, {"format": "custom", "list": True}, "exclude each other"),
    (BackupCommand, {"compression": "gzip", "upload": "newest"}, "exclude each other"),
    (BackupCommand, {"upload": "newest", "restore_test": "newest"}, "exclude each other"),
    (CheckCommand, {"for": "2h"}, "--for goes with --every"),
    (CheckCommand, {"group": "access", "every": "60", "everyone": True}, "not with --everyone"),
    (CheckCommand, {"group": "access", "self_test": True, "everyone": True}, "--self-test goes neither"),
    (CheckCommand, {"self_test": True, "every": "60"}, "--self-test goes neither"),
    (CheckCommand, {"group": "verification", "everyone": True}, "the group access alone"),
    (FixCommand, {"names": ["x"], "safe": True}, "exclude each other"),
    (FixCommand, {"undo": "last", "safe": True}, "exclude each other"),
    (FixCommand, {"names": ["x"], "partly": True}, "--partly goes with --undo"),
    (FixCommand, {"yes": True}, "--yes needs to know what to do"),
    (MaintenanceCommand, {"act": "off", "message": "Back soon."}, "--message goes with on"),
    (SignCommand, {"note": "seen"}, "go with the names"),
    (SignCommand, {"take_back": True}, "go with the names"),
]
ALONE: list[tuple[type[Command], dict[str, object]]] = [
    (RollbackCommand, {"from": "/x", "other_database": True, "yes": True}),
    (RollbackCommand, {"apply_deletions": True, "yes": True}),
    (RollbackCommand, {"finish": True}),
    (BackupCommand, {"kind": ["csv", "full"], "format": "custom", "compression": "gzip"}),
    (BackupCommand, {"verify": "/x"}),
    (CheckCommand, {"group": "access", "everyone": True}),
    (CheckCommand, {"every": "60", "for": "2h"}),
    (CheckCommand, {"self_test": True, "yes": True}),
    (FixCommand, {"undo": "last", "partly": True, "yes": True}),
    (FixCommand, {"safe": True, "yes": True}),
    (SignCommand, {"required": True, "take_back": True}),
    (SignCommand, {"names": ["x"], "note": "seen"}),
]


def test_what_goes_together_and_what_does_not() -> None:
    for command, options, said in TOGETHER:
        with pytest.raises(ValidationError, match=said):
            command.model_validate(options)
    for command, options in ALONE:
        assert command.model_validate(options)


STOPS = [
    *((command, {"yes": True}, {"graceful"}) for command in (MigrateCommand, RollbackCommand, CleanupCommand)),
    *((BackupCommand, options, {"graceful"}) for options in ({}, {"verify": "/x"}, {"upload": "newest"})),
    (BackupCommand, {"list": True}, set()),
    (CheckCommand, {"every": "60"}, {"graceful"}),
    (CheckCommand, {}, set()),
    (StatusCommand, {}, set()),
    (AbandonCommand, {"yes": True}, {"changing"}),
    (FixCommand, {"safe": True, "yes": True}, {"changing"}),
    *((command, {}, set()) for command in (FixCommand, AbandonCommand, SignCommand)),
    (SignCommand, {"names": ["x"]}, {"changing"}),
    (SignCommand, {"required": True}, {"changing"}),
    (MaintenanceCommand, {"act": "on"}, {"changing"}),
    (MaintenanceCommand, {}, set()),
]
"""What a Ctrl-C does to a command: asks it to stop and undo, breaks off what may have changed something, or ends it."""


@pytest.mark.parametrize(("command", "options", "does"), STOPS)
def test_what_ctrl_c_does(
    command: type[Any], options: dict[str, object], does: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def finish(_: object, **values: Any) -> None:
        asked.update(values)
        raise Finished(0)

    monkeypatch.setattr(f"{command.__module__}.finish", finish)
    with pytest.raises(Finished):
        command.model_validate(options).cli_cmd()
    assert {name for name in ("graceful", "changing") if asked.get(name)} == does


@pytest.mark.parametrize(
    "arguments",
    [
        ("bogus",),
        ("status", "--bogus"),
        ("check", "everything"),
        ("sql", "sideways"),
        ("migrate", "--ye"),
        ("migrate", "--override"),
        ("demo", "--plans", "0"),
        ("demo", "--plans", "many"),
    ],
)
async def test_wrong_usage(arguments: tuple[str, ...]) -> None:
    ran = await vagus(*arguments)
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err
    if arguments[0] != "bogus":
        assert f"vagus-tui {arguments[0]} " in ran.err, "where to read on"
    # The words of the library that reads the line are for programmers.
    assert "Input should be" not in ran.err and "unable to parse" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("check", "everything"), "GROUP: it has to be prerequisites, "),
        (("check", "--every", "0"), "--every: it has to be at least 1."),
        (("maintenance", "off", "--message", "x"), "--message goes with on."),
    ],
)
async def test_what_is_wrong_is_named_as_it_is_typed(arguments: tuple[str, ...], words: str) -> None:
    ran = await vagus(*arguments, "--json")
    assert ran.status == 2 and words in ran.result["message"], ran.result
    assert ran.result["next_step"] == f"vagus-tui {arguments[0]} --help shows what can be typed."


@pytest.mark.parametrize("arguments", [("check", "everything"), ("status", "--bogus"), ("migrate", "--override")])
async def test_wrong_usage_as_json_ends_with_a_result(arguments: tuple[str, ...]) -> None:
    ran = await vagus(*arguments, "--json")
    assert ran.status == 2
    assert ran.result["ok"] is False
    assert ran.err == ""


async def test_an_override_needs_a_reason() -> None:
    ran = await vagus("migrate", "--yes", "--override", "tls", "--json", url="postgresql://u@127.0.0.1:1/x")
    assert ran.status == 2
    assert "--override tls" in ran.result["message"]


async def test_without_an_address(tmp_path: Path) -> None:
    for arguments in ((), ("status",), ("migrate", "--yes")):
        ran = await vagus(*arguments, cwd=tmp_path)
        assert ran.status == 2
        assert "VAGUS_DATABASE_URL" in ran.err


async def test_the_address_from_a_file(tmp_path: Path, database: TestDatabase) -> None:
    (tmp_path / ".env").write_text(f"VAGUS_DATABASE_URL={database.url}\n")
    assert (await vagus("status", "--json", cwd=tmp_path)).status == 0


async def test_settings_that_cannot_be_used_are_named_without_their_value(tmp_path: Path) -> None:
    wrong = {"ENVIRONMENT": "nowhere", "LOCK_TIMEOUT_MS": "soon", "TIMEZONE": "Nowhere/At", "PLANNED_AT": "nowhen"}
    settings = {f"VAGUS_{name}": value for name, value in wrong.items()}
    ran = await vagus("status", "--json", cwd=tmp_path, **settings)
    assert ran.status == 2
    assert all(name in ran.result["message"] for name in settings)
    assert not any(value in ran.out for value in wrong.values())
    assert "VAGUS_ENVIRONMENT: it has to be development, staging or production." in ran.result["message"]
    assert "VAGUS_LOCK_TIMEOUT_MS: it is not a whole number." in ran.result["message"]
    bounds = {"LOCK_TIMEOUT_MS": "9", "PAGE_LIMIT_SECONDS": "0", "REPEAT_EXERCISES": "perhaps"}
    ran = await vagus("status", "--json", cwd=tmp_path, **{f"VAGUS_{name}": value for name, value in bounds.items()})
    for words in ("it has to be at least 10.", "it has to be more than 0.", "it is neither true nor false."):
        assert words in ran.result["message"]


def test_a_line_left_empty_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is nameless in the journal, and backups do not land wherever the program was started."""
    monkeypatch.chdir(tmp_path)
    for name in ("VAGUS_OPERATOR", "VAGUS_BACKUP_DIR"):
        monkeypatch.delenv(name, raising=False)
    default = Settings()
    (tmp_path / ".env").write_text("VAGUS_OPERATOR= \nVAGUS_BACKUP_DIR=\n")
    left = Settings()
    assert (left.operator, left.backup_dir) == (default.operator, default.backup_dir)
    assert left.operator and left.backup_dir == Path.home() / "vagus_backups"


async def test_a_misspelt_setting_is_not_passed_over(tmp_path: Path) -> None:
    """A production database that nobody knows to be one would ask for nothing."""
    (tmp_path / ".env").write_text("VAGUS_ENVIROMENT=production\n")
    ran = await vagus("status", "--json", cwd=tmp_path, url="postgresql://u@127.0.0.1:1/x", VAGUS_TOKEN="the app's own")
    assert ran.status == 2
    assert ran.result["message"] == "VAGUS_ENVIROMENT is no setting; VAGUS_ENVIRONMENT is."


def test_names_that_are_meant_and_names_of_others() -> None:
    meant = [("VAGUS_BACKUPDIR", "VAGUS_BACKUP_DIR"), ("VAGUS_ENV", "VAGUS_ENVIRONMENT")]
    others = ["VAGUS_API_URL", "VAGUS_VENV", "VAGUS_TEST_DATABASE_URL", "PATH", "VAGUS_"]
    assert list(misspelt([*others, "vagus_env", "VAGUS_BACKUPDIR", "VAGUS_OPERATOR"])) == meant
    assert list(misspelt(["VAGUS_ENV", "VAGUS_ENVIRONMENT"])) == []
    assert list(misspelt(["VAGUS-ENVIRONMENT", "MY-OPERATOR"])) == [("VAGUS-ENVIRONMENT", "VAGUS_ENVIRONMENT")]


@pytest.mark.parametrize(
    "line", ["VAGUS_ENVIRONMENT: production", "VAGUS_ENVIRONMENT", 'VAGUS_ENVIRONMENT="production']
)
async def test_a_line_that_sets_nothing_is_not_passed_over(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"HOME\nVAGUS_OPERATOR=ada\nimage: theirs\n{line}\n")
    ran = await vagus("status", "--json", cwd=tmp_path, url="postgresql://u@127.0.0.1:1/x")
    assert (ran.status, ran.err) == (2, "")
    assert ran.result["message"] == "Line 4 of the file .env sets nothing."


async def test_lines_of_other_programs_are_theirs(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("HOME\nimage: theirs\nVAGUS_OPERATOR=ada\n")
    ran = await vagus("status", "--json", cwd=tmp_path, url="postgresql://u@127.0.0.1:1/x")
    assert ran.err == "" and ran.result["message"] == "No connection to 127.0.0.1:1: Connection refused."


def test_utc_needs_no_time_zone_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small containers have none; whoever says nothing of a zone is not refused for that."""

    def absent(name: str) -> None:
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(zones, "ZoneInfo", absent)
    monkeypatch.delenv("VAGUS_TIMEZONE", raising=False)
    assert Settings(_env_file=None).timezone == "UTC"  # type: ignore[call-arg]
    monkeypatch.setenv("VAGUS_TIMEZONE", " ")
    assert Settings(_env_file=None).timezone == "UTC"  # type: ignore[call-arg]
    assert zones.zone("Europe/Oslo").tzname(None) == "UTC"
    monkeypatch.setenv("VAGUS_TIMEZONE", "Europe/Oslo")
    with pytest.raises(ValueError, match="no such time zone here"):
        Settings(_env_file=None)  # type: ignore[call-arg]


def test_paths_are_whole_wherever_they_are_given_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal knows backups by their paths."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(_env_file=None, backup_dir=Path("kept"))  # type: ignore[call-arg]
    assert settings.backup_dir == tmp_path / "kept"
    assert named("kept/one") == tmp_path / "kept" / "one"
    # The home of somebody who has none here is told as what it is.
    with pytest.raises(ValidationError, match="home folder of a user who is not known here"):
        Settings(_env_file=None, backup_dir=Path("~nobody-of-that-name/kept"))  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="home folder of a user who is not known here"):
        named("~nobody-of-that-name/kept")


async def test_a_settings_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00VAGUS")
    ran = await vagus("status", "--json", cwd=tmp_path)
    assert ran.status == 2
    assert ".env" in ran.result["message"]


async def test_wrong_password(database: TestDatabase) -> None:
    ran = await vagus("status", "--json", url=with_password(database.url, SECRET))
    assert ran.status == 2
    assert "wrong user or password" in ran.result["message"]
    assert SECRET not in ran.out + ran.err


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        ran = await vagus("check", "--json", url=f"postgresql://postgres:{SECRET}@127.0.0.1:{port}/postgres")
    assert ran.status == 2
    assert f"127.0.0.1:{port}" in ran.result["message"]
    assert SECRET not in ran.out + ran.err


@pytest.mark.parametrize("address", [f"mysql://u:{SECRET}@h/d", f"postgresql://u:{SECRET}@h:port/d", SECRET])
async def test_an_address_that_is_none(address: str) -> None:
    ran = await vagus("status", url=address)
    assert ran.status == 2
    assert "VAGUS_DATABASE_URL" in ran.err
    assert SECRET not in ran.out + ran.err


async def test_help_needs_neither_the_wizard_nor_the_driver() -> None:
    code = "import sys, vagus_tui.cli; print({'textual', 'asyncpg', 'rich'} & set(sys.modules))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert out.decode().strip() == "set()"


def test_a_planned_start_that_cannot_be_read_is_not_taken_for_none() -> None:
    assert Settings.model_validate({"planned_at": " 2026-03-01T22:00 "}).planned_at == "2026-03-01T22:00"
    assert Settings.model_validate({"planned_at": "  "}).planned_at == ""
    for wrong in ("tomorrow", "2026-03-01T25:00", "01.03.2026"):
        with pytest.raises(ValidationError, match="not a date and time"):
            Settings.model_validate({"planned_at": wrong})
