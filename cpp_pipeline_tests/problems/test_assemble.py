from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from cpp_pipeline.models.presets import SMOKE
from cpp_pipeline.problems.assemble import eval_set, train_set
from cpp_pipeline.schemas import TABLES
from cpp_pipeline_tests.problems.conftest import pair_row

PRESET = dataclasses.replace(SMOKE, train_problems=10, eval_problems=4, mined_candidates=4)


def test_both_tables_from_all_sources(client: Any, tmp_path: Path) -> None:
    record = {
        "task_id": "CPP/900",
        "prompt": "/*\nReturn one more.\n*/\nint more(int x){\n",
        "declaration": "using namespace std;\nint more(int x){\n",
        "canonical_solution": "    return x + 2;\n}\n",
        "test": "#include<assert.h>\nint main(){\n    assert (more(1) == 2);\n}\n",
    }
    problem_set = tmp_path / "set.jsonl"
    problem_set.write_text(json.dumps(record) + "\n" + json.dumps(record) + "\n{\n")
    evaluation, refused = eval_set(PRESET, 0, [problem_set, problem_set], client, tmp_path)
    table = TABLES["eval_problems"]
    assert table.violations(evaluation) == {}
    held_out = evaluation.collect()
    assert dict(held_out["source"].value_counts().iter_rows()) == {"family": 4, "bundled": 9, "humaneval_x": 1}
    # Its reference is wrong: it is not asked, but stays known to decontamination.
    wrong = held_out.row(-1, named=True)
    assert (wrong["n_tests"], wrong["tests"]) == (0, "[]")
    reasons = refused.collect()["reason"].to_list()
    assert sorted(reasons) == ["broken record"] * 4 + ["reference fails"]

    body = "\n    int n = 0;\n    for (int v : values) {\n        if (v > limit) ++n;\n    }\n    return n;\n"
    signature = "int count_above(const std::vector<int>& values, int limit)"
    pair = pair_row("count_above", signature, body, "Counts the values that are greater than the limit.")
    pairs = TABLES["docstring_pairs"].frame([pair])
    training, rejected = train_set(PRESET, 0, pairs, client, tmp_path, lambda _: None)
    assert TABLES["train_problems"].violations(training) == {}
    trained = training.collect()
    assert dict(trained["source"].value_counts().iter_rows()) == {"family": 10, "bundled": 24, "mined": 1}
    assert rejected.collect().height == 0
    assert not set(trained["split_key"]) & set(held_out["split_key"])
    assert not set(trained["problem_id"]) & set(held_out["problem_id"])
