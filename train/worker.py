"""One process of a training: `python -m train.worker JOB`, started by torchrun.

Everything it prints goes to `logs/worker-RANK.log`; what stops it goes to `logs/error-RANK.json`,
where the parent finds it.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
import warnings
from pathlib import Path

from train.orphans import die_with_parent

# At import, because a checkpoint's writers are started by importing this module once more.
die_with_parent(check=__name__ == "__main__")


def _redirect_output(logs: Path, rank: int) -> None:
    """Send what Python and native code print to the worker's log, line by line."""
    handle = os.open(logs / f"worker-{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)


def _write_error(logs: Path, rank: int, error: BaseException) -> None:
    from tongwen.errors import TongwenError

    table: dict[str, object] = {"rank": rank, "time": time.time()}
    if isinstance(error, TongwenError):
        names = ("what", "where", "expected", "do")
        table["known"] = {name: getattr(error, name) for name in names}
    else:
        table["trace"] = "".join(traceback.format_exception(error))
    path = logs / f"error-{rank}.json"
    path.with_suffix(".partial").write_text(json.dumps(table), encoding="utf-8")
    path.with_suffix(".partial").rename(path)


def main(path: Path) -> None:
    """Do the job; ends the process with status 1 if it fails."""
    logs, rank = path.parent, int(os.environ["RANK"])
    _redirect_output(logs, rank)
    # Megatron-Core warns of every optional package that is absent; none is needed here.
    warnings.filterwarnings("ignore")
    try:
        from train import cpu
        from train.job import read_job

        cpu.install()  # before Megatron's modules are imported
        from train.loop import train

        train(read_job(path))
    except BaseException as error:
        traceback.print_exc()
        _write_error(logs, rank, error)
        sys.stderr.flush()
        # At once: the other ranks wait for this one in a collective call that never comes.
        os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
