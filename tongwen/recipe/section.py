"""What every table of a recipe is: frozen, strict, and closed to unknown keys."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B", re.IGNORECASE)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_TAKEN = ("extended", "held_out")
_FACTOR = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def parse_bytes(text: str) -> int:
    """Bytes of a size such as `"4GB"` (decimal units).  Raises ValueError for anything else."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as '4GB' or '512MB'")
    return int(float(match[1]) * _FACTOR[match[2].upper()])


def _check_size(text: str) -> str:
    parse_bytes(text)
    return text


def _check_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError("a name is a lower-case letter, then letters, digits or _, at most 40")
    if text in _TAKEN:
        raise ValueError(f"{text} is the name of another output")
    return text


Size = Annotated[str, AfterValidator(_check_size)]
Name = Annotated[str, AfterValidator(_check_name)]
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A table of the recipe: frozen, strict, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _freeze_lists(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        return {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
