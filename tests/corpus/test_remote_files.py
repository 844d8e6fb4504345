"""Files behind URLs are read like local ones; keys in them and mistakes are errors that help."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from corpus.reading.files import find_files, list_inputs, name_origin
from corpus.reading.paths import RemotePath, find_remote, stamp
from tongwen.errors import TongwenError
from tongwen.pipeline import list_steps, step_inputs
from tongwen.recipe import Input
from tongwen.run import RunFolder

LINES = "".join(json.dumps({"text": f"line {number}"}) + "\n" for number in range(3000)).encode()


@pytest.fixture
def store() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.pipe("/bucket/b.jsonl", LINES)
    system.pipe("/bucket/deep/a.jsonl.zst", zstandard.compress(LINES))
    system.pipe("/bucket/deep/note.txt", "天地玄黄".encode())
    with system.open("/bucket/deep/t.parquet", "wb") as file:
        pq.write_table(pa.table({"text": ["甲", "乙"]}), file)
    yield system
    system.rm("/bucket", recursive=True)


def names(paths: Any) -> list[str]:
    return [str(path).removeprefix("memory://").lstrip("/") for path in paths]


def test_urls_and_globs_name_files(store: Any, make_recipe: Any, tmp_path: Path) -> None:
    recipe = make_recipe({"paths": ["x"]})
    pattern = "memory://bucket/**/*.*"
    assert names(find_remote(pattern)) == [
        "bucket/b.jsonl",
        "bucket/deep/a.jsonl.zst",
        "bucket/deep/note.txt",
        "bucket/deep/t.parquet",
    ]
    both = Input(paths=("memory://bucket/*.jsonl", "memory://bucket/b.jsonl"))
    assert names(find_files(recipe, both)) == ["bucket/b.jsonl"]
    (tmp_path / "l.jsonl").write_bytes(b"{}")
    local = Input(paths=(f"file://{tmp_path}/l.jsonl",))
    assert find_files(recipe, local) == (tmp_path / "l.jsonl",)


@pytest.mark.parametrize("pattern", ["memory://bucket/none.jsonl", "memory://bucket/*.csv"])
def test_url_that_matches_nothing_is_an_error(store: Any, make_recipe: Any, pattern: str) -> None:
    with pytest.raises(TongwenError, match="no file matches 'memory"):
        find_files(make_recipe({"paths": ["x"]}), Input(paths=(pattern,)))


def test_remote_files_give_the_same_documents(store: Any, tmp_path: Path, read: Any) -> None:
    for path in store.find("/bucket"):
        target = tmp_path / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(store.cat(path))
    patterns = ["bucket/*.jsonl", "bucket/deep/*"]
    there, rejects = read({"paths": [f"memory://{pattern}" for pattern in patterns]})
    here, _ = read(
        {"paths": [str(tmp_path / pattern) for pattern in patterns]}, run={"folder": "o"}
    )
    assert rejects == []
    assert len(there) == 6003
    assert there[0]["origin"] == "memory:///bucket/b.jsonl:1"
    columns = ("id", "text", "prompt", "category", "language", "source")
    assert [[row[c] for c in columns] for row in there] == [
        [row[c] for c in columns] for row in here
    ]


def test_identity_follows_what_the_store_says(store: Any, make_recipe: Any, tmp_path: Path) -> None:
    (tmp_path / "none.model").touch()
    recipe = make_recipe({"paths": ["memory://bucket/b.jsonl"]})

    def identify() -> dict[str, str]:
        return step_inputs(RunFolder(recipe.folder), list_steps(recipe)[0])

    before = identify()
    assert before == identify()
    assert list(before) == ["0:b.jsonl"]
    (alone,) = find_remote("memory://bucket/b.jsonl")
    (globbed,) = find_remote("memory://bucket/b*.jsonl")
    assert alone == globbed
    store.pipe("/bucket/b.jsonl", LINES[:-1] + b" ")
    assert identify() != before


SECRETS = [
    "s3://AKIA123:hush@bucket/x.jsonl",
    "ftp://me:hush@host/x.jsonl",
    "https://host/x.jsonl?X-Amz-Signature=hush&a=1",
    "https://host/x.jsonl?sig=hush",
    "https://host/x.jsonl?access_token=hush",
    "zip://x.jsonl::s3://AKIA123:hush@bucket/x.zip",
]


@pytest.mark.parametrize("url", SECRETS)
def test_url_with_a_key_is_refused_and_not_shown(url: str, make_recipe: Any) -> None:
    with pytest.raises(TongwenError) as error:
        list_inputs(make_recipe({"paths": [url]}))
    assert "hush" not in str(error.value)
    assert "AKIA" not in str(error.value)
    assert "environment" in str(error.value)


def test_missing_package_and_unknown_protocol_say_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def connect(url: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    with monkeypatch.context() as patch:
        patch.setattr("corpus.reading.paths._connect", connect)
        with pytest.raises(TongwenError, match="pip install s3fs"):
            find_remote("s3://bucket/*.jsonl")
    with pytest.raises(TongwenError, match="nosuch"):
        find_remote("nosuch://bucket/x.jsonl")


class Breaking:
    """A file whose connection breaks after the first piece."""

    def __init__(self) -> None:
        self.left = [LINES[:100]]

    def read(self, size: int) -> bytes:
        if not self.left:
            raise RuntimeError("connection reset")
        return self.left.pop()

    def __enter__(self) -> Breaking:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_broken_connection_is_an_error_not_a_shorter_corpus(
    store: Any, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corpus.reading.paths.open_binary", lambda path: Breaking())
    with pytest.raises(TongwenError, match=r"RuntimeError: connection reset(.|\n)*run again"):
        read({"paths": ["memory://bucket/b.jsonl"]})


def test_remote_file_that_changes_while_it_is_read_is_an_error(
    store: Any, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from corpus.reading import parts as reading

    def change(*args: Any) -> Any:
        yield from blocks(*args)
        store.pipe("/bucket/b.jsonl", LINES + b"\n")

    blocks = reading.read_file_blocks
    monkeypatch.setattr(reading, "read_file_blocks", change)
    with pytest.raises(TongwenError, match=r"changed while it was read(.|\n)*b\.jsonl"):
        read({"paths": ["memory://bucket/b.jsonl"]})


def test_origin_of_a_remote_file_is_its_url(store: Any, make_recipe: Any) -> None:
    (path,) = find_remote("memory://bucket/b.jsonl")
    assert isinstance(path, RemotePath)
    assert name_origin(make_recipe({"paths": ["x"]}), path) == "memory:///bucket/b.jsonl"
    assert (path.name, path.stem, path.suffix) == ("b.jsonl", "b", ".jsonl")
    assert stamp(path) == path.identity


def test_init_says_that_it_looks_at_local_files() -> None:
    from tongwen.init import list_files

    with pytest.raises(TongwenError, match="only local files"):
        list_files(Path("s3://bucket/x.jsonl"))
