"""Quoting, for the layers above; it lives with the schema, which writes SQL too."""

from vagus_tui.schema.identifiers import literal, qualified, quote

__all__ = ["literal", "qualified", "quote"]
