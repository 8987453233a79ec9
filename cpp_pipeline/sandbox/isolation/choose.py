"""Which backend runs the boxes: the one that is named, or the strongest that this machine holds.

Belongs here: names and order, the proof by probes, and the reasons of a refusal. gVisor is chosen by name only: it is
stronger and slower.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cpp_pipeline.sandbox.isolation.box import Backend, IsolationError
from cpp_pipeline.sandbox.isolation.bubblewrap import Bubblewrap
from cpp_pipeline.sandbox.isolation.gvisor import Gvisor
from cpp_pipeline.sandbox.isolation.landlock import Landlock
from cpp_pipeline.sandbox.isolation.launcher import build
from cpp_pipeline.sandbox.isolation.probes import open_probes
from cpp_pipeline.sandbox.isolation.unsafe import Unsafe

logger = logging.getLogger(__name__)
BACKENDS = ("auto", "bubblewrap", "landlock", "gvisor", "none")
_AUTO = ("bubblewrap", "landlock")
B = TypeVar("B", bound=Backend)


def open_backend(
    name: str,
    scratch: Path,
    *,
    bwrap: str = "bwrap",
    allow_unsafe: bool = False,
    environment_allows_unsafe: bool = False,
) -> Backend:
    """Start a backend and prove by probes that its boxes hold; the caller closes it.

    Parameters
    ----------
    name : str
        One of `BACKENDS`.
    scratch : Path
        Existing folder for the backend's files, which other users can reach; private to this process.
    bwrap : str
        Program name or path of bubblewrap.
    allow_unsafe, environment_allows_unsafe : bool
        The two consents that `none` needs.

    Raises
    ------
    IsolationError
        Nothing that was asked for can be had; the message says why and what to do.
    ValueError
        There is no backend of that name.
    """
    makers: dict[str, Callable[[Path], Backend]] = {
        "bubblewrap": lambda folder: Bubblewrap(folder, bwrap),
        "landlock": Landlock,
        "gvisor": Gvisor,
        "none": lambda folder: Unsafe(folder, allow_unsafe, environment_allows_unsafe),
    }
    if name not in BACKENDS:
        raise ValueError(f"isolation {name!r}: use one of {', '.join(BACKENDS)}")
    if name != "auto":
        return proven(makers[name], scratch / name)
    reasons = []
    for wanted in _AUTO:
        try:
            return proven(makers[wanted], scratch / wanted)
        except IsolationError as error:
            logger.warning("isolation %s is not used: %s", wanted, error)
            reasons.append(f"{wanted}: {error}")
    raise IsolationError(f"no isolation can be had here. {'; '.join(reasons)}")


def proven(make: Callable[[Path], B], folder: Path) -> B:
    """A backend in a folder of its own, proven by probes; raises IsolationError when one is open."""
    folder.mkdir(mode=0o755, exist_ok=True)
    backend = make(folder)
    try:
        if backend.level != "none":
            found = open_probes(backend, build("probe.c", folder))
            if found:
                raise IsolationError(f"isolation {backend.name} is refused, these probes are open: {', '.join(found)}")
    except BaseException:
        backend.close()
        raise
    return backend
