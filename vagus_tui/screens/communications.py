"""Communications: the messages to users, filled in with the planned date, and who has sent what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from vagus_tui.errors import RefusedError
from vagus_tui.events import Event, Status
from vagus_tui.format import moment
from vagus_tui.migration import announcement
from vagus_tui.runbook import communications
from vagus_tui.runbook.messages import (
    Channel,
    Message,
    MessageError,
    RenderedMessage,
    editable,
    parse_edited,
)
from vagus_tui.runbook.model import Item
from vagus_tui.runbook.model import Screen as Step
from vagus_tui.runbook.timeline import Standing, at, item_standing
from vagus_tui.screens.base import StepScreen
from vagus_tui.screens.dialogs import ConfirmDialog
from vagus_tui.screens.editing import edit_text
from vagus_tui.screens.item_facts import item_text
from vagus_tui.screens.overview_text import NOT_READ
from vagus_tui.screens.planning import ask_planned_moment
from vagus_tui.screens.sending import to_send
from vagus_tui.screens.text_view import TextView
from vagus_tui.screens.ticking import tick_item
from vagus_tui.session.session import Topic
from vagus_tui.widgets.checklist import Checklist, Entry
from vagus_tui.widgets.detail_panel import DetailPanel
from vagus_tui.widgets.marks import STYLES
from vagus_tui.widgets.text import safe, safe_block, short

NO_DATE = "T−0 is not set: the dates in the texts are gaps until it is. t sets it."
IN_APP = (Channel.BANNER, Channel.PAGE)


class CommunicationsScreen(StepScreen):
    """Four phases, ten messages. The wizard sends nothing: copy the text, send it, sign it off."""

    STEP = Step.COMMUNICATIONS
    FOOTER_FIRST: ClassVar[tuple[str, ...]] = ("select", "tell_app", "message", "copy")

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "message", "message", tooltip="the text for the selected item, filled in"),
        Binding("c", "copy", "copy text", tooltip="copy the selected item's text to the clipboard"),
        Binding("E", "edit", "edit text", tooltip="rewrite the selected item's text in your editor, for everybody"),
        Binding("w", "tell_app", "to the app", tooltip="write the selected text into the app's maintenance row"),
        Binding("t", "plan", "set T−0", tooltip="the planned start; all dates follow it"),
        Binding("e", "tick_with_note", "note", tooltip="tick the selected item and keep a note with it"),
    ]

    def compose_body(self) -> ComposeResult:
        """The checklist and the selected item's text."""
        with Vertical(classes="split"):
            yield Checklist(id="messages")
            yield DetailPanel(id="message-detail")

    @property
    def checklist(self) -> Checklist:
        """The list."""
        return self.query_one("#messages", Checklist)

    def reveal(self, ref: str) -> bool:
        """An item."""
        self.checklist.focus()
        return self.checklist.select(ref)

    def changed(self, topics: frozenset[Topic], events: Sequence[Event]) -> None:
        """Bring ticks, due times and texts up to date."""
        if not topics & {Topic.SIGN_OFFS, Topic.PLANNED, Topic.STATE, Topic.LINK, Topic.TEXTS}:
            return
        self.checklist.show(
            communications.GROUPS,
            {item.id: self._entry(item) for group in communications.GROUPS for item in group.items},
        )
        self._explain()
        if self.session.state is None:
            self.say(Content(NOT_READ))
            return
        done, total = self.checklist.done
        planned = self.session.planned
        when = f"T−0 {planned:%Y-%m-%d %H:%M %Z}" if planned else "T−0 is not set"
        self.say(Content.assemble(f"{done} of {total} sent · ", (when, "" if planned else STYLES[Status.WARN])))

    def _entry(self, item: Item) -> Entry:
        """Signed by whom and when; or when it is due, and whether that is past. The rest is in the detail."""
        timezone = self.session.settings.timezone
        signed = self.session.now.sign_offs.get(item.id)
        if signed is not None and signed.ticked:
            return Entry(Status.PASS, f"{short(signed.operator, 12)} {moment(signed.at, timezone)[5:10]}")
        planned = self.session.planned
        if planned is None or item.due is None:
            return Entry(Status.PENDING, item.owner.value)
        day = moment(at(item.due, planned), timezone)[5:10]
        standing = item_standing(item, planned, datetime.now(UTC), done=False)
        if standing is Standing.LATE:
            return Entry(Status.WARN, f"late {day}")
        return Entry(Status.WARN, f"due {day}") if standing is Standing.DUE else Entry(Status.PENDING, f"by {day}")

    # The texts

    def rendered(self, item: Item) -> RenderedMessage | None:
        """The item's text with the dates of the planned start, or with gaps in their place."""
        if item.message is None:
            return None
        return to_send(self.session, item.message, self.session.now.planned_at)

    def _explain(self) -> None:
        item = self.checklist.selected
        if item is None:
            return
        parts = [item_text(self.session, item)]
        message = self.rendered(item)
        if message is not None:
            if self.session.now.planned_at is None:
                parts.append(Content.styled(NO_DATE, STYLES[Status.WARN]))
            own = " (rewritten)" if self.session.now.texts.get(item.message or "") else ""
            parts.append(Content.styled(f"Text{own}, m shows all of it, c copies it", "bold $text-muted"))
            if said := self._in_app(item):
                parts.append(Content.styled(said, STYLES[Status.PASS]))
            if message.subject:
                parts.append(Content.assemble(("Subject: ", "$text-muted"), safe(message.subject)))
            parts.append(safe_block(message.body))
        self.query_one("#message-detail", DetailPanel).show(Content("\n").join(parts))

    @on(Checklist.At)
    def _item_at(self) -> None:
        self._explain()
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys follow the selected item."""
        if action in ("message", "copy", "edit", "tell_app") and self.is_mounted:
            item = self.checklist.selected
            if item is None or item.message is None:
                return None
            return action != "tell_app" or self.session.settings.book.message(item.message).channel in IN_APP
        return True

    def action_message(self) -> None:
        """The whole text, to read and copy."""
        item = self.checklist.selected
        message = self.rendered(item) if item is not None else None
        if item is not None and message is not None:
            self.open_window(TextView(item.title, message.text))

    def action_copy(self) -> None:
        """Copy the text."""
        item = self.checklist.selected
        message = self.rendered(item) if item is not None else None
        if message is None:
            return
        self.app.copy_to_clipboard(message.text)
        gaps = " Its dates are gaps: set T−0 first." if self.session.now.planned_at is None else ""
        self.notify(f"Text copied.{gaps}", timeout=3, markup=False)

    # Rewriting

    def action_edit(self) -> None:
        """Rewrite the selected item's text in the operator's editor."""
        if (item := self.checklist.selected) is not None and item.message is not None:
            self.attempt(self._edit(self.session.settings.book.message(item.message)), group="edit")

    async def _edit(self, message: Message) -> None:
        before = self.session.now.texts.get(message.id)
        text = editable(message, before)
        while True:
            with self.once("the editor"):
                text = await edit_text(self.wizard, text, name=f"{message.id.removeprefix('message.')}.txt")
            try:
                edited = parse_edited(message, text)
                break
            except MessageError as error:
                body = "What you wrote is not lost: the editor opens with it again."
                if not await self.ask(ConfirmDialog(str(error), body, yes="Edit it again", no="Give it up")):
                    return
        if edited != (before or {}):
            await self.session.keep_text(message.id, edited)
            self.notify("Kept, for everybody." if edited else "The runbook's own text is back.", markup=False)

    # In the app

    def _in_app(self, item: Item) -> str:
        """Whether the app has this text, or will have it in the cut-over."""
        message, now = self.rendered(item), self.session.now
        if message is None:
            return ""
        channel = self.session.settings.book.message(item.message or "").channel
        if channel is Channel.PAGE and now.page == message.body:
            return "The cut-over shows this text."
        if channel is Channel.BANNER and self._shown(message):
            return "In the app's maintenance row now; w takes it out."
        return ""

    def _shown(self, message: RenderedMessage) -> bool:
        """Whether it is the banner that the app has now."""
        banner = self.session.now.banner
        return banner is not None and banner.message == message.body

    def action_tell_app(self) -> None:
        """Write a banner or the maintenance page's text where the app reads it; a banner it has is taken out."""
        if (item := self.checklist.selected) is not None and item.message is not None:
            self.attempt(self._tell_app(item, self.session.settings.book.message(item.message).channel), group="tell")

    async def _tell_app(self, item: Item, channel: Channel) -> None:
        session, message, planned = self.session, self.rendered(item), self.session.now.planned_at
        if message is None:
            return
        if channel is Channel.BANNER and self._shown(message):
            await self._take_back(message.body)
            return
        if planned is None:
            raise RefusedError(
                "T−0 is not set, so the text has gaps where its dates go.",
                state="Nothing was written.",
                next_step="Set T−0 with t, then try again.",
            )
        if channel is Channel.PAGE:
            title, yes = "Keep this as the maintenance page's text?", "Keep it"
            what = "The cut-over writes it into system_maintenance when it switches maintenance on, and only then."
        else:
            title, yes = "Write this banner into the app's maintenance row?", "Write it"
            what = "One row of system_maintenance, not enabled: an app that reads its message shows it; nothing closes."
        if not await self.ask(ConfirmDialog(title, f"{message.body}\n\n{what}", yes=yes)):
            return
        window = session.settings.book.thresholds.window
        async with session.written("announcement") as connection:
            if channel is Channel.PAGE:
                await announcement.keep_page(connection, message.body, operator=session.settings.operator)
            else:
                told = announcement.Announcement(message.body, planned, planned + window)
                await announcement.announce(connection, told, operator=session.settings.operator)
        self.notify("Kept for the cut-over." if channel is Channel.PAGE else "Written.", markup=False)

    async def _take_back(self, banner: str) -> None:
        """Offer to take the banner that the app has away again."""
        what = "The row's message is emptied: the app shows nothing any more. The text stays here."
        title = "Take this banner out of the app's maintenance row?"
        if await self.ask(ConfirmDialog(title, f"{banner}\n\n{what}", yes="Take it out")):
            async with self.session.written("announcement") as connection:
                await announcement.withdraw(connection, operator=self.session.settings.operator)
            self.notify("Taken out.", markup=False)

    # Signing off

    @on(Checklist.Ticked)
    def _ticked(self, message: Checklist.Ticked) -> None:
        self.attempt(tick_item(self, message.item, with_note=False), group="tick")

    def action_tick_with_note(self) -> None:
        """Tick the selected item and keep a note with it."""
        if (item := self.checklist.selected) is not None:
            self.attempt(tick_item(self, item, with_note=True), group="tick")

    def action_plan(self) -> None:
        """Set T−0."""
        self.attempt(ask_planned_moment(self))
