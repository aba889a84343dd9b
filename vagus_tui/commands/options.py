"""The options that commands share."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic_settings import CliToggleFlag


class Command(BaseModel):
    """A command that a script may run."""

    model_config = ConfigDict(extra="forbid")

    as_json: CliToggleFlag[bool] = Field(
        default=False,
        validation_alias=AliasChoices("json"),
        description="one JSON object per line on stdout, the last a result",
    )
