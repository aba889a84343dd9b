"""Maintenance by hand, from the Migration screen: the flag and the write fence, each on and off by itself."""

from __future__ import annotations

from textual.content import Content

from vagus_tui.errors import RefusedError
from vagus_tui.events import Event, NoteEvent
from vagus_tui.migration.maintenance import Maintenance, read_maintenance
from vagus_tui.migration.switches import maintenance_words, switch_off, switch_on
from vagus_tui.screens.base import StepScreen
from vagus_tui.screens.dialogs import ChoiceDialog, ConfirmDialog
from vagus_tui.widgets.text import safe, safe_block

FLAG = "The flag tells the app to show its maintenance page."
FENCE = "The write fence refuses the app's writes to the workout tables (HTTP 503); reads go on."


class MaintenanceActs(StepScreen):
    """The key for maintenance and what follows from it."""

    def action_maintenance(self) -> None:
        """How maintenance stands, and the ways to change it."""
        self.attempt(self._maintenance, group="maintenance", exclusive=True)

    async def _maintenance(self) -> None:
        async with self.session.context("maintenance") as context:
            now, state = await read_maintenance(context.connection), context.state
        stands = (
            maintenance_words(now, state, self.session.settings.timezone) or "Both are off: the app reads and writes."
        )
        parts = [safe_block(stands, "bold")]
        if now.message:
            parts.append(Content.assemble(("The app says: ", "$text-muted"), safe(now.message)))
        parts.append(Content(f"{FLAG}\n{FENCE}"))
        answer = await self.ask(ChoiceDialog("Maintenance", Content("\n\n").join(parts), _choices(now)))
        if answer is not None and await self._sure(answer):
            await self._switch(answer)

    async def _sure(self, answer: str) -> bool:
        """In production every change is asked for once more."""
        if not self.session.production:
            return True
        on = answer.startswith("on")
        body = f"{FENCE if 'fence' in answer else FLAG}\n\nUndo: f, and the other way round; that waits for nobody."
        if on:
            return await self.confirm_destructive("Maintenance on, in production", body, yes="Switch on")
        return await self.ask(ConfirmDialog("Maintenance off, in production", body, yes="Switch off"))

    async def _switch(self, answer: str) -> None:
        notes: list[str] = []

        def emit(event: Event) -> None:
            if isinstance(event, NoteEvent):
                notes.append(event.message)

        async with self.session.context("maintenance") as context:
            connection, settings, state = context.connection, context.settings, context.state
            try:
                if answer.startswith("on"):
                    now = await switch_on(connection, settings, state, emit, fence=answer == "on-fence")
                else:
                    now = await switch_off(connection, settings, state, emit, fence_only=answer == "off-fence")
            except RefusedError as error:
                await self.tell("Not switched", Content("\n").join(map(safe_block, (str(error), *notes))))
                return
        await self.session.refresh()
        said = maintenance_words(now, state, settings.timezone) or "Maintenance is off."
        self.notify(said, markup=False)


def _choices(now: Maintenance) -> list[tuple[str, str]]:
    """What can be changed from here."""
    choices = []
    if now.fence:
        choices.append(("off-fence", "Lower the fence"))
    if now.flag:
        choices.append(("off", "Both off" if now.fence else "Flag off"))
    if not now.flag:
        choices.append(("on", "Flag on"))
    if not now.fence:
        choices.append(("on-fence", "Fence up" if now.flag else "Flag on, fence up"))
    return choices
