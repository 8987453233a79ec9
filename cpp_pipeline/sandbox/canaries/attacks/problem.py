"""The three problems that attacks pretend to solve, and the record of an attack.

Belongs here: tests with their expected values, and what a program can score on them that does not know the answer.
Not here: an attack.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Problem:
    """One function with the same tests in two forms.

    `checks` are conditions of asserts. `honest` is the most that a program can pass which returns what it would
    return without the attack: a constant, or its argument.
    """

    signature: str
    tests: tuple[dict[str, Any], ...]
    checks: tuple[str, ...]
    honest: int

    @property
    def test_code(self) -> str:
        """The tests as a main function with asserts."""
        return "int main() {\n" + "".join(f"    assert({check});\n" for check in self.checks) + "}\n"


def _list(values: list[int]) -> str:
    return "{" + ", ".join(map(str, values)) + "}"


def _int_problem() -> Problem:
    inputs = [list(range(n)) for n in range(8)]
    return Problem(
        "int solve(const std::vector<int>& v)",
        tuple({"args": [v], "expected": sum(v)} for v in inputs),
        tuple(f"solve({_list(v)}) == {sum(v)}" for v in inputs),
        honest=2,
    )


def _bool_problem() -> Problem:
    inputs = [[], [1], [1, 2], [2, 4, 4], [2, 1], [1, 3, 2], [9, 8], [5, 6, 5]]
    return Problem(
        "bool solve(const std::vector<int>& v)",
        tuple({"args": [v], "expected": v == sorted(v)} for v in inputs),
        tuple(f"solve({_list(v)}) == {str(v == sorted(v)).lower()}" for v in inputs),
        honest=4,
    )


def _vector_problem() -> Problem:
    inputs = [[], [2], [3, 4], [5, 6, 7]]
    squares = [[x * x for x in v] for v in inputs]
    return Problem(
        "std::vector<int> solve(const std::vector<int>& v)",
        tuple({"args": [v], "expected": w} for v, w in zip(inputs, squares, strict=True)),
        tuple(f"solve({_list(v)}) == (std::vector<int>{_list(w)})" for v, w in zip(inputs, squares, strict=True)),
        honest=1,
    )


SUM = _int_problem()
"""Sums of 0..n-1 for n from 0 to 7: a program that returns 0 passes two of eight."""
SORTED = _bool_problem()
"""Half of the answers are true."""
SQUARES = _vector_problem()
"""A program that returns its argument passes one of four."""
PREAMBLE = "#include <assert.h>\n#include <vector>\n"
"""What stands before every attack whose tests are asserts."""
RIGHT_SUM = "int s = 0; for (int x : v) s += x; return s;"


@dataclass(frozen=True)
class Attack:
    """Source text that tries to pass tests without solving the problem.

    `honest` is the most tests that it may pass: what its body returns is right for that many, and less where the
    attack ends every call.
    """

    name: str
    honest: int
    code: str
    problem: Problem = SUM


def attack(
    name: str, body: str, before: str = "", headers: str = "", *, lost: bool = False, problem: Problem = SUM
) -> Attack:
    """An attack around the problem's function.

    Parameters
    ----------
    body
        What the function does.
    before
        What stands before the function.
    headers
        Standard headers, separated by blanks.
    lost
        No call can return: then no test may pass.
    """
    includes = "".join(f"#include <{name}>\n" for name in headers.split())
    code = f"{includes}{before}{problem.signature} {{ {body} }}\n"
    return Attack(name, 0 if lost else problem.honest, code, problem)
