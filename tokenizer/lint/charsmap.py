"""The rules of a SentencePiece normaliser, read from its compiled form.

`precompiled_charsmap` is a length (4 bytes, little endian), a double-array trie (Darts-clone, 32
bits a unit) from what is replaced to an offset, and the replacements, each ended by a zero byte.
The trie is walked level by level over all bytes at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_BYTES = np.arange(1, 256, dtype=np.uint32)


@dataclass(frozen=True)
class Charsmap:
    """What a normaliser replaces: `rules[old] = new`, the longest `old` at a place first."""

    rules: dict[str, str]

    @cached_property
    def sources(self) -> dict[str, list[str]]:
        """For each replacement the texts that become it, the shortest first."""
        found: dict[str, list[str]] = {}
        for old in sorted(self.rules, key=lambda old: (len(old), old)):
            found.setdefault(self.rules[old], []).append(old)
        return found

    def propose(self, text: str, most: int) -> list[str]:
        """Texts that may be normalised to one that holds `text`, at most twice `most`.

        Each is a chain of sources and of characters that stay, whose replacements written in a row
        cover `text`; a replacement may begin before `text` and end after it.  Every text whose
        normalised form holds `text` is such a chain with deleted characters between its links, so
        without a chain there is none.  Each chain is proposed without deleted characters and with
        one between all links, which keeps a longer source from forming across two of them.
        """
        known: dict[str, list[tuple[str, ...]]] = {"": [()]}
        for start in range(len(text) - 1, -1, -1):
            known[text[start:]] = self._cover(text[start:], known, start == 0)[:most]
        deleted = next((old for old in self.sources.get("", ()) if len(old) == 1), "")
        links = known[text]
        return list(dict.fromkeys(gap.join(link) for gap in ("", deleted) for link in links))

    def _cover(
        self, text: str, known: dict[str, list[tuple[str, ...]]], start: bool
    ) -> list[tuple[str, ...]]:
        found: list[tuple[str, ...]] = []
        if self.rules.get(text[0], text[0]) == text[0]:
            found += [(text[0], *rest) for rest in known[text[1:]]]
        for length, olds in self._list_steps(text, start=start):
            found += [(old, *rest) for old in olds[:3] for rest in known[text[length:]]]
        return found

    def _list_steps(self, text: str, *, start: bool) -> Iterator[tuple[int, list[str]]]:
        """(characters of `text` that it covers, sources) of each replacement that fits."""
        for length in range(1, min(len(text), self._longest) + 1):
            if text[:length] in self.sources:
                yield length, self.sources[text[:length]]
        yield from ((len(text), self.sources[new]) for new in self._heads.get(text, ()))
        if start:
            for length in range(1, min(len(text), self._longest) + 1):
                for new in self._tails.get(text[:length], ()):
                    yield length, self.sources[new]
            yield from ((len(text), self.sources[new]) for new in self._inner.get(text, ()))

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self.sources), default=0)

    @cached_property
    def _heads(self) -> dict[str, list[str]]:
        """Proper beginnings of replacements."""
        return _index((new[:cut], new) for new in self.sources for cut in range(1, len(new)))

    @cached_property
    def _tails(self) -> dict[str, list[str]]:
        """Proper endings of replacements."""
        return _index((new[cut:], new) for new in self.sources for cut in range(1, len(new)))

    @cached_property
    def _inner(self) -> dict[str, list[str]]:
        """Parts of replacements that neither begin nor end them."""
        return _index(
            (new[cut:end], new)
            for new in self.sources
            for cut in range(1, len(new) - 1)
            for end in range(cut + 1, len(new))
        )


def read_charsmap(data: bytes) -> Charsmap:
    """Read a `precompiled_charsmap`; an empty one has no rules.

    Raises:
        ValueError: the bytes are no charsmap.
    """
    if not data:
        return Charsmap({})
    size = int.from_bytes(data[:4], "little")
    if len(data) < 8 or size % 4 or size + 4 >= len(data):
        raise ValueError("the normaliser's rules are broken")
    units = np.frombuffer(data, "<u4", size // 4, 4).astype(np.uint32)
    strings = data[4 + size :]
    rules: dict[str, str] = {}
    for key, value in _walk(units):
        end = strings.find(b"\0", value)
        rules[key.decode("utf-8", "replace")] = strings[value:end].decode("utf-8", "replace")
    return Charsmap(rules)


def _walk(units: NDArray[np.uint32]) -> Iterator[tuple[bytes, int]]:
    """All (key, value) of a Darts-clone double array."""
    prefixes: list[bytes] = [b""]
    bases = _read_offsets(units[:1])
    while prefixes:
        places = bases[:, None] ^ _BYTES[None, :]
        inside = places < len(units)
        labels = units[np.where(inside, places, 0)] & np.uint32(0x800000FF)
        rows, columns = np.nonzero(inside & (labels == _BYTES[None, :]))
        nodes = places[rows, columns]
        prefixes = [
            prefixes[row] + bytes((column + 1,))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        bases = nodes ^ _read_offsets(units[nodes])
        ends = np.nonzero((units[nodes] >> np.uint32(8)) & np.uint32(1))[0]
        values = units[bases[ends]] & np.uint32(0x7FFFFFFF)
        yield from ((prefixes[end], int(value)) for end, value in zip(ends, values, strict=True))


def _read_offsets(units: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return (units >> np.uint32(10)) << ((units & np.uint32(1 << 9)) >> np.uint32(6))


def _index(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        found.setdefault(key, []).append(value)
    return found
