"""Numbers about the service, in the Prometheus text format.

Belongs here: every metric, its labels and its meaning. Not here: when something is counted.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

disable_created_metrics()  # type: ignore[no-untyped-call]  # their start times are of no use here

_COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sandbox_results_total": ("results by verdict, or error", ("verdict", "harness")),
    "sandbox_errors_total": ("results with an error of our own", ("kind",)),
    "sandbox_compiles_total": ("compiler runs, grouped or alone", ("mode",)),
    "sandbox_compile_cpu_seconds_total": ("CPU seconds of the compiler", ("mode",)),
    "sandbox_run_cpu_seconds_total": ("CPU seconds of candidates", ("mode",)),
    "sandbox_pch_hits_total": ("compilations that used the precompiled header", ()),
    "sandbox_pch_misses_total": ("compilations that could not use the precompiled header", ()),
    "sandbox_candidates_total": ("distinct candidates judged, grouped or alone", ("mode",)),
    "sandbox_deduplicated_total": ("jobs answered by an identical job, in the batch or in flight", ("where",)),
    "sandbox_cache_hits_total": ("jobs answered from the verdict cache", ()),
    "sandbox_cache_misses_total": ("jobs not found in the verdict cache", ()),
    "sandbox_unbalanced_total": ("candidates whose brackets do not match, refused without a compiler", ()),
    "sandbox_group_mismatch_total": ("batches in which a group and a single judgement disagreed", ()),
    "sandbox_group_lost_total": ("groups judged again one by one", ()),
    "sandbox_tamper_signals_total": ("signs that a candidate acted against the protocol", ("kind",)),
    "sandbox_kills_total": ("boxes ended early", ("reason",)),
    "sandbox_rejected_total": ("requests refused before they were judged", ("kind",)),
    "sandbox_pool_claims_total": ("pods asked for, by what came of it", ("outcome",)),
    "sandbox_pool_retired_total": ("pods given back, by reason", ("reason",)),
    "sandbox_replays_total": ("requests answered by an earlier one with the same key", ("how",)),
}
_GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sandbox_queue_depth": ("jobs admitted and not answered", ()),
    "sandbox_queue_cpu_seconds": ("estimated CPU seconds of the jobs admitted and not answered", ()),
    "sandbox_inflight": ("requests being answered", ()),
    "sandbox_pool_leases": ("pods held", ("state",)),
    "sandbox_isolation_level": ("1 for the isolation in use", ("backend", "level")),
}
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
_HISTOGRAMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sandbox_compile_seconds": ("CPU seconds of one compilation", ("tier", "pch", "cached")),
    "sandbox_run_seconds": ("CPU seconds of one run", ("harness",)),
    "sandbox_pool_claim_seconds": ("seconds from the claim of a pod until its judge answered", ()),
    "sandbox_queue_wait_seconds": ("seconds from the request to its first result", ()),
}


class Metrics:
    """Thread-safe numbers of one judge or service, apart from those of other ones in the process.

    Labels that are not given are empty; an unknown name or label raises KeyError.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._labels = {n: names for f in (_COUNTERS, _GAUGES, _HISTOGRAMS) for n, (_, names) in f.items()}
        own = self._registry
        self._numbers: dict[str, Counter | Gauge] = {
            **{n: Counter(n, text, names, registry=own) for n, (text, names) in _COUNTERS.items()},
            **{n: Gauge(n, text, names, registry=own) for n, (text, names) in _GAUGES.items()},
        }
        self._histograms = {
            n: Histogram(n, text, names, registry=own, buckets=_SECONDS) for n, (text, names) in _HISTOGRAMS.items()
        }

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter or gauge; counters take no negative amount."""
        values = self._values(name, labels)
        number = self._numbers[name]
        (number.labels(*values) if values else number).inc(amount)

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge."""
        values = self._values(name, labels)
        gauge = self._numbers[name]
        if not isinstance(gauge, Gauge):
            raise KeyError(f"{name} only grows: use add")
        (gauge.labels(*values) if values else gauge).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Put one value into a histogram."""
        values = self._values(name, labels)
        histogram = self._histograms[name]
        (histogram.labels(*values) if values else histogram).observe(value)

    def value(self, name: str) -> float:
        """Sum over all labels; of a histogram, the number of its values."""
        self._values(name, {})
        sample = f"{name}_count" if name in self._histograms else name
        found = (s for family in self._registry.collect() for s in family.samples)
        return sum(s.value for s in found if s.name == sample)

    def text(self) -> str:
        """Everything in the Prometheus text format."""
        return generate_latest(self._registry).decode()

    def _values(self, name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
        if name not in self._labels:
            raise KeyError(f"unknown metric {name}")
        unknown = sorted(set(labels) - set(self._labels[name]))
        if unknown:
            raise KeyError(f"{name} has no label {', '.join(unknown)}")
        return tuple(labels.get(n, "") for n in self._labels[name])
