"""What a GKE node has to give to pods, and the node pools that docs/operations.md makes.

The formulas are those of GKE's page "Plan GKE Standard node sizes" and, for what the system takes, of gce/reserved.go
and gce/gce_reserved.go of Kubernetes' cluster-autoscaler (image type COS). Not here: what shapes ask for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from cpp_pipeline_tests.k8s.rendering import PROJECT

MACHINES = {
    "n2-standard-8": (8, 32),
    "n2-standard-16": (16, 64),
    "g2-standard-8": (8, 32),
    "g2-standard-48": (48, 192),
    "a2-highgpu-1g": (12, 85),
    "a3-highgpu-1g": (26, 234),
    "a3-highgpu-8g": (208, 1872),
}
"""Machine type -> (vCPUs, GiB of memory), from Compute Engine's tables."""
SYSTEM_PODS = (500.0, 1024.0, 0.0)
"""What GKE's own pods ask for on each node, an estimate."""
_LOCAL_SSD_GIB = 375
_CPU = ((0, 0.06), (1000, 0.01), (2000, 0.005), (4000, 0.0025))
_MEMORY = ((0, 0.25), (4000, 0.20), (8000, 0.10), (16_000, 0.06), (128_000, 0.02))


@dataclass(frozen=True)
class Room:
    """What pods may ask for together: thousandths of a core, MiB of memory, MiB of scratch space."""

    cpu: float
    memory: float
    disk: float


@dataclass(frozen=True)
class Pool:
    """Flags of a node pool."""

    machine: str
    disk_gib: int = 100
    local_ssds: int = 0
    accelerator: str = ""
    gpus: int = 0
    most_nodes: int = 0
    flags: str = ""

    @property
    def room(self) -> Room:
        """What a node leaves to pods of the project."""
        cores, gib = MACHINES[self.machine]
        cpu, memory, disk = SYSTEM_PODS
        scratch = _on_local_ssds(self.local_ssds) if self.local_ssds else _on_boot_disk(self.disk_gib)
        kept = _marginal(cores * 1000, _CPU)
        return Room(cores * 1000 - kept - cpu, _memory(gib * 1024) - memory, scratch * 1024 - disk)


def _marginal(amount: float, rates: tuple[tuple[float, float], ...]) -> float:
    ends = [start for start, _ in rates[1:]] + [amount]
    return sum(max(0.0, min(amount, end) - start) * rate for (start, rate), end in zip(rates, ends, strict=True))


def _memory(mib: float) -> float:
    """Allocatable memory: less the kernel's, what GKE keeps, and the threshold of eviction."""
    kernel = mib / 64 + 16 + 64 + min(0.00175 * mib, 248)
    return mib - kernel - _marginal(mib, _MEMORY) - 100


def _on_boot_disk(gib: float) -> float:
    capacity = gib - 0.015635 * gib - 4.148 - min(100 / 1024, 0.001 * gib)
    return capacity - 0.1 * capacity - min(gib / 2, 6 + 0.35 * gib, 100)


def _on_local_ssds(count: int) -> float:
    capacity = count * _LOCAL_SSD_GIB * 0.98
    return capacity - 0.1 * capacity - {1: 50, 2: 75}.get(count, 100)


def _pool(flags: str) -> Pool:
    def found(pattern: str, default: str = "0") -> str:
        match = re.search(pattern, flags)
        return match.group(1) if match else default

    return Pool(
        machine=found(r"--machine-type (\S+)"),
        disk_gib=int(found(r"--disk-size (\d+)", "100")),
        local_ssds=int(found(r"--ephemeral-storage-local-ssd count=(\d+)")),
        accelerator=found(r"--accelerator type=([^,\s]+)", ""),
        gpus=int(found(r"--accelerator type=[^,\s]+,count=(\d+)")),
        most_nodes=int(found(r"--total-max-nodes (\d+)")),
        flags=flags,
    )


@cache
def operations() -> str:
    """The document."""
    return (PROJECT / "docs" / "operations.md").read_text()


@cache
def pools() -> dict[str, Pool]:
    """The node pools that its commands make, by name; shell variables are put in."""
    lines = operations().replace("\\\n", " ").splitlines()
    variables = dict(m.groups() for line in lines if (m := re.fullmatch(r'([A-Z]+)="(.*)"', line)))
    made = {}
    for line in lines:
        command = re.match(r"gcloud container (clusters|node-pools) create (\S+) ", line)
        if command:
            flags = re.sub(r"\$([A-Z]+)", lambda m: variables[m.group(1)], line)
            made["default-pool" if command[1] == "clusters" else command[2]] = _pool(flags)
    return made


@cache
def placed() -> dict[str, tuple[Pool, int]]:
    """Shape -> (the pool in which the document puts it, how many of it share a machine)."""
    rows = re.findall(r"^\| ((?:`[^`]+`[^|`]*)+)\| (`[^`|]+`|of your own) \| (.+) \|$", operations(), re.MULTILINE)
    found = {}
    for shape, pool, machine in rows:
        share = re.search(r", (\d+) a machine", shape)
        own = pools().get(pool.strip("`")) if pool != "of your own" else _pool(machine.strip("`"))
        if own is not None:
            found[shape.split("`")[1]] = (own, int(share[1]) if share else 1)
    return found
