"""What dagster-gcp is taken for beside its client: steps' output is kept in a bucket."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from cpp_pipeline_tests.gcs.fixtures import objects


def test_the_compute_log_manager_keeps_the_output_of_steps_in_a_bucket(bucket: str, tmp_path: Path) -> None:
    @dg.asset
    def talking() -> None:
        print("said by the step")

    manager = {
        "module": "dagster_gcp.gcs.compute_log_manager",
        "class": "GCSComputeLogManager",
        "config": {"bucket": bucket.removeprefix("gs://"), "prefix": "logs", "local_dir": str(tmp_path / "logs")},
    }
    with dg.DagsterInstance.local_temp(str(tmp_path), overrides={"compute_logs": manager}) as instance:
        result = dg.materialize([talking], instance=instance)
        kept = objects(f"{bucket}/logs")
    outputs = [text for name, text in kept.items() if result.run_id in name and name.endswith(".out")]
    assert any(b"said by the step" in text for text in outputs)
