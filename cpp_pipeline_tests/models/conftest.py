"""Fixtures of the model tests: one tokenizer, one untrained and one slightly trained model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from cpp_pipeline.models.build import new_model
from cpp_pipeline.models.optim import make_optimizers
from cpp_pipeline_tests.models.material import SMALL, make_shards, make_tokenizer


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of 512 tokens."""
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def trained(tokenizer_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PreTrainedModel:
    """A model after 12 steps: its next-token distributions are no longer uniform."""
    from cpp_pipeline.corpus.shards import open_shards
    from cpp_pipeline.training.base import batches
    from cpp_pipeline.training.loop import train_step

    torch.set_num_threads(1)
    shards = open_shards(make_shards(tmp_path_factory.mktemp("shards"), tokenizer_folder))
    model = new_model(SMALL, tokenizer_folder, seed=3).train()
    optimizer = make_optimizers(model)
    losses = [train_step(model, optimizer, batches(shards, s, 8, 8, 0), 1.0).loss for s in range(12)]
    assert losses[-1] < losses[0] - 1.0
    return model.eval()
