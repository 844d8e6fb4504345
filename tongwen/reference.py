"""The reference of the recipe, written from the classes that read it.

`python -m tongwen.reference` prints it; a test holds FORMATS.md to it.
"""

from __future__ import annotations

import json
import re
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from tongwen import recipe

TABLES: tuple[tuple[str, type[recipe.Section]], ...] = (
    ("[run]", recipe.Run),
    ("[corpus]", recipe.Corpus),
    ("[[corpus.inputs]]", recipe.Input),
    ("[corpus.inputs.columns]", recipe.Columns),
    ("[corpus.categories]", recipe.Categories),
    ("[[corpus.categories.rules]]", recipe.Rule),
    ("[corpus.engine]", recipe.Engine),
    ("[corpus.duplicates]", recipe.Duplicates),
    ("[corpus.audit]", recipe.Audit),
    ("[tokenizer]", recipe.Tokenizer),
    ("[[tokenizer.weights]]", recipe.Weight),
    ("[tokenizer.filter]", recipe.PieceFilter),
    ("[[tokenizer.compare]]", recipe.Comparison),
    ("[tokenizer.embeddings]", recipe.Embeddings),
    ("[tokenizer.sweep]", recipe.Sweep),
    ("[buckets]", recipe.Buckets),
    ("[[stages]]", recipe.Stage),
    ("[[stages.mixture]]", recipe.Part),
    ("[stages.curriculum]", recipe.Curriculum),
    ("[model]", recipe.Model),
    ("[train]", recipe.Train),
    ("[reports]", recipe.Reports),
)


_NAMES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}


def write_reference() -> str:
    """Markdown: every table of a recipe with its keys, types, defaults and meaning."""
    return "\n".join(_describe_table(name, section) for name, section in TABLES)


def _describe_table(name: str, section: type[recipe.Section]) -> str:
    intro = (section.__doc__ or "").partition(": ")[2].replace("\n    ", " ").strip()
    lines = [f"### `{name}`", "", intro[:1].upper() + intro[1:], ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in section.model_fields.items():
        if not is_table(field.annotation):
            meaning = " ".join((field.description or "").split()).replace("|", "\\|")
            lines.append(f"| `{key}` | {_type(field.annotation)} | {_default(field)} | {meaning} |")
    return "\n".join([*lines, ""])


def is_table(annotation: Any) -> bool:
    """Whether a field is a table of its own (or a list of tables)."""
    if isinstance(annotation, type):
        return issubclass(annotation, recipe.Section)
    return any(is_table(inner) for inner in get_args(annotation))


def _type(annotation: Any) -> str:
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    values = [value for value in get_args(annotation) if isinstance(value, str)]
    if values:
        return " \\| ".join(f'`"{value}"`' for value in values)
    names = [getattr(inner, "__name__", "") for inner in get_args(annotation)] or [
        getattr(annotation, "__name__", str(annotation))
    ]
    return re.sub("NoneType", "", _NAMES.get(names[0], names[0]))


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "must be given"
    if field.default is None:
        return ""
    return f"`{json.dumps(field.default)}`"


if __name__ == "__main__":
    print(write_reference(), end="")
