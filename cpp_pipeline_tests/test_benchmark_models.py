"""The benchmarks of models, packing and definitions: workers answer, ours and the peers compute the same, rows come."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import corpus_packing, definitions_load, model_gspo, model_sampler, model_training
from benchmarks.common.rows import Options
from benchmarks.turns import hf_generate, hf_train, ours_gspo, ours_sampler, ours_train
from benchmarks.turns.client import in_turn, relative_difference, worker

QUICK = Options(None, 1, quick=True)
ROWS = np.random.default_rng(1).integers(32, 1024, (2, 25)).tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = str(tmp_path_factory.mktemp("model"))
    assert ours_train.make_model(made, "smoke", 0) > 100_000
    return made


def test_a_worker_answers_with_what_it_used_and_an_error_carries_its_last_words(tmp_path: Path) -> None:
    file = tmp_path / "burner.py"
    file.write_text(
        "import time\ndef burn(seconds):\n    print('noise')\n    end = time.process_time() + seconds\n"
        "    while time.process_time() < end: pass\n    return [seconds]\n"
    )
    with worker(str(file)) as ask:
        answer = ask("burn", seconds=0.2)
        assert answer.result == [0.2]
        assert answer.cpu >= 0.2
        assert answer.wall >= 0.19
        assert ask("burn", seconds=0).result == [0]
        with pytest.raises(RuntimeError, match=r"ended at 'burn'[^$]*TypeError"):
            ask("burn", seconds="much")


def test_sides_take_turns_and_the_first_turn_is_not_kept() -> None:
    asked: list[str] = []

    def side(name: str) -> float:
        asked.append(name)
        return len(asked)

    assert in_turn(2, lambda: side("a"), lambda: side("b")) == [[3, 5], [4, 6]]
    assert asked == ["a", "b"] * 3


def test_the_plain_loop_has_our_loss_and_gradient(folder: str, tmp_path: Path) -> None:
    losses = []
    for side in (ours_train, hf_train):
        side.load(folder)
        losses.append(side.gradient(ROWS, str(tmp_path / side.__name__)))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    files = [tmp_path / f"{side.__name__}.npy" for side in (ours_train, hf_train)]
    assert relative_difference(*files) < 1e-4
    assert ours_train.supervised_step(ROWS, [5, 9]) == pytest.approx(hf_train.supervised_step(ROWS, [5, 9]), rel=1e-5)


def test_both_samplers_give_what_is_asked_for(folder: str) -> None:
    order: dict[str, Any] = {"prompts": [ROWS[0], ROWS[1][:9]], "n": 3, "new_tokens": 6, "seed": 1}
    for side, more in ((ours_sampler, {}), (hf_generate, {"cache": ""})):
        side.load(folder)
        full = side.generate(**order, temperature=1.0, ends=[], **more)
        assert [len(ids) for ids in full] == [6] * 6
        short = side.generate(**order, temperature=1.0, ends=list(range(32, 700)), **more)
        assert len(short) == 6
        assert all(len(ids) < 6 and not set(ids) & set(range(32, 700)) for ids in short)


def test_given_rollouts_all_teach_and_are_trained_on(folder: str) -> None:
    given = model_gspo.rollouts(4, 1024, 48, 0)
    assert given == model_gspo.rollouts(4, 1024, 48, 0)
    assert len({tuple(r["completion"]) for r in given}) == 32
    assert all(0 < sum(r["reward"] for r in given if r["group"] == g) < 8 for g in range(4))
    (Path(folder) / "rollouts.json").write_text(json.dumps(given))
    settings = {"epsilon": 3e-4, "epsilon_high": 4e-4, "lr": 1e-4, "steps": 4, "seed": 0}
    order = ours_gspo.load(folder, settings)
    assert sorted(n for batch in order for n in batch) == list(range(32))
    losses = ours_gspo.training_pass()
    assert losses == ours_gspo.training_pass()
    assert losses[0] == pytest.approx(0.0, abs=1e-5)  # on policy: minus the mean of the advantages
    assert abs(ours_gspo.gradient(str(Path(folder) / "gradient.npy"))) > 1e-5


def test_packing_loses_nothing_and_an_absent_peer_is_told() -> None:
    padding, peer = corpus_packing.run(QUICK)
    assert padding.ok
    assert padding.notes.endswith(" 0 tokens lost")
    assert (peer.ours, peer.ratio) == ("not run", None)
    (gspo,) = model_gspo.run(QUICK)
    assert (gspo.ours, gspo.ratio) == ("not run", None)


@pytest.mark.slow
def test_the_subjects_that_need_no_peers_environment_run_whole() -> None:
    for subject in (model_sampler, model_training, definitions_load):
        rows = subject.run(QUICK)
        assert all(row.ok is not False for row in rows)
        assert any(row.ratio and row.low and row.high and row.against for row in rows)
    assert "none" in [row.ours for row in rows]
