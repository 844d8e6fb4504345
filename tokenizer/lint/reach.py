"""Which pieces can be produced, exactly, and why the others cannot.

A piece is *alive* when some text is encoded with it.  For a BPE model this needs no search:

**Claim.** If a text piece `w` (normal, user-defined or unused) ever stands as one symbol at some
place of some normalised text T while SentencePiece merges, then `w` encoded alone, without
normaliser and dummy prefix, is that one symbol.

*Proof.* Let `w` stand at [s, e) of T.  (1) *The first symbols are the same.*  T is cut into
user-defined pieces, the longest at each place from left to right, and single characters.  s is an
end of a symbol, so reading starts at s as it does for `w` alone.  If `w` is one user-defined piece,
`w` alone is, too, for nothing longer fits into it.  Otherwise all symbols of T in [s, e) are
characters, since a user-defined piece is frozen and never merges; no user-defined piece then begins
at a place of [s, e) in T, and so none does in `w` alone, where fewer fit.  (2) *The merges are the
same.*  Before `w` stands, no merge crosses s or e.  SentencePiece always takes the pair with the
best score, the leftmost on equal scores.  By induction the symbols inside [s, e) and in `w` alone
agree before each inner merge; the pairs waiting inside are the same in both, with the same scores
and the same order from left to right; and the best of all pairs of T, where it lies inside, is the
best of those inside.  So `w` alone takes the inner merges of T in their order, and ends as `w`.
Runs (`aaaa`) and ties are no exception: an order by (score, place) among inner pairs does not
change when all of them move by s.  An unused piece is cut up again into symbols that stood before,
to which the claim applies.  ∎

So a piece whose own text is encoded as something else is dead in every context: context can only
block.

**The converse** asks for a text that reaches the merges.  Without rules in the normaliser any text
does, behind a dummy prefix at most: put a character that stands in no piece on both sides of `w`,
no pair with it ever merges, and `w` is encoded as alone; where extra spaces are removed, a written
U+2581 still stays.  Only a literal space inside a piece cannot come, for spaces are escaped.  With
rules a witness is looked for and given to SentencePiece itself: `w`, and the texts which the rules
turn into `w` (`charsmap`).  What has a witness is alive.  What has no chain of rules that writes it
is proven dead; where chains exist and none of them (up to 128) is a witness, or where user-defined
pieces keep text from the rules, the piece is called dead with `proven = False`.

For a unigram model the same holds up to the rounding of float32: a cheaper cut of `w` alone would
also lower the cost of any text around it.  Word and character models cut by fixed rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tokenizer.lint.charsmap import Charsmap, read_charsmap
from tokenizer.lint.loading import list_twins, make_plain, open_processor
from tokenizer.model import SPACE, ModelProto, PieceType

Cause = Literal["split", "parts", "order", "cheaper", "user-defined", "null", "normaliser"]

CAUSES: dict[Cause, str] = {
    "split": "no two pieces make it up",
    "parts": "each two pieces that make it up include a dead one",
    "order": "two pieces make it up, but other merges come first",
    "cheaper": "other pieces together have a better score",
    "user-defined": "a user-defined piece inside it is cut out first",
    "null": "SentencePiece passes over pieces with a null character",
    "normaliser": "the normaliser lets no text through that holds it",
}
"""Why a piece is dead."""

_BATCH = 4096
_MOST_CHAINS = 64
_ALIVE_TYPES = (PieceType.NORMAL, PieceType.USER_DEFINED)
_MERGED_TYPES = (*_ALIVE_TYPES, PieceType.UNUSED)


@dataclass(frozen=True)
class Dead:
    """A piece that no text is encoded with.

    Attributes:
        id, piece: which one.
        cause: a key of `CAUSES`.
        encoded: what its own text is encoded as.
        proven: False where the normaliser has rules that could write the piece and none of the
            texts tried did, and where a unigram model's rounding could prefer it.
    """

    id: int
    piece: str
    cause: Cause
    encoded: tuple[str, ...]
    proven: bool = True


def find_dead(model: ModelProto, start: int = 0) -> list[Dead]:
    """The normal and user-defined pieces from id `start` on that no text is encoded with.

    Control, unknown, unused and byte pieces are passed over: no text stands for them.  Of two
    pieces with the same text the first is looked at.

    Raises:
        TongwenError: SentencePiece cannot use the model at all.
    """
    twins = {later for _, later in list_twins(model)}
    wanted = [
        number
        for number in range(start, len(model.pieces))
        if model.pieces[number].type in _ALIVE_TYPES and number not in twins
    ]
    unreached = _encode_alone(model, wanted)
    dead = [_explain(model, number, pieces) for number, pieces in unreached.items()]
    dead = _find_causes(model, dead)
    alive = [number for number in wanted if number not in unreached]
    return sorted([*dead, *_find_shut_out(model, alive)], key=lambda each: each.id)


def _encode_alone(model: ModelProto, wanted: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Of each piece that is not the encoding of its own text: what it is encoded as."""
    processor, _ = open_processor(make_plain(model), Path("model"))
    found: dict[int, tuple[str, ...]] = {}
    for begin in range(0, len(wanted), _BATCH):
        batch = wanted[begin : begin + _BATCH]
        texts = [model.pieces[number].piece for number in batch]
        encoded = processor.encode(texts, out_type=int, num_threads=1)
        for number, ids in zip(batch, encoded, strict=True):
            if ids != [number]:
                found[number] = tuple(processor.id_to_piece(each) for each in ids)
    return found


def _explain(model: ModelProto, number: int, encoded: tuple[str, ...]) -> Dead:
    return Dead(number, model.pieces[number].piece, "order", encoded)


def _find_causes(model: ModelProto, dead: Sequence[Dead]) -> list[Dead]:
    known = {piece.piece for piece in model.pieces if piece.type in _MERGED_TYPES}
    cut_out = [piece.piece for piece in model.pieces if piece.type == PieceType.USER_DEFINED]
    live = known - {each.piece for each in dead}
    is_bpe = model.trainer_spec.model_type == 2

    def find_cause(each: Dead) -> Cause:
        if "\0" in each.piece:
            return "null"
        if any(other in each.piece for other in cut_out if other != each.piece):
            return "user-defined"
        if not is_bpe:
            return "cheaper"
        if not _has_cut(each.piece, known):
            return "split"
        return "order" if _has_cut(each.piece, live) else "parts"

    return [
        replace(each, cause=cause, proven=cause != "cheaper")
        for each, cause in zip(dead, map(find_cause, dead), strict=True)
    ]


def _has_cut(text: str, known: set[str]) -> bool:
    """Whether two pieces, or characters, which need not be pieces, make it up."""
    return any(
        (cut == 1 or text[:cut] in known) and (cut == len(text) - 1 or text[cut:] in known)
        for cut in range(1, len(text))
    )


def _find_shut_out(model: ModelProto, alive: Sequence[int]) -> list[Dead]:
    """Pieces that would be encoded as themselves, had any text them after the normaliser."""
    spec, is_word = model.normalizer_spec, model.trainer_spec.model_type == 3
    if not (spec.precompiled_charsmap or is_word):
        alive = [number for number in alive if " " in model.pieces[number].piece]
    if not alive:
        return []
    search = _Search(model)
    plain = {number: search.write_plainly(number) for number in alive}
    left = search.find_unwitnessed(plain)
    if not left:
        return []
    search.read_rules()
    chains = {number: search.propose(number) for number in left}
    left = search.find_unwitnessed(chains)
    return [search.describe(number, proven=not chains[number]) for number in left]


class _Search:
    """Looks for texts that the model, with its normaliser, encodes with a given piece."""

    def __init__(self, model: ModelProto) -> None:
        self._model, self._pieces = model, model.pieces
        self._spec = model.normalizer_spec
        self._processor, _ = open_processor(model, Path("model"))
        self._rules = Charsmap({})
        self._apart = _choose_separator(model, self._rules)
        kinds = {piece.type for piece in model.pieces}
        held = self._spec.precompiled_charsmap and PieceType.USER_DEFINED in kinds
        self._follows_rules = not held

    def read_rules(self) -> None:
        """Read the rules of the normaliser, which takes seconds and is seldom needed."""
        self._rules = read_charsmap(self._spec.precompiled_charsmap)
        self._apart = _choose_separator(self._model, self._rules)

    def write_plainly(self, number: int) -> list[str]:
        piece = self._pieces[number].piece
        return [piece.replace(SPACE, " "), piece]

    def propose(self, number: int) -> list[str]:
        """All texts, up to a bound, that the rules may turn into the piece; none: there are none.

        A written U+2581 stays one where the rules leave it alone, beside an escaped space.
        """
        forms = [self._pieces[number].piece]
        if self._spec.escape_whitespaces:
            forms = [text for text in forms if " " not in text]
            forms += [text.replace(SPACE, " ") for text in forms if SPACE in text]
        if self._spec.remove_extra_whitespaces:
            forms = [text for text in forms if "  " not in text or self._writes_two_spaces]
        return [text for form in forms for text in self._rules.propose(form, _MOST_CHAINS)]

    @property
    def _writes_two_spaces(self) -> bool:
        return any("  " in new for new in self._rules.sources)

    def find_unwitnessed(self, proposals: dict[int, list[str]]) -> list[int]:
        """The pieces for which none of the proposed texts, alone or set apart, is a witness."""
        left: list[int] = []
        numbers = list(proposals)
        for begin in range(0, len(numbers), _BATCH):
            batch = numbers[begin : begin + _BATCH]
            asked = [
                (number, written)
                for number in batch
                for text in proposals[number]
                for written in (text, f"{self._apart}{text}{self._apart}")
            ]
            encoded = self._processor.encode([text for _, text in asked], out_type=int)
            pairs = zip(asked, encoded, strict=True)
            seen = {number for (number, _), ids in pairs if number in ids}
            left += [number for number in batch if number not in seen]
        return left

    def describe(self, number: int, *, proven: bool) -> Dead:
        piece = self._pieces[number].piece
        encoded = self._processor.encode(piece.replace(SPACE, " "), out_type=str)
        return Dead(number, piece, "normaliser", tuple(encoded), proven and self._follows_rules)


def _choose_separator(model: ModelProto, rules: Charsmap) -> str:
    """A character that stands in no piece and that the normaliser leaves alone."""
    taken = {character for piece in model.pieces for character in piece.piece}
    taken.update(character for old in rules.rules for character in old)
    return next(chr(code) for code in range(0x10FFFD, 0, -1) if chr(code) not in taken)
