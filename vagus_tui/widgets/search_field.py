"""The field in which a view is searched, reached with `/`."""

from __future__ import annotations

from textual.widgets import Input


class SearchField(Input):
    """One line to search by. `/` is the key that leads here, so a text never begins with it."""

    def __init__(self, placeholder: str, *, id: str) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True, max_length=200, restrict=r"(?!/).*")
