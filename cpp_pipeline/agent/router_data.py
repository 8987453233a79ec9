"""Rows that teach and test the router: a request in FunctionGemma's format and the call it should lead to.

Belongs here: drawing a request from the phrasings, and its right call. Does not belong here: the words
(`router_phrases`), the format (`functiongemma`), training (`training.router`).

Code, tests and specifications never pass through the router: the user's turn lists handles (`$code`) and the
call names them. `$request`, the user's own words, is always there. What is attached decides: `$tests` and
`$signature` are always passed on by the tools that take them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from cpp_pipeline.agent import router_phrases as words
from cpp_pipeline.agent.functiongemma import END_TURN, RESPONSE, render_call, render_prompt, render_user
from cpp_pipeline.agent.tools import (
    ANALYZE_CODE,
    CODE,
    ERROR,
    EXECUTE_CODE,
    FILES,
    GENERATE_CMAKE,
    GENERATE_CODE,
    HANDLES,
    NO_TOOL,
    REQUEST,
    SIGNATURE,
    SPECIFICATION,
    TESTS,
    Call,
)
from cpp_pipeline.schemas import TABLES

NO_TOOL_SHARE = 0.08
EVAL_EVERY = 6
"""One row in so many is an eval row."""
_OPTIONAL_SHARE = 0.5


def router_rows(n: int, seed: int) -> pl.LazyFrame:
    """`n` rows of the table `router_sft`, the same for the same seed; at least one eval row from n = 6 on.

    Parameters
    ----------
    n
        Rows in total; every sixth is an eval row, with phrasings and tasks that no train row has.
    seed
        Seed of all choices.
    """
    return TABLES["router_sft"].frame([_row(i, seed) for i in range(n)])


def ordered_handles(names: Sequence[str]) -> list[str]:
    """Handles in the order of `HANDLES`, `$request` always among them, others by name at the end."""
    given = {REQUEST, *names}
    return [h for h in HANDLES if h in given] + sorted(given - set(HANDLES))


def router_prompt(utterance: str, handles: Sequence[str]) -> str:
    """The prompt on which the router decides; the same function makes training rows and live prompts."""
    return render_prompt(render_user(utterance, ordered_handles(handles)))


def call_response(call: Call) -> str:
    """What the model writes for a call: the call, then the mark with which it waits for the result."""
    return render_call(call) + RESPONSE


@dataclass
class _Request:
    """A request under construction."""

    text: str
    handles: set[str] = field(default_factory=set)
    arguments: dict[str, Any] = field(default_factory=dict)


def _row(index: int, seed: int) -> dict[str, Any]:
    rng = random.Random(f"router {seed} {index}")
    split = "eval" if index % EVAL_EVERY == EVAL_EVERY - 1 else "train"
    phrases = words.EVAL if split == "eval" else words.TRAIN
    tool = _draw_tool(rng)
    number = rng.randrange(len(phrases[tool]))
    request = _Request(_courtesy(phrases[tool][number], rng, split))
    _fill_words(request, rng, words.WORDS)
    _FILL[tool](request, rng, split)
    utterance = " ".join(request.text.split())
    utterance = utterance[0].upper() + utterance[1:]
    called = call_response(Call(tool, request.arguments)) if tool != NO_TOOL else None
    return {
        "row_id": f"router-{split}-{index:06d}",
        "split": split,
        "template_id": f"{split}:{tool}:{number}",
        "utterance": utterance,
        "prompt": router_prompt(utterance, sorted(request.handles)),
        "response": called or words.NO_TOOL_REPLY + END_TURN,
        "tool": tool,
        "arguments": json.dumps(request.arguments, sort_keys=True),
    }


def _draw_tool(rng: random.Random) -> str:
    if rng.random() < NO_TOOL_SHARE:
        return NO_TOOL
    return rng.choice((GENERATE_CODE, GENERATE_CMAKE, EXECUTE_CODE, ANALYZE_CODE))


def _courtesy(phrase: str, rng: random.Random, split: str) -> str:
    """A command, perhaps with a courtesy in front; other sentences stay as they are."""
    is_command = phrase.startswith(("{make}", "{run}", "{review}", "{repair}")) or phrase[0].islower()
    choices = words.COURTESY_EVAL if split == "eval" else words.COURTESY_TRAIN
    return rng.choice(choices) + phrase if is_command else phrase


def _fill_words(r: _Request, rng: random.Random, choices: words.Phrases) -> None:
    for slot, spellings in choices.items():
        while slot in r.text:
            r.text = r.text.replace(slot, rng.choice(spellings), 1)


def _fill_generate(r: _Request, rng: random.Random, split: str) -> None:
    _attach(r, rng, "{code}", CODE, words.CODE)
    _attach(r, rng, "{tests}", TESTS, words.TESTS)
    r.arguments["specification"] = REQUEST
    if "{spec}" in r.text:
        _attach(r, rng, "{spec}", SPECIFICATION, words.SPECS)
        r.arguments["specification"] = SPECIFICATION
    r.handles |= {h for h in (SIGNATURE, ERROR) if h in r.text}
    if rng.random() < 0.3:
        r.handles.add(SIGNATURE)
    if rng.random() < 0.3:
        r.handles.add(TESTS)
    if SIGNATURE in r.handles:
        r.arguments["signature"] = SIGNATURE
    clauses = words.SAMPLES_EVAL if split == "eval" else words.SAMPLES_TRAIN
    if samples := _clause(r, rng, "{samples}", clauses, str(rng.randint(2, 9))):
        r.arguments["num_samples"] = int(samples)
    # The task comes last: its words may hold braces of their own.
    tasks = words.TASKS_EVAL if split == "eval" else words.TASKS_TRAIN
    r.text = r.text.replace("{task}", rng.choice(tasks))


def _fill_cmake(r: _Request, rng: random.Random, split: str) -> None:
    first, second = (rng.choice(part) for part in words.NAME_PARTS)
    name = first + rng.choice(("", "_", "-")) + second
    r.text = r.text.replace("{name}", name)
    _attach(r, rng, "{files}", FILES, words.FILES)
    r.arguments |= {"project_name": name, "source_files": [FILES]}
    packages = rng.sample(words.PACKAGES, rng.choice((1, 1, 2)))
    deps = words.DEPS_EVAL if split == "eval" else words.DEPS_TRAIN
    if _clause(r, rng, "{deps}", deps, " and ".join(packages)):
        r.arguments["dependencies"] = packages
    standards = words.STD_EVAL if split == "eval" else words.STD_TRAIN
    if standard := _clause(r, rng, "{std}", standards, rng.choice(("11", "14", "17", "20", "23"))):
        r.arguments["cpp_standard"] = standard


def _fill_execute(r: _Request, rng: random.Random, split: str) -> None:
    _attach(r, rng, "{code}", CODE, words.CODE)
    _attach(r, rng, "{tests}", TESTS, words.TESTS)
    r.handles.add(CODE)
    if rng.random() < 0.2:
        r.handles.add(TESTS)
    r.arguments["code"] = CODE
    if TESTS in r.handles:
        r.arguments["test_cases"] = TESTS
    clauses = words.SECONDS_EVAL if split == "eval" else words.SECONDS_TRAIN
    if seconds := _clause(r, rng, "{seconds}", clauses, str(rng.choice((1, 2, 3, 5, 8, 15, 20, 30)))):
        r.arguments["timeout"] = int(seconds)


def _fill_analyze(r: _Request, rng: random.Random, _split: str) -> None:
    _attach(r, rng, "{code}", CODE, words.CODE)
    r.handles |= {h for h in (TESTS, ERROR) if rng.random() < 0.15}
    kind = rng.choice(tuple(words.ASPECTS))
    _fill_words(r, rng, words.ASPECTS[kind])
    r.arguments |= {"analysis_type": kind, "code": CODE}


def _fill_none(r: _Request, rng: random.Random, _split: str) -> None:
    r.text = r.text.replace("{place}", rng.choice(words.PLACES)).replace("{term}", rng.choice(words.TERMS))
    if rng.random() < 0.3:
        r.handles.add(CODE)


_FILL = {
    GENERATE_CODE: _fill_generate,
    GENERATE_CMAKE: _fill_cmake,
    EXECUTE_CODE: _fill_execute,
    ANALYZE_CODE: _fill_analyze,
    NO_TOOL: _fill_none,
}


def _attach(r: _Request, rng: random.Random, slot: str, handle: str, spellings: Sequence[str]) -> None:
    if slot in r.text:
        r.text = r.text.replace(slot, rng.choice(spellings))
        r.handles.add(handle)


def _clause(r: _Request, rng: random.Random, slot: str, clauses: Sequence[str], value: str) -> str:
    """Fill an optional slot with a clause around `value`, or with nothing; returns the value when used."""
    if slot not in r.text:
        return ""
    used = rng.random() < _OPTIONAL_SHARE
    r.text = r.text.replace(slot, rng.choice(clauses).replace(slot, value) if used else "")
    return value if used else ""
