"""From results to rewards.

Belongs here: which results give no reward, and when there are too many of them to go on. Not here: what a rollout or
a row is made of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cpp_pipeline.sandbox.types import Result, reward

__all__ = ["MAX_MASKED", "TooManyMasked", "refuse_many_masked", "reward", "rewards"]

MAX_MASKED = 0.05
"""Share of results without a reward from which on a batch says more about the sandbox than about its candidates."""
_FORGEABLE, _UNTESTED, _DATA = "forgeable harness", "no tests", "harness_compile_failed"
_REMEDY = "check the sandbox with `cpp-pipeline sandbox check`, then start again"
_REMEDIES = {
    _FORGEABLE: "give the problems a prototype that harness rpc can carry, or accept forgeable rewards",
    _UNTESTED: "leave problems without tests out",
    _DATA: "the tests, the preamble or the prototype of these problems are at fault: repair them or leave them out",
}


class TooManyMasked(Exception):
    """Too large a part of a batch has no reward.

    Attributes
    ----------
    counts : Counter
        Results without a reward by kind of error.
    """

    def __init__(self, message: str, counts: Counter[str]) -> None:
        super().__init__(message)
        self.counts = counts


def rewards(results: Sequence[Result], max_masked: float = MAX_MASKED, forgeable: bool = False) -> list[float | None]:
    """The reward of each result, see `reward`; None has to be masked: it is no 0.

    Raises
    ------
    TooManyMasked
        More than the share `max_masked` is None.
    """
    found = [reward(r, forgeable) for r in results]
    refuse_many_masked([r for r, value in zip(results, found, strict=True) if value is None], len(results), max_masked)
    return found


def refuse_many_masked(
    masked: Sequence[Result], total: int, max_masked: float = MAX_MASKED, what: str = "results"
) -> None:
    """Raise TooManyMasked when `masked`, results without a reward, are more than `max_masked` of `total`."""
    if len(masked) <= max_masked * total:
        return
    counts = Counter(masked_kind(r) for r in masked)
    listed = ", ".join(f"{n} {kind}" for kind, n in counts.most_common())
    kind, first = counts.most_common(1)[0][0], masked[0]
    raise TooManyMasked(
        f"{len(masked)} of {total} {what} have no verdict that gives a reward, more than {max_masked:.0%} ({listed}); "
        f"first: job {first.id}: {first.error or masked_kind(first)}; {_REMEDIES.get(kind, _REMEDY)}",
        counts,
    )


def masked_kind(result: Result) -> str:
    """Why a result gives no reward: the kind of its error, a harness that can be fooled, or no tests."""
    if result.error is not None:
        return result.error.split(":")[0]
    return _FORGEABLE if result.harness.get("forgeable") else _UNTESTED
