"""Rows for the router: right calls, disjoint splits, no code through the router."""

from __future__ import annotations

import json

import polars as pl
import pytest

from cpp_pipeline.agent import router_phrases
from cpp_pipeline.agent.functiongemma import CALL, RESPONSE, parse
from cpp_pipeline.agent.grammar import Request, State, choices
from cpp_pipeline.agent.router_data import call_response, router_prompt, router_rows
from cpp_pipeline.agent.router_eval import handles_of
from cpp_pipeline.agent.tools import BY_NAME, HANDLES, NO_TOOL, Call, validate
from cpp_pipeline.schemas import TABLES


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return router_rows(900, seed=3).collect()


def test_rows_fit_the_table_and_repeat_for_the_seed(rows: pl.DataFrame) -> None:
    assert TABLES["router_sft"].violations(rows.lazy()) == {}
    assert router_rows(900, seed=3).collect().equals(rows)
    assert not router_rows(900, seed=4).collect().equals(rows)


def test_every_response_is_the_call_that_the_row_says(rows: pl.DataFrame) -> None:
    for row in rows.iter_rows(named=True):
        parsed = parse(row["response"])
        assert not parsed.errors
        if row["tool"] == NO_TOOL:
            assert parsed.calls == [] and row["response"].endswith("<end_of_turn>")
            continue
        (call,) = parsed.calls
        assert (call.name, dict(call.arguments)) == (row["tool"], json.loads(row["arguments"]))
        assert row["response"] == call_response(call)
        assert not validate(call).warnings


def test_phrasings_are_many_and_disjoint(rows: pl.DataFrame) -> None:
    for tool in (*BY_NAME, NO_TOOL):
        train, held_out = router_phrases.TRAIN[tool], router_phrases.EVAL[tool]
        assert len(set(train)) >= 12 and len(set(held_out)) >= 5
        assert not set(train) & set(held_out)
    seen = rows.filter(split="train")["utterance"]
    assert set(router_phrases.TASKS_TRAIN).isdisjoint(router_phrases.TASKS_EVAL)
    shared = rows.filter(pl.col("split") == "eval").filter(pl.col("utterance").is_in(seen.to_list()))
    assert shared.is_empty()


def test_shares_of_tools(rows: pl.DataFrame) -> None:
    shares = dict(rows["tool"].value_counts(normalize=True).iter_rows())
    assert 0.04 < shares.pop(NO_TOOL) < 0.12
    assert shares.keys() == BY_NAME.keys() and all(0.17 < s < 0.3 for s in shares.values())
    assert 0.1 < (rows["split"] == "eval").mean() < 0.2


def test_no_slot_is_left_and_prompts_are_those_of_live_requests(rows: pl.DataFrame) -> None:
    for row in rows.iter_rows(named=True):
        assert "{" not in row["utterance"] and "}" not in row["utterance"]
        handles = handles_of(row["prompt"])
        assert set(handles) <= set(HANDLES) and handles[0] == "$request"
        assert router_prompt(row["utterance"], handles) == row["prompt"]


def test_the_grammar_can_write_every_response(rows: pl.DataFrame) -> None:
    for row in rows.filter(pl.col("tool") != NO_TOOL).iter_rows(named=True):
        left = row["response"].removeprefix(CALL)
        state = State()
        request = Request(row["utterance"], tuple(handles_of(row["prompt"])))
        while options := choices(state, request):
            fitting = [o for o in options if left.startswith(o.text)]
            assert len(fitting) == 1, (row["utterance"], row["response"], left, [o.text for o in options])
            left, state = left.removeprefix(fitting[0].text), fitting[0].state
        assert left == RESPONSE


def test_a_handle_prompt_lists_handles_in_one_order() -> None:
    assert router_prompt("x", ["$tests", "$code"]) == router_prompt("x", ["$code", "$request", "$tests"])
    assert "Attached: $request $code $tests<end_of_turn>" in router_prompt("x", ["$tests", "$code"])
    assert parse(call_response(Call("analyze_code", {"code": "$code"}))).calls[0].arguments == {"code": "$code"}
