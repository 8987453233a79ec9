"""A generated family of problems whose answers are known: steps on each value of a list, then a reducer.

Belongs here: how problems are put together, split, tested and solved. The operators are in `operators`.

A problem is one or two steps (filter or map) and a reducer over `const std::vector<int>& v`. The split is by
*unordered* pair of steps: a held-out pair occurs in no training row, in neither order, with no reducer and no
constant. What is measured on the held-out side is therefore composition.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cpp_pipeline.problems.operators import OPERATORS, REDUCERS, Operator, Reducer
from cpp_pipeline.problems.rows import Row, problem_row, short_hash

VERSION = "family-1"
ENTRY = "solve"
PREAMBLE = "#include <algorithm>\n#include <cmath>\n#include <vector>\n"
"""<cmath> declares std::abs for int as well (ISO C++17 [cmath.abs])"""
N_TESTS = 10
ONE_STEP_SHARE = 0.2
"""of the training rows, as far as there are different one-step problems"""
TRAIN_STYLES = 2
"""Solution styles of a training problem, by hash: every reference is judged, and two teach as much as four.
Held-out problems have all, so that none can be copied unseen."""
HELD_OUT_PAIRS = 42
"""of 190 unordered pairs of different steps"""
ENTRY_NAMES = (
    *("solve", "compute", "process", "evaluate", "run_steps", "transform_all", "fold_values", "reduce_list"),
    *("summarize", "apply_rules", "collect", "digest", "scan_values", "handle", "derive", "condense"),
    *("work_out", "measure", "combine", "aggregate"),
)
"""entry names of the base corpus; the tasks themselves always ask for `solve`"""

_INT32 = range(-(2**31), 2**31)
_MAX_CONSTANT_SHARE = 0.7
_TEST_DRAWS = 12


@dataclass(frozen=True)
class Step:
    """An operator with its constant and the phrasing chosen for it."""

    operator: Operator
    k: int = 0
    phrasing: int = 0

    @property
    def words(self) -> str:
        """The step in words, in the imperative, without capital or full stop."""
        return self.operator.phrasings[self.phrasing].format(k=self.k)


@dataclass(frozen=True)
class Task:
    """Steps in order and the reducer: everything that determines a problem but its tests."""

    steps: tuple[Step, ...]
    reducer: Reducer
    phrasing: int = 0

    @property
    def key(self) -> str:
        """Names the task; equal keys are the same problem."""
        steps = "|".join(f"{s.operator.name}:{s.k}:{s.phrasing}" for s in self.steps)
        return f"{steps}>{self.reducer.name}:{self.phrasing}"

    @property
    def split_key(self) -> str:
        """`one:<operator>` or `pair:<a>+<b>`, the operators in alphabetical order."""
        names = sorted(s.operator.name for s in self.steps)
        return f"one:{names[0]}" if len(names) == 1 else f"pair:{'+'.join(names)}"

    @property
    def signature(self) -> str:
        """Declaration of the function that solves it."""
        return_type = "std::vector<int>" if self.reducer.returns_list else "int"
        return f"{return_type} {ENTRY}(const std::vector<int>& v)"


def evaluate(task: Task, values: Sequence[int]) -> int | list[int]:
    """The right answer, by Python with C++ rules for `/` and `%`.

    Raises
    ------
    OverflowError
        When a value leaves the 32-bit range, where the C++ program would be undefined.
    """
    left = list(values)
    for step in task.steps:
        if step.operator.is_filter:
            left = [x for x in left if step.operator.python(x, step.k)]
        else:
            left = [_int32(step.operator.python(x, step.k)) for x in left]
    result = task.reducer.python(left)
    # The sum of the magnitudes bounds every partial result of every reducer.
    _int32(sum(abs(x) for x in left))
    return result


def _int32(value: int) -> int:
    if value not in _INT32:
        raise OverflowError(f"{value} does not fit 32 bits")
    return value


def solutions(task: Task) -> list[str]:
    """The task solved in each style (range or index loop, `continue` or nested `if`), without repeats.

    Without a filter the last choice makes no difference, and two styles remain.
    """
    styles = itertools.product((False, True), (False, True))
    return list(dict.fromkeys(_solution(task, index_loop, nested) for index_loop, nested in styles))


def _solution(task: Task, index_loop: bool, nested: bool) -> str:
    lines = [f"{task.signature} {{"]
    lines.append("    std::vector<int> r;" if task.reducer.returns_list else "    int r = 0;")
    if index_loop:
        lines += ["    for (std::size_t i = 0; i < v.size(); ++i) {", "        int x = v[i];"]
    else:
        lines.append("    for (int x : v) {")
    depth = 2
    for step in task.steps:
        cpp = step.operator.cpp.format(k=step.k)
        if not step.operator.is_filter:
            lines.append(f"{'    ' * depth}x = {cpp};")
        elif nested:
            lines.append(f"{'    ' * depth}if ({cpp}) {{")
            depth += 1
        else:
            lines.append(f"{'    ' * depth}if (!({cpp})) continue;")
    lines.append("    " * depth + task.reducer.cpp)
    lines += ["    " * d + "}" for d in range(depth - 1, 0, -1)]
    return "\n".join([*lines, "    return r;", "}", ""])


def rename_entry(code: str, new_name: str) -> str:
    """The same function under another name; `code` defines or calls `solve`."""
    return re.sub(rf"\b{ENTRY}\b(?=\s*\()", new_name, code)


def held_out_pairs() -> frozenset[tuple[str, str]]:
    """Unordered pairs (names sorted) that only evaluation sees; the same for every seed.

    A pair of equal steps always trains: `abs, abs` is the one-step problem in other words.
    """
    pairs = list(itertools.combinations(sorted(OPERATORS), 2))
    random.Random(f"{VERSION} split").shuffle(pairs)
    return frozenset(pairs[:HELD_OUT_PAIRS])


def generate(n_train: int, n_eval: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Training and held-out problems as rows of the problem tables.

    Parameters
    ----------
    n_train, n_eval
        Number of rows. The held-out rows are distinct (ordered pair, reducer) combinations and do not depend on
        `seed`; a smaller `n_eval` gives a prefix of a larger one.
    seed
        Content of the training rows.

    Raises
    ------
    ValueError
        When more is asked for than the family has.
    """
    held_out = held_out_pairs()
    evaluation = [_row(t, tests) for t, tests in itertools.islice(_eval_tasks(held_out), n_eval)]
    if len(evaluation) < n_eval:
        raise ValueError(f"the family has {len(evaluation)} held-out problems; {n_eval} were asked for")
    return list(_train_rows(held_out, n_train, seed)), evaluation


def _eval_tasks(held_out: frozenset[tuple[str, str]]) -> Iterator[tuple[Task, list[Row]]]:
    rng = random.Random(f"{VERSION} eval")
    combinations = [
        ((a, b) if rng.random() < 0.5 else (b, a), reducer) for a, b in sorted(held_out) for reducer in sorted(REDUCERS)
    ]
    rng.shuffle(combinations)
    # Both orders of a pair only once every (unordered pair, reducer) has been used.
    for names, reducer in [*combinations, *(((b, a), r) for (a, b), r in combinations)]:
        found = _draw(rng, names, reducer, set())
        if found is not None:
            yield found


def _train_rows(held_out: frozenset[tuple[str, str]], n_train: int, seed: int) -> Iterator[Row]:
    rng = random.Random(f"{VERSION} train {seed}")
    ordered = itertools.product(sorted(OPERATORS), repeat=2)
    pairs = [p for p in ordered if (min(p), max(p)) not in held_out]
    two_step = list(itertools.product(pairs, sorted(REDUCERS)))
    one_step = list(itertools.product([(name,) for name in sorted(OPERATORS)], sorted(REDUCERS)))
    rng.shuffle(two_step)
    rng.shuffle(one_step)
    pools: tuple[deque[tuple[tuple[str, ...], str]], ...] = (deque(one_step), deque(two_step))
    seen: set[str] = set()
    for position in range(n_train):
        # At fixed positions, so that any prefix of the table holds the same share of one-step problems.
        is_two_step = (position + 1) % round(1 / ONE_STEP_SHARE) != 0
        found = None
        while found is None:
            pool = pools[is_two_step] or pools[1]
            if not pool:
                raise ValueError(f"the family has about {position} training problems; {n_train} were asked for")
            names, reducer = pool.popleft()
            found = _draw(rng, names, reducer, seen)
            if found is not None:  # else nothing new is left in this combination
                pool.append((names, reducer))
        seen.add(found[0].key)
        yield _row(*found, TRAIN_STYLES)


def _draw(rng: random.Random, names: Sequence[str], reducer: str, seen: set[str]) -> tuple[Task, list[Row]] | None:
    """Constants, phrasings and tests for a combination; None when nothing new and testable was found."""
    for _ in range(_TEST_DRAWS):
        steps = tuple(
            Step(OPERATORS[n], rng.randint(*(OPERATORS[n].k_range or (0, 0))), rng.randrange(2)) for n in names
        )
        task = Task(steps, REDUCERS[reducer], rng.randrange(2))
        tests = _tests(rng, task)
        if task.key not in seen and _telling(task, tests):
            return task, tests
    return None


def _tests(rng: random.Random, task: Task) -> list[Row]:
    """The empty vector and nine different random ones: 1 to 9 values of magnitude up to 9, 12 or 30."""
    inputs: list[list[int]] = [[]]
    constants = [s.k for s in task.steps if s.operator.k_range]
    while len(inputs) < N_TESTS:
        bound = rng.choice((9, 12, 30))
        values = [rng.randint(-bound, bound) for _ in range(rng.randint(1, 9))]
        if constants and rng.random() < 0.5:
            # A comparison with K is only tested by values at K and beside it.
            values[rng.randrange(len(values))] = rng.choice(constants) + rng.choice((-1, 0, 0, 1))
        if values not in inputs:
            inputs.append(values)
    return [{"args": [values], "expected": evaluate(task, values)} for values in inputs]


def _telling(task: Task, tests: Sequence[Row]) -> bool:
    """Whether the tests reject a constant answer, and every answer that leaves a step out."""
    commonest = Counter(str(t["expected"]) for t in tests).most_common(1)[0][1]
    if commonest > _MAX_CONSTANT_SHARE * len(tests):
        return False
    for left_out in range(len(task.steps)):
        shorter = Task(task.steps[:left_out] + task.steps[left_out + 1 :], task.reducer)
        if all(evaluate(shorter, t["args"][0]) == t["expected"] for t in tests):
            return False
    return True


def _row(task: Task, tests: Sequence[Row], styles: int | None = None) -> Row:
    """A problem row; its references are the first `styles` styles (default: all) from one chosen by hash."""
    words = ", then ".join(s.words for s in task.steps)
    outcome = task.reducer.phrasings[task.phrasing]
    references = solutions(task)
    name = short_hash(VERSION, task.key)
    first = int(name, 16) % len(references)
    return problem_row(
        problem_id=f"family/{name}",
        source="family",
        split_key=task.split_key,
        doc=f"{words[0].upper()}{words[1:]}; returns {outcome}.",
        instruction=f"Write `{task.signature}`: {words} and return {outcome}.",
        signature=task.signature,
        entry_point=ENTRY,
        preamble=PREAMBLE,
        tests=tests,
        references=(references[first:] + references[:first])[:styles],
        licence="Apache-2.0",
        provenance=f"{VERSION} {task.key}",
    )
