"""FIM documents: the method's layout, and every text back byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.corpus.fim import fim_parts, function_of, split_random_fim, structured_parts, unfim
from cpp_pipeline.corpus.formats import SPECIAL_RE, SPECIALS, Special, render, structured_fim

BODY = "    int n = 0;\n    for (; x; x &= x - 1) ++n;\n    return n;\n"
MARKS = [
    *SPECIALS,
    "*/",
    "* /",
    "*  /",
    " */\n",
    "/* ",
    " {\n",
    "\n}\n",
    "\n",
    "\r\n",
    "*",
    "/",
    " ",
    "\0",
    "\U0001f600",
]
anything = st.lists(st.sampled_from(MARKS) | st.text(max_size=6), max_size=8).map("".join)


def test_parts_spell_the_method_s_layout() -> None:
    parts = structured_parts("Number of set bits", "int popcount(unsigned x)", BODY)
    assert render(parts) == (
        "<FIM_PREFIX>\n/* Number of set bits */\nint popcount(unsigned x) {\n<FIM_SUFFIX>\n}\n<FIM_MIDDLE>\n"
        "    int n = 0;\n    for (; x; x &= x - 1) ++n;\n    return n;\n<EOT>"
    )


@settings(max_examples=300)
@given(anything, anything, anything)
def test_any_function_comes_back(doc: str, signature: str, body: str) -> None:
    parts = structured_parts(doc, signature, body)
    assert function_of(parts) == (doc, signature, body if not body or body.endswith("\n") else f"{body}\n")
    assert [p.text for p in parts if isinstance(p, Special)] == [
        "<FIM_PREFIX>",
        "<FIM_SUFFIX>",
        "<FIM_MIDDLE>",
        "<EOT>",
    ]
    if not any(SPECIAL_RE.search(text) for text in (doc, signature, body)):
        assert render(parts) == structured_fim(doc, signature, body)


@settings(max_examples=300)
@given(anything)
def test_a_doc_cannot_end_its_comment(doc: str) -> None:
    head = structured_parts(doc, "int f()", "")[1]
    assert isinstance(head, str)
    assert head.index("*/") == len(head) - len("*/\nint f() {\n")


@settings(max_examples=300)
@given(anything, st.text(max_size=5), st.integers(0, 5))
def test_any_text_comes_back_from_random_spans(text: str, name: str, epoch: int) -> None:
    split = split_random_fim(text, name, epoch)
    parts = fim_parts(split)
    assert unfim(parts) == text
    assert parts[0] == Special("<FIM_PREFIX>")
    assert (parts[1] == Special("<FIM_SUFFIX>")) == split.spm
    shown = [p for p in parts if isinstance(p, str)]
    assert shown == (
        [split.suffix, split.prefix + split.middle] if split.spm else [split.prefix, split.suffix, split.middle]
    )


def test_both_orders_and_every_cut_occur() -> None:
    splits = [split_random_fim("abc", f"doc {n}", 0) for n in range(600)]
    assert {s.spm for s in splits} == {True, False}
    assert {(len(s.prefix), len(s.middle)) for s in splits} == {(i, j) for i in range(4) for j in range(4 - i)}


@pytest.mark.parametrize("parts", [("text",), fim_parts(split_random_fim("abc", "d", 0))])
def test_other_documents_are_no_functions(parts: tuple[str | Special, ...]) -> None:
    with pytest.raises(ValueError, match="not a structured FIM document"):
        function_of(parts)
