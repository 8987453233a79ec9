"""Which launcher the settings ask for."""

from __future__ import annotations

from typing import Any

import dagster as dg

from cpp_pipeline.launch.k8s.launcher import KubernetesLauncher
from cpp_pipeline.launch.local import Launcher
from cpp_pipeline.settings import Settings


def launcher(settings: Settings) -> dg.ConfigurableResource[Any]:
    """The resource `launcher` of all assets; reaches for nothing yet.

    Raises
    ------
    ValueError
        Names the setting that does not fit.
    """
    if settings.launcher == "local":
        return Launcher(threads=settings.omp_num_threads)
    if settings.launcher == "k8s":
        return kubernetes_launcher(settings)
    raise ValueError(f"CPP_PIPELINE_LAUNCHER={settings.launcher!r}: use local or k8s")


def kubernetes_launcher(settings: Settings) -> KubernetesLauncher:
    """The launcher of a cluster, whatever the settings choose."""
    return KubernetesLauncher(
        root=settings.root,
        namespace=settings.k8s_namespace,
        image=settings.k8s_image,
        shape=settings.k8s_shape,
        parts=settings.k8s_parts,
        service_account=settings.k8s_service_account,
        queue=settings.k8s_queue,
        config=settings.k8s_config,
        sandbox_secret=settings.k8s_sandbox_secret,
        pending_seconds=settings.k8s_pending_seconds,
        grace_seconds=settings.k8s_grace_seconds,
        in_pod=bool(settings.dagster_run_job_name),
    )
