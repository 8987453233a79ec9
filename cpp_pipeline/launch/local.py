"""Run a command that loads a model as a process of this machine, under Dagster Pipes.

The command leaves `result.json` in its output folder when, and only when, it has finished.
That file is believed, not the exit code alone and not the message stream.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterPipesExecutionError

from cpp_pipeline.launch.warm import Warm, WarmProcessEnded, can_be_forked
from cpp_pipeline.storage.store import Store

TERMINATION_SECONDS = 20.0
"""What a command is given to save its state; Dagster's own client gives as much."""
_WARM = Warm("cpp_pipeline.models.build", "transformers.models.gemma3.modeling_gemma3")
"""To load torch and transformers takes a command longer than most of what those of the smaller presets do with them."""
atexit.register(_WARM.close)

Join = Callable[[Sequence[Path], Path], None]
"""Makes one output folder of those of all parts."""


class Launcher(dg.ConfigurableResource[None]):
    """Runs `python -m MODULE ...` and returns the manifest that it commits."""

    threads: int = 0
    """Threads a command may use; 0 means all cores."""

    def folder(self, store: Store, kind: str, asset: str) -> Path:
        """A finished folder, for a command: as local files."""
        return store.local_folder(kind, asset)

    def table(self, store: Store, asset: str) -> Path:
        """A whole table, for a command: as one local file."""
        return store.local_table(asset)

    def run(
        self,
        context: dg.AssetExecutionContext,
        module: str,
        arguments: Mapping[str, object],
        output: Path,
        join: Join | None = None,
    ) -> dict[str, Any]:
        """Run `module` with `--key value` arguments until `output/result.json` is there.

        An output that is already finished (the run was killed after the command ended) is used
        as it is. A True argument is a bare flag; None and False are left out. `join` allows a launcher
        to run the command as parts, with `--part I/N`, whose outputs it then joins; this one does not.

        Raises
        ------
        dagster.Failure
            The command failed, or ended without a manifest; names the command and its log.
        """
        manifest = output / "result.json"
        if not manifest.exists():
            output.mkdir(parents=True, exist_ok=True)
            words = [*flags(arguments), "--output", str(output)]
            command = [sys.executable, "-m", module, *words]
            context.log.info("running " + " ".join(command))
            if not (can_be_forked() and self._forked(context, module, words)):
                tethered = [sys.executable, "-m", "cpp_pipeline.launch.tether", str(os.getpid()), *command]
                dg.PipesSubprocessClient().run(context=context, command=tethered, env=self._environment())
        if not manifest.exists():
            raise dg.Failure(f"{module} ended with exit code 0 but wrote no {manifest}; see its log above")
        return dict(json.loads(manifest.read_text()))

    def _forked(self, context: dg.AssetExecutionContext, module: str, words: Sequence[str]) -> bool:
        """Run a command as `dagster.PipesSubprocessClient` does, without loading anew what all of them load."""
        injector, reader = dg.PipesTempFileContextInjector(), dg.PipesTempFileMessageReader()
        with dg.open_pipes_session(context, injector, reader) as session:
            environment = {**os.environ, **self._environment(), **session.get_bootstrap_env_vars()}
            try:
                running = _WARM.start(module, words, environment)
            except WarmProcessEnded as error:
                context.log.warning(f"{error}; the command gets a process of its own")
                return False
            try:
                code = running.wait()
            except BaseException as error:
                if isinstance(error, DagsterExecutionInterruptedError):
                    running.send_signal(signal.SIGINT)
                    with contextlib.suppress(TimeoutError, WarmProcessEnded):  # the run ends as it was told to
                        running.wait(TERMINATION_SECONDS)
                _WARM.close()
                raise
        if code:
            raise DagsterPipesExecutionError(f"External execution process failed with code {code}")
        return True

    def _environment(self) -> dict[str, str]:
        count = str(self.threads or os.cpu_count() or 1)
        # Offline: a missing file must be an error that names it, not a try to reach a hub.
        return {"OMP_NUM_THREADS": count, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def flags(arguments: Mapping[str, object]) -> list[str]:
    """Arguments as a command line: a True one is a bare flag; None and False are left out."""
    found: list[str] = []
    for key, value in arguments.items():
        if value is True:
            found.append(f"--{key}")
        elif value is not None and value is not False:
            found += [f"--{key}", str(value)]
    return found
