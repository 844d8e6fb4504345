"""Checks of the machine and of the installation, each with what to do about a problem."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path

from rich.console import Console
from rich.table import Table

STAGES = ("tongwen", "corpus", "tokenizer", "buckets", "train", "reports")
NEEDED = ("numpy", "pyarrow", "duckdb", "numba", "sentencepiece", "tokenizers", "pydantic")
TRAINING = ("torch", "megatron-core", "psutil", "transformers")


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table."""

    subject: str
    ok: bool
    text: str


def examine() -> list[Finding]:
    """Every check, in the order a person reads them."""
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _check_python,
        _check_names,
        _check_packages,
        _check_machine,
    )
    return [finding for check in checks for finding in check()]


def show_health() -> bool:
    """Print the table; True where nothing is wrong."""
    findings, table = examine(), Table(show_header=False, box=None)
    for each in findings:
        mark = "[green]ok[/green]" if each.ok else "[red]!![/red]"
        table.add_row(mark, each.subject, each.text)
    Console().print(table)
    return all(each.ok for each in findings)


def _check_python() -> list[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    text = version if sys.version_info >= (3, 11) else f"{version}: 3.11 or newer is needed"
    return [Finding("Python", sys.version_info >= (3, 11), text)]


def _check_names() -> list[Finding]:
    """The stage packages have everyday names: another file or distribution may shadow one."""
    home = Path(__file__).resolve().parent.parent
    return [_check_name(name, home) for name in STAGES]


def _check_name(name: str, home: Path) -> Finding:
    found = util.find_spec(name)
    place = Path(found.origin).resolve() if found is not None and found.origin else None
    if place is not None and place.parent.parent == home:
        return Finding(f"import {name}", True, str(place.parent))
    text = f"{place} shadows tongwen's; use an environment of its own and another folder"
    return Finding(f"import {name}", False, text)


def _check_packages() -> list[Finding]:
    findings = [_check_package(name, "pip install tongwen") for name in NEEDED]
    return findings + [_check_package(name, "pip install 'tongwen[train]'") for name in TRAINING]


def _check_package(name: str, cure: str) -> Finding:
    try:
        return Finding(name, True, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, False, f"not installed: {cure}")


def _check_machine() -> list[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return [
        Finding("cores", True, str(len(os.sched_getaffinity(0)))),
        Finding("memory", memory >= 4, f"{memory:,.1f} GB (4 GB or more is advised)"),
        Finding("disk", free >= 5, f"{free:,.1f} GB free here (5 GB or more is advised)"),
        Finding("GPUs", True, _describe_gpus()),
    ]


def _describe_gpus() -> str:
    if util.find_spec("torch") is None:
        return "torch is not installed"
    import torch

    if not torch.cuda.is_available():
        return "none: training runs on the CPU over gloo"
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return ", ".join(names)
