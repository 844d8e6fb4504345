"""Measure contenders side by side: interleaved rounds, one core, CPU seconds.

A contender is a process of its own, so that each has the Python environment it needs (peers want
versions of libraries that exclude each other) and its own memory.  Contenders take turns (A B C,
A B C, ...), so that a machine that slows down slows all of them; a first round is not counted;
ratios are taken within a round and their median and range are given.  CPU seconds are user plus
system time of the process, its threads and its children.  This module and the scripts that drive
it import the standard library only: a child's peak memory counts that of its parent at the fork.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
ENVIRONMENTS = ROOT / ".bench-venv"
"""Folder of the virtual environments `ours`, `peers` and `datatrove` (`make bench-env`)."""

_THREADS = (
    *("OMP", "OPENBLAS", "MKL", "NUMBA", "POLARS_MAX", "RAYON", "ARROW", "VECLIB_MAXIMUM"),
    *("DAFT_MAX", "NUMEXPR", "BLIS"),
)
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in _THREADS} | {
    "POLARS_MAX_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "ARROW_IO_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "DO_NOT_TRACK": "true",
    "DAFT_ANALYTICS_ENABLED": "0",
    "DAFT_PROGRESS_BAR": "0",
    "PYTHONHASHSEED": "0",
}
"""Environment of every contender: all pools of threads have one."""


def pin_to_one_core() -> int:
    """Bind this process and its children to the last core; returns its number."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


@dataclass(frozen=True)
class Cost:
    """What a run took.

    Attributes:
        cpu, wall: seconds.
        memory: resident bytes of the largest process at its peak, 0 where it was not taken.
        held: bytes of all processes that no file backs, at their peak (sampled): what the system
            cannot drop and read again.
        told: what the contender reports about itself.
    """

    cpu: float
    wall: float
    memory: int = 0
    held: int = 0
    told: dict[str, Any] = field(default_factory=dict)


def run_once(command: Sequence[str], log: Path, limit: float | None = None) -> Cost:
    """Run a program to its end and measure all of it, start-up and children included.

    Its last line of output may be a JSON object: `told`.

    Raises:
        RuntimeError: it failed or took longer than `limit` seconds.
    """
    environment = {**os.environ, **ONE_THREAD}
    started = time.monotonic()
    held = 0
    with log.open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, process_group=0
        )
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            if limit is not None and time.monotonic() - started > limit:
                os.killpg(process.pid, 9)
                process.wait()
                raise RuntimeError(f"{command[1]} took longer than {limit:.0f} s")
            held = max(held, _measure_held(process.pid))
            time.sleep(0.05)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(ended[1])
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n" + "\n".join(lines[-20:]))
    usage = ended[2]
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(cpu, wall, usage.ru_maxrss * 1024, held, _last_json(lines))


def _measure_held(pid: int) -> int:
    """Anonymous memory of a process and its children, in bytes; 0 where it is gone."""
    folder = Path(f"/proc/{pid}")
    try:
        found = re.search(r"RssAnon:\s+(\d+)", (folder / "status").read_text(encoding="ascii"))
        children = (folder / "task" / str(pid) / "children").read_text(encoding="ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return (int(found[1]) * 1024 if found else 0) + sum(map(_measure_held, map(int, children)))


def _last_json(lines: list[str]) -> dict[str, Any]:
    found = [line for line in lines if line.startswith("{") and line.endswith("}")]
    return json.loads(found[-1]) if found else {}


class Worker:
    """A contender that stays alive and does its work once for every round."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self.told: dict[str, Any] = {}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **ONE_THREAD},
            text=True,
        )

    def start(self) -> None:
        """Wait until it has loaded its input; what it tells about itself goes to `told`."""
        self.told = self._read()

    def run(self) -> Cost:
        """One round."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        told = self._read()
        return Cost(told.pop("cpu"), told.pop("wall"), told=told)

    def stop(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            text = self._errors.read().decode(errors="replace")
            last = text.strip().splitlines()[-1:] or ["without a word"]
            raise RuntimeError(f"{self.name} ended: {last[0]}")
        return json.loads(line)


def serve(work: Callable[[], dict[str, Any]], about: dict[str, Any]) -> None:
    """The other side of `Worker`: tell about oneself, then work once for every line of input.

    Work that must prepare something before each round returns its own `cpu` and `wall`.
    """
    out: IO[str] = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    out.write(json.dumps(about) + "\n")
    for _ in sys.stdin:
        cpu, wall = cpu_seconds(), time.perf_counter()
        told = work()
        taken = {"cpu": cpu_seconds() - cpu, "wall": time.perf_counter() - wall}
        out.write(json.dumps(taken | told) + "\n")


def cpu_seconds() -> float:
    """User and system time of this process, its threads and its ended children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def interleave(
    contenders: dict[str, Callable[[], Cost]], rounds: int, warm_up: int = 1
) -> dict[str, list[Cost]]:
    """The costs of every contender, by round; warm-up rounds are run and left out."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for number in range(warm_up + rounds):
        for name, run in contenders.items():
            cost = run()
            if number >= warm_up:
                costs[name].append(cost)
        print(f"round {number + 1 - warm_up} of {rounds} done", file=sys.stderr, flush=True)
    return costs


def format_ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """How many times ours is as fast as theirs: median of the rounds' ratios, and their range.

    Args:
        ours, theirs: rates of the same rounds.
    """
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return f"{median(ratios):.1f} [{min(ratios):.1f}-{max(ratios):.1f}]"


def describe_machine() -> str:
    """Processor, vector instructions, memory and load."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*: (.*)", cpu)
    family = re.search(r"cpu family\s*: (\d+)\nmodel\s*: (\d+)", cpu)
    flags = set((re.search(r"flags\s*: (.*)", cpu) or ["", ""])[1].split())
    isa = [name for name in ("avx2", "avx512f", "avx512bw", "sha_ni", "asimd") if name in flags]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model[1] if model else 'unknown processor'}"
        f"{f' (family {family[1]}, model {family[2]})' if family else ''}, {', '.join(isa)}; "
        f"{os.cpu_count()} cores, {memory:.0f} GiB; load average {os.getloadavg()[0]:.1f}"
    )


def describe_commit() -> str:
    """The commit, and whether the working tree differs from it."""
    commit = _git("rev-parse", "--short", "HEAD")
    return f"commit {commit}{' with changes' if _git('status', '--porcelain', '-uno') else ''}"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


_PLACES = ("--env", "--folder", "--results")


def describe_command(arguments: Sequence[str]) -> str:
    """The command line without where things lie; many files of a folder as a pattern."""
    shown = ["python"]
    for before, each in zip(["", *arguments], arguments, strict=False):
        if {before, each} & {*_PLACES}:
            continue
        path = Path(each).absolute()
        if path.is_file() and each != arguments[0]:
            each = f"{path.parent.name}/*{''.join(path.suffixes[-2:])}"
        elif path.is_file():
            each = path.relative_to(ROOT).as_posix()
        if each != shown[-1]:
            shown.append(each)
    return " ".join(shown)


_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {"Python": sys.version.split()[0]}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        found[name] = "not installed"
print(json.dumps(found))
"""


def find_versions(python: Path, packages: Sequence[str]) -> dict[str, str]:
    """Versions of the packages of an environment."""
    command = [str(python), "-c", _VERSIONS, *packages]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def make_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_section(results: Path, name: str, title: str, body: str) -> None:
    """Put a section between `<!-- NAME -->` and `<!-- /NAME -->`, in place of the one there."""
    command = describe_command(sys.argv)
    about = f"{describe_machine()}; {describe_commit()}."
    text = (
        f"<!-- {name} -->\n## {title}\n\n`{command}`\n\n{about}\n\n{body.strip()}\n<!-- /{name} -->"
    )
    old = results.read_text(encoding="utf-8") if results.exists() else "# Results\n"
    pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.S)
    new, count = pattern.subn(lambda _: text, old)
    results.write_text(new if count else f"{old.rstrip()}\n\n{text}\n", encoding="utf-8")
    print(text)
