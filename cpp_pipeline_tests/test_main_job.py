"""The main job in a process that has definitions already."""

from __future__ import annotations

from pathlib import Path

import pytest

from cpp_pipeline.main_job import main_job


def test_a_process_that_loaded_definitions_for_one_root_refuses_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("DAGSTER_HOME", "CPP_PIPELINE_ROOT", "CPP_PIPELINE_PRESET", "CPP_PIPELINE_SEED"):
        monkeypatch.setenv(name, "")  # the job sets them; put back afterwards
        monkeypatch.delenv(name)
    from cpp_pipeline.defs.resources import PRESET, SETTINGS

    root = tmp_path / "root"
    with pytest.raises(RuntimeError, match="keeps the root, preset and seed of its first run"):
        main_job(str(root), PRESET.name, SETTINGS.seed, [], None, print)
    assert not (root / "tables").exists()
