"""The router at work: whatever the weights, what comes out is a call; and it is the model's choice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpp_pipeline.agent.functiongemma import CALL, END_CALL, parse
from cpp_pipeline.agent.grammar import MAX_ITEMS, Request, State, choices
from cpp_pipeline.agent.router import Decision, Router
from cpp_pipeline.agent.router_eval import counts, evaluate, main
from cpp_pipeline.agent.tools import HANDLES, NO_TOOL, Call, validate


@given(
    st.text(max_size=60) | st.sampled_from(["make 3 of it in C++17 for my_app", "0 1 2 3 4", "a b c d e f g h i j"]),
    st.sets(st.sampled_from(HANDLES)),
    st.data(),
)
@settings(max_examples=60)
def test_every_path_through_the_grammar_is_a_valid_call(utterance: str, handles: set[str], data: st.DataObject) -> None:
    request = Request(utterance, ("$request", *sorted(handles - {"$request"})))
    state, text = State(), CALL
    while options := choices(state, request):
        texts = [o.text for o in options]
        assert not any(a != b and b.startswith(a) for a in texts for b in texts)
        chosen = data.draw(st.sampled_from(options))
        text, state = text + chosen.text, chosen.state
    assert text.endswith(END_CALL)
    parsed = parse(text)
    (call,) = parsed.calls
    assert not parsed.errors
    valid = validate(call)
    assert not valid.warnings
    assert len(valid.arguments.get("dependencies", ())) <= MAX_ITEMS


def test_attachments_decide_what_is_passed_on() -> None:
    with_tests = {o.text for o in choices(State("execute_code", 0, "after_value"), Request("run", ("$tests",)))}
    without = {o.text for o in choices(State("execute_code", 0, "after_value"), Request("run", ("$code",)))}
    assert with_tests == {",test_cases:<escape>"}
    assert without == {"}<end_function_call>"}


def test_numbers_and_standards_come_from_the_request() -> None:
    texts = {o.text for o in choices(State("execute_code", 0, "after_value"), Request("stop after 8 s, not 99", ()))}
    assert texts == {",timeout:8}<end_function_call>", "}<end_function_call>"}
    request = Request("Write app in C++17", ("$request",))
    starts = [o.text for o in choices(State(), request) if o.text.startswith("call:generate_cmake{cpp_standard:")]
    assert len(starts) == 1
    assert [o.text for o in choices(State("generate_cmake", 0, "string"), request)] == ["17<escape>"]


@pytest.fixture(scope="module")
def router(router_folder: Path) -> Router:
    return Router(router_folder)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=80), st.sets(st.sampled_from(HANDLES)))
def test_an_unskilled_router_still_gives_well_formed_decisions(
    router: Router, utterance: str, handles: set[str]
) -> None:
    decision = router.route(utterance, sorted(handles))
    assert 0.0 <= decision.confidence <= 1.0
    if decision.call is None:
        assert decision.tool == NO_TOOL
    else:
        assert decision.tool == decision.call.name
        assert not validate(decision.call).warnings
        assert parse(decision.text).calls == [decision.call]
    assert router.route(utterance, sorted(handles)) == decision


def test_bad_handles_are_refused(router: Router) -> None:
    with pytest.raises(ValueError, match="handles"):
        router.route("x", ["$Bad<escape>"])


class Oracle:
    """Knows the right call for one kind of request, and is wrong elsewhere."""

    def route(self, utterance: str, handles: Sequence[str]) -> Decision:
        call = Call("execute_code", {"code": "$code"})
        text = "<start_function_call>call:execute_code{code:<escape>$code<escape>}<end_function_call>"
        return Decision("execute_code", 0.5, call, "", text)


def test_counts_of_an_evaluation(router_table: Path) -> None:
    rows = evaluate(Oracle(), pl.scan_parquet(router_table))
    found = counts(rows)
    right = rows.filter(tool="execute_code")
    assert found["n"] == len(rows) == 10
    assert found["tool_ok"] == len(right) > 0
    assert found["parse_ok"] == found["n"]
    assert found["arguments_ok"] == right["expected"].str.contains("<escape>$code<escape>}", literal=True).sum()


def test_the_script_writes_a_result_once(router_table: Path, router_folder: Path, tmp_path: Path) -> None:
    arguments = [
        *("--data", str(router_table), "--checkpoint_path", str(router_folder), "--output", str(tmp_path)),
        *("--threads", "1", "--limit", "4"),
    ]
    main(arguments)
    assert pl.read_parquet(tmp_path / "rows.parquet").height == 4
    assert (tmp_path / "result.json").exists()
    with pytest.raises(FileExistsError, match=r"result\.json exists"):
        main(arguments)
