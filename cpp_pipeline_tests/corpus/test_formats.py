"""Layouts, byte for byte, and their inverses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.corpus.fim import fim_parts, raw_parts, split_random_fim, unfim
from cpp_pipeline.corpus.formats import (
    SPECIAL_RE,
    SPECIALS,
    Special,
    chat_prompt,
    chat_text,
    code_from_completion,
    defuse,
    parse_structured_fim,
    render,
    structured_fim,
    structured_fim_prompt,
)

POPCOUNT = """<FIM_PREFIX>
/* Number of set bits */
int popcount(unsigned x) {
<FIM_SUFFIX>
}
<FIM_MIDDLE>
    int n = 0;
    for (; x; x &= x - 1) ++n;
    return n;
<EOT>"""
BODY = "    int n = 0;\n    for (; x; x &= x - 1) ++n;\n    return n;\n"

hostile = st.lists(st.one_of(st.sampled_from([*SPECIALS, "*/", "\n", "<", ">"]), st.text(max_size=8))).map("".join)
line = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=40)


def test_structured_fim_is_the_method_s_layout() -> None:
    assert structured_fim("Number of set bits", "int popcount(unsigned x)", BODY) == POPCOUNT
    assert POPCOUNT.startswith(structured_fim_prompt("Number of set bits", "int popcount(unsigned x)"))


def test_structured_prompt_ends_where_the_body_begins() -> None:
    prompt = structured_fim_prompt("a", "int f()")
    assert prompt == "<FIM_PREFIX>\n/* a */\nint f() {\n<FIM_SUFFIX>\n}\n<FIM_MIDDLE>\n"


@given(doc=line.filter(lambda t: "*/" not in t), signature=line, body=st.lists(line, min_size=1))
def test_structured_fim_round_trip(doc: str, signature: str, body: list[str]) -> None:
    text = "".join(f"{b}\n" for b in body)
    fields = (doc, signature, text)
    if any(SPECIAL_RE.search(f) for f in fields):
        fields = tuple(map(defuse, fields))  # type: ignore[assignment]
    assert parse_structured_fim(structured_fim(doc, signature, text)) == fields


@given(hostile, hostile, hostile)
def test_fields_cannot_add_special_tokens(a: str, b: str, c: str) -> None:
    assert SPECIAL_RE.findall(structured_fim(a, b, c)) == ["<FIM_PREFIX>", "<FIM_SUFFIX>", "<FIM_MIDDLE>", "<EOT>"]
    assert SPECIAL_RE.findall(chat_text(a, b)) == ["<|user|>", "<|assistant|>", "<EOT>"]


def test_defuse_leaves_ordinary_text_alone() -> None:
    assert defuse("std::vector<int> a; // <EOT") == "std::vector<int> a; // <EOT"
    assert defuse("<EOT>") == "< EOT>"


def test_parse_structured_fim_rejects_other_text() -> None:
    with pytest.raises(ValueError, match="not a structured FIM document"):
        parse_structured_fim("int main() {}")


def test_chat_text_is_prompt_answer_and_end() -> None:
    assert chat_prompt("Do it") == "<|user|>\nDo it\n<|assistant|>\n"
    assert chat_text("Do it", "int f();\n") == chat_prompt("Do it") + "int f();\n<EOT>"


@pytest.mark.parametrize(
    ("kind", "completion", "code"),
    [
        ("fim", "    return 1;\n", "int f() {\n    return 1;\n}\n"),
        ("fim", "    return 1; // cut", "int f() {\n    return 1; // cut\n}\n"),
        ("chat", "int f() { return 1; }\n", "int f() { return 1; }\n"),
        ("chat", "```cpp\nint f() { return 1; }\n```\nThat is it.", "int f() { return 1; }\n"),
        ("chat", "```\nint f() { return 1; }", "int f() { return 1; }\n"),
    ],
)
def test_code_from_completion(kind: str, completion: str, code: str) -> None:
    assert code_from_completion(kind, {"signature": "int f()"}, completion) == code  # type: ignore[arg-type]


def test_code_from_completion_names_the_formats() -> None:
    with pytest.raises(ValueError, match="'fim' or 'chat'"):
        code_from_completion("markdown", {}, "")  # type: ignore[arg-type]


@given(hostile, st.text(max_size=10), st.integers(0, 3))
def test_random_fim_round_trip(text: str, name: str, epoch: int) -> None:
    split = split_random_fim(text, name, epoch)
    assert split.prefix + split.middle + split.suffix == text
    assert unfim(fim_parts(split)) == text
    assert unfim(raw_parts(text)) == text


def test_random_fim_has_no_newline_around_its_markers() -> None:
    texts = {render(fim_parts(split_random_fim("abc", f"doc {n}", 0))) for n in range(50)}
    assert all("\n" not in t for t in texts)
    assert any(t.startswith("<FIM_PREFIX><FIM_SUFFIX>") for t in texts)


def test_half_of_the_documents_are_spm() -> None:
    spm = sum(split_random_fim("some text", f"doc {n}", 0).spm for n in range(2000))
    assert 900 < spm < 1100


def test_fim_cut_depends_on_document_and_epoch_alone() -> None:
    text = "x" * 500
    assert split_random_fim(text, "a", 0) == split_random_fim(text, "a", 0)
    assert len({split_random_fim(text, "a", e).prefix for e in range(5)}) > 1


def test_unfim_rejects_other_parts() -> None:
    with pytest.raises(ValueError, match="not a raw or random FIM"):
        unfim((Special("<EOT>"), "text"))
