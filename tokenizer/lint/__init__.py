"""What can be proven about a tokenizer file: ours or anybody's.

`lint` runs the `rules` on a `subject` (a model and what stands beside it) and makes a `report`.
`reach` argues which pieces can be produced; `proof` is what the other rooms use of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tokenizer.lint.lint import build_lint, lint_files, lint_model
    from tokenizer.lint.report import Finding, Report

_HOMES = {
    "build_lint": "lint",
    "lint_files": "lint",
    "lint_model": "lint",
    "Finding": "report",
    "Report": "report",
}

__all__ = ["Finding", "Report", "build_lint", "lint_files", "lint_model"]


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'tokenizer.lint' has no attribute {name!r}")
    return getattr(import_module(f"tokenizer.lint.{_HOMES[name]}"), name)
