"""The help of every command: complete, in words, and true to what can be typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.cli.program import vagus
from vagus_tui.cli import VagusTui
from vagus_tui.events import Event

README = Path(__file__).parents[2] / "README.md"
ENVIRONMENT = Path(__file__).parents[2] / ".env.example"


def commands() -> dict[str, type[BaseModel]]:
    """Every subcommand and its options."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in VagusTui.model_fields.items():
        for part in getattr(field.annotation, "__args__", (field.annotation,)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found[name] = part
    return found


def options(model: type[BaseModel]) -> dict[str, str]:
    """What can be typed, without dashes, and its words."""
    names: dict[str, str] = {}
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        choices = getattr(alias, "choices", None)
        shown = str(choices[0]) if choices else alias if isinstance(alias, str) else name
        names[shown.replace("_", "-")] = field.description or ""
    return names


def test_there_are_commands_and_each_has_words() -> None:
    assert len(commands()) >= 10
    for name, model in commands().items():
        assert VagusTui.model_fields[name].description
        assert model.__doc__ and "." in model.__doc__, name
        assert all(options(model).values()), name


@pytest.mark.parametrize("command", sorted(commands()))
async def test_the_help_of_a_command_has_every_option_in_its_words_and_no_other(command: str) -> None:
    ran = await vagus(command, "--help", COLUMNS="70")
    assert (ran.status, ran.err) == (0, "")
    assert [line for line in ran.out.splitlines() if len(line) > 70] == []
    said = " ".join(ran.out.split())
    model = commands()[command]
    for option, words in options(model).items():
        assert " ".join(words.split()) in said, option
        assert re.search(rf"(--{option}\b|\b{option.upper()}\b)", ran.out), option
    typed = set(re.findall(r"^  (?:-h, )?--([a-z-]+)", ran.out, re.MULTILINE))
    assert typed == {option for option in options(model) if f"--{option}" in ran.out} | {"help"}
    for word in ("default: None", "default: )", "default: []", " bool", " str", "{", "null"):
        assert word not in ran.out.replace("{on,off,status}", ""), word


async def test_the_help_names_every_event_that_a_script_may_read() -> None:
    said = (await vagus("--help", COLUMNS="70")).out
    assert [line for line in said.splitlines() if len(line) > 70] == []
    # What a list says stays in its column.
    assert re.search(r"^  check      id, group, title, status .*\n {13}\S", said, re.MULTILINE)
    # Text for people and what a command of the app says are no lines of JSON.
    kinds = {one.kind for one in every(Event)} - {"event", "text", "output"}
    assert {"check", "result", "sign-off", "sandbox"} <= kinds
    assert [kind for kind in sorted(kinds) if not re.search(rf"\b{kind}\b", said)] == []


def every(event: type[Event]) -> Iterator[type[Event]]:
    """A kind of event and all that are made of it."""
    yield event
    for one in event.__subclasses__():
        yield from every(one)


def test_the_readme_names_every_command() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in commands() if f"vagus-tui {name}" not in text] == []


def test_every_setting_is_explained_in_the_example() -> None:
    from vagus_tui.settings import Settings

    text = ENVIRONMENT.read_text(encoding="utf-8")
    assert [name for name in Settings.model_fields if f"VAGUS_{name.upper()}=" not in text] == []
    assert all(field.description for field in Settings.model_fields.values())
