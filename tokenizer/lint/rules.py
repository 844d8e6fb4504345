"""All rules in the order of a report: what breaks a model first, then what wastes, then facts."""

from __future__ import annotations

from tokenizer.lint import comparing, pieces, scores, sizes
from tokenizer.lint.finding import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "loading",
        "error",
        "SentencePiece loads the file",
        "SentencePiece refuses the whole model at the first such defect. The other rules were run "
        "on a copy that was repaired without moving an id. Repair the file before anything else.",
        sizes.check_loading,
    ),
    Rule(
        "base-ids",
        "error",
        "Ids of the base hold the same piece, score and type",
        "Rows of the embeddings go by id: another piece under an old id gets the old one's "
        "meaning, and another score changes how old text is cut. Append new pieces only.",
        comparing.check_base_ids,
        "base",
    ),
    Rule(
        "base-text",
        "error",
        "Text of the base's language is encoded as before",
        "Lines without a CJK-only character that the extended model cuts otherwise: what the base "
        "model has learned about them no longer applies to the same tokens. Score new merges after "
        "all of the base's, and add none that such text can meet.",
        comparing.check_base_text,
        "base and texts",
    ),
    Rule(
        "normaliser",
        "error",
        "The normaliser is the base's",
        "With other rules, spaces or byte fallback the same text becomes other pieces than the "
        "base model was trained on. Keep normalizer_spec of the base when pieces are added.",
        comparing.check_normaliser,
        "base",
    ),
    Rule(
        "unreachable",
        "error",
        "Every piece can be produced by some text",
        "A dead piece is never the encoding of any text: its rows of the embeddings are not "
        "trained, and its text costs several tokens. In a BPE model a piece needs two parts that "
        "are pieces themselves and merge first. Add the steps in between, or leave the piece out.",
        pieces.check_unreachable,
    ),
    Rule(
        "duplicates",
        "error",
        "No text is in the vocabulary twice",
        "SentencePiece refuses a second piece of the same text; programs that do not will give one "
        "of the two ids and never the other. Remove the later one.",
        pieces.check_duplicates,
    ),
    Rule(
        "bytes",
        "warning",
        "Each of the 256 bytes has a piece",
        "Byte pieces hold every character that has no piece. Without them such a character is "
        "<unk> and cannot be decoded; with some of them missing SentencePiece refuses the file.",
        sizes.check_bytes,
    ),
    Rule(
        "specials",
        "warning",
        "There are pieces for unknown, beginning, end and padding",
        "BOS and EOS part documents in training, and a tokenizer needs an unknown piece. Padding "
        "alone is often missing (LLaMA has none): a note; pad with <unk> and mask those places.",
        sizes.check_specials,
    ),
    Rule(
        "specials-as-text",
        "warning",
        "No special token was entered as a normal piece",
        "SentencePiece encodes a normal piece from text or not at all, and decoding writes it out. "
        "A special token has to be of type CONTROL, or USER_DEFINED if text may hold it.",
        pieces.check_specials_as_text,
    ),
    Rule(
        "poured",
        "warning",
        "Scores are an order of merges",
        "A BPE model merges the best score first. Log probabilities of a unigram model, or the "
        "same 0 for all, put pieces into an order in which nobody has learned them: some die, and "
        "text is cut in more pieces than need be. Continue BPE from the base instead.",
        scores.check_poured,
        "bpe",
    ),
    Rule(
        "overtaking",
        "warning",
        "New merges come after the base's",
        "A new merge that comes before a merge of the base changes how the base's text is cut as "
        "soon as the two share a character. Score new pieces below the base's lowest.",
        scores.check_overtaking,
        "base",
    ),
    Rule(
        "ties",
        "warning",
        "No two merges have the same score",
        "Among equal scores SentencePiece takes the leftmost pair, so the order depends on the "
        "text, and programs that list merges (Hugging Face, llama.cpp) have to guess it. Pieces of "
        "spaces alone are a note: LLaMA-2 has 15 of them at -10^9. Give each merge a score.",
        scores.check_ties,
        "bpe",
    ),
    Rule(
        "order",
        "note",
        "Parts are merged before the whole",
        "In a vocabulary that BPE has learned, some two parts of each piece have better scores "
        "than it. A piece with a better score than its parts was put there by other means.",
        scores.check_order,
        "bpe",
    ),
    Rule(
        "text-is-kept",
        "warning",
        "Text comes back as it was",
        "A normaliser with rules (nmt_nfkc turns ， into a comma, １ into 1) or one that removes "
        "spaces loses what code, poetry and punctuation need. Train with the rule `identity`.",
        comparing.check_text_is_kept,
    ),
    Rule(
        "fast",
        "warning",
        "Hugging Face tokenizers gives the same ids",
        "transformers loads tokenizer.json where there is one: training with one and serving with "
        "the other means other tokens for the same text. A special token written out in a text is "
        "a known difference and left out. Write the merges in the order of the scores, give each "
        "merge a score of its own, and make each character of a piece a piece.",
        comparing.check_fast,
        "fast",
    ),
    Rule(
        "config",
        "warning",
        "config.json and embeddings fit the tokenizer",
        "Fewer rows than pieces are an error: the first new id crashes. More cannot be converted "
        "by programs that want a name for each row (GGUF). With another id of EOS, generation does "
        "not stop. Resize the embeddings to the tokenizer and correct config.json.",
        comparing.check_config,
        "config",
    ),
    Rule(
        "declared-size",
        "note",
        "trainer_spec says how many pieces there are",
        "Pieces were appended and the number was not: programs that trust it (some converters do) "
        "cut the vocabulary off. Set trainer_spec.vocab_size.",
        sizes.check_declared_size,
    ),
    Rule(
        "parallel",
        "note",
        "Tensor-parallel sizes divide the vocabulary",
        "Embeddings are cut into equal rows over tensor-parallel ranks. Where the size does not "
        "divide the vocabulary, it is padded; Megatron pads to a multiple of 128 x TP in any case. "
        "Choose a size of which the TP in use is a divisor.",
        sizes.check_parallel,
    ),
    Rule(
        "inner-spaces",
        "note",
        "No piece has a space inside",
        "A piece over a space joins the end of one word to the beginning of another; such pieces "
        "come from web pages and code. A literal U+0020 is never met, for SentencePiece writes ▁.",
        pieces.check_inner_spaces,
    ),
    Rule(
        "prefixes",
        "note",
        "No new piece begins with the dummy prefix",
        "▁X says what X says already: one word has two ids and two rows. It pays where Chinese "
        "follows Latin words and saves the space's token there (spaces_in_pieces); in text without "
        "spaces it is met at the beginning alone, and a row is wasted.",
        pieces.check_prefixes,
        "base",
    ),
    Rule(
        "characters",
        "warning",
        "Pieces hold visible characters",
        "Control, private-use, unassigned and zero-width characters and U+FFFD are the mark of "
        "broken text or of watermarks in the corpus. Clean the corpus, or filter the pieces; "
        "without a base this is a note, for many vocabularies hold single ones.",
        pieces.check_characters,
    ),
    Rule(
        "mixed-scripts",
        "note",
        "Han characters stand apart from letters and digits",
        "A piece such as 第1 or T恤 makes the tokens of a number or a word depend on what stands "
        "beside it. Split by script before pieces are learned.",
        pieces.check_scripts,
    ),
    Rule(
        "normal-forms",
        "note",
        "Pieces differ by more than normalisation",
        "Full-width and half-width twins (！ and !) are two tokens of one meaning; that is right "
        "where both are written. Canonical twins (NFC) look the same, too, and added ones are a "
        "warning: normalise the corpus.",
        pieces.check_normal_forms,
    ),
)
"""Every rule."""
