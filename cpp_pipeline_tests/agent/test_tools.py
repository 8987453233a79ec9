"""Arguments of calls: coerced, or refused with every problem named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.agent.tools import BY_NAME, NO_TOOL, TOOLS, Call, ToolError, validate
from cpp_pipeline.schemas import TABLES

TABLES_OF_TOOLS = ("router_sft", "agent_problems")


def test_tables_know_the_same_tools() -> None:
    declared = {name: next(c for c in TABLES[name].columns if c.name == "tool") for name in TABLES_OF_TOOLS}
    assert declared["agent_problems"].isin == tuple(BY_NAME)
    assert declared["router_sft"].isin == (*BY_NAME, NO_TOOL)


def test_the_four_tools_have_the_parameters_of_the_method() -> None:
    found = {t.name: ({p.name for p in t.parameters}, {p.name for p in t.parameters if p.required}) for t in TOOLS}
    assert found == {
        "generate_code": ({"specification", "signature", "num_samples"}, {"specification"}),
        "generate_cmake": (
            {"project_name", "source_files", "dependencies", "cpp_standard"},
            {"project_name", "source_files"},
        ),
        "execute_code": ({"code", "test_cases", "timeout"}, {"code"}),
        "analyze_code": ({"code", "analysis_type"}, {"code", "analysis_type"}),
    }


def test_parameters_are_in_alphabetical_order() -> None:
    for tool in TOOLS:
        names = [p.name for p in tool.parameters]
        assert names == sorted(names)


def test_defaults_and_coercion() -> None:
    assert validate(Call("execute_code", {"code": "$code", "timeout": "3"})).arguments == {
        "code": "$code",
        "timeout": 3,
    }
    cmake = validate(Call("generate_cmake", {"project_name": "app", "source_files": "$files", "cpp_standard": 17}))
    assert cmake.arguments == {"project_name": "app", "source_files": ["$files"], "cpp_standard": "17"}
    assert validate(Call("generate_code", {"specification": "s"})).arguments["num_samples"] == 1


def test_unknown_arguments_are_taken_out_with_a_warning() -> None:
    call = validate(Call("analyze_code", {"code": "c", "analysis_type": "bugs", "mood": 1}))
    assert "mood" not in call.arguments
    assert call.warnings == ("analyze_code has no parameter 'mood'",)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("sing", {}, ["sing", "generate_code"]),
        ("analyze_code", {}, ["code is missing", "analysis_type is missing"]),
        ("analyze_code", {"code": "c", "analysis_type": "smell"}, ["smell", "bugs, performance, style"]),
        ("execute_code", {"code": "c", "timeout": 0}, ["timeout", "1 to 60"]),
        ("execute_code", {"code": "c", "timeout": "soon"}, ["timeout", "soon"]),
        ("execute_code", {"code": "", "timeout": True}, ["code", "timeout"]),
        ("generate_cmake", {"project_name": "a", "source_files": []}, ["source_files", "at least one"]),
    ],
)
def test_errors_name_what_is_wrong_and_what_is_right(name: str, arguments: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ToolError) as caught:
        validate(Call(name, arguments))
    assert all(w in str(caught.value) for w in words)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(BY_NAME)), st.data())
def test_any_arguments_are_accepted_or_refused_and_acceptance_is_stable(name: str, data: st.DataObject) -> None:
    keys = [p.name for p in BY_NAME[name].parameters]
    arguments = data.draw(st.dictionaries(st.sampled_from(keys), ANY))
    try:
        once = validate(Call(name, arguments))
    except ToolError:
        return
    assert validate(Call(name, once.arguments)).arguments == once.arguments
