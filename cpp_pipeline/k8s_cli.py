"""`cpp-pipeline k8s ...`: what the project would do in a cluster."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

k8s_app = typer.Typer(no_args_is_help=True, help="Jobs of a Kubernetes cluster.")
SHAPE_HELP = "Machine, as CPP_PIPELINE_K8S_SHAPE: NAME, NAME+spot, NAME+nodes=2+memory=48Gi."


@k8s_app.command()
def render(
    asset: Annotated[str, typer.Argument(help="An asset that runs a command: base_checkpoint, sft_eval, ...")],
    shape: Annotated[str, typer.Option(help=SHAPE_HELP, envvar="CPP_PIPELINE_K8S_SHAPE")] = "",
    image: Annotated[str, typer.Option(help="Image by digest.", envvar="CPP_PIPELINE_K8S_IMAGE")] = "",
) -> None:
    """Print the Job (and Service) that materializing an asset would create, as YAML. Nothing is created."""
    import dataclasses

    import dagster as dg
    import yaml

    from cpp_pipeline.definitions import defs
    from cpp_pipeline.launch.choose import kubernetes_launcher
    from cpp_pipeline.launch.k8s.render import render as rendered
    from cpp_pipeline.settings import Settings

    settings = Settings.from_env()
    chosen = dataclasses.replace(settings, k8s_shape=shape or settings.k8s_shape, k8s_image=image)
    assets = [a for a in defs().assets or [] if isinstance(a, dg.AssetsDefinition)]
    found = {key.path[-1]: a for a in assets for key in a.keys}
    if asset not in found:
        raise ValueError(f"{asset!r} is no asset; those that run a command are checkpoints, samples and evaluations")
    objects = rendered(found[asset], kubernetes_launcher(chosen), settings.sandbox_url)
    typer.echo(yaml.safe_dump_all(objects, sort_keys=False), nl=False)


@k8s_app.command()
def check(
    file: Annotated[str, typer.Argument(help="Rendered manifests; - reads what is piped in.")] = "-",
) -> None:
    """Pass rendered manifests on, or refuse them: images and settings that are not set, tags instead of digests.

    kubectl kustomize k8s/overlays/gke-spot | cpp-pipeline k8s check | kubectl apply -f -
    """
    from cpp_pipeline.launch.k8s.check import refuse_unset

    text = sys.stdin.read() if file == "-" else Path(file).read_text()
    refuse_unset(text, "the manifests piped in" if file == "-" else file)
    typer.echo(text, nl=False)
