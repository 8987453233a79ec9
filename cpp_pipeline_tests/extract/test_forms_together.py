"""One file that holds all forms together, with its macros and conditions, against the list that lies beside it.

Single forms are in `test_forms.py`. libclang finds the same functions and comments in this file, but for comments
behind a function, branches that are off and the abbreviated template. Names lack the namespace that a macro opens.
"""

from __future__ import annotations

from pathlib import Path

from cpp_pipeline.extract.docs import parse_doc
from cpp_pipeline.extract.functions import FileFacts, complete, read_functions
from cpp_pipeline.extract.macros import MacroDefinitions

_FORMS = Path(__file__).with_name("forms")
_TEXT = (_FORMS / "documented.cpp").read_text()
_UNDOCUMENTED = [
    *("Task::promise_type::get_return_object", "Task::promise_type::initial_suspend"),
    *("Task::promise_type::final_suspend", "Task::promise_type::return_void"),
    "Task::promise_type::unhandled_exception",
]


def macros() -> tuple[str, ...]:
    definitions = MacroDefinitions()
    definitions.add(_TEXT)
    return definitions.transparent()


def facts() -> FileFacts:
    return read_functions(_TEXT, macros())


def test_exactly_the_documented_functions_with_their_comments() -> None:
    listed = [tuple(line.split("\t")) for line in (_FORMS / "documented.tsv").read_text().splitlines()]
    assert [(f.qualified_name, parse_doc(f.doc_raw).brief) for f in facts().functions] == listed


def test_functions_without_a_comment_are_told_apart() -> None:
    bare = facts().bare
    assert [b.qualified_name for b in bare] == _UNDOCUMENTED
    completed = [complete(b, _TEXT, macros()) for b in bare]
    assert [f and f.qualified_name for f in completed] == _UNDOCUMENTED


def test_text_of_each_function_begins_and_ends_where_it_does() -> None:
    for f in facts().functions:
        assert _TEXT.encode()[f.start_byte : f.end_byte].decode() == f.code
        assert f.code.rstrip("; ").endswith("}"), f.qualified_name
        assert f.code.startswith(f.signature.split("\n")[0]), f.qualified_name
        assert _TEXT.split("\n")[f.line - 1].strip().startswith(f.code.split("\n")[0].strip()), f.qualified_name
