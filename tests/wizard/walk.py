"""What the wizard's tests share: an app on a test database, waiting for what it shows, reading what is on screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic import SecretStr
from textual.events import Key
from textual.pilot import Pilot

from vagus_tui.app import VagusApp
from vagus_tui.session.session import Link
from vagus_tui.settings import Settings

SMALL = (80, 24)
LARGE = (120, 36)
PATIENCE_SECONDS = 40.0

Walk = Pilot[int]


def settings_for(url: str, **values: Any) -> Settings:
    """Settings that depend on nothing outside the test."""
    given: dict[str, Any] = {"_env_file": None, "operator": "Ada", "environment": "development"}
    if url:
        given["database_url"] = SecretStr(url)
    return Settings(**{**given, **values})


@asynccontextmanager
async def walking(settings: Settings, *, size: tuple[int, int] = SMALL, connected: bool = True) -> AsyncIterator[Walk]:
    """The wizard, running; with `connected`, once it has read the state."""
    app = VagusApp(settings)
    async with app.run_test(size=size) as pilot:
        if connected:
            await until(pilot, lambda: app.session.link is Link.UP and app.session.state is not None)
        yield pilot


async def until(pilot: Walk, true: Callable[[], object], *, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until something is so; fails with what is on screen when it never comes true."""
    deadline = asyncio.get_running_loop().time() + patience
    while not true():
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"waited {patience} s in vain; on screen:\n{screen_text(pilot)}")
        await pilot.pause(0.02)
    await pilot.pause()


def screen_text(pilot: Walk) -> str:
    """What is on screen, as lines of text."""
    screen = pilot.app.screen
    width, height = pilot.app.size
    lines = screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip)[:width].rstrip() for strip in lines[:height])


async def until_text(pilot: Walk, *texts: str, patience: float = PATIENCE_SECONDS) -> None:
    """Wait until all of these are on screen."""
    await until(pilot, lambda: all(text in screen_text(pilot) for text in texts), patience=patience)


async def hold_down(pilot: Walk, key: str, character: str) -> None:
    """A key that repeats before the first press is answered, as one that is held down does."""
    app = pilot.app
    assert app._driver is not None
    for _ in range(3):
        event = Key(key, character)
        event.set_sender(app)
        app._driver.send_message(event)
    await pilot.pause()


def wizard(pilot: Walk) -> VagusApp:
    """The app, as what it is."""
    assert isinstance(pilot.app, VagusApp)
    return pilot.app
