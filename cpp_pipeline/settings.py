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
    """Storage root: a folder or `gs://bucket/prefix`."""
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
    dagster_home: str = ""
    """Read from `DAGSTER_HOME`; empty means `.dagster` inside a local root."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the settings, naming the variable when a value does not fit."""
        env = os.environ if env is None else env
        values: dict[str, object] = {}
        for f in fields(cls):
            own_name = f.name.startswith(("sandbox_", "dagster_", "spark_", "xdg_"))
            name = f.name.upper() if own_name else f"CPP_PIPELINE_{f.name.upper()}"
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
