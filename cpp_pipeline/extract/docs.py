"""What a C++ comment says: marks removed, doxygen commands understood.

Belongs here: the text of one comment. Does not belong here: which comment belongs to which function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINE_MARK = re.compile(r"^\s*//[/!]*<?(?= |\t|$|\S) ?")
_STAR = re.compile(r"^\s*\*+(?= |\t|$|[^\s*/]) ?")
_RULER = re.compile(r"^[\s*/=\-_~#+.]{3,}$")
_DIRECTIVE = re.compile(
    r"^\s*(?:clang-format o(?:ff|n)|NOLINT\w*(?:\([^)]*\))?|IWYU pragma:.*|\w*COVR?_EXCL_\w+|cppcheck-suppress\b.*)\s*$"
)
_COMMAND = re.compile(r"^\s*[@\\](\w+)(?:\s*\[[\w, ]*\])?\s*")
_INLINE = re.compile(r"[@\\](?:c|p|a|e|em|b|ref|link|endlink|n)\b\s?")
_FENCE = re.compile(
    r"[@\\]code.*?(?:[@\\]endcode|\Z)|```.*?(?:```|\Z)|[@\\]verbatim.*?(?:[@\\]endverbatim|\Z)", re.DOTALL
)
_FORMULA = re.compile(r"[@\\]f\[.*?[@\\]f\]|[@\\]f\$.*?[@\\]f\$|[@\\]f\{.*?[@\\]f\}", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)[.!?](?=\s+[A-Z`'\"(]|\s*$)")
_RETURNS = frozenset(("return", "returns", "result", "retval"))
_NAMING = {"param": "param", "arg": "param", "tparam": "tparam"} | dict.fromkeys(
    ("throw", "throws", "exception"), "throw"
)
_NOTES = frozenset(("note", "remark", "remarks", "warning", "attention", "pre", "post", "invariant"))
_PLAIN = frozenset(("brief", "short", "details", "par")) | _NOTES


@dataclass(frozen=True)
class Doc:
    """A comment without its marks."""

    text: str
    """Everything that it says, commands as written."""
    brief: str
    """The brief command, else the first sentence of the free text."""
    params: tuple[tuple[str, str], ...]
    """(name, text) of each documented parameter."""
    tparams: tuple[tuple[str, str], ...]
    """(name, text) of each documented template parameter."""
    returns: str | None
    throws: tuple[tuple[str, str], ...]
    """(type, text) of each documented exception."""
    notes: tuple[str, ...]
    """Notes, remarks, warnings and conditions."""
    prose: str
    """Free text and the texts of all commands, without examples, formulas and names of commands."""


def clean_comment(raw: str) -> str:
    """Text of a comment run: no comment marks, no ruler lines, no lines for tools, no common indentation."""
    lines: list[str] = []
    raw = raw.strip()
    is_block = raw.startswith("/*")
    if is_block:
        raw = raw[2:].removesuffix("*/").rstrip("*").lstrip("*").removeprefix("!").removeprefix("<")
    split = raw.replace("\r", "").split("\n")
    starred = is_block and all(_STAR.match(line) for line in split[1:] if line.strip())
    mark = _LINE_MARK if not is_block else _STAR if starred else None
    for marked in split:
        line = mark.sub("", marked) if mark else marked
        lines.append("" if _RULER.match(line) or _DIRECTIVE.match(line) else line.rstrip())
    first = 1 if is_block else 0  # the text beside /** has no indentation of its own
    indents = [len(line) - len(line.lstrip()) for line in lines[first:] if line.strip()]
    indent = min(indents, default=0)
    body = [line.strip() for line in lines[:first]] + [line[indent:] for line in lines[first:]]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(body).strip())


def _sections(text: str) -> list[tuple[str, str]]:
    """(command, text) in order; the command of free text is ''. A blank line ends a section."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in text.split("\n"):
        command = _COMMAND.match(line)
        if command is not None and not _INLINE.match(line.lstrip()):
            sections.append((command[1], [line[command.end() :]]))
        elif not line.strip():
            sections.append(("", []))
        else:
            sections[-1][1].append(line)
    return [(c, " ".join(" ".join(lines).split())) for c, lines in sections]


def _first_sentence(text: str) -> str:
    end = _SENTENCE_END.search(text)
    return text[: end.end()] if end else text


def parse_doc(raw: str) -> Doc:
    """Read one comment run; never fails, an unknown command counts as prose."""
    text = clean_comment(raw)
    plain = _FORMULA.sub(" ", _FENCE.sub("\n", text))
    named: dict[str, list[tuple[str, str]]] = {"param": [], "tparam": [], "throw": []}
    returns: list[str] = []
    notes: list[str] = []
    brief: str | None = None
    free: list[str] = []
    prose: list[str] = []
    for command, section in _sections(plain):
        said = _INLINE.sub("", section).strip()
        kind = _NAMING.get(command)
        if kind is not None:
            names, _, rest = said.partition(" ")
            split = names.strip(",:").split(",") if kind != "throw" else [names.strip(":")]
            named[kind] += [(name, rest.strip(" -:")) for name in split if name]
            prose.append(rest)
            continue
        if command in _RETURNS:
            returns.append(said)
        elif command in ("brief", "short") and brief is None:
            brief = said
        elif command == "" or command in _PLAIN:
            free.append(said)
        if command in _NOTES and said:
            notes.append(said)
        prose.append(said)
    paragraph = next((s for s in free if s), "")
    return Doc(
        text=text,
        brief=brief or _first_sentence(paragraph) or _first_sentence(" ".join(p for p in prose if p)),
        params=tuple(named["param"]),
        tparams=tuple(named["tparam"]),
        returns=" ".join(r for r in returns if r) or None,
        throws=tuple(named["throw"]),
        notes=tuple(notes),
        prose=" ".join(p for p in prose if p),
    )
