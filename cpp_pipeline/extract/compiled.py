"""Compiling numeric loops with numba.

Belongs here: the one decorator. Import it only in modules of kernels, and these only inside functions: loading numba
takes longer than loading all definitions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compile `function` at its first call; the machine code is kept beside the module, or in the user's cache folder.

    numba looks at the time stamp of the function's own file only: a kernel and what it calls must lie in one file.
    """
    return _njit(function, inline="never")


def inlined(function: F) -> F:
    """A part of a `compiled` function that is called so often that the call itself would cost most."""
    return _njit(function, inline="always")


def _njit(function: F, inline: Literal["never", "always"]) -> F:
    try:
        return cast(F, njit(cache=True, nogil=True, inline=inline)(function))
    except RuntimeError:  # neither folder can be written: compile in each process
        return cast(F, njit(nogil=True, inline=inline)(function))
