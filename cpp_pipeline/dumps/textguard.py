"""From bytes to text that a parser can take, or the reason why not.

Belongs here: the guards against input that costs a parser minutes or gigabytes (binary data, enormous lines,
absurd nesting), in the order cheapest first, and the repair of marks and line ends. Does not belong here:
where the bytes come from.

Each bound stands for an input on which tree-sitter takes minutes or gigabytes. The guards run over every byte
of every dump, so all of them are calls that scan in C; what they leave open is looked at closer.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_BYTES = 2_000_000
MAX_LINE = 20_000
MAX_MEAN_LINE = 500
MAX_NESTING = 1_000
_NUL_WINDOW = 8_192
_MAX_INVALID_SHARE = 0.01
_NO_BRACES, _NO_PARENTHESES, _NO_ANGLES = (
    bytes(c for c in range(256) if c not in kept) for kept in (b"{}", b"()", b"<>;{}")
)
_BREAKS = bytes.maketrans(b"{}", b";;")


@dataclass(frozen=True)
class Refusal:
    """Why a file is not read: the same words for the same cause, and what was seen."""

    reason: str
    detail: str


def too_large(size_bytes: int, limit: int = MAX_BYTES) -> Refusal | None:
    """The first guard, to be asked before any byte is read."""
    if size_bytes <= limit:
        return None
    return Refusal("too large", f"{size_bytes} bytes, limit {limit}")


def decode(data: bytes, limit: int = MAX_BYTES) -> str | Refusal:
    """Text with LF line ends and without byte order mark, or the first guard that `data` fails.

    Bytes that are not UTF-8 become U+FFFD as long as they are at most 1 % of the file.
    """
    refusal = too_large(len(data), limit)
    if refusal is not None:
        return refusal
    text = _to_text(data)
    if isinstance(text, Refusal):
        return text
    plain = text.removeprefix("\ufeff")
    if "\r" in plain:
        plain = plain.replace("\r\n", "\n").replace("\r", "\n")
    source = data if plain is text and text.isascii() else plain.encode()
    return _long_lines(source) or _nesting(source) or plain


def _to_text(data: bytes) -> str | Refusal:
    if data[:4] in (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"):
        return Refusal("binary", "UTF-32 byte order mark")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            return Refusal("binary", f"UTF-16 byte order mark, but {error.reason} at byte {error.start}")
    nul = data.find(b"\0", 0, _NUL_WINDOW)
    if nul >= 0:
        return Refusal("binary", f"NUL at byte {nul}")
    try:
        return data.decode()
    except UnicodeDecodeError:
        text = data.decode(errors="replace")
    invalid = text.count("\ufffd") - data.count("\ufffd".encode())
    if invalid > _MAX_INVALID_SHARE * len(data):
        return Refusal("binary", f"{invalid} of {len(data)} bytes are not UTF-8")
    return text


def _long_lines(source: bytes) -> Refusal | None:
    n_lines = source.count(b"\n") + (not source.endswith(b"\n"))
    if len(source) > MAX_LINE and _has_long_line(source):
        longest = max(map(len, source.decode(errors="replace").split("\n")))
        if longest > MAX_LINE:
            return Refusal("long line", f"longest line {longest} characters, limit {MAX_LINE}")
    if len(source) > MAX_MEAN_LINE * n_lines:
        mean = len(source.decode(errors="replace")) / n_lines
        if mean > MAX_MEAN_LINE:
            return Refusal("long lines", f"mean line {mean:.0f} characters, limit {MAX_MEAN_LINE}")
    return None


def _has_long_line(source: bytes) -> bool:
    """Whether a line is longer than MAX_LINE bytes; jumps from line end to line end MAX_LINE bytes apart."""
    end = -1
    while end + MAX_LINE + 1 < len(source):
        ahead = source.rfind(b"\n", end + 1, end + MAX_LINE + 2)
        if ahead < 0:
            return True
        end = ahead
    return False


def _nesting(data: bytes) -> Refusal | None:
    for opening, others in ((b"{", _NO_BRACES), (b"(", _NO_PARENTHESES)):
        if _holds_many(data, opening) and _depth(data.translate(None, others), opening) > MAX_NESTING:
            return Refusal("nesting", f"more than {MAX_NESTING} levels of {opening.decode()}")
    if _holds_many(data, b"<") and _angle_depth(data) > MAX_NESTING:
        return Refusal("nesting", f"more than {MAX_NESTING} levels of <")
    return None


def _holds_many(data: bytes, opening: bytes) -> bool:
    return data.count(opening) > MAX_NESTING


def _depth(brackets: bytes, opening: bytes) -> int:
    """Deepest nesting in text that holds brackets only."""
    import numpy as np  # few files come here, and the reading process starts sooner without it

    level = np.cumsum(np.where(np.frombuffer(brackets, np.uint8) == ord(opening), 1, -1))
    # Counted from the lowest point so far, so that stray closings (in comments) do not hide a tower.
    return int((level - np.minimum(np.minimum.accumulate(level), 0)).max())


def _angle_depth(data: bytes) -> int:
    """Unclosed `<` within one statement; shifts, arrows and the marks of trailing comments (`///<`) are no nesting."""
    # No statement can nest deeper than it has angles, shifts and arrows counted too: nearly always enough.
    if max(map(len, data.translate(_BREAKS, _NO_ANGLES).split(b";"))) <= MAX_NESTING:
        return 0
    for no_level in (b"<<", b"->", b"/<", b"*<", b"!<"):
        data = data.replace(no_level, b" ")
    bare = data.translate(_BREAKS, _NO_ANGLES)
    deepest = 0
    for statement in bare.split(b";"):
        if len(statement) <= deepest:
            continue
        depth = 0
        for character in statement:
            depth = depth + 1 if character == ord("<") else max(0, depth - 1)
            deepest = max(deepest, depth)
    return deepest
