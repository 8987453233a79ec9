"""Which cases of a batch are compiled together, and which of those are also judged alone as a check. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from cpp_pipeline.sandbox.judging.cases import Case, RpcCase

GROUP = 48
"""Most cases of one unit."""
_SMALLEST_SPLIT = 32
_SAMPLE_EVERY, _SAMPLE_FROM = 64, 32


def grouped(cases: Sequence[Case], workers: int) -> list[list[RpcCase]]:
    """Plain cases that may share a unit, at most `GROUP` together, spread over the workers; the others are left out."""
    by_unit: dict[tuple[object, ...], list[RpcCase]] = {}
    for case in cases:
        if isinstance(case, RpcCase) and case.plain:
            by_unit.setdefault(case.unit, []).append(case)
    groups = []
    for together in by_unit.values():
        size = min(GROUP, max(_SMALLEST_SPLIT, -(-len(together) // workers)))
        groups += [together[i : i + size] for i in range(0, len(together), size)]
    return [g for g in groups if len(g) > 1]


def sampled(together: list[RpcCase]) -> list[Case]:
    """Every 64th grouped case, at least one of 32; where to begin is drawn from the cases themselves."""
    if len(together) < _SAMPLE_FROM:
        return []
    offset = int(together[0].key[:8], 16) % min(_SAMPLE_EVERY, len(together))
    return list(together[offset::_SAMPLE_EVERY])
