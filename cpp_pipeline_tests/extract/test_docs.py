"""Comments to documentation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.extract.docs import clean_comment, parse_doc


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("/// Adds two.", "Adds two."),
        ("//! Adds\n//! two.", "Adds\ntwo."),
        ("// a\n//\n// b", "a\n\nb"),
        ("    /// a\n    ///   b", "a\n  b"),
        ("/* one */", "one"),
        ("/** one */", "one"),
        ("/*! one */", "one"),
        ("/**\n * a\n *   - b\n *\n * c\n */", "a\n  - b\n\nc"),
        ("/**\n  No stars.\n    More.\n*/", "No stars.\n  More."),
        ("/*********\n** Title\n*********/", "Title"),
        ("//------\n// Title\n//------", "Title"),
        ("/**\r\n * a\r\n */", "a"),
        ("/**\n * `a * b` and *c*\n */", "`a * b` and *c*"),
        ("// Adds.\n// clang-format off", "Adds."),
        ("// NOLINTNEXTLINE(google-runtime-int)\n// Adds NOLINT to a line.", "Adds NOLINT to a line."),
        ("/**/", ""),
        ("//", ""),
        ("/* never closed", "never closed"),
    ],
)
def test_marks_are_removed(raw: str, text: str) -> None:
    assert clean_comment(raw) == text


def test_doxygen() -> None:
    doc = parse_doc(
        "/** \\brief Adds \\p a to b.  More text.\n *\n * Long text here.\n * @param[in] a first\n *   goes on\n"
        " * @param b - the second\n * @tparam T kind\n * @return the sum\n * @code\n * add(1, 2);\n * @endcode\n"
        " * @throws std::overflow_error when it\n *   is too large\n * @exception Other\n * @note Not fast.\n"
        " * @pre a > 0\n */"
    )
    assert doc.brief == "Adds a to b. More text."
    assert doc.params == (("a", "first goes on"), ("b", "the second"))
    assert doc.tparams == (("T", "kind"),)
    assert doc.throws == (("std::overflow_error", "when it is too large"), ("Other", ""))
    assert doc.notes == ("Not fast.", "a > 0")
    assert doc.returns == "the sum"
    assert "add(1, 2)" in doc.text
    assert "add(1" not in doc.prose
    assert "first goes on" in doc.prose
    assert "param" not in doc.prose


@pytest.mark.parametrize(
    ("raw", "brief"),
    [
        ("/// Adds two numbers. Then rests.", "Adds two numbers."),
        ("/// Uses e.g. This one. Done.", "Uses e.g. This one."),
        ("/// Version 1.5 of it\n/// goes on", "Version 1.5 of it goes on"),
        ("/// First line\n///\n/// Second paragraph.", "First line"),
        ("/// @return The sum of both.", "The sum of both."),
        ("//", ""),
    ],
)
def test_brief(raw: str, brief: str) -> None:
    assert parse_doc(raw).brief == brief


@given(st.text())
def test_never_fails(text: str) -> None:
    for raw in (f"/* {text} */", "\n".join(f"/// {line}" for line in text.split("\n")), text):
        doc = parse_doc(raw)
        assert doc.text == clean_comment(raw)
        assert all(name for name, _ in (*doc.params, *doc.tparams, *doc.throws))


@given(st.lists(st.from_regex(r"\A[a-z][a-z ]{0,20}[a-z]\Z"), min_size=1, max_size=5))
def test_words_survive_each_style(lines: list[str]) -> None:
    body = "\n".join(lines)
    styles = (
        "\n".join(f"/// {line}" for line in lines),
        "\n".join(f"  // {line}" for line in lines),
        "/**\n" + "".join(f" * {line}\n" for line in lines) + " */",
        "/*\n" + "".join(f"  {line}\n" for line in lines) + "*/",
    )
    assert {clean_comment(s) for s in styles} == {body}
