"""Tables of the sandbox and the agent: canaries, the router's examples, the agent's tasks."""

from __future__ import annotations

from cpp_pipeline.schemas.columns import SIGNATURE, TESTS, VERDICTS, B, I, S, column
from cpp_pipeline.schemas.table import Table

_TOOLS = ("generate_code", "generate_cmake", "execute_code", "analyze_code")

AGENT_TABLES = (
    Table(
        "sandbox_canaries",
        "A program of known verdict, or an attack, and what the sandbox said.",
        (
            column("canary_id", S, "stable name: kind/mode/name, or kind/name"),
            column(
                "kind",
                S,
                "program of known verdict; correct program; attack; control: all attacks scored by exit code",
                isin=("program", "correct", "attack", "control"),
            ),
            column(
                "mode",
                S,
                "how it was judged: rpc with JSON tests, rpc with tests as code (asserts), stdio, inproc, exit_code",
                isin=("rpc", "asserts", "stdio", "inproc", "exit_code"),
            ),
            column("expected", S, "verdicts that are right, separated by |, or the kind of error; empty for an attack"),
            column("verdict", S, "verdict given; null for an error", nullable=True, isin=VERDICTS),
            column("tests_passed", I, "tests passed; for the control, attacks that deceived it", nullable=True, ge=0),
            column(
                "honest_passed",
                I,
                "attack: most tests that its body may pass; program: tests that it passes",
                nullable=True,
                ge=0,
            ),
            column("tests_total", I, "tests; for the control, attacks", ge=0),
            column(
                "exit_code",
                S,
                "attack: verdict of a judge that believes the exit code, AC where it is deceived; null if not asked",
                nullable=True,
                isin=VERDICTS,
            ),
            column("ok", B, "the sandbox was right"),
            column("detail", S, "error or output, shortened"),
        ),
        ("canary_id",),
        sources={
            "*": "programs of the project, judged in the sandbox",
        },
    ),
    Table(
        "router_sft",
        "A request and the function call that it should lead to.",
        (
            column("row_id", S, "stable name"),
            column("split", S, "phrasings are disjoint", isin=("train", "eval")),
            column("template_id", S, "phrasing"),
            column("utterance", S, "what the user says"),
            column("prompt", S, "full prompt in FunctionGemma's format"),
            column("response", S, "function call, or plain text where no tool fits"),
            column("tool", S, "name of the tool, or none where no tool fits", isin=(*_TOOLS, "none")),
            column("arguments", S, "arguments as JSON"),
        ),
        ("row_id",),
        sources={
            "*": "generated",
        },
    ),
    Table(
        "agent_problems",
        "An end-to-end task for the agent with the means to judge its answer.",
        (
            column("problem_id", S, "stable name"),
            column("tool", S, "tool that a good route takes", isin=_TOOLS),
            column("request", S, "what the user says"),
            column("attachments", S, "JSON object: handle -> text"),
            SIGNATURE,
            TESTS,
            column("expected", S, "JSON: what the judge looks for"),
        ),
        ("problem_id",),
        sources={
            "tool": "each of the four in turn",
            "problem_id": "eval_problems.problem_id cmake_problems.problem_id",
            "request": "eval_problems.instruction cmake_problems.instruction, or a fixed phrase",
            "attachments": (
                "eval_problems.signature eval_problems.tests eval_problems.preamble eval_problems.reference "
                "cmake_problems.files, or a fixed function"
            ),
            "signature tests": "eval_problems.*",
            "expected": "eval_problems.tests cmake_problems.targets, or a fixed defect",
        },
    ),
)
