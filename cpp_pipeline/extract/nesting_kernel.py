"""How deep a text is nested, as a compiled loop.

Belongs here: the kernel; import it inside functions only (`compiled.py`). Does not belong here: the limit
(`parsing.py`).
"""

from __future__ import annotations

from typing import Any

from cpp_pipeline.extract.compiled import compiled

_LESS, _GREATER, _OPEN_BRACE, _CLOSE_BRACE, _OPEN, _CLOSE, _SEMICOLON, _SLASH, _STAR, _MARK, _MINUS = b"<>{}();/*!-"


@compiled
def nesting(source: Any) -> Any:
    """The deepest level of braces, of parentheses, or of `<` between two of `;{}`, whichever is most."""
    deepest = braces = parentheses = angles = 0
    before = 0
    for byte in source:
        # Levels do not fall below 0, so that stray closings do not hide what opens after them.
        if byte == _LESS:
            # no level: `<<`, `///<` and the like; a first `<` of `<<` is taken back
            angles += -1 if before == _LESS else before not in (_SLASH, _STAR, _MARK)
            deepest = max(deepest, angles)
        elif byte == _GREATER:
            angles = max(angles - (before != _MINUS), 0)
        elif byte == _OPEN_BRACE:
            braces += 1
            deepest = max(deepest, braces)
            angles = 0
        elif byte == _CLOSE_BRACE:
            braces = max(braces - 1, 0)
            angles = 0
        elif byte == _OPEN:
            parentheses += 1
            deepest = max(deepest, parentheses)
        elif byte == _CLOSE:
            parentheses = max(parentheses - 1, 0)
        elif byte == _SEMICOLON:
            angles = 0
        before = byte
    return deepest
