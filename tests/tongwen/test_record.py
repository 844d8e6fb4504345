"""Outputs are whole or absent, and a changed recipe is never overlooked."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongwen.errors import TongwenError
from tongwen.record import (
    Counts,
    fingerprint,
    hash_file,
    identify_file,
    produce,
    read_record,
)


def write_three(out: Path) -> Counts:
    (out / "three.txt").write_text("3", encoding="utf-8")
    (out / "timings.json").write_text("{}", encoding="utf-8")
    return {"files": 2}


def never(out: Path) -> Counts:
    raise AssertionError("built again")


def make(folder: Path, config: dict[str, object], build=write_three, **inputs: str):
    return produce(folder, kind="test", config=config, inputs=inputs, build=build)


def test_a_finished_output_is_not_built_again(tmp_path: Path) -> None:
    first, built = make(tmp_path / "a", {"x": 1}, text="t")
    again, rebuilt = make(tmp_path / "a", {"x": 1}, never, text="t")
    assert (built, rebuilt) == (True, False)
    assert again == first
    assert again.counts == {"files": 2}


def test_the_record_holds_size_and_hash_but_no_hash_of_times(tmp_path: Path) -> None:
    record, _ = make(tmp_path / "a", {})
    assert record.files["three.txt"].sha256 == hash_file(tmp_path / "a" / "three.txt")
    assert record.files["three.txt"].bytes == 1
    assert record.files["timings.json"].sha256 is None


def test_a_changed_key_is_named_with_both_values(tmp_path: Path) -> None:
    make(tmp_path / "a", {"corpus": {"threshold": 0.8}})
    with pytest.raises(TongwenError, match=r"corpus\.threshold: was 0\.8, is 0\.9"):
        make(tmp_path / "a", {"corpus": {"threshold": 0.9}}, never)


def test_a_changed_input_is_named(tmp_path: Path) -> None:
    make(tmp_path / "a", {}, text="old")
    with pytest.raises(TongwenError, match='text: was "old", is "new"'):
        make(tmp_path / "a", {}, never, text="new")


def test_a_failed_build_leaves_no_output(tmp_path: Path) -> None:
    def fail(out: Path) -> Counts:
        (out / "half.txt").write_text("half", encoding="utf-8")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        make(tmp_path / "a", {}, fail)
    assert not (tmp_path / "a").exists()
    record, built = make(tmp_path / "a", {})
    assert built
    assert set(record.files) == {"three.txt", "timings.json"}


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        RuntimeError(f"IO Error: could not write: {os.strerror(errno.ENOSPC)}"),
    ],
)
def test_a_full_disk_ends_in_one_message_and_no_half_output(
    tmp_path: Path, error: Exception
) -> None:
    def fail(out: Path) -> Counts:
        (out / "half.txt").write_text("half", encoding="utf-8")
        raise error

    with pytest.raises(TongwenError, match="the disk is full"):
        make(tmp_path / "a", {}, fail)
    assert list(tmp_path.iterdir()) == []


def test_a_really_full_disk_ends_in_one_message(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")

    def fill(out: Path) -> Counts:
        with Path("/dev/full").open("wb", buffering=0) as file:
            file.write(b"x")
        return {}

    with pytest.raises(TongwenError, match="the disk is full"):
        make(tmp_path / "a", {}, fill)


def test_only_a_resumable_build_finds_what_was_left(tmp_path: Path) -> None:
    def stop(out: Path) -> Counts:
        (out / "checkpoint").write_text("1", encoding="utf-8")
        raise KeyboardInterrupt

    def look(out: Path) -> Counts:
        return {"found": int((out / "checkpoint").exists())}

    for resumable in (False, True):
        for config, same in (({"x": 1}, True), ({"x": 2}, False)):
            folder = tmp_path / f"{resumable}{same}"
            with pytest.raises(KeyboardInterrupt):
                produce(
                    folder, kind="t", config={"x": 1}, inputs={}, build=stop, resumable=resumable
                )
            record, _ = produce(
                folder, kind="t", config=config, inputs={}, build=look, resumable=resumable
            )
            assert record.counts["found"] == int(resumable and same)


def test_killed_in_the_middle_of_writing_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from pathlib import Path
from tongwen.record import produce
def build(out):
    (out / "a.txt").write_text("a")
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    (out / "b.txt").write_text("b")
    return {}
produce(Path(sys.argv[1]), kind="t", config={}, inputs={}, build=build)
"""
    folder = tmp_path / "out"
    run = [sys.executable, "-c", code, str(folder)]
    assert subprocess.run([*run, "kill"]).returncode == -signal.SIGKILL
    assert not folder.exists()
    subprocess.run([*run, "end"], check=True)
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "whole"), "end"], check=True)
    one, other = read_record(folder), read_record(tmp_path / "whole")
    assert one is not None
    assert other is not None
    assert one.files == other.files
    assert one.content == other.content


def test_a_broken_record_says_what_to_do(tmp_path: Path) -> None:
    make(tmp_path / "a", {})
    (tmp_path / "a" / "record.json").write_text("{", encoding="utf-8")
    with pytest.raises(TongwenError, match="remove the folder"):
        make(tmp_path / "a", {}, never)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(config: dict[str, object]) -> None:
    turned = dict(reversed(list(config.items())))
    assert fingerprint("k", config, {}) == fingerprint("k", turned, {})
    again = json.loads(json.dumps(config))
    assert fingerprint("k", config, {}) == fingerprint("k", again, {})


def test_a_fingerprint_refuses_what_is_not_stable() -> None:
    with pytest.raises(TypeError):
        fingerprint("k", {"x": object()}, {})


def test_an_input_is_identified_by_its_size_and_content(tmp_path: Path) -> None:
    file = tmp_path / "f"
    seen = set()
    for content in (b"", b"a", b"b", b"a" * 3_000_000, b"a" * 2_999_999 + b"b", b"a" * 40_000_000):
        file.write_bytes(content)
        seen.add(identify_file(file))
        assert identify_file(file) == identify_file(file)
    assert len(seen) == 6
