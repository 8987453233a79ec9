"""Conventions that all training scripts share: flags, runs that resume, metrics, the final folder.

Belongs here: everything that is the same for every stage. Does not belong here: a loss, a data format,
a learning rate. How a stage uses it:

    args = parse(parser)                       # with add_common_arguments(parser)
    with Run(args, stage="base", config={...}, model=model, optimizer=optimizer,
             tokenizer_folder=args.tokenizer, total_steps=steps) as run:
        for step in run.steps():
            loss = ...
            run.record(step, {"loss": loss}, tokens=tokens)
        run.finish({"loss": ...})
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch
from transformers import PreTrainedModel

from cpp_pipeline.models.build import save_model, weights_sha256
from cpp_pipeline.training import state
from cpp_pipeline.training.group import ALONE, Group
from cpp_pipeline.training.progress import Progress
from cpp_pipeline.training.stage import TrainingDivergedError
from cpp_pipeline.training.state import Stateful

RESULT = "result.json"
METRICS = "metrics.jsonl"
TIMING = "timing.jsonl"
STATE = "state"


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags that every stage has."""
    parser.add_argument("--output", type=Path, required=True, help="folder that becomes the checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights and data order")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch; default: OMP_NUM_THREADS"
    )
    parser.add_argument("--overwrite", action="store_true", help="train again over a finished folder")
    parser.add_argument(
        "--checkpoint_seconds", type=float, default=20.0, help="seconds between checkpoints of the state"
    )
    parser.add_argument("--steps", "--num_iterations", type=int, default=None, help="steps; default: by preset")


def decay_half(step: int, total: int, warmup: int = 10) -> float:
    """Schedule of training from scratch: linear warm-up, constant to half, then linear to 0."""
    rise = min(1.0, (step + 1) / max(1, min(warmup, total)))
    return rise * min(1.0, 2.0 * (total - step) / total)


def decay_linear(step: int, total: int) -> float:
    """Schedule of fine-tuning: linear from 1 to 0."""
    return (total - step) / total


class Run:
    """One training run in its output folder.

    The folder holds, while training, `state/step-*` (checkpoints of the training state, the newest two),
    `metrics.jsonl` (one object per step, the same bytes for the same seed) and `timing.jsonl` (clock and
    CPU time of each computed step, repeated steps included); at the end the Hugging Face files and, last,
    `result.json`. A folder without `result.json` is unfinished: a run with the same configuration
    continues from its newest whole checkpoint, another one starts over. Of a group of processes only the first one
    reads and writes there; every process makes a run and calls its methods alike.

    Parameters
    ----------
    args
        Parsed flags of `add_common_arguments`.
    config
        What determines the result besides the code: flags, hashes of the inputs. JSON values.
    model, optimizer, extra
        What a checkpoint holds; `extra` may add further objects with `state_dict`.
    tokenizer_folder
        Its tokenizer files go into the final folder.

    Raises
    ------
    FileExistsError
        When the folder is finished and --overwrite was not given.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        *,
        stage: str,
        config: Mapping[str, Any],
        model: PreTrainedModel,
        optimizer: Stateful,
        tokenizer_folder: Path,
        total_steps: int,
        extra: Mapping[str, Stateful] | None = None,
        group: Group = ALONE,
    ) -> None:
        if total_steps < 1:
            raise ValueError(f"{total_steps} steps: at least 1")
        self.output = Path(args.output)
        self.stage = stage
        self.config: dict[str, Any] = json.loads(json.dumps(dict(config), sort_keys=True))
        self.model = model
        self.tokenizer_folder = Path(tokenizer_folder)
        self.total_steps = total_steps
        self.checkpoint_seconds = float(args.checkpoint_seconds)
        self.group = group
        self.done_steps = 0
        self.tokens = 0
        self._parts: dict[str, Stateful] = {"model": model, "optimizer": optimizer, **(extra or {})}
        self._signal: int | None = None
        self._handlers: dict[int, Any] = {}
        self._child_cpu_seconds = self._earlier_cpu_seconds = 0.0
        self._cpu_start = time.process_time()
        found = self._open(bool(args.overwrite)) if group.is_first else None
        self._go_on(found)
        self.progress = Progress(stage, total_steps, self.done_steps, self.tokens)
        self._saved_at = time.monotonic()

    def _open(self, overwrite: bool) -> state.Checkpoint | None:
        """Make the folder ready; the checkpoint to go on from, if there is one."""
        result = self.output / RESULT
        if result.exists() and not overwrite:
            raise FileExistsError(f"{result} exists: this run is finished; use --overwrite to train again")
        self.output.mkdir(parents=True, exist_ok=True)
        fresh = result.exists()
        result.unlink(missing_ok=True)
        found = None if fresh else state.newest(self.output / STATE, self.config)
        if found is None:
            shutil.rmtree(self.output / STATE, ignore_errors=True)
            for name in (METRICS, TIMING):
                (self.output / name).write_bytes(b"")
            return None
        self._earlier_cpu_seconds = state.last_cpu_seconds(self.output / TIMING)
        os.truncate(self.output / METRICS, found.metrics_bytes)
        print(f"{self.stage}: resumed at step {found.step} from {found.folder}", file=sys.stderr, flush=True)
        return found

    def _go_on(self, found: state.Checkpoint | None) -> None:
        """Take the state of the checkpoint that the first process found."""
        where = None if found is None else (found.load(), found.step, found.tokens)
        where = self.group.of_first(where)
        if where is not None:
            parts, self.done_steps, self.tokens = where
            for name, value in parts.items():
                self._parts[name].load_state_dict(value)

    def __enter__(self) -> Run:
        if self.group.is_first:
            self.progress.open()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self.progress.close(kind, error, trace)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Remembered until the step ends; a second signal acts at once.
        self._signal = number
        signal.signal(number, self._handlers[number])

    @property
    def stopping(self) -> bool:
        """A signal asks the run to end; `record` will save and leave."""
        return self._signal is not None

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of all attempts so far, those of `count_cpu` included.

        Counted from the construction of the run: imports and loading of the model come before it.
        """
        return self._earlier_cpu_seconds + time.process_time() - self._cpu_start + self._child_cpu_seconds

    def count_cpu(self, seconds: float) -> None:
        """Add CPU seconds that other processes spent for this run (compiling candidates)."""
        self._child_cpu_seconds += seconds

    def steps(self) -> Iterator[int]:
        """The steps still to do, from 0 or where an earlier attempt was saved."""
        yield from range(self.done_steps, self.total_steps)

    def record(self, step: int, metrics: Mapping[str, float], tokens: int = 0) -> None:
        """Note a finished step: metrics line, progress, checkpoint when due, exit when signalled.

        Call it after the update of the step; in a group, in every process. Time does not belong into `metrics`: the
        file is the same for the same seed.

        Raises
        ------
        TrainingDivergedError
            When a metric is NaN or infinite; nothing of the step is saved.
        SystemExit
            128 + signal number after SIGTERM or SIGINT, with the state saved.
        """
        self._guard(step, metrics)
        self.done_steps = step + 1
        self.tokens += tokens
        if self.group.is_first:
            self._note(step, metrics)
        # a signal reaches the processes of a group between different steps of theirs
        if told := int(self.group.largest(self._signal or 0)):
            if self.group.is_first:
                self.checkpoint()
                self.progress.say(f"signal {told}: saved at step {self.done_steps}")
            self.group.wait()  # torchrun ends the others as soon as one has ended
            raise SystemExit(128 + told)
        due = time.monotonic() - self._saved_at >= self.checkpoint_seconds
        if due and self.group.is_first and self.done_steps < self.total_steps:
            self.checkpoint()

    def _note(self, step: int, metrics: Mapping[str, float]) -> None:
        state.append_line(self.output / METRICS, {"step": step, **metrics, "tokens": self.tokens})
        timing = {"step": step, "time": round(time.time(), 3), "cpu_seconds": round(self.cpu_seconds, 4)}
        state.append_line(self.output / TIMING, timing)
        self.progress.report(self.done_steps, self.tokens, metrics)

    def _guard(self, step: int, metrics: Mapping[str, float]) -> None:
        bad = {k: v for k, v in metrics.items() if not abs(float(v)) < float("inf")}
        if bad:
            last = state.latest_folder(self.output / STATE)
            remedy = f"last good checkpoint: {last}" if last else "no checkpoint was written yet"
            raise TrainingDivergedError(f"{self.stage} step {step}: {bad} is not finite; {remedy}")

    def recent(self, name: str, steps: int = 20) -> float:
        """Mean of a metric over the newest steps, earlier attempts included; NaN in all but the first process."""
        if not self.group.is_first:
            return float("nan")
        lines = (self.output / METRICS).read_text(encoding="utf-8").splitlines()[-steps:]
        values = [float(json.loads(line)[name]) for line in lines]
        if not values:
            raise ValueError(f"{self.stage}: no step was recorded yet")
        return sum(values) / len(values)

    def checkpoint(self) -> Path:
        """Save the training state now; returns its folder."""
        folder = state.save(
            self.output / STATE,
            {name: part.state_dict() for name, part in self._parts.items()},
            state.Header(
                step=self.done_steps,
                tokens=self.tokens,
                metrics_bytes=state.synced_size(self.output / METRICS),
                config=self.config,
            ),
        )
        self._saved_at = time.monotonic()
        return folder

    def finish(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """Write the Hugging Face folder, then result.json, then remove the training state.

        Returns
        -------
        dict
            What result.json holds: stage, metrics, steps, tokens, cpu_seconds, weights_sha256, config; in a group,
            nothing but in the first process.

        Raises
        ------
        FileExistsError
            When another run has finished the same folder meanwhile.
        """
        cpu_seconds = self.group.total(self.cpu_seconds)
        if not self.group.is_first:
            return {}
        scratch = self.output / "export.part"
        shutil.rmtree(scratch, ignore_errors=True)
        save_model(self.model, self.tokenizer_folder, scratch)
        for file in sorted(scratch.iterdir()):
            os.replace(file, self.output / file.name)
        scratch.rmdir()
        result = {
            "stage": self.stage,
            "metrics": dict(metrics),
            "steps": self.done_steps,
            "tokens": self.tokens,
            "cpu_seconds": round(cpu_seconds, 3),
            "weights_sha256": weights_sha256(self.model),
            "config": self.config,
            "environment": {
                "device": str(next(self.model.parameters()).device),
                "threads": torch.get_num_threads(),
                "processes": self.group.world,
                "torch": torch.__version__,
                "python": platform.python_version(),
            },
        }
        state.create_json(self.output / RESULT, result)
        shutil.rmtree(self.output / STATE, ignore_errors=True)
        self.progress.finished(result)
        return result
