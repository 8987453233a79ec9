"""The Job of an asset, without running anything: what `cpp-pipeline k8s render` prints.

The asset's own function is called up to the point where it launches its command, with a store that reads what is
there, takes what is not there as empty, and writes nothing.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from cpp_pipeline.launch.k8s.launcher import KubernetesLauncher
from cpp_pipeline.launch.k8s.manifest import Manifest, manifests
from cpp_pipeline.launch.local import Join
from cpp_pipeline.schemas import TABLES
from cpp_pipeline.storage.store import Store

RUN_ID = "render"
NO_SANDBOX = "http://sandbox-url-is-not-set"


class NotLaunched(ValueError):
    """The asset launches no command."""


def render(asset: dg.AssetsDefinition, launcher: KubernetesLauncher, sandbox_url: str) -> list[Manifest]:
    """The objects that materializing an asset would create.

    Raises
    ------
    NotLaunched
        The asset is made by the run itself.
    ValueError
        A setting does not fit; names it.
    """
    store = _PaperStore(launcher.place_of_root())
    resources = {
        "launcher": _PaperLauncher(launcher),
        "storage": _Held(store=store),
        "sandbox": _Held(address=lambda: sandbox_url or NO_SANDBOX),
    }
    needed = {k: v for k, v in resources.items() if k in asset.required_resource_keys}
    if "launcher" not in needed:
        raise NotLaunched(f"{asset.op.name} launches no command: it is made by the run itself")
    context = _Held(
        resources=_Held(**needed),
        assets_def=asset,
        asset_key=next(iter(asset.keys)),
        op_def=asset.op,
        run=_Held(run_id=RUN_ID, tags={}),
        retry_number=0,
        log=logging.getLogger(__name__),
        has_partition_key=False,
    )
    try:
        made = asset.op.compute_fn.decorated_fn(context)  # type: ignore[union-attr]
        if inspect.isgenerator(made):
            next(made)
    except _Rendered as rendered:
        return rendered.manifests
    raise NotLaunched(f"{asset.op.name} launched no command")


class _Rendered(BaseException):
    """Ends the asset's function where it would launch; no `except Exception` on the way may hold it."""

    def __init__(self, found: list[Manifest]) -> None:
        super().__init__()
        self.manifests = found


class _Held:
    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)


class _PaperLauncher:
    def __init__(self, launcher: KubernetesLauncher) -> None:
        self._launcher = launcher
        self.folder, self.table = launcher.folder, launcher.table

    def run(
        self,
        context: dg.AssetExecutionContext,
        module: str,
        arguments: Mapping[str, object],
        output: Path,
        join: Join | None = None,
    ) -> dict[str, Any]:
        parts = self._launcher.parts if join else 1
        root = Store(self._launcher.place_of_root()).root
        job = self._launcher.job_folder(root / "jobs" / output.as_posix(), parts)
        request = self._launcher.request(context, module, self._launcher.places(arguments, job), job, parts)
        raise _Rendered(manifests(request))


class _PaperStore(Store):
    """Reads what is there and writes nothing."""

    is_written = False

    def scan(self, asset: str, partitions: Any = None) -> pl.LazyFrame:
        there = self.partitions(asset) if TABLES[asset].partitioned else self.has_table(asset)
        return super().scan(asset, partitions) if there else TABLES[asset].empty()

    def work(self, asset: str, digest: str) -> Path:
        return Path(f"{asset}-{digest[:16]}")
