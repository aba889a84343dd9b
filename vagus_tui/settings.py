"""Settings, from the environment (prefix `VAGUS_`) and `.env`. `.env.example` explains each."""

from __future__ import annotations

import getpass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

import platformdirs
from pydantic import AfterValidator, Field, PrivateAttr, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from vagus_tui.runbook.book import DEFAULT_BOOK, Book
from vagus_tui.runbook_file import RunbookFileError, read_book
from vagus_tui.zones import known_zone


class Environment(StrEnum):
    """Which of the three databases this is; production looks and asks differently."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


def _default_operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name at all.
        return "operator"


def default_journal_dir() -> Path:
    """The place that this system has for what a program keeps."""
    return platformdirs.user_data_path("vagus-tui") / "journal"


def whole_path(path: Path | str) -> Path:
    """A path as it was typed, made whole.

    Raises:
        ValueError: it begins with the home of somebody whom this machine does not know.
    """
    try:
        return Path(path).expanduser().absolute()
    except RuntimeError as error:
        raise ValueError("it begins with the home folder of a user who is not known here") from error


ExpandedPath = Annotated[Path, AfterValidator(whole_path)]
"""Whole, whatever it was given as: backups are known to the journal by their paths, from wherever it is read."""


class Settings(BaseSettings):
    """Everything the operator can set, once for the wizard and every command.

    Times are milliseconds where the name ends in `_MS`, seconds otherwise.
    """

    model_config = SettingsConfigDict(
        env_prefix="VAGUS_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = Field(
        default=None,
        description="postgresql:// address of the database. Never shown, logged or written to a report.",
    )
    environment: Environment = Field(
        default=Environment.DEVELOPMENT,
        description="Which environment this database is; production asks for more.",
    )
    project: str = Field(
        default="",
        description="The project's name, typed out before destructive acts (default: the database host).",
    )
    operator: str = Field(default_factory=_default_operator, description="Who is named in the journal.")
    backup_dir: ExpandedPath = Field(
        default=Path("~/vagus_backups"), validate_default=True, description="Where backups are written."
    )
    journal_dir: ExpandedPath | None = Field(
        default_factory=default_journal_dir,
        description="Where a copy of every database's journal is kept on this machine.",
    )
    upload_url: str = Field(default="", description="s3://bucket/prefix or gs://bucket/prefix for copies of backups.")
    upload_endpoint: str = Field(
        default="",
        description="Where an S3-compatible server listens, as in https://minio.example.org:9000, or an emulator of "
        "Google's.",
    )
    ssl_root_cert: ExpandedPath | None = Field(
        default=None,
        description="The CA certificate file of the database's TLS (Supabase: prod-ca-2021.crt).",
    )
    lock_timeout_ms: int = Field(
        default=500,
        ge=10,
        le=3000,
        description="How long a lock is waited for before it is given up and tried again.",
    )
    lock_attempts: int = Field(default=10, ge=1, le=100, description="How often a lock is tried before stopping.")
    parallel_connections: int = Field(default=2, ge=1, le=16, description="Connections that build at the same time.")
    yield_to_app: bool = Field(
        default=True, description="Build on one connection alone while the app uses the tables of v1."
    )
    repeat_exercises: bool = Field(
        default=False, description="Copy every plan's exercises into every week instead of week 1 alone."
    )
    page_limit_seconds: float = Field(
        default=2.0, gt=0, le=60, description="How long a page of the app may take: the guide's limit for a plan."
    )
    analytics_limit_seconds: float = Field(
        default=3.0, gt=0, le=60, description="How long analytics may take: the guide's limit."
    )
    timezone: str = Field(default="UTC", description="The time zone in which times are shown, as in Europe/Oslo.")
    app_dir: ExpandedPath | None = Field(
        default=None, description="A checkout of the app, in which Rollout runs the commands of its update."
    )
    planned_at: str = Field(default="", description="T-0, the planned start, as in 2026-03-01T22:00.")
    runbook: ExpandedPath | None = Field(
        default=None, description="A TOML file with your own names, addresses, dates, texts and thresholds."
    )

    _book: Book = PrivateAttr(default=DEFAULT_BOOK)

    @property
    def book(self) -> Book:
        """The runbook, with the operator's own file over it."""
        return self._book

    @model_validator(mode="after")
    def _read_runbook(self) -> Self:
        """Read the operator's file; what is wrong with it is said with its line."""
        if self.runbook is not None:
            try:
                self._book = read_book(self.runbook.read_text(encoding="utf-8"))
            except OSError as error:
                raise ValueError(f"VAGUS_RUNBOOK: {self.runbook.name} cannot be read: {error.strerror}") from None
            except UnicodeDecodeError:
                raise ValueError(f"VAGUS_RUNBOOK: {self.runbook.name} is not UTF-8 text") from None
            except RunbookFileError as error:
                raise ValueError(f"VAGUS_RUNBOOK: {self.runbook.name}, {error}") from None
        return self

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        """A zone that is not known would show every time, T-0 included, in another one."""
        name = value.strip() or "UTC"
        if known_zone(name) is None:
            raise ValueError("there is no such time zone here; one is named as in Europe/Oslo, and UTC is always there")
        return name

    @field_validator("planned_at")
    @classmethod
    def _readable_moment(cls, value: str) -> str:
        """A moment that cannot be read would be none, without a word."""
        try:
            if value.strip():
                datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError("it is not a date and time, as in 2026-03-01T22:00") from None
        return value.strip()

    @field_validator("operator", "backup_dir", mode="before")
    @classmethod
    def _blank_is_the_default(cls, value: object, info: ValidationInfo) -> object:
        """Nobody is nameless in the journal, and no backup lands in whatever folder the program was started from."""
        if isinstance(value, str) and not value.strip():
            return cls.model_fields[str(info.field_name)].get_default(call_default_factory=True)
        return value.strip() if isinstance(value, str) else value

    @field_validator("database_url", "ssl_root_cert", "app_dir", "journal_dir", "runbook", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        """An empty line in `.env` means that nothing was set; blanks around a value are no part of it."""
        value = value.strip() if isinstance(value, str) else value
        return None if value == "" else value
