"""One report over all stages: figures, differences, targets, the control, lineage, model card.

Belongs here: what the stages say together. Does not belong here: single evaluations (`reports`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cpp_pipeline.evaluation import page

Metrics = dict[str, dict[str, Any]]

CODE_EVALS = ("base_eval", "sft_eval", "gspo_eval", "sft_control_eval")
LABELS = {
    "base_eval": "base",
    "sft_eval": "SFT",
    "gspo_eval": "GSPO",
    "sft_control_eval": "control: more SFT",
}
_COLUMNS = ("pass@1", "greedy", "compile_rate", "codebleu")


@dataclass(frozen=True)
class Target:
    """`end` ("value" or "low") of a metric of an evaluation has to be above `above`."""

    evaluation: str
    metric: str
    above: float
    end: str = "value"

    @property
    def words(self) -> str:
        """As shown to people."""
        part = "" if self.end == "value" else ", lower end of the interval"
        return f"{self.evaluation}: {self.metric}{part} > {self.above:g}"


_METHOD = (
    Target("base_eval", "codebleu", 0.3),
    Target("base_eval", "pass@1", 0.05),
    Target("sft_eval", "codebleu", 0.4),
    Target("sft_eval", "pass@1", 0.15),
    Target("gspo_eval", "codebleu", 0.5),
    Target("gspo_eval", "pass@1", 0.25),
    Target("agent_eval", "success", 0.4),
)
_TINY = (
    Target("base_eval", "pass@1 (family)", 0.05),
    Target("sft_eval", "pass@1 (family) - base_eval", 0.0, "low"),
    Target("gspo_eval", "pass@1 (family) - sft_eval", 0.0, "low"),
)
TARGETS: Mapping[str, Sequence[Target]] = {"smoke": (), "tiny": _TINY, "d4": _METHOD, "d8": _METHOD, "d16": _METHOD}
"""The method states its targets for d16 after full training; smoke only shows that the chain runs."""


def model_report(
    preset: str, evaluations: Mapping[str, Path], stages: Mapping[str, Mapping[str, Any]], out: Path
) -> Metrics:
    """Write index.html, model_card.md, metrics.json and targets.json.

    Parameters
    ----------
    evaluations
        Evaluation -> folder with its metrics.json. Those without one are named as missing.
    stages
        Checkpoint -> its result.json (steps, tokens, cpu_seconds, weights_sha256); empty when not trained.

    Returns
    -------
    dict
        "EVALUATION METRIC" -> {value, low, high, n}.
    """
    found = {name: _read(folder / "metrics.json") for name, folder in evaluations.items()}
    merged = {f"{name} {metric}": dict(m) for name, ms in found.items() for metric, m in ms.items()}
    targets = check_targets(preset, found)
    out.mkdir(parents=True, exist_ok=True)
    _write_json(out / "metrics.json", merged)
    _write_json(out / "targets.json", targets)
    (out / "index.html").write_text(_page(preset, found, stages, targets), encoding="utf-8")
    (out / "model_card.md").write_text(_card(preset, found, stages, targets), encoding="utf-8")
    return merged


def check_targets(preset: str, found: Mapping[str, Metrics]) -> list[dict[str, Any]]:
    """Each target of the preset with what was measured; a missing figure does not meet it."""
    rows = []
    for target in TARGETS.get(preset, _METHOD):
        measured = found.get(target.evaluation, {}).get(target.metric, {}).get(target.end)
        met = measured is not None and measured > target.above
        rows.append({"target": target.words, "measured": measured, "met": met, **asdict(target)})
    return rows


def control_words(found: Mapping[str, Metrics], stages: Mapping[str, Mapping[str, Any]]) -> str:
    """GSPO beside more SFT steps, with the CPU time of both: what the gain would have cost otherwise."""
    gspo, control = found.get("gspo_eval", {}).get("pass@1"), found.get("sft_control_eval", {}).get("pass@1")
    if gspo is None or control is None:
        return "The control (more SFT steps in place of GSPO) was not measured."
    costs = [stages.get(s, {}).get("cpu_seconds") for s in ("gspo_checkpoint", "sft_control_checkpoint")]
    shown = ["an unknown number of" if c is None else f"{c:.0f}" for c in costs]
    words = (
        f"GSPO reaches pass@1 {gspo['value']:.3f} for {shown[0]} CPU seconds of training. The control, more SFT steps "
        f"on the same rows, reaches {control['value']:.3f} for {shown[1]} CPU seconds. "
    )
    if control["value"] <= gspo["value"]:
        return words + "More supervised steps did not do better than GSPO here."
    return words + (
        "More supervised steps do better: supervised training was stopped early on purpose, and GSPO's gain shows that "
        "the loop of sampling, judging and updating works, not that it is the best use of the time."
    )


def _rows(found: Mapping[str, Metrics]) -> list[list[object]]:
    rows: list[list[object]] = []
    for name in CODE_EVALS:
        metrics = found.get(name, {})
        if metrics:
            one = metrics["pass@1"]
            at_k = [m for m in metrics if m.startswith("pass@") and " " not in m and m != "pass@1"]
            best = f"{metrics[at_k[0]]['value']:.3f} (k = {at_k[0][5:]})" if at_k else ""
            others = [metrics.get(c, {}).get("value") for c in _COLUMNS[1:]]
            rows.append([LABELS[name], one["value"], page.interval(one), best, *others, one["n"]])
    return rows


_HEAD = ("stage", "pass@1", "95 % interval", "pass@k", "greedy", "compile rate", "CodeBLEU", "problems")


def _stage_rows(stages: Mapping[str, Mapping[str, Any]]) -> list[list[object]]:
    return [
        [n, s.get("steps"), s.get("tokens"), _whole(s.get("cpu_seconds")), str(s.get("weights_sha256") or "")[:16]]
        for n, s in stages.items()
        if s
    ]


_STAGE_HEAD = ("checkpoint", "steps", "tokens", "CPU seconds", "weights sha256")


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _page(
    preset: str,
    found: Mapping[str, Metrics],
    stages: Mapping[str, Mapping[str, Any]],
    targets: Sequence[Mapping[str, Any]],
) -> str:
    ones = {LABELS[n]: found[n]["pass@1"] for n in CODE_EVALS if found.get(n)}
    differences = {
        f"{LABELS[n]} - {LABELS.get(m[9:], m[9:])}": found[n][m]
        for n in CODE_EVALS
        for m in found.get(n, {})
        if m.startswith("pass@1 - ")
    }
    missing = [n for n, metrics in found.items() if not metrics]
    blocks = [page.note(f"Preset {preset}. Held-out problems; intervals are 95 %, bootstrap over problems.")]
    blocks += [page.note("Not measured in this run: " + ", ".join(missing) + ".")] if missing else []
    blocks += [page.heading("Code models"), page.table(_HEAD, _rows(found))]
    blocks += [page.points("pass@1 by stage", "share of samples that pass all tests", ones)] if ones else []
    if differences:
        blocks.append(page.points("Paired differences of pass@1", "difference", differences, zero_line=True))
    blocks += [page.note(control_words(found, stages)), page.heading("Targets")]
    if targets:
        rows = [[t["target"], t["measured"], t["met"]] for t in targets]
        blocks.append(page.table(("target", "measured", "met"), rows))
    else:
        blocks.append(page.note("This preset has no targets: it shows that the chain runs."))
    for name, metrics in found.items():
        if name not in CODE_EVALS and metrics:
            blocks += [page.heading(name), page.metrics_table(metrics)]
    blocks += [page.heading("Training"), page.table(_STAGE_HEAD, _stage_rows(stages))]
    return page.page(f"Model report, preset {preset}", *blocks)


def _card(
    preset: str,
    found: Mapping[str, Metrics],
    stages: Mapping[str, Mapping[str, Any]],
    targets: Sequence[Mapping[str, Any]],
) -> str:
    lines = [
        f"# C++ code model, preset {preset}",
        "",
        "Qwen3 architecture, trained from scratch: base on raw code and fill-in-the-middle, supervised fine-tuning on "
        "documented functions and verified solutions, then GSPO with verdicts of a sandbox as reward.",
        "",
        "## Results on held-out problems",
        "",
        *_markdown(_HEAD, _rows(found)),
        "",
        control_words(found, stages),
        "",
        "## Targets",
        "",
        *_markdown(("target", "measured", "met"), [[t["target"], t["measured"], t["met"]] for t in targets]),
        "",
        "## Training",
        "",
        *_markdown(_STAGE_HEAD, _stage_rows(stages)),
        "",
        "## Limits",
        "",
        "The generated problems share their operators and phrasings with training; held-out pairs of steps measure "
        "composition and nothing else. A small preset tests the pipeline, not the method's quality.",
        "",
    ]
    return "\n".join(lines)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    if not rows:
        return ["(none)"]
    cells = [[page.shown(v).replace("|", "\\|") for v in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(head), ["---"] * len(head), *cells]]


def _read(path: Path) -> Metrics:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
