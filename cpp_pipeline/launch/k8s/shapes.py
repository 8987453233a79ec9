"""Machines that a command can be given, by name.

A shape is written `NAME`, with changes as `NAME+spot`, `NAME+nodes=2+memory=48Gi`. A setting holds one for all assets,
and others by asset: `l4+spot; base_checkpoint: h100x8; *_eval: cpu`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase

SETTING = "CPP_PIPELINE_K8S_SHAPE"
STEP_SETTING = "CPP_PIPELINE_STEP_SHAPE"
WATCH_SETTING = "CPP_PIPELINE_WATCH_SHAPE"
_QUANTITY = re.compile(r"[1-9]\d*(\.\d+)?(m|Mi|Gi|Ti)?")


@dataclass(frozen=True)
class Shape:
    """What each pod of a Job asks for."""

    cpu: str
    memory: str
    gpus: int = 0
    accelerator: str = ""
    """Value of the node label `cloud.google.com/gke-accelerator`."""
    spot: bool = False
    nodes: int = 1
    disk: str = "50Gi"
    """Scratch space for inputs and output."""
    shm: str = "1Gi"
    """Size of /dev/shm, which counts as memory."""


# Requests leave what GKE reserves of a machine and what its own pods on each node ask for: a test holds them against
# the machine and the disk that docs/operations.md gives each shape.
SHAPES = {
    "cpu": Shape("3500m", "12Gi"),
    "cpu-large": Shape("14", "54Gi", disk="100Gi"),
    "l4": Shape("7", "26Gi", 1, "nvidia-l4"),
    "l4x4": Shape("46", "170Gi", 4, "nvidia-l4", disk="200Gi", shm="16Gi"),
    "a100": Shape("11", "74Gi", 1, "nvidia-tesla-a100", disk="100Gi", shm="4Gi"),
    "h100": Shape("25", "210Gi", 1, "nvidia-h100-80gb", disk="200Gi", shm="16Gi"),
    "h100x8": Shape("200", "1700Gi", 8, "nvidia-h100-80gb", disk="500Gi", shm="128Gi"),
}


def shape(text: str, setting: str = SETTING) -> Shape:
    """Read one shape.

    Raises
    ------
    ValueError
        Names the setting and what may be written.
    """
    name, *changes = (part.strip() for part in text.split("+"))
    if name not in SHAPES:
        raise ValueError(f"{setting}: {name!r} is no shape; there are {', '.join(SHAPES)}")
    found = SHAPES[name]
    for change in changes:
        key, _, value = change.partition("=")
        found = replace(found, **{key: _value(key, value, setting)})  # type: ignore[arg-type]
    if found.gpus and not found.accelerator:
        raise ValueError(f"{setting}: {text!r} asks for GPUs without an accelerator: add +accelerator=nvidia-l4")
    return found


def shape_for(setting: str, asset: str, name: str = SETTING) -> Shape:
    """The shape that a setting (of this name) gives an asset: the first pattern that fits, else the one without.

    Raises
    ------
    ValueError
        No entry is for this asset, or one cannot be read.
    """
    default = ""
    for entry in filter(None, (part.strip() for part in setting.split(";"))):
        pattern, colon, text = entry.partition(":")
        if not colon:
            default = entry
        elif fnmatchcase(asset, pattern.strip()):
            return shape(text.strip(), name)
    if not default:
        raise ValueError(f"{name}={setting!r} has no shape for {asset}: put one without an asset first, as `l4+spot`")
    return shape(default, name)


def _value(key: str, value: str, setting: str) -> object:
    kinds = {f.name: f.type for f in fields(Shape)}
    if key == "spot" and value in ("", "true", "false"):
        return value != "false"
    if kinds.get(key) == "int" and value.isdigit() and (int(value) or key == "gpus"):
        return int(value)
    if key == "accelerator" and re.fullmatch(r"[a-z0-9][a-z0-9.-]*", value):
        return value
    if kinds.get(key) == "str" and key != "accelerator" and _QUANTITY.fullmatch(value):
        return value
    remedy = "use spot, gpus=N, nodes=N, accelerator=NAME, or cpu, memory, disk, shm with a quantity such as 48Gi"
    raise ValueError(f"{setting}: {key}={value!r} does not fit; {remedy}")
