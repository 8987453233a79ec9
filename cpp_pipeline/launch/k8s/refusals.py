"""What would go wrong in a cluster, told before anything is created, with the setting to change."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

import dagster as dg

from cpp_pipeline.launch.k8s.shapes import Shape

DISTRIBUTED = frozenset(f"cpp_pipeline.training.{stage}" for stage in ("base", "sft", "cmake"))
"""Modules that torchrun may start: they share the work by rank, and only rank 0 writes (`training/group.py`)."""


def refuse_several_gpus(module: str, shape: Shape, setting: str) -> None:
    """Several processes of a command that knows of one would all write the same output."""
    if max(1, shape.gpus) * shape.nodes > 1 and module not in DISTRIBUTED:
        raise dg.Failure(
            f"CPP_PIPELINE_K8S_SHAPE={setting!r} gives {module} {shape.nodes} x {shape.gpus} GPUs, and it is one "
            f"process: choose one node with at most one GPU for this asset, as in {setting}; ASSET: l4",
            allow_retries=False,
        )


def refuse_loopback(arguments: Mapping[str, object], api_server: str) -> None:
    """A controller on this machine's loopback is out of a pod's reach, unless the cluster is this machine."""
    url = str(arguments.get("sandbox-url", ""))
    if _is_loopback(url) and not _is_loopback(api_server):
        raise dg.Failure(
            f"pods cannot reach the sandbox at {url}: set SANDBOX_URL to a controller in the cluster",
            allow_retries=False,
        )


def refuse_local_root(root: str, api_server: str) -> None:
    """A folder of this machine is out of a pod's reach, unless the cluster is this machine."""
    if "://" not in root and not _is_loopback(api_server):
        raise dg.Failure(
            f"CPP_PIPELINE_ROOT={root}: pods of {api_server} cannot reach it; name one as gs://bucket/prefix",
            allow_retries=False,
        )


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
