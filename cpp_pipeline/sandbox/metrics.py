"""Counters of the service in the Prometheus text format. Belongs here: counting, nothing else."""

from __future__ import annotations

import threading

_HELP = {
    "sandbox_results_total": "results by verdict, or error",
    "sandbox_errors_total": "results with an error of our own, by kind",
    "sandbox_compiles_total": "compiler runs, grouped or alone",
    "sandbox_compile_cpu_seconds_total": "CPU seconds of the compiler",
    "sandbox_run_cpu_seconds_total": "CPU seconds of candidates",
    "sandbox_pch_hits_total": "compilations that used the precompiled header",
    "sandbox_pch_misses_total": "compilations that could not use the precompiled header",
    "sandbox_candidates_total": "distinct candidates judged, grouped or alone",
    "sandbox_deduplicated_total": "jobs answered by an identical job of the same batch",
    "sandbox_unbalanced_total": "candidates whose brackets do not match, refused without a compiler",
    "sandbox_group_mismatch_total": "batches in which a group and a single judgement disagreed",
    "sandbox_group_lost_total": "groups judged again one by one",
    "sandbox_tamper_signals_total": "malformed frames and programs that ended outside the protocol",
    "sandbox_rejected_total": "requests refused because the queue was full",
    "sandbox_pending_jobs": "jobs accepted and not answered",
}


class Metrics:
    """Thread-safe named numbers with one optional label."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, str], float] = {}

    def add(self, name: str, amount: float = 1, label: str = "") -> None:
        """Add to a number; `label` is Prometheus text such as `verdict="AC"`."""
        if name not in _HELP:
            raise KeyError(f"unknown metric {name}")
        with self._lock:
            self._values[name, label] = self._values.get((name, label), 0) + amount

    def value(self, name: str) -> float:
        """Sum over all labels."""
        with self._lock:
            return sum(v for (n, _), v in self._values.items() if n == name)

    def text(self) -> str:
        """Everything in the Prometheus text format."""
        lines = []
        with self._lock:
            for name, help_text in _HELP.items():
                kind = "counter" if name.endswith("_total") else "gauge"
                lines += [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}"]
                found = sorted((label, v) for (n, label), v in self._values.items() if n == name)
                for label, value in found or [("", 0)]:
                    lines.append(f"{name}{{{label}}} {value:g}" if label else f"{name} {value:g}")
        return "\n".join(lines) + "\n"
