"""What libclang sees in C++ files: a script for the peer's own interpreter, with nothing of this project in it.

Reads an order as JSON on stdin and prints one JSON line a file. The order: `files` (paths), `root` (what lies outside
is passed over), `arguments` (of the compiler), `prelude` (headers of the standard library, parsed once and kept as a
precompiled header), `generated` (headers that a build would write, here empty) and `scratch` (folder for both). C++ is
only parsed, nothing is compiled or run.

A line: `path`, `errors` (count and first text), `skipped` ([start, end] of inactive `#if` text), `cpu_s`, and
`functions`, each with its place in bytes. A comment is [file, start, end, line]. `own` is the one that clang attaches
to this very declaration or to another one of the same function: its place shows which. `-Wdocumentation` makes the
parser attach comments declaration by declaration; asked later, clang would answer with the first one of any.
"""

from __future__ import annotations

import json
import os
import sys
import time
from ctypes import POINTER, Structure, c_uint
from typing import Any

from clang.cindex import Cursor, CursorKind, Index, SourceRange, TranslationUnit, conf

_FUNCTIONS = frozenset(
    (
        CursorKind.FUNCTION_DECL,
        CursorKind.CXX_METHOD,
        CursorKind.CONSTRUCTOR,
        CursorKind.DESTRUCTOR,
        CursorKind.CONVERSION_FUNCTION,
        CursorKind.FUNCTION_TEMPLATE,
    )
)
_SCOPES = frozenset(
    (
        CursorKind.NAMESPACE,
        CursorKind.CLASS_DECL,
        CursorKind.STRUCT_DECL,
        CursorKind.UNION_DECL,
        CursorKind.CLASS_TEMPLATE,
        CursorKind.CLASS_TEMPLATE_PARTIAL_SPECIALIZATION,
        CursorKind.LINKAGE_SPEC,
        CursorKind.UNEXPOSED_DECL,
        CursorKind.FRIEND_DECL,
    )
)
_ERROR = 3


class _Ranges(Structure):
    _fields_ = [("count", c_uint), ("ranges", POINTER(SourceRange))]


def _register() -> None:
    """Calls of the library that its Python binding lacks."""
    conf.lib.clang_Cursor_getCommentRange.argtypes = [Cursor]
    conf.lib.clang_Cursor_getCommentRange.restype = SourceRange
    conf.lib.clang_getSkippedRanges.restype = POINTER(_Ranges)
    conf.lib.clang_disposeSourceRangeList.argtypes = [POINTER(_Ranges)]


def _comment(cursor: Cursor) -> list[Any] | None:
    found = conf.lib.clang_Cursor_getCommentRange(cursor)
    start = found.start
    if start.file is None:
        return None
    return [os.path.realpath(start.file.name), start.offset, found.end.offset, start.line]


class _File:
    def __init__(self, unit: TranslationUnit, path: str, root: str) -> None:
        self.unit, self.path, self.root = unit, path, root
        with open(path, "rb") as source:
            self.text = source.read()
        self.found: dict[int, dict[str, Any]] = {}
        self.macros: set[int] = set()

    def walk(self) -> None:
        top = self._mine(self.unit.cursor)
        self.macros = {c.location.offset for c in top if c.kind == CursorKind.MACRO_INSTANTIATION}
        stack = top
        while stack:
            cursor = stack.pop()
            if cursor.kind in _FUNCTIONS:
                self._function(cursor, cursor)
            elif cursor.kind in _SCOPES:
                stack.extend(self._mine(cursor))
            elif cursor.kind == CursorKind.VAR_DECL:
                for inner in cursor.get_children():
                    if inner.kind == CursorKind.LAMBDA_EXPR:
                        self._function(cursor, inner)

    def _mine(self, scope: Cursor) -> list[Cursor]:
        """What stands in the file itself, by the place of expansion: macros open namespaces."""
        placed = [(c, c.location.file) for c in scope.get_children()]
        return [c for c, file in placed if file is not None and file.name == self.path]

    def _function(self, cursor: Cursor, whole: Cursor) -> None:
        if not cursor.is_definition():
            return
        place = cursor.location
        start, end = cursor.extent.start, whole.extent.end.offset
        has_body = self.text[end - 1 : end] == b"}"
        if end == 0:  # abbreviated templates, `void f(auto a)`, have no place
            return
        if cursor is not whole:  # a lambda: the statement ends behind it
            end = self.text.find(b";", end) + 1
        # An instantiation ends where its template ends, and begins behind `template <...>`.
        if end in self.found and self.found[end]["start"] <= start.offset:
            return
        self.found[end] = {
            "name": cursor.spelling,
            "line": place.line,
            "start": start.offset,
            "end": end,
            "has_body": has_body,
            "from_macro": place.offset in self.macros,
            "begins_in_macro": start.offset in self.macros,
            "own": _comment(cursor),
            "declared": self._declared(cursor),
        }

    def _declared(self, cursor: Cursor) -> dict[str, Any] | None:
        """The first declaration, when it is another one and lies below the root."""
        first = cursor.canonical
        if first == cursor or first.location.file is None:
            return None
        path = os.path.realpath(first.location.file.name)
        if not path.startswith(self.root):
            return None
        return {"path": path, "start": first.extent.start.offset, "comment": _comment(first)}

    def skipped(self) -> list[list[int]]:
        listed = conf.lib.clang_getSkippedRanges(self.unit, self.unit.get_file(self.path))
        if not listed:
            return []
        found = listed.contents
        ranges = [[found.ranges[i].start.offset, found.ranges[i].end.offset] for i in range(found.count)]
        conf.lib.clang_disposeSourceRangeList(listed)
        return ranges


def _generated(order: dict[str, Any]) -> str:
    folder = os.path.join(order["scratch"], "generated")
    for name in order["generated"]:
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w", encoding="utf-8").close()
    return folder


def _precompiled(index: Index, order: dict[str, Any]) -> list[str]:
    """Arguments that bring in the standard library, parsed once for all files."""
    header = os.path.join(order["scratch"], "prelude.h")
    with open(header, "w", encoding="utf-8") as out:
        out.writelines(f"#include <{name}>\n" for name in order["prelude"])
    options = TranslationUnit.PARSE_INCOMPLETE | TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD
    unit = index.parse(header, ["-x", "c++-header", *order["arguments"]], options=options)
    unit.save(header + ".pch")
    return ["-include-pch", header + ".pch"]


def _read(index: Index, path: str, root: str, arguments: list[str]) -> dict[str, Any]:
    begun = time.process_time()
    options = TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD
    unit = index.parse(path, ["-x", "c++", *arguments], options=options)
    # Errors without a file come from the precompiled header and concern built-in types only.
    wrong = [d for d in unit.diagnostics if d.severity >= _ERROR and d.location.file is not None]
    file = _File(unit, path, root)
    file.walk()
    return {
        "path": path,
        "errors": [len(wrong), f"{wrong[0].location.line}: {wrong[0].spelling}" if wrong else ""],
        "skipped": file.skipped(),
        "functions": list(file.found.values()),
        "cpu_s": time.process_time() - begun,
    }


def main() -> None:
    """One order."""
    order = json.load(sys.stdin)
    _register()
    index = Index.create(excludeDecls=True)
    arguments = [*order["arguments"], "-I" + _generated(order), *_precompiled(index, order)]
    for path in order["files"]:
        print(json.dumps(_read(index, path, order["root"], arguments)), flush=True)


if __name__ == "__main__":
    main()
