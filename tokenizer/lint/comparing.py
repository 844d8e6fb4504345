"""Rules that compare: with the base, with Hugging Face, with the model's folder."""

from __future__ import annotations

from typing import Any

from tokenizer.lint.finding import Found
from tokenizer.lint.subject import Subject, show_text
from tokenizer.model import SPACE, ModelProto, PieceType

_SETTINGS = ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces")


def check_normaliser(subject: Subject) -> Found:
    """Settings that make the extended model read text otherwise than the base."""
    assert subject.base is not None
    mine, theirs = _list_settings(subject.model), _list_settings(subject.base)
    differ = [name for name in mine if mine[name] != theirs[name]]
    lines = [f"{name}: {theirs[name]} in the base, {mine[name]} here" for name in differ]
    return Found(len(differ), lines, "note" if differ == ["name"] else None)


def _list_settings(model: ModelProto) -> dict[str, Any]:
    spec, trainer = model.normalizer_spec, model.trainer_spec
    rules = spec.precompiled_charsmap
    return {
        "model_type": trainer.model_type,
        "name": spec.name or "(none)",
        "rules": f"{len(rules):,} bytes, CRC {_checksum(rules):08x}" if rules else "none",
        **{name: bool(getattr(spec, name)) for name in _SETTINGS},
        "byte_fallback": bool(trainer.byte_fallback),
        "treat_whitespace_as_suffix": bool(trainer.treat_whitespace_as_suffix),
    }


def _checksum(data: bytes) -> int:
    from zlib import crc32

    return crc32(data)


def check_text_is_kept(subject: Subject) -> Found:
    """Whether text comes back as it was: rules and removed spaces change it."""
    spec = subject.model.normalizer_spec
    lines: list[str] = []
    if spec.precompiled_charsmap:
        lines.append(f"rules {spec.name or 'without a name'} replace characters")
    if spec.remove_extra_whitespaces:
        lines.append("spaces at the ends and double spaces are removed")
    facts = subject.texts
    if facts.sampled:
        lines.append(f"{facts.num_altered:,} of {facts.sampled:,} lines come back changed")
    for line, back in facts.altered[:20]:
        lines.append(f"{show_text(line[:100])} -> {show_text(back[:100])}")
    changes = bool(spec.precompiled_charsmap or spec.remove_extra_whitespaces)
    return Found(facts.num_altered or int(changes), lines)


def check_base_ids(subject: Subject) -> Found:
    """Ids of the base that are another piece, score or type here."""
    assert subject.base is not None
    lines: list[str] = []
    for number, old in enumerate(subject.base.pieces):
        if number >= subject.size:
            lines.append(f"{number} {show_text(old.piece)}: gone")
            continue
        new = subject.model.pieces[number]
        fields = ("piece", "score", "type")
        differ = [name for name in fields if getattr(old, name) != getattr(new, name)]
        if differ:
            lines.append(f"{number} " + ", ".join(_show_field(n, old, new) for n in differ))
    return Found(len(lines), lines)


def _show_field(name: str, old: Any, new: Any) -> str:
    before, after = getattr(old, name), getattr(new, name)
    if name == "piece":
        return f"{show_text(before)} -> {show_text(after)}"
    if name == "type":
        return f"type {PieceType(before).name} -> {PieceType(after).name}"
    return f"{show_text(old.piece)}: score {before:.10g} -> {after:.10g}"


def check_base_text(subject: Subject) -> Found:
    """Lines of the base's language that are cut differently."""
    lines = [
        f"{_show_pieces(change.base)} -> {_show_pieces(change.extended)}"
        for change in subject.texts.changes
    ]
    return Found(subject.texts.changed, lines)


def _show_pieces(pieces: list[str]) -> str:
    return " | ".join(show_text(piece) for piece in pieces)


def check_fast(subject: Subject) -> Found:
    """Texts and pieces to which Hugging Face tokenizers gives other ids."""
    fast, facts = subject.fast, subject.texts
    assert fast is not None
    texts = _list_own_texts(subject)
    slow = subject.processor.encode(texts, out_type=int)
    pairs = zip(texts, slow, fast.encode(texts), strict=True)
    differ = [text for text, one, two in pairs if one != two]
    origin = "made by our export" if fast.made else "beside the model"
    lines = [
        f"tokenizer.json {origin}: {len(differ):,} of {len(texts):,} pieces' own texts and "
        f"{facts.num_disagreements:,} of {facts.asked:,} lines get other ids"
    ]
    for text in (*facts.disagreements[:100], *differ[:100]):
        lines.append(_show_two(subject, text))
    lines += [f"its size is {fast.size:,}"] if fast.size != subject.size else []
    count = len(differ) + facts.num_disagreements + int(fast.size != subject.size)
    return Found(count, lines)


def _list_own_texts(subject: Subject) -> list[str]:
    """The text of each normal piece; those that hold a special token are known to differ."""
    assert subject.fast is not None
    normal = (p.piece for p in subject.model.pieces if p.type == PieceType.NORMAL)
    texts = (piece.replace(SPACE, " ") for piece in normal if "\0" not in piece)
    return [text for text in texts if not subject.fast.holds_special(text)]


def _show_two(subject: Subject, text: str) -> str:
    assert subject.fast is not None
    slow, quick = subject.processor.encode(text, out_type=int), subject.fast.encode([text])[0]
    head = next((n for n, (a, b) in enumerate(zip(slow, quick, strict=False)) if a != b), 0)
    start = max(0, head - 2)
    one = [subject.processor.id_to_piece(each) for each in slow[start : start + 12]]
    two = [subject.fast.tokenizer.id_to_token(each) for each in quick[start : start + 12]]
    return f"{show_text(text[:60])}: {_show_pieces(one)} against {_show_pieces(two)}"


def check_config(subject: Subject) -> Found:
    """Whether config.json and the embeddings have a row for each piece and no more, and its ids."""
    config, trainer = subject.config or {}, subject.model.trainer_spec
    sizes = {f"rows of {name}": size for name, size in sorted(subject.rows.items())}
    if isinstance(config.get("vocab_size"), int):
        sizes = {"config.json: vocab_size": config["vocab_size"], **sizes}
    wrong = {name: size for name, size in sizes.items() if size != subject.size}
    lines = [
        f"{name} = {size:,}, there are {subject.size:,} pieces" for name, size in wrong.items()
    ]
    for name in ("bos", "eos"):
        said, there = config.get(f"{name}_token_id"), getattr(trainer, f"{name}_id")
        if isinstance(said, int) and said != there:
            lines.append(f"config.json: {name}_token_id = {said}, the tokenizer's is {there}")
    lacks_rows = any(size < subject.size for size in wrong.values())
    return Found(len(lines), lines, "error" if lacks_rows else None)
