"""A part of a dump that is a partition of its own: which repositories, files, lines and row groups belong to it.

Belongs here: the deterministic rule by which a huge dump is dealt out to N shards. Does not belong here: choosing
the rule for a dump (`splitting`), or reading (`reading`, `listing`, `history`): readers pass over what is not theirs.

Nothing is copied: all shards read the same dump. Each row of the dump belongs to exactly one shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Rule = Literal["units", "folders", "names"]
"""`units`: whole repositories, archives and tables. `folders`: repositories by their top folders. `names`:
repositories by file names without suffix, so that `x.h` and `x.cc` stay together wherever they lie."""

_LINES_A_BLOCK = 1_000


@dataclass(frozen=True)
class Range:
    """Whole lines of a JSONL file: bytes [start, end), and the number of the first line, from 1."""

    start: int
    end: int
    first_line: int


@dataclass(frozen=True)
class Shard:
    """Shard `index` (from 0) of `count`; the default is a whole dump.

    `ranges` holds, for rules other than `units`, this shard's part of each JSONL file that is not packed.
    """

    index: int = 0
    count: int = 1
    rule: Rule = "units"
    ranges: Mapping[str, Range] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """True for a dump that is not split."""
        return self.count == 1

    def has_unit(self, unit: str) -> bool:
        """Whether a repository, archive or table is read here at all."""
        return self.is_whole or self.rule != "units" or self._takes(unit)

    def has_file(self, repo: str, path: str) -> bool:
        """Whether a file of a repository that is read here is a row of this shard."""
        if self.is_whole or self.rule == "units":
            return True
        part = path.partition("/")[0] if self.rule == "folders" and "/" in path else ""
        if self.rule == "names":
            part = path.rpartition("/")[2].split(".")[0].lower()
        return self._takes(f"{repo}\0{part}")

    def has_history(self, repo: str) -> bool:
        """Whether the commits of a repository belong here: all of them lie in one shard."""
        return self.is_whole or self.rule == "units" or self._takes(repo)

    def has_line(self, number: int) -> bool:
        """Whether a line (from 1) of a packed JSONL file belongs here: blocks of lines go round."""
        return self.rule == "units" or self._turn((number - 1) // _LINES_A_BLOCK)

    def has_group(self, number: int) -> bool:
        """Whether a row group (from 0) of a parquet file belongs here."""
        return self.rule == "units" or self._turn(number)

    def tells(self, where: str) -> bool:
        """Whether this shard reports trouble that every shard sees."""
        return self.is_whole or self._takes(where)

    def _takes(self, key: str) -> bool:
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") % self.count == self.index

    def _turn(self, number: int) -> bool:
        return number % self.count == self.index

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Shard:
        """The shard that `to_json` wrote."""
        ranges = {name: Range(**r) for name, r in value["ranges"].items()}
        return cls(value["index"], value["count"], value["rule"], ranges)


WHOLE = Shard()


def shard_names(name: str, count: int) -> list[str]:
    """Partition keys of a dump that is split into `count`: NAME-0001-of-0004 and so on."""
    return [f"{name}-{number:04d}-of-{count:04d}" for number in range(1, count + 1)]
