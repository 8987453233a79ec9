"""The only reader of the environment.

Belongs here: every variable that changes what the project does, its default and its meaning.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Settings:
    """What a user may set, as `CPP_PIPELINE_<FIELD>` (the sandbox ones as `SANDBOX_<FIELD>`)."""

    root: str = "data"
    """Storage root: a folder or `gs://bucket/prefix` (extra `gcs`)."""
    preset: str = "tiny"
    """Scale of models and data: smoke, tiny, d4, d8 or d16."""
    seed: int = 0
    """Seed of every random choice."""
    sandbox_url: str = ""
    """Controller that judges code; empty starts one on this machine."""
    sandbox_token: str = ""
    """Bearer token for the controller."""
    sandbox_workers: int = 0
    """Candidates judged side by side; 0 means one a core."""
    sandbox_backend: str = "auto"
    """Isolation of the controller on this machine: auto, bubblewrap, landlock or gvisor."""
    sandbox_pool: str = ""
    """SandboxWarmPool whose pods the controller with `--backend agent-sandbox` claims."""
    sandbox_pool_namespace: str = ""
    """Its namespace; empty: `CPP_PIPELINE_K8S_NAMESPACE`."""
    sandbox_pool_leases: int = 8
    """Most pods that one controller holds at a time; each judges one batch at a time."""
    sandbox_pool_uses: int = 200
    """Batches after which a pod is given back and another one claimed."""
    sandbox_pool_seconds: int = 1800
    """Seconds after which a pod is given back and another one claimed."""
    sandbox_pool_claim_seconds: int = 300
    """Seconds that a claimed pod may take to become ready before it is given back: a cold one may need a new node."""
    pod_name: str = ""
    """Read from `POD_NAME`, with `POD_UID`: the pod that this runs in, which owns the pods that it claims."""
    pod_uid: str = ""
    """See `pod_name`."""
    inbox: str = ""
    """Folder or `gs://bucket/prefix` below which new dumps are looked for; empty: nothing is started by itself."""
    inbox_settled_seconds: int = 300
    """A dump there of which anything is younger is taken to be still on its way."""
    real_cpp: bool = True
    """`run` also takes real C++ from Debian source packages."""
    allow_unknown_licence: bool = False
    """Also keep files for which no licence was found, for code of one's own."""
    engine: str = "duckdb"
    """Where joins over all dumps run: duckdb on this machine, or spark through Spark Connect."""
    spark_remote: str = ""
    """Read from `SPARK_REMOTE`: the Spark Connect endpoint, `sc://host:port`, or `local[2]`."""
    allow_unsafe: bool = False
    """This machine consents to judging code without any isolation; the caller has to consent as well."""
    verdict_cache: str = ""
    """Folder of verdicts of earlier runs; empty: `cpp-pipeline/verdicts` in the user's cache; `none` keeps none."""
    xdg_cache_home: str = ""
    """Read from `XDG_CACHE_HOME`; empty means `~/.cache`."""
    omp_num_threads: int = 0
    """Read from `OMP_NUM_THREADS`: CPU threads of a command that loads a model; 0: one a core."""
    gpus: int = 0
    """GPUs that the launcher has given this pod: a command that loads a model and sees none ends at once."""
    launcher: str = "local"
    """Where commands that load a model run: local, as processes of this machine, or k8s, as Jobs of a cluster."""
    k8s_config: str = ""
    """Kubeconfig file of the cluster; empty: the usual places, then the account of the pod that this runs in."""
    k8s_namespace: str = "cpp-pipeline"
    """Namespace of the Jobs."""
    k8s_image: str = ""
    """Image of the Jobs, by digest: `REPOSITORY@sha256:...`."""
    k8s_shape: str = "l4+spot"
    """Machine of the Jobs, see `launch.k8s.shapes`: `l4+spot; base_checkpoint: a100; *_eval: cpu`."""
    k8s_parts: int = 1
    """Pods among which the sampling of solutions is divided."""
    k8s_service_account: str = ""
    """Account of the Jobs' pods, which may read and write the storage root; empty: the namespace's default."""
    k8s_queue: str = ""
    """Kueue queue that admits the Jobs; empty: none."""
    k8s_sandbox_secret: str = ""
    """Secret whose key `token` the Jobs send to the sandbox; empty: none."""
    k8s_pending_seconds: int = 1800
    """Longest time that a Job may wait for a machine, time in a queue not counted."""
    k8s_grace_seconds: int = 15
    """What an evicted pod is given to save its state; GKE leaves a Spot pod 15 s by default."""
    executor: str = "in_process"
    """Where runs of the Dagster instance work on their steps: in_process, multiprocess, or k8s, as pods."""
    max_concurrent: int = 0
    """Steps worked on side by side: with k8s of all runs together, an equal share for each run that the instance
    allows at a time; with multiprocess of one run. 0: one a core, or with k8s as many as there are."""
    step_shape: str = "cpu"
    """Machine of the steps' pods, written as `k8s_shape`: `cpu+spot; source_files: cpu-large+spot`."""
    watch_shape: str = "cpu+cpu=500m+memory=4Gi+disk=20Gi"
    """Machine of steps that do little themselves: checks, and with `CPP_PIPELINE_LAUNCHER=k8s` steps that start a Job
    and wait for it, perhaps for days, so never on Spot. Such a step writes the Job's smaller inputs, fetches what it
    made (a checkpoint of the largest preset: 1.6 GB; samples and their report), and publishes it; a check streams a
    table, or fetches a checkpoint or the token shards (4 GB at the largest presets)."""
    step_retries: int = 0
    """How often a step is tried again, as when its pod was lost; what has to be changed first is not tried again."""
    kubernetes_service_host: str = ""
    """Read from `KUBERNETES_SERVICE_HOST`, which every pod has: its credentials may come a moment after it."""
    dagster_run_job_name: str = ""
    """Read from `DAGSTER_RUN_JOB_NAME`, which Dagster sets in pods of runs and steps: they may be taken away."""
    dagster_home: str = ""
    """Read from `DAGSTER_HOME`; empty means `.dagster` inside a local root."""

    @staticmethod
    def variable(field: str) -> str:
        """The environment variable of a field."""
        own_name = field.startswith(("sandbox_", "dagster_", "spark_", "xdg_", "pod_", "omp_", "kubernetes_"))
        return field.upper() if own_name else f"CPP_PIPELINE_{field.upper()}"

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the settings, naming the variable when a value does not fit."""
        env = os.environ if env is None else env
        values: dict[str, object] = {}
        for f in fields(cls):
            name = cls.variable(f.name)
            raw = env.get(name)
            if raw is None or raw == "":
                continue
            kind: type = type(f.default)
            if kind is bool:
                if raw.lower() not in ("0", "1", "true", "false"):
                    raise ValueError(f"{name}={raw!r}: use 1 or 0")
                values[f.name] = raw.lower() in ("1", "true")
            elif kind is int:
                try:
                    values[f.name] = int(raw)
                except ValueError:
                    raise ValueError(f"{name}={raw!r}: use a whole number") from None
            else:
                values[f.name] = raw
        return cls(**values)  # type: ignore[arg-type]
