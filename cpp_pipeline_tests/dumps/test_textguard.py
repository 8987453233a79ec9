"""Guards in front of the parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.dumps.textguard import MAX_BYTES, Refusal, decode


@given(st.binary(max_size=3000))
def test_any_bytes_give_clean_text_or_a_reason(data: bytes) -> None:
    text = decode(data)
    if isinstance(text, Refusal):
        assert text.reason
        assert text.detail
    else:
        assert "\r" not in text
        assert not text.startswith("\ufeff")


@given(st.text(st.characters(exclude_characters="\r\ufeff\0", exclude_categories=["Cs"]), max_size=300))
def test_short_valid_text_comes_back_as_it_is(text: str) -> None:
    assert decode(text.encode()) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfint a;\r\nint b;\r", "int a;\nint b;\n"),
        ("int ä;".encode("utf-16"), "int ä;"),
        (b"// caf\xe9 " + b"x" * 200, "// caf\ufffd " + "x" * 200),
    ],
)
def test_repairs(data: bytes, text: str) -> None:
    assert decode(data) == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x" * (MAX_BYTES + 1), "too large"),
        (b"int a;\0", "binary"),
        (bytes(range(128, 256)) * 4, "binary"),
        (b"\xff\xfe\x00", "binary"),
        (b"int a;\n" * 200 + b"x" * 20_001, "long line"),
        (b"x" * 501, "long lines"),
        (b"{\n" * 1001 + b"}\n" * 1001, "nesting"),
        (b"(\n" * 1001, "nesting"),
        (b"a<\n" * 1001, "nesting"),
    ],
)
def test_refusals(data: bytes, reason: str) -> None:
    refusal = decode(data)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


@pytest.mark.parametrize(
    "data",
    [
        b"f();{}\n" * 3000,
        b"std::cout << a << b << c;\n" * 900,
        b"if (a < b) { c = d < e; }\n" * 2000,
        b"std::vector<std::pair<int, int>> v;\n" * 2000,
        b"enum E {\n" + b"  A,  ///< one\n  B,  /**< two */\n  C,  //!< three\n" * 1000 + b"};\n",
        b"x = a" + b" << b\n -> c" * 2000 + b";\n",
    ],
)
def test_ordinary_code_is_not_taken_for_nesting(data: bytes) -> None:
    assert decode(data) == data.decode()
