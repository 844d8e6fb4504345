"""No process of a training outlives the one that started it.

The command starts torchrun's agent, the agent starts the workers (each in a session of its own,
so that signals to the command's process group do not reach them), and a worker starts writers for
its checkpoints.  Each of them asks the kernel to be killed when its parent ends
(`PR_SET_PDEATHSIG`, Linux), so that a killed training leaves nobody behind who would go on
writing into the folder in which the next one starts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT = "TONGWEN_PARENT"
"""Environment variable: the process id that must still be this process's parent."""

_PR_SET_PDEATHSIG = 1


def die_with_parent(*, check: bool = True) -> None:
    """Be killed when the parent ends, and have forked children do the same.

    Args:
        check: end now if the parent is not the one named in the environment any more: it ended
            before the kernel knew of the wish.
    """
    _ask_kernel()
    os.register_at_fork(after_in_child=_ask_kernel)
    wanted = os.environ.get(PARENT)
    if check and wanted is not None and int(wanted) != os.getppid():
        os._exit(1)


def _ask_kernel() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
