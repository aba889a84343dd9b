"""The options that commands share."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import CliToggleFlag


class Command(BaseModel):
    """A command that a script may run."""

    model_config = ConfigDict(extra="forbid")

    as_json: CliToggleFlag[bool] = Field(
        default=False,
        validation_alias=AliasChoices("json"),
        description="one JSON object per line on stdout, the last a result",
    )


_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


def seconds_of(text: object) -> object:
    """A length of time as it is typed: `60`, `30s`, `5m`, `2h`; anything else is refused.

    Raises:
        ValueError: it is no length of time.
    """
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *(s|m|min|h|)", text.strip())
    if found is None:
        raise ValueError("a length of time is written as 60, 30s, 5m or 2h")
    return float(found.group(1)) * _UNITS[found.group(2)]


Seconds = Annotated[float, BeforeValidator(seconds_of), Field(ge=1, le=7 * 86_400)]
"""An option that takes a length of time, from a second to a week."""
