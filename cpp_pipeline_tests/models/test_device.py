"""Where a command computes, and that it does not train on the CPU of a machine with GPUs."""

from __future__ import annotations

import pytest
import torch

from cpp_pipeline.launch.k8s.manifest import DO_NOT_RETRY
from cpp_pipeline.models.build import default_device

WITHOUT_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@WITHOUT_GPU
def test_a_command_that_was_given_gpus_and_sees_none_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CPP_PIPELINE_GPUS", "1")
    with pytest.raises(SystemExit) as ended:
        default_device()
    assert ended.value.code in DO_NOT_RETRY
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: CPP_PIPELINE_GPUS=1, and torch") and "LD_LIBRARY_PATH" in line


@WITHOUT_GPU
def test_one_that_was_given_none_uses_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CPP_PIPELINE_GPUS", raising=False)
    assert default_device() == torch.device("cpu")
