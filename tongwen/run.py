"""The run folder: where every output of a run lies.

A step is called as `build(recipe, run, out)`: it reads finished outputs through `run` and writes
its own files into `out`.  `FORMATS.md` describes what each folder holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tongwen.amend import recover
from tongwen.errors import TongwenError
from tongwen.record import Record, read_record


@dataclass(frozen=True)
class RunFolder:
    """The outputs of one run, by name (`corpus/documents`, `buckets/replay`, ...)."""

    root: Path

    def path(self, name: str) -> Path:
        """The folder of an output, finished or not.

        Raises:
            ValueError: the name would lead out of the run folder.
        """
        folder = (self.root / name).resolve()
        if not folder.is_relative_to(self.root.resolve()):
            raise ValueError(f"{name!r} leads out of the run folder {self.root}")
        return folder

    def finished(self, name: str) -> Path:
        """The folder of a finished output.

        Raises:
            TongwenError: it is not there yet.
        """
        if self.record(name) is None:
            raise TongwenError(
                f"{name} is not there yet",
                where=str(self.path(name)),
                expected="a finished output with its record.json",
                do="run the stage that makes it, or everything: tongwen run RECIPE",
            )
        return self.path(name)

    def record(self, name: str) -> Record | None:
        """The record of an output; None while it is not finished."""
        folder = self.path(name)
        recover(folder)
        return read_record(folder)
