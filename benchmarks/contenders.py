"""Text to signature, by ours and by the peers: one contender a process, driven by `signatures.py`.

    python benchmarks/contenders.py NAME LANGUAGE SAMPLE BYTES

Every peer is called as its documentation shows, at its fastest documented call.  A peer that takes
tokens gets them from the shortest Python that makes its shingles (5 words, or 5 characters); once
that counts, and once (`NAME-kernel`) they are made beforehand.
"""

# pyright: reportMissingImports=false
# The peers live in environments of their own (`make bench-env`).

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness import cpu_seconds, serve

NUM_PERM, NGRAM = 128, 5
Texts = list[str]
Work = Callable[[], Any]


class Contender(NamedTuple):
    """How it is prepared (not timed), where it lives and how much text suits its speed.

    Attributes:
        prepare: texts and language become what is timed.
        packages: whose versions matter.
    """

    prepare: Callable[[Texts, str], Work]
    environment: str
    megabytes: float
    packages: tuple[str, ...]
    label: str


def shingle(texts: Texts, language: str) -> list[list[str]]:
    """Five characters of Chinese, five words of English; a shorter text is one shingle."""
    if language == "zh":
        return [[t[i : i + NGRAM] for i in range(len(t) - NGRAM + 1)] or [t] for t in texts]
    words = [text.split() for text in texts]
    join = " ".join
    return [[join(w[i : i + NGRAM]) for i in range(len(w) - NGRAM + 1)] or [join(w)] for w in words]


def prepare_ours(hash_name: Literal["fast", "xxh32", "sha1"], texts: Texts, language: str) -> Work:
    import pyarrow as pa

    from corpus import minhash

    column = pa.array(texts)
    return lambda: minhash(column, num_perm=NUM_PERM, ngram=NGRAM, hash=hash_name)


def prepare_tokens(
    use: Callable[[list[list[str]]], Any], kernel: bool, texts: Texts, language: str
) -> Work:
    """A peer that takes shingles; `kernel` leaves making them out of the time."""

    def work() -> dict[str, float]:
        # New ones for each round: Python keeps the UTF-8 of a string once a peer has asked for it.
        tokens = shingle(texts, language)
        cpu, wall = cpu_seconds(), time.perf_counter()
        use(tokens)
        return {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall}

    return work if kernel else lambda: use(shingle(texts, language))


def use_datasketch(hash_name: str, tokens: list[list[str]]) -> Any:
    from datasketch import MinHash

    encoded = [[token.encode() for token in each] for each in tokens]
    if hash_name == "sha1":
        return MinHash.bulk(encoded, num_perm=NUM_PERM)
    import xxhash

    return MinHash.bulk(encoded, num_perm=NUM_PERM, hashfunc=xxhash.xxh32_intdigest)


def use_rensa(tokens: list[list[str]]) -> Any:
    from rensa import RMinHash

    return RMinHash.digest_matrix_from_token_sets(tokens, num_perm=NUM_PERM, seed=1)


def use_fastsketch(tokens: list[list[str]]) -> Any:
    from FastSketchLSH import FastSimilaritySketch

    return FastSimilaritySketch(size=NUM_PERM, seed=1).batch(tokens, num_threads=1)


def prepare_daft(texts: Texts, language: str) -> Work:
    import daft
    import pyarrow as pa
    from daft.functions import minhash

    if language == "zh":
        texts = [" ".join(text.replace(" ", "\u2581").replace("\n", "\u2582")) for text in texts]
    frame = daft.from_arrow(pa.table({"text": pa.array(texts, pa.large_string())})).collect()
    signature = minhash(
        daft.col("text"), num_hashes=NUM_PERM, ngram_size=NGRAM, hash_function="xxhash3_64"
    )
    return lambda: frame.select(signature.alias("signature")).collect()


def prepare_gaoya(texts: Texts, language: str) -> Work:
    from gaoya.minhash import MinHashStringIndex

    analyzer = "char" if language == "zh" else "word"
    ids = list(range(len(texts)))

    def work() -> None:
        index = MinHashStringIndex(
            hash_size=32,
            jaccard_threshold=0.8,
            num_bands=16,
            band_size=8,
            analyzer=analyzer,
            ngram_range=(NGRAM, NGRAM),
        )
        index.par_bulk_insert_docs(ids, texts)

    return work


def prepare_text_dedup(texts: Texts, language: str) -> Work:
    import numpy as np
    from text_dedup.minhash import embed_func
    from text_dedup.utils import xxh3_32hash

    prime, random = np.uint64((1 << 61) - 1), np.random.RandomState(42)
    draw = partial(random.randint, high=prime, size=(NUM_PERM,), dtype=np.uint64)
    embed = partial(
        embed_func,
        num_perm=NUM_PERM,
        ngram_size=NGRAM,
        min_length=NGRAM,
        hashranges=[(8 * band, 8 * band + 8) for band in range(16)],
        permutations=(draw(1), draw(0)),
        hash_func=xxh3_32hash,
        dtype=np.uint64,
        max_hash=np.uint32((1 << 32) - 1),
        modulo_prime=prime,
    )
    return lambda: [embed(text, number) for number, text in enumerate(texts)]


def prepare_datatrove(texts: Texts, language: str) -> Work:
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature

    step = MinhashDedupSignature(
        output_folder="runs/bench/unused",
        config=MinhashConfig(n_grams=NGRAM, num_buckets=16, hashes_per_bucket=8),
        language="cmn_Hani" if language == "zh" else "eng",
    )

    def work() -> None:
        for text in texts:
            shingles = step.get_shingles(text)
            if shingles.size:
                step.get_signature(shingles)

    return work


def _tokens(use: Callable[[list[list[str]]], Any], kernel: bool = False) -> Any:
    return partial(prepare_tokens, use, kernel)


_OURS = ("tongwen", "numba", "numpy", "pyarrow")
_SKETCH = ("datasketch", "xxhash", "numpy")
_XXH32, _SHA1 = partial(use_datasketch, "xxh32"), partial(use_datasketch, "sha1")

CONTENDERS: dict[str, Contender] = {
    "ours-fast": Contender(partial(prepare_ours, "fast"), "ours", 48, _OURS, "ours, fast"),
    "ours-xxh32": Contender(partial(prepare_ours, "xxh32"), "ours", 48, _OURS, "ours, xxh32"),
    "ours-sha1": Contender(partial(prepare_ours, "sha1"), "ours", 16, _OURS, "ours, sha1"),
    "daft": Contender(prepare_daft, "peers", 24, ("daft",), "daft minhash, xxh3"),
    "gaoya": Contender(prepare_gaoya, "peers", 8, ("gaoya",), "gaoya (with its index)"),
    "rensa": Contender(_tokens(use_rensa), "peers", 4, ("rensa",), "rensa RMinHash"),
    "rensa-kernel": Contender(
        _tokens(use_rensa, True), "peers", 4, ("rensa",), "rensa, shingles ready"
    ),
    "fastsketch": Contender(
        _tokens(use_fastsketch), "peers", 4, ("FastSketchLSH",), "FastSketchLSH"
    ),
    "fastsketch-kernel": Contender(
        _tokens(use_fastsketch, True),
        "peers",
        4,
        ("FastSketchLSH",),
        "FastSketchLSH, shingles ready",
    ),
    "datasketch-xxh32": Contender(_tokens(_XXH32), "peers", 4, _SKETCH, "datasketch bulk, xxh32"),
    "datasketch-xxh32-kernel": Contender(
        _tokens(_XXH32, True), "peers", 4, _SKETCH, "datasketch bulk, xxh32, shingles ready"
    ),
    "datasketch-sha1": Contender(
        _tokens(_SHA1), "peers", 2, _SKETCH, "datasketch bulk, SHA-1 (its default)"
    ),
    "datasketch-sha1-kernel": Contender(
        _tokens(_SHA1, True), "peers", 2, _SKETCH, "datasketch bulk, SHA-1, shingles ready"
    ),
    "text-dedup": Contender(
        prepare_text_dedup, "peers", 1, ("text-dedup",), "text-dedup embed_func, xxh3"
    ),
    "datatrove": Contender(
        prepare_datatrove, "datatrove", 0.5, ("datatrove", "xxhash", "spacy", "jieba"), "datatrove"
    ),
}


def read_sample(path: Path, most: float) -> Texts:
    """The first texts of a sample, `most` bytes of them in all."""
    texts: Texts = []
    used = 0
    with path.open(encoding="utf-8") as file:
        for line in file:
            texts.append(json.loads(line))
            used += len(texts[-1].encode())
            if used >= most:
                break
    return texts


def main(arguments: Sequence[str]) -> None:
    name, language, sample, most = arguments
    texts = read_sample(Path(sample), float(most))
    work = CONTENDERS[name].prepare(texts, language)
    size = sum(len(text.encode()) for text in texts)

    def round_of_work() -> dict[str, Any]:
        told = work()
        return told if isinstance(told, dict) else {}

    serve(round_of_work, {"documents": len(texts), "bytes": size})


if __name__ == "__main__":
    main(sys.argv[1:])
