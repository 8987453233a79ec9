"""Trouble is masked, counted and refused in numbers; it is never a 0."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.sandbox import types
from cpp_pipeline.sandbox.rewards import TooManyMasked, masked_kind, reward, rewards
from cpp_pipeline.sandbox.types import ERRORS, Result


def _judged(passed: int = 1, total: int = 2, forgeable: bool = False, name: str = "j") -> Result:
    harness = {"mode": "inproc" if forgeable else "rpc", "forgeable": forgeable}
    verdict = "AC" if passed == total else "PA"
    return Result(name, verdict, True, passed, total, harness=harness)


def _error(kind: str, name: str = "j") -> Result:
    return Result(name, None, None, None, 2, error=f"{kind}: why")


def test_a_reward_is_the_share_of_tests_and_none_where_it_could_be_feigned() -> None:
    assert reward is types.reward
    assert reward(_judged(1, 4)) == 0.25
    assert reward(_judged(0, 4)) == 0.0
    assert reward(Result("j", "AC", True, 2, 2)) == 1.0
    assert reward(_judged(4, 4, forgeable=True)) is None
    assert reward(_judged(0, 4, forgeable=True)) is None
    assert reward(_judged(3, 4, forgeable=True), forgeable=True) == 0.75
    assert reward(_judged(0, 0), forgeable=True) is None
    assert reward(_error("worker_lost"), forgeable=True) is None


@given(
    st.lists(
        st.one_of(
            st.builds(_judged, st.integers(0, 3), st.just(3), st.booleans()),
            st.builds(_error, st.sampled_from(sorted(ERRORS))),
        ),
        max_size=60,
    ),
    st.floats(0, 1),
    st.booleans(),
)
def test_rewards_are_those_of_the_results_or_too_many_are_masked(
    results: list[Result], most: float, forgeable: bool
) -> None:
    wanted = [reward(r, forgeable) for r in results]
    masked = wanted.count(None)
    if masked <= most * len(results):
        assert rewards(results, most, forgeable) == wanted
    else:
        with pytest.raises(TooManyMasked) as caught:
            rewards(results, most, forgeable)
        assert caught.value.counts.total() == masked
        assert f"{masked} of {len(results)}" in str(caught.value)


def test_five_percent_may_be_masked_and_more_are_refused() -> None:
    good = [_judged() for _ in range(95)]
    assert rewards([*good, *(_error("internal") for _ in range(5))]).count(None) == 5
    assert rewards([]) == []
    troubles = [*(_error("worker_lost", f"w{n}") for n in range(4)), _error("internal"), _judged(2, 2, True)]
    with pytest.raises(TooManyMasked) as caught:
        rewards([*good, *troubles])
    assert caught.value.counts == {"worker_lost": 4, "internal": 1, "forgeable harness": 1}
    assert str(caught.value) == (
        "6 of 101 results have no verdict that gives a reward, more than 5% "
        "(4 worker_lost, 1 internal, 1 forgeable harness); first: job w0: worker_lost: why; "
        "check the sandbox with `cpp-pipeline sandbox check`, then start again"
    )


@pytest.mark.parametrize(
    ("result", "kind", "remedy"),
    [
        (_error("harness_compile_failed"), "harness_compile_failed", "repair them or leave them out"),
        (_judged(1, 1, True), "forgeable harness", "prototype that harness rpc can carry"),
        (_judged(0, 0), "no tests", "leave problems without tests out"),
        (_error("isolation_unavailable"), "isolation_unavailable", "sandbox check"),
    ],
)
def test_the_remedy_fits_the_trouble(result: Result, kind: str, remedy: str) -> None:
    assert masked_kind(result) == kind
    with pytest.raises(TooManyMasked, match=f"1 {kind}.*{remedy}"):
        rewards([result])
