"""Bearer tokens: which are accepted. Belongs here: reading and comparing them; they are never logged."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger(__name__)
_MOST = 2


class Tokens:
    """One token, or two while the old one is replaced by a new one.

    Parameters
    ----------
    tokens : sequence of str
        Accepted tokens.
    path : Path, optional
        File that they come from; it is read again when it changes, so that a token can be replaced in a running
        service. A change that leaves no usable token is logged and has no effect.
    """

    def __init__(self, tokens: Sequence[str], path: Path | None = None) -> None:
        if not 1 <= len(tokens) <= _MOST or not all(t and t.isascii() and t.isprintable() for t in tokens):
            raise ValueError(f"need one or two tokens of printable ASCII characters, found {len(tokens)} lines")
        self._tokens = [t.encode() for t in tokens]
        self._path, self._stamp = path, _stamp(path) if path else None

    @classmethod
    def from_file(cls, path: Path) -> Tokens:
        """The tokens of a file, one a line; raises OSError or ValueError, without their text."""
        try:
            return cls([line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()], path)
        except ValueError as error:
            reason = "it is not text" if isinstance(error, UnicodeDecodeError) else str(error)
            raise ValueError(f"token file {path}: {reason}") from None

    def accept(self, authorization: str) -> bool:
        """Whether the value of an Authorization header holds an accepted token, in constant time."""
        self._renew()
        scheme, _, given = authorization.partition(" ")
        known = [hmac.compare_digest(given.strip().encode(), token) for token in self._tokens]
        return scheme.lower() == "bearer" and any(known)

    def _renew(self) -> None:
        if self._path is None:
            return
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                self._tokens = Tokens.from_file(self._path)._tokens
        except (OSError, ValueError) as error:
            logger.error("the tokens stay as they were: %s", error)


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino, found.st_size
