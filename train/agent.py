"""torchrun, started so that it ends with the process that started it: `python -m train.agent`.

The arguments are torchrun's.
"""

from __future__ import annotations

import os

from train.orphans import PARENT, die_with_parent

if __name__ == "__main__":
    die_with_parent()
    os.environ[PARENT] = str(os.getpid())
    from torch.distributed.run import main

    main()
