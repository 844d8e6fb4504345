"""A lock on a folder, which the kernel gives back when its holder ends, however it ends.

It is `flock` on the folder itself, so there is no file to clear away and none to be left behind.

The price: a file system that knows no such locks (some shared ones) gives none; there nobody is
refused, as if there were no lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL)


@contextmanager
def hold(folder: Path, *, shared: bool = False, wait: bool = False) -> Iterator[bool]:
    """Hold a folder's lock during a block.

    Args:
        shared: together with others who hold it shared, but with nobody who does not.
        wait: until the other holder is done.

    Yields:
        Whether it is held now; False if somebody else holds it.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        yield _lock(handle, kind if wait else kind | fcntl.LOCK_NB)
    finally:
        os.close(handle)


def _lock(handle: int, operation: int) -> bool:
    try:
        fcntl.flock(handle, operation)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True
