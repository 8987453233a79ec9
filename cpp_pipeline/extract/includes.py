"""Which files a file reaches through `#include`, inside one repository.

Belongs here: resolving includes by path, without a compiler's search paths. Does not belong here: what is joined by it
(`joining.py`).
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence


class IncludeGraph:
    """Files of one repository by number, and which of them a file reaches.

    An include means the file beside the including one when there is such a file, else all files whose path ends with
    it and that share the most leading folders with the including one.

    Parameters
    ----------
    paths
        Path of each file.
    includes
        What each file includes, as written, with `<>` or quotes.
    """

    def __init__(self, paths: Sequence[str], includes: Sequence[Iterable[str]]) -> None:
        self._paths, self._includes = paths, includes
        self._by_name: dict[str, list[int]] = defaultdict(list)
        for number, path in enumerate(paths):
            self._by_name[path.rpartition("/")[2]].append(number)
        self._next: dict[int, tuple[int, ...]] = {}

    def includes(self, file: int) -> tuple[int, ...]:
        """Files that `file` includes itself."""
        found = self._next.get(file)
        if found is None:
            named = (self._resolve(self._paths[file], written.strip('<>"')) for written in self._includes[file])
            found = self._next[file] = tuple({n: None for numbers in named for n in numbers})
        return found

    def reached(self, file: int, wanted: Collection[int]) -> set[int]:
        """Those of `wanted` that are `file` itself or are reached from it."""
        open_, seen, todo = set(wanted), {file}, [file]
        found = open_ & seen
        open_ -= found
        while todo and open_:
            new = [n for n in self.includes(todo.pop()) if n not in seen]
            seen.update(new)
            todo.extend(new)
            found |= open_.intersection(new)
            open_.difference_update(new)
        return found

    def _resolve(self, includer: str, include: str) -> list[int]:
        named = self._by_name.get(include.rpartition("/")[2])
        if not named:
            return []
        folder = posixpath.dirname(includer)
        beside = posixpath.normpath(posixpath.join(folder, include))
        exact = [n for n in named if self._paths[n] == beside]
        if exact:
            return exact
        tail = "/" + "/".join(part for part in include.split("/") if part not in ("", ".", ".."))
        fits = [n for n in named if ("/" + self._paths[n]).endswith(tail)]
        if len(fits) < 2:
            return fits
        shared = [_shared_folders(folder, self._paths[n]) for n in fits]
        return [n for n, s in zip(fits, shared, strict=True) if s == max(shared)]


def _shared_folders(folder: str, path: str) -> int:
    count = 0
    for a, b in zip(folder.split("/"), path.split("/")[:-1], strict=False):
        if a != b:
            break
        count += 1
    return count
