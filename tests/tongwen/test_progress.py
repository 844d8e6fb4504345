"""Progress is quiet and line-based where nobody watches."""

import pytest

from tongwen import progress as module
from tongwen.progress import format_count, format_seconds, progress


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_nothing_is_said_in_the_first_two_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("reading", total=10, unit="files") as advance:
        advance(5)
        clock.now = 1.9
        advance(5)
    assert capsys.readouterr().err == ""


def test_lines_say_how_much_and_how_long(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading", total=10_000_000, unit="B") as advance:
        clock.now = 2.5
        advance(2_500_000)
        clock.now = 5.0
        advance(2_500_000)
        clock.now = 13.0
        advance(1_500_000)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "  reading: 2.5 MB of 10.0 MB, 0:08 left",
        "  reading: 6.5 MB of 10.0 MB, 0:07 left",
    ]


def test_no_time_is_foretold_from_the_first_bit(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("learning", total=1000, unit="pieces") as advance:
        clock.now = 60.0
        advance(1)
    assert capsys.readouterr().err == "  learning: 1 pieces of 1,000 pieces\n"


def test_without_a_total_only_the_count_is_said(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress("counting", unit="runs") as advance:
        clock.now = 3.0
        advance(12_345)
    assert capsys.readouterr().err == "  counting: 12,345 runs\n"


def test_times_and_counts_read_well() -> None:
    assert [format_seconds(each) for each in (0, 59.6, 75, 3661)] == [
        "0:00",
        "1:00",
        "1:15",
        "1:01:01",
    ]
    assert format_count(1_234_567, "B") == "1.2 MB"
    assert format_count(1234, "") == "1,234"
