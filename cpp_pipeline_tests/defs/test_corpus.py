"""What each training stage reads: supervised rows, shards, and what is kept out of them."""

import json
from dataclasses import replace

import polars as pl
import pytest

from cpp_pipeline.corpus.formats import chat_text
from cpp_pipeline.corpus.sft import CHARACTERS_PER_TOKEN
from cpp_pipeline.defs import corpus
from cpp_pipeline.defs.checks_folders import fim_comes_back_as_source, mix_is_40_40_20, text_comes_back
from cpp_pipeline.defs.resources import PRESET
from cpp_pipeline_tests.defs.support import Bench, frame, row

CODE = "int {name}(int value) {{\n    int twice = value * 2 + {number};\n    return twice;\n}}\n"
NO_HIT = frame("decontamination_report")


def pair(dump: str, number: int, **values: object) -> dict[str, object]:
    """A documented function that is good enough to learn from."""
    code = CODE.format(name=f"{dump}_{number}", number=number)
    return row(
        "docstring_pairs",
        **{
            "pair_id": f"{dump}/{number}",
            "dump": dump,
            "doc": f"Twice the value and {number}.",
            "code": code,
            "signature": code.partition(" {")[0],
            "token_sha256": f"{dump} {number}",
            "quality": 0.9,
            **values,
        },
    )


def file(dump: str, number: int, **values: object) -> dict[str, object]:
    """A C++ file that is kept."""
    text = {"content": CODE.format(name=f"of_file_{number}", number=number), "language": "cpp"}
    return row("clean_files", **{"dump": dump, "repo": ".", "path": f"file_{number}.cpp", **text, **values})


def diff(dump: str, number: int, **values: object) -> dict[str, object]:
    """A repair of a function."""
    texts = {"before": CODE.format(name="f", number=number), "after": CODE.format(name="f", number=number + 1)}
    return row("diff_sft", **{"row_id": f"{dump}-{number}", "dump": dump, **texts, **values})


def problem(number: int, **values: object) -> dict[str, object]:
    """A problem with one reference."""
    code = CODE.format(name="solve", number=number)
    return row(
        "train_problems",
        number,
        **{"reference": code, "references": [code], "n_tests": 1, "split_key": f"key {number}", **values},
    )


def test_the_report_names_copies_shared_ingredients_and_nothing_else(bench: Bench) -> None:
    held_out = "int gather(const std::vector<int>& v) {\n    int best = 0;\n    for (int x : v) {\n"
    held_out += "        if (x % 7 == 3 && x > best) best = x * 5 - 11;\n    }\n    return best;\n}\n"
    copied = held_out.replace("gather", "scoop").replace("best", "top")
    made = bench.in_memory(
        corpus.decontamination_report,
        inputs={
            "clean_files": frame("clean_files", file("one", 1), file("one", 2, content=f"int other;\n{held_out}")),
            "docstring_pairs": frame("docstring_pairs", pair("one", 1), pair("one", 2, code=copied)),
            "diff_sft": frame("diff_sft", diff("one", 1), diff("one", 2, after=held_out)),
            "train_problems": frame("train_problems", problem(1), problem(2, split_key="secret")),
            "eval_problems": frame(
                "eval_problems",
                row("eval_problems", 8, source="bundled", references=[held_out], reference=held_out, split_key="own"),
                row("eval_problems", 9, source="family", split_key="secret"),
            ),
        },
    )["decontamination_report"]
    assert set(made.select("table", "row_id", "problem_id").rows()) == {
        ("clean_files", "one/./file_2.cpp", "problem_id 8"),
        ("docstring_pairs", "one/2", "problem_id 8"),
        ("diff_sft", "one-2", "problem_id 8"),
        ("train_problems", "problem_id 2", "problem_id 9"),
    }
    assert "split_key" in made.filter(table="train_problems")["rule"].to_list()


@pytest.mark.parametrize("dumps", [(), ("one",), ("one", "two")])
def test_the_report_covers_every_dump(bench: Bench, dumps: tuple[str, ...]) -> None:
    code = CODE.format(name="solve", number=1)
    given = {d: {"docstring_pairs": frame("docstring_pairs", pair(d, 1, code=code))} for d in dumps}
    given = {d: {**tables, "diff_sft": frame("diff_sft", diff(d, 5))} for d, tables in given.items()}
    given = {d: {**tables, "clean_files": frame("clean_files", file(d, 1))} for d, tables in given.items()}
    inputs = {
        "train_problems": frame("train_problems"),
        "eval_problems": frame("eval_problems", row("eval_problems", source="bundled", references=[code])),
    }
    store = bench.stored(corpus.decontamination_report, given, inputs)
    hits = store.scan("decontamination_report").collect()
    assert set(hits.filter(table="docstring_pairs")["row_id"]) == {f"{d}/1" for d in dumps}


@pytest.mark.parametrize("dumps", [(), ("one",), ("one", "two")])
def test_documented_functions_are_joined_over_dumps(bench: Bench, dumps: tuple[str, ...]) -> None:
    given = {d: {"docstring_pairs": frame("docstring_pairs", pair(d, 1), pair(d, 2))} for d in dumps}
    gone = frame("duplicate_pairs", row("duplicate_pairs", pair_id="two/1", kept_pair_id="one/1"))
    store = bench.stored(corpus.docstring_sft, given, {"decontamination_report": NO_HIT, "duplicate_pairs": gone})
    found = store.scan("docstring_sft").collect()
    assert set(found["row_id"]) == {f"docstring/{d}/{n}" for d in dumps for n in (1, 2)} - {"docstring/two/1"}
    assert set(found["source"]) <= {"docstring"}


def test_bad_equal_and_held_out_functions_are_no_examples(bench: Bench) -> None:
    pairs = frame(
        "docstring_pairs",
        pair("one", 1),
        pair("one", 2, quality=0.1),
        pair("one", 3, has_parse_error=True),
        pair("one", 4, doc="  "),
        pair("one", 5),
        pair("one", 6, token_sha256="one 1"),
    )
    hit = row("decontamination_report", table="docstring_pairs", row_id="one/5")
    inputs = {"docstring_pairs": pairs, "decontamination_report": frame("decontamination_report", hit)}
    made = bench.in_memory(corpus.docstring_sft, inputs={**inputs, "duplicate_pairs": frame("duplicate_pairs")})[
        "docstring_sft"
    ]
    assert made["row_id"].to_list() == ["docstring/one/1"]
    assert made["response"].item() == CODE.format(name="one_1", number=1)
    assert "Twice the value and 1." in made["instruction"].item()


def test_accepted_solutions_are_gathered_by_problem(bench: Bench) -> None:
    def solution(number: int, verdict: str | None, **values: object) -> dict[str, object]:
        made = {"problem_id": "problem_id 1", "code": f"code {number}", "score": 1.0, "verdict": verdict, **values}
        return row("pass_k_solutions", number, **made)

    solutions = frame(
        "pass_k_solutions",
        solution(1, "AC", count=1),
        solution(2, "AC", count=3),
        solution(3, "PA", score=0.5),
        solution(4, None, score=None, error="sandbox is gone"),
        solution(5, "AC", problem_id="problem_id 2"),
        solution(6, "AC", problem_id="unknown"),
    )
    inputs = {"pass_k_solutions": solutions, "train_problems": frame("train_problems", problem(1), problem(2))}
    made = bench.in_memory(corpus.pass_k_sft, inputs=inputs)["pass_k_sft"]
    codes = {r["problem_id"]: [s["code"] for s in r["solutions"]] for r in made.to_dicts()}
    assert codes == {"problem_id 1": ["code 2", "code 1"], "problem_id 2": ["code 5"]}


def sft_inputs() -> dict[str, pl.DataFrame]:
    """A row of every source of combined_sft, but no repair of a dump."""
    test = json.dumps({"args": [1], "expected": 2, "actual": 3, "verdict": "WA"})
    solution = {"code": "int solve(int value) { return value + value + 1; }\n", "score": 1.0}
    return {
        "docstring_sft": frame("docstring_sft", row("docstring_sft", 1, source="docstring")),
        "pass_k_sft": frame("pass_k_sft", row("pass_k_sft", 1, problem_id="problem_id 1", solutions=[solution])),
        "repair_rows": frame("repair_rows", row("repair_rows", 1, problem_id="problem_id 1", failing_test=test)),
        "train_problems": frame("train_problems", problem(1), problem(2), problem(3)),
        "decontamination_report": NO_HIT,
    }


@pytest.mark.parametrize("dumps", [(), ("one",), ("one", "two")])
def test_supervised_rows_are_joined_over_sources_and_dumps(bench: Bench, dumps: tuple[str, ...]) -> None:
    given = {d: {"diff_sft": frame("diff_sft", diff(d, 1))} for d in dumps}
    store = bench.stored(corpus.combined_sft, given, sft_inputs())
    found = store.scan("combined_sft").collect()
    counts = {"reference": 3, "pass_k": 1, "docstring": 1, "repair": 1, "diff": len(dumps)}
    assert dict(found.group_by("source").len().rows()) == {k: n for k, n in counts.items() if n}
    weights = dict(found.select("source", "weight").unique().rows())
    auxiliary = dict.fromkeys(weights.keys() - {"reference", "pass_k"}, PRESET.docstring_weight)
    assert weights == {"reference": 1.0, "pass_k": 1.0, **auxiliary}


def test_rows_near_a_held_out_problem_are_not_trained_on(bench: Bench) -> None:
    hits = [
        row("decontamination_report", table="train_problems", row_id="problem_id 1"),
        row("decontamination_report", table="diff_sft", row_id="one-1"),
    ]
    inputs = {**sft_inputs(), "diff_sft": frame("diff_sft", diff("one", 1), diff("one", 2))}
    inputs["decontamination_report"] = frame("decontamination_report", *hits)
    made = bench.in_memory(corpus.combined_sft, inputs=inputs)["combined_sft"]
    assert sorted(made["row_id"]) == [
        "diff/one-2",
        "reference/problem_id 2/0",
        "reference/problem_id 3/0",
        "row_id 1",
    ]
    assert set(made["provenance"]).isdisjoint({"problem_id 1"})


def test_a_row_that_does_not_fit_the_context_is_quarantined(bench: Bench) -> None:
    budget = int(CHARACTERS_PER_TOKEN * min(PRESET.seq_tokens, PRESET.shape.context))
    room = budget - len(chat_text("do it", ""))
    rows = [row("docstring_sft", n, source="docstring", instruction="do it", response="x" * (room + n)) for n in (0, 1)]
    inputs = {**sft_inputs(), "docstring_sft": frame("docstring_sft", *rows), "diff_sft": frame("diff_sft")}
    made = bench.in_memory(corpus.combined_sft, inputs=inputs)
    assert made["combined_sft"].filter(source="docstring")["row_id"].to_list() == ["row_id 0"]
    refused = made["combined_sft_quarantine"]
    assert refused.select("row_id", "reason").rows() == [("row_id 1", "too long")]
    assert f"{budget} fit" in refused["detail"].item()


def test_the_size_follows_the_preset(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "PRESET", replace(PRESET, sft_problems=1))
    inputs = {**sft_inputs(), "diff_sft": frame("diff_sft", *(diff("one", n) for n in range(5)))}
    made = bench.in_memory(corpus.combined_sft, inputs=inputs)["combined_sft"]
    counts = dict(made.group_by("source").len().rows())
    assert (counts["reference"], counts["diff"]) == (1, 2)


def test_a_file_that_the_report_names_does_not_train_the_tokenizer(bench: Bench) -> None:
    copied = "int zzyzx_road(int zzyzx) { return zzyzx * 3; }\n" * 50
    bench.write("clean_files", frame("clean_files", file("one", 1), file("one", 2, content=copied)), "one")
    bench.write("train_problems", frame("train_problems", *(problem(n, source="family") for n in range(40))))
    hit = row("decontamination_report", table="clean_files", row_id="one/./file_2.cpp")
    for report, known in ((NO_HIT, True), (frame("decontamination_report", hit), False)):
        bench.write("decontamination_report", report)
        assert bench.run([corpus.tokenizer]).success
        folder = bench.store.local_folder("checkpoints", "tokenizer")
        vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        assert any("zzyzx" in token for token in vocabulary) is known


def test_tokenizer_and_shards_are_published_from_the_dump_and_mix_as_said(
    bench: Bench, bundled: dict[str, pl.DataFrame]
) -> None:
    for name in ("clean_files", "docstring_pairs"):
        bench.write(name, bundled[name], "bundled")
    bench.write("train_problems", frame("train_problems", *(problem(n, source="family") for n in range(40))))
    bench.write("decontamination_report", NO_HIT)
    bench.write("duplicate_pairs", frame("duplicate_pairs"))
    result = bench.run(
        [corpus.tokenizer, corpus.pretraining_corpus, text_comes_back, mix_is_40_40_20, fim_comes_back_as_source]
    )
    assert result.success
    evaluations = {e.check_name: e for e in result.get_asset_check_evaluations()}
    assert {name: e.passed for name, e in evaluations.items()} == {
        "text_comes_back": True,
        "mix_is_40_40_20": True,
        "fim_comes_back_as_source": True,
    }
    documents = evaluations["fim_comes_back_as_source"].metadata["documents"].value
    assert documents.keys() == {"raw", "random_fim", "structured_fim"}  # type: ignore[union-attr]
    tokenizer = bench.store.local_folder("checkpoints", "tokenizer")
    assert len(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"]) <= PRESET.shape.vocab
    shards = bench.store.result("shards", "pretraining_corpus")
    assert shards is not None
    assert shards["metrics"]["tokens"] >= 0.95 * PRESET.corpus_tokens
    provenance = bench.store.provenance("pretraining_corpus")
    assert provenance is not None
    assert provenance.data_version == shards["data_sha256"][:32]


@pytest.mark.parametrize("dumps", [(), ("one",), ("one", "two")])
def test_tokenizer_and_shards_are_of_all_dumps(bench: Bench, dumps: tuple[str, ...]) -> None:
    for dump in dumps:
        named = f"int of_{dump}(int {dump}_value) {{\n    return {dump}_value * 2;\n}}\n"
        files = (file(dump, n, content=named * 20 + f"// {n}\n", size_bytes=1_000) for n in range(20))
        bench.write("clean_files", frame("clean_files", *files), dump)
        bench.write("docstring_pairs", frame("docstring_pairs", pair(dump, 1)), dump)
    bench.write("train_problems", frame("train_problems", *(problem(n, source="family") for n in range(40))))
    bench.write("decontamination_report", NO_HIT)
    bench.write("duplicate_pairs", frame("duplicate_pairs"))
    assert bench.run([corpus.tokenizer, corpus.pretraining_corpus, fim_comes_back_as_source]).success
    tokenizer = bench.store.result("checkpoints", "tokenizer")
    shards = bench.store.result("shards", "pretraining_corpus")
    assert tokenizer is not None
    assert shards is not None
    # A function and a request of each problem, and pieces of files.
    assert (tokenizer["metrics"]["texts"] > 80) is bool(dumps)
    assert ("real" in shards["metrics"]["tokens_by_source"]) is bool(dumps)


@pytest.mark.parametrize("dumps", [(), ("one",), ("one", "two")])
def test_what_the_cmake_specialist_reads_is_of_all_dumps_and_of_generated_projects(
    bench: Bench, dumps: tuple[str, ...]
) -> None:
    held_out = row("cmake_problems", 9, split="eval", instruction="Secret.", reference="project(secret)\n")
    open_ = row("cmake_problems", 1, split="train", reference="project(p)\n", configure_ok=True)

    def rows(dump: str) -> pl.DataFrame:
        known = {"configure_ok": True, "dump": dump, "instruction": f"Build {dump}."}
        copied = row("cmake_sft", row_id=f"{dump} copy", response="PROJECT(secret)", **known)
        return frame("cmake_sft", row("cmake_sft", row_id=dump, response=f"project({dump})\n", **known), copied)

    inputs = {"cmake_problems": frame("cmake_problems", open_, held_out)}
    store = bench.stored(corpus.combined_cmake, {d: {"cmake_sft": rows(d)} for d in dumps}, inputs)
    found = store.scan("combined_cmake").collect()
    assert found["row_id"].to_list() == [*dumps, "problem_id 1"]
    together = pl.concat([frame("cmake_sft"), *(rows(d) for d in dumps)])
    made = bench.in_memory(corpus.combined_cmake, inputs={**inputs, "cmake_sft": together})["combined_cmake"]
    assert made.equals(found)
