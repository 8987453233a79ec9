"""What a run did: lines for the terminal while it goes, and the summary at its end.

Belongs here: reading Dagster's events. Does not belong here: deciding what is run (`runner`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

from cpp_pipeline.dumps.progress import MARK
from cpp_pipeline.storage.failures import in_words, innermost
from cpp_pipeline.storage.space import with_remedy

Log = Callable[[str], None]


@dataclass
class Line:
    """One asset in the closing table."""

    asset: str
    status: str = "current"
    rows: int | None = None
    seconds: float = 0.0
    checks_passed: int = 0
    checks_failed: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Summary:
    """What a run did: a line an asset, failures in words, and whether all blocking checks passed."""

    lines: dict[str, Line]
    failures: list[str]
    seconds: float = 0.0

    @property
    def success(self) -> bool:
        """True when nothing failed, nothing was left out and no blocking check failed."""
        return not self.failures and not any(
            line.checks_failed or line.status in ("failed", "not made") for line in self.lines.values()
        )


class Watcher:
    """Turns the event log of a run into lines for the terminal and numbers for the summary."""

    def __init__(self, summary: Summary, partition: str | None, log: Log, done: int, total: int, root: str) -> None:
        self.summary, self.partition, self.log = summary, partition, log
        self.done, self.total, self.root = done, total, root
        self.failed: set[str] = set()
        self.interrupted = False
        self.blocked: set[str] = set()
        self._starts: dict[str, float] = {}

    def take(self, entry: dg.EventLogEntry) -> None:
        """Called by the instance with each event as it is stored."""
        if not entry.is_dagster_event:
            if entry.user_message.startswith(MARK):
                self.log(f"        {entry.step_key or ''}: {entry.user_message}")
            return
        event, at = entry.get_dagster_event(), entry.timestamp
        step = event.step_key or ""
        kind = event.event_type_value
        where = f" [{self.partition}]" if self.partition else ""
        if kind == "STEP_START":
            self._starts[step] = at
            if step in self.summary.lines:
                self.log(f"{self.done:3d}/{self.total} {step}{where} ...")
        elif kind == "ASSET_MATERIALIZATION":
            self._made(event, at)
        elif kind == "ASSET_CHECK_EVALUATION":
            self._checked(event.asset_check_evaluation_data)
        elif kind == "STEP_FAILURE":
            self._broke(step, event.step_failure_data.error, where)
        elif kind == "PIPELINE_FAILURE" and not self.failed and event.job_failure_data.error is not None:
            # not in a step: a resource that cannot be had, for one
            self._broke("run", event.job_failure_data.error, where)

    def _made(self, event: dg.DagsterEvent, at: float) -> None:
        line = self.summary.lines.get(event.asset_key.path[-1]) if event.asset_key else None
        if line is None:
            return
        self.done += 1
        data = event.step_materialization_data.materialization
        kept = "cpp_pipeline/kept" in data.metadata
        broken = line.status in ("failed", "not made")  # for another dump
        if not kept:
            line.status = line.status if broken else "made"
            line.seconds += at - self._starts.get(event.step_key or "", at)
            # A step with several tables counts once.
            self._starts[event.step_key or ""] = at
        elif line.status != "made" and not broken:
            line.status = "kept"

    def _checked(self, evaluation: dg.AssetCheckEvaluation) -> None:
        line = self.summary.lines.get(evaluation.asset_key.path[-1])
        if line is None:
            return
        name = f"{evaluation.asset_key.path[-1]}:{evaluation.check_name}"
        if evaluation.passed:
            line.checks_passed += 1
        elif evaluation.severity == dg.AssetCheckSeverity.WARN:
            line.warnings.append(name)
        else:
            line.checks_failed.append(name)
            self.blocked.add(line.asset)
            shown = {k: getattr(v, "value", v) for k, v in evaluation.metadata.items()}
            self.log(f"CHECK FAILED {name} {shown}")

    def _broke(self, step: str, error: SerializableErrorInfo | None, where: str) -> None:
        error = innermost(error)
        if error is not None and (error.cls_name or "").endswith("InterruptedError"):
            self.interrupted = True
            return
        words = with_remedy(in_words(error), self.root)
        if "blocking" in words.lower() and step not in self.summary.lines:
            return
        self.failed.add(step)
        self.summary.failures.append(f"{step}{where}: {words}")
        self.log(f"FAILED {step}{where}: {words}")
