"""Where a tokenizer file of the recipe lies: beside the recipe, or inside an installed package.

`package:NAME/FILE` lets a recipe name a base model without a download: pip has installed it.  The
package is located, never imported, so a tokenizer costs nothing but its file.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from tongwen.errors import TongwenError
from tongwen.recipe import Recipe

_PACKAGE = "package:"


def resolve_model(recipe: Recipe, path: str) -> Path:
    """The file that `path` of a recipe names, absolute.

    Args:
        recipe: relative paths start at its folder.
        path: a path, or `package:NAME/FILE` for a file of an installed package.

    Raises:
        TongwenError: there is no such file or package; names the recipe's key and the place.
    """
    key = _find_key(recipe, path)
    found = _find_in_package(path, key) if path.startswith(_PACKAGE) else recipe.resolve(path)
    if not found.is_file():
        raise TongwenError(
            f"there is no tokenizer file {found}",
            where=f"{key} = {path!r}",
            expected="a SentencePiece .model (for the base), a tokenizer.json or a .tiktoken file",
            do="correct the path; a relative one starts at the recipe's folder",
        )
    return found


def _find_key(recipe: Recipe, path: str) -> str:
    if path == recipe.tokenizer.base:
        return "tokenizer.base"
    for index, other in enumerate(recipe.tokenizer.compare):
        if path == other.path:
            return f"tokenizer.compare.{index}.path ({other.name})"
    return "path"


def _find_in_package(path: str, key: str) -> Path:
    name, _, file = path.removeprefix(_PACKAGE).partition("/")
    folders = _list_package_folders(name)
    if not folders or not file:
        raise TongwenError(
            f"no package {name!r} is installed" if file else "no file of the package is named",
            where=f"{key} = {path!r}",
            expected="package:NAME/FILE, where `import NAME` would work",
            do=f"pip install {name.replace('_', '-')}, or give the path of a file",
        )
    for folder in folders:
        found = (folder / file).resolve()
        if found.is_file() and found.is_relative_to(folder.resolve()):
            return found
    raise TongwenError(
        f"the package {name!r} has no file {file!r}",
        where=f"{key} = {path!r}",
        expected=f"a file below {folders[0]}",
        do="look into that folder for the right name",
    )


def _list_package_folders(name: str) -> list[Path]:
    if not name.isidentifier():
        return []
    spec = find_spec(name)
    locations = spec.submodule_search_locations if spec else None
    return [Path(location) for location in locations or ()]
