"""The page's own script and its data; what else looks like a script came from the data."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from typing import Any

SCRIPT = (files("reports") / "templates" / "search.js").read_text(encoding="utf-8")
_DATA = re.compile(r'<script type="application/json">([^<>&]*)</script>')


def drop_own_scripts(page: str) -> str:
    """The page without its own script and data."""
    return _DATA.sub("", page).replace(f"<script>{SCRIPT}</script>", "")


def read_search(page: str) -> list[Any]:
    """What the page searches: kinds, pieces, ids, numbers, places."""
    (text,) = _DATA.findall(page)
    kinds, *columns = json.loads(text)
    return [kinds, *(column.split(" ") for column in columns)]
