"""Functions, their documentation and documented declarations of one C++ file.

Belongs here: a file's text to its facts. Does not belong here: where functions stand and which comment is theirs
(`walk.py`), what is read off them (`reading.py`), several files (`joining.py`), the meaning of a comment (`docs.py`).

A *function* is a definition with a body of its own that is neither local to another body nor a macro call such as
`TEST(a, b) { }`; a lambda assigned to a name counts. A documented one is read in full, of any other (*bare*) only its
name and place: most have no documentation anywhere and cost next to nothing that way.
"""

from __future__ import annotations

import re
from dataclasses import replace
from operator import itemgetter

from tree_sitter import Node, Tree

from cpp_pipeline.extract.branches import first_branches, is_divided
from cpp_pipeline.extract.facts import Bare, Declaration, FileFacts, Function, TypeHead
from cpp_pipeline.extract.parsing import PARSE_SECONDS, parse_guarded, refusal
from cpp_pipeline.extract.reading import Source, bare_of, declaration_of, function_of, parts_of, source_of, type_of
from cpp_pipeline.extract.walk import Scope, Site, sites, undocumented

__all__ = [
    "Bare",
    "Declaration",
    "FileFacts",
    "Function",
    "all_functions",
    "complete",
    "has_torn_body",
    "read_functions",
]

_CLOSING = b"\n};"
_CALLED = re.compile(rb"(~?\w+|operator *[^\s\w(]+|operator *\(\)) *\(")
_TYPES = frozenset(("class_specifier", "struct_specifier", "union_specifier", "enum_specifier", "alias_declaration"))


_Item = Function | Bare | Declaration | TypeHead


def _item(site: Site, source: Source, in_full: bool) -> _Item | None:
    kind = site.node.type
    if kind in _TYPES:
        return type_of(site, source)
    is_definition = kind == "function_definition"
    if not is_definition and site.doc is None and source.raw.find(b"[", site.start, site.anchor.end_byte) < 0:
        return None
    parts = parts_of(site, source.blanked)
    if parts is not None:
        return function_of(site, parts, source) if in_full or site.doc is not None else bare_of(site, parts, source)
    return None if is_definition or site.doc is None else declaration_of(site, source)


def _items(
    root: Node, source: Source, in_full: bool, errors: list[tuple[int, int]] | None = None
) -> list[tuple[int, _Item]]:
    """What the tree holds, each with its first byte; `errors` as in `sites`."""
    found: list[tuple[int, _Item]] = []
    others: list[tuple[int, int, Scope]] = []
    names: set[bytes] = set()
    for site in sites(root, source.raw, source.blanked, errors):
        item = _item(site, source, in_full)
        if item is not None:
            found.append((site.start, item))
            if isinstance(item, Declaration):
                names.add(item.name.encode())
        elif site.doc is None and site.node.type != "function_definition":
            others.append((site.anchor.start_byte, site.anchor.end_byte, site.scope))
    # A declaration without a comment of what has one elsewhere in the file: a join must know both.
    for first, last, scope in others if names else ():
        if not names.isdisjoint(_CALLED.findall(source.blanked, first, last)):
            anchor = root.descendant_for_byte_range(first, last)
            declaration = declaration_of(undocumented(anchor, scope), source) if anchor is not None else None
            if declaration is not None and declaration.name.encode() in names:
                found.append((first, declaration))
    return found


def _tree(source: Source, seconds: float, with_bodies: bool) -> Tree | None:
    if with_bodies or source.kinds is None:
        return parse_guarded(source.blanked, seconds)
    from cpp_pipeline.extract.skeleton import skeleton  # compiled code is loaded with it

    text, ranges = skeleton(source.blanked, source.kinds)
    return parse_guarded(text, seconds, ranges)


def _collect(root: Node, source: Source, in_full: bool, seconds: float) -> list[tuple[int, _Item]]:
    """What the file holds.

    Where a condition divides a function or a class the tree has an error there, and what it tore is read from a second
    tree, of the first branches; what stands in other branches still comes from the first tree.
    """
    errors = [(0, len(source.raw))] if root.type == "ERROR" else []
    found = _items(root, source, in_full, errors)
    branches = first_branches(source.blanked) if errors and is_divided(source.blanked, errors) else None
    if branches is None:
        return found
    one = replace(source, blanked=branches.source)
    tree = _tree(one, seconds, in_full)
    if tree is None:
        return found
    whole = _items(tree.root_node, one, in_full)
    return [item for item in found if branches.has_blanked(item[0])] + whole


def read_functions(
    text: str, macros: tuple[str, ...] = (), seconds: float = PARSE_SECONDS, in_full: bool = False
) -> FileFacts:
    """Functions and documented declarations of one file.

    Parameters
    ----------
    text
        File as UTF-8 text with LF line ends.
    macros
        Names to blank before parsing (`MacroDefinitions.transparent`); the text handed back keeps them.
    seconds
        Wall-time limit of the parse.
    in_full
        Read functions without documentation in full too, into `FileFacts.functions`, and parse bodies. Without it
        `has_parse_error` tells of the rest of a function only; `has_torn_body` asks the body.

    Returns
    -------
    FileFacts
        With `refused` set, and nothing else, when the file is out of bounds or takes too long.
    """
    why = refusal(text.encode("utf-8", "replace"))
    if why is not None:
        return FileFacts(refused=why)
    source = source_of(text, macros)
    tree = _tree(source, seconds, in_full)
    if tree is None:
        return FileFacts(refused=f"parsing took more than {seconds:g} s")
    found = [item for _, item in sorted(_collect(tree.root_node, source, in_full, seconds), key=itemgetter(0))]
    return FileFacts(
        tuple(f for f in found if isinstance(f, Function)),
        tuple(f for f in found if isinstance(f, Bare)),
        tuple(f for f in found if isinstance(f, Declaration)),
        source.includes,
        tuple(f for f in found if isinstance(f, TypeHead)),
        source.blanked,
    )


def all_functions(text: str, macros: tuple[str, ...] = ()) -> tuple[Function, ...]:
    """All functions of one file in full, documented or not; none when the file is refused (`read_functions`)."""
    return read_functions(text, macros, in_full=True).functions


def has_torn_body(function: Function, blanked: bytes) -> bool:
    """Whether the body of a function holds errors; `blanked` is the text of its file (`FileFacts.blanked`)."""
    head = function.start_byte + len(function.signature.encode("utf-8", "replace"))
    body = blanked[head : function.end_byte]
    if not body.lstrip().startswith(b"{"):
        body = blanked[function.start_byte : function.end_byte]  # a `try` in front
    body = b"\n".join(map(bytes.lstrip, body.split(b"\n")))  # the parser is slow on indentation
    if not _is_torn(body):
        return False
    branches = first_branches(body)  # as where a condition divides what stands around bodies
    return branches is None or _is_torn(branches.source)


def _is_torn(source: bytes) -> bool:
    tree = parse_guarded(source)
    return tree is None or tree.root_node.has_error


def complete(bare: Bare, text: str, macros: tuple[str, ...] = ()) -> Function | None:
    """The rest of a function without documentation, by parsing its head again, in its namespaces and classes.

    Parameters
    ----------
    bare
        One of `FileFacts.bare`.
    text, macros
        As they were given to `read_functions`.

    Returns
    -------
    Function | None
        None when the text alone is no function, as may be where the whole file holds errors.
    """
    source = source_of(text, macros)
    found = _in_scope(bare, source)
    if found is None or found.has_parse_error:
        branches = first_branches(source.blanked[bare.start_byte : bare.body_start])
        if branches is not None:
            blanked = source.blanked[: bare.start_byte] + branches.source + source.blanked[bare.body_start :]
            found = _in_scope(bare, replace(source, blanked=blanked)) or found
    return None if found is None else replace(found, has_parse_error=bare.has_parse_error)


def _in_scope(bare: Bare, source: Source) -> Function | None:
    """The function, its head parsed alone in its namespaces and classes."""
    start, end = bare.start_byte, bare.end_byte
    opening = bare.opening.encode()
    closing = _CLOSING * bare.opening.count("\n")
    is_block = source.raw.startswith(b"{", bare.body_start)
    last = source.raw.rfind(b"}", start, end) if is_block else end
    head = slice(start, bare.body_start + 1 if is_block else end)
    local = Source(
        opening + source.raw[head] + source.raw[last:end] + closing,
        opening + source.blanked[head] + source.raw[last:end] + closing,
        source.includes,
    )
    tree = parse_guarded(local.blanked)
    for site in sites(tree.root_node, local.raw, local.blanked) if tree is not None else ():
        is_own = site.start == len(opening) and site.node.type not in _TYPES
        parts = parts_of(site, local.blanked) if is_own else None
        if parts is not None and parts.qualified_name == bare.qualified_name:
            found = function_of(site, parts, local)
            code = source.text(start, end)
            body = source.text(bare.body_start + 1, last) if is_block else found.body
            end_line = bare.line + code.count("\n")
            return replace(
                found, line=bare.line, end_line=end_line, start_byte=start, end_byte=end, body=body, code=code
            )
    return None
