"""The one error a user sees: what is wrong, where, what was expected and what to do about it.

Everything that a user can cause (a recipe key, a file, a full disk) is raised as a
`TongwenError`; the command line prints it as one message and exits with status 2.  Any other
exception is a defect of ours and keeps its traceback.
"""

from __future__ import annotations


class TongwenError(Exception):
    """A problem that the user can act on.

    Args:
        what: what is wrong, one sentence, with the offending value.
        where: the recipe key, file or folder concerned.
        expected: what would have been accepted.
        do: the next step to take.
    """

    def __init__(self, what: str, *, where: str = "", expected: str = "", do: str = "") -> None:
        self.what, self.where, self.expected, self.do = what, where, expected, do
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.what]
        parts += [f"  where:    {self.where}"] if self.where else []
        parts += [f"  expected: {self.expected}"] if self.expected else []
        parts += [f"  do:       {self.do}"] if self.do else []
        return "\n".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self.what, self.where, self.expected, self.do))


def _rebuild(what: str, where: str, expected: str, do: str) -> TongwenError:
    return TongwenError(what, where=where, expected=expected, do=do)
