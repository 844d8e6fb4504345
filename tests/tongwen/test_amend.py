"""A finished output that is changed is whole before or whole after, wherever it is stopped."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tongwen.amend import amend_output, recover
from tongwen.errors import TongwenError
from tongwen.lock import hold
from tongwen.record import Counts, Record, hash_file, produce, read_record
from tongwen.run import RunFolder

CONFIG = {"stage": {"tokens": 1}}


def build(out: Path) -> Counts:
    (out / "plan").mkdir()
    for name in ("a.bin", "b.bin", "plan/a.txt"):
        (out / name).write_text(f"old {name}", encoding="utf-8")
    (out / "timings.json").write_text("1", encoding="utf-8")
    return {"files": 3}


def write_anew(path: Path, text: str) -> None:
    partial = path.with_name("partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def edit(work: Path) -> Counts:
    write_anew(work / "a.bin", "new a.bin")
    (work / "plan" / "a.txt").unlink()
    write_anew(work / "c.bin", "new c.bin")
    return {"files": 4}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "buckets" / "one"
    made.parent.mkdir()
    produce(made, kind="buckets/one", config=CONFIG, inputs={"x": "y"}, build=build)
    return made


def check_whole(folder: Path) -> Record:
    """Every file that the record names has its bytes, and there is no other."""
    record = read_record(folder)
    assert record is not None
    files = {path for path in folder.rglob("*") if path.is_file()}
    assert {path.relative_to(folder).as_posix() for path in files} == {
        "record.json",
        *record.files,
    }
    for name, sha256 in record.files_with_hash.items():
        assert hash_file(folder / name) == sha256
        assert (folder / name).stat().st_size == record.files[name].bytes
    return record


def test_the_change_is_on_record_and_the_identity_stays(folder: Path) -> None:
    before = check_whole(folder)
    again = {"stage": {"tokens": 2}}
    amended = amend_output(folder, edit, change={"kind": "remix"}, config=again)
    assert check_whole(folder) == amended
    assert amended.changes == [{"kind": "remix"}]
    assert amended.content == before.content
    assert amended.files_with_hash != before.files_with_hash
    assert (amended.counts, amended.config) == ({"files": 4}, again)
    never = build  # the recipe that it is of now is the changed one
    _, built = produce(folder, kind="buckets/one", config=again, inputs={"x": "y"}, build=never)
    assert not built
    with pytest.raises(TongwenError, match=r"stage\.tokens: was 2, is 1"):
        produce(folder, kind="buckets/one", config=CONFIG, inputs={"x": "y"}, build=never)


def test_a_second_change_keeps_the_first_identity_and_both_on_record(folder: Path) -> None:
    first = check_whole(folder).content
    amend_output(folder, edit, change={"number": 1})

    def append(work: Path) -> Counts:
        write_anew(work / "b.bin", "newer")
        return {}

    amended = amend_output(folder, append, change={"number": 2})
    assert [change["number"] for change in amended.changes] == [1, 2]
    assert check_whole(folder).content == first
    assert sorted(path.name for path in folder.parent.iterdir()) == ["one"]


def test_a_file_that_stays_is_the_same_file(folder: Path) -> None:
    inode = (folder / "b.bin").stat().st_ino
    amend_output(folder, edit, change={})
    assert (folder / "b.bin").stat().st_ino == inode
    assert (folder / "b.bin").stat().st_nlink == 1


def test_a_failed_edit_changes_nothing(folder: Path) -> None:
    before = check_whole(folder)

    def fail(work: Path) -> Counts:
        edit(work)
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        amend_output(folder, fail, change={})
    assert check_whole(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_writing_into_a_linked_file_is_found(folder: Path) -> None:
    def append(work: Path) -> Counts:
        with (work / "a.bin").open("a", encoding="utf-8") as file:
            file.write("more")
        return {}

    with pytest.raises(ValueError, match=r"a\.bin was written into"):
        amend_output(folder, append, change={})


@pytest.mark.parametrize("how", [lambda path: path.unlink(), lambda path: path.write_text("?")])
def test_an_output_that_is_not_as_recorded_is_not_changed(
    folder: Path, how: Callable[[Path], object]
) -> None:
    how(folder / "b.bin")
    with pytest.raises(TongwenError, match=r"b\.bin was changed after .*"):
        amend_output(folder, edit, change={})


def test_what_is_not_there_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(TongwenError, match="no finished output"):
        amend_output(tmp_path / "none", edit, change={})


@pytest.mark.parametrize("shared", [False, True])
def test_what_somebody_uses_is_not_changed(folder: Path, shared: bool) -> None:
    before = check_whole(folder)
    with (
        hold(folder, shared=shared) as free,
        pytest.raises(TongwenError, match="a training reads it"),
    ):
        assert free
        amend_output(folder, edit, change={})
    assert check_whole(folder) == before
    amend_output(folder, edit, change={})


def test_locks_are_shared_or_exclusive(tmp_path: Path) -> None:
    with hold(tmp_path, shared=True) as one, hold(tmp_path, shared=True) as two:
        assert one and two
        with hold(tmp_path) as three:
            assert not three
    with hold(tmp_path) as one, hold(tmp_path, shared=True) as two:
        assert one and not two


_KILLED = """
import os, signal, sys
from pathlib import Path
import shutil
left = int(sys.argv[2])
def count(function):
    def counted(*arguments, **named):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*arguments, **named)
    return counted
for owner, name in ((os, "rename"), (os, "replace"), (os, "unlink"), (os, "rmdir"), (os, "link"),
                    (os, "mkdir"), (os, "fsync")):
    setattr(owner, name, count(getattr(owner, name)))
from tongwen.amend import amend_output
def edit(work):
    for name, text in (("a.bin", "new a.bin"), ("c.bin", "new c.bin")):
        (work / "partial").write_text(text)
        (work / "partial").replace(work / name)
    (work / "plan/a.txt").unlink()
    return {"files": 4}
amend_output(Path(sys.argv[1]), edit, change={"kind": "x"})
"""


def test_killed_anywhere_it_is_whole_before_or_whole_after(folder: Path, tmp_path: Path) -> None:
    """A kill before every single operation on the folders, the two renames among them."""
    import shutil

    old = check_whole(folder)
    seen: list[bool] = []
    for number in range(200):
        home = tmp_path / str(number) / "one"
        shutil.copytree(folder, home)
        command = [sys.executable, "-c", _KILLED, str(home), str(number)]
        status = os.spawnv(os.P_WAIT, sys.executable, command)
        found = RunFolder(home.parent).record("one")
        record = check_whole(home)
        assert found == record
        seen.append(record.changes == [{"kind": "x"}])
        assert (record == old) != seen[-1]
        amend_output(home, lambda work: {"files": 9}, change={})
        assert [path.name for path in home.parent.iterdir()] == ["one"]
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert seen == sorted(seen)
    assert seen[0] is False
    assert seen[-2] is True, "no kill came after the new one was ready"


def test_readers_at_the_time_of_the_exchange_all_find_it_whole(folder: Path) -> None:
    """Several processes put the same amended output into its place; one does, none fails."""
    ready = folder.with_name(".one.amended")
    for number in range(5):
        amended = amend_output(folder, edit_again(number), change={"number": number})
        folder.rename(ready)  # as if the kill came between the two renames
        threads = [threading.Thread(target=recover, args=(folder,)) for _ in range(4)]
        code = "import sys; from pathlib import Path; from tongwen.amend import recover; "
        code += "recover(Path(sys.argv[1]))"
        other = subprocess.Popen([sys.executable, "-c", code, str(folder)])
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert other.wait() == 0
        assert check_whole(folder) == amended


def edit_again(number: int) -> Callable[[Path], Counts]:
    def write(work: Path) -> Counts:
        write_anew(work / "a.bin", f"{number}")
        return {}

    return write
