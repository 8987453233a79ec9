"""The command line: thin over the Python API.

Exit code 0 means that the command did what it was asked, and nothing else does.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cpp_pipeline.k8s_cli import k8s_app

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
dumps_app = typer.Typer(no_args_is_help=True, help="Register, list and remove repository dumps.")
problems_app = typer.Typer(no_args_is_help=True, help="Problem sets for evaluation.")
app.add_typer(dumps_app, name="dumps")
app.add_typer(problems_app, name="problems")
app.add_typer(k8s_app, name="k8s")
console = Console(stderr=False, highlight=False, soft_wrap=True)

Root = Annotated[str, typer.Option(help="Storage root: a folder or gs://bucket/prefix.", envvar="CPP_PIPELINE_ROOT")]
PresetName = Annotated[str, typer.Option(help="smoke, tiny, d4, d8 or d16.", envvar="CPP_PIPELINE_PRESET")]
Seed = Annotated[int, typer.Option(help="Seed of every random choice.", envvar="CPP_PIPELINE_SEED")]


@app.command()
def run(
    dump: Annotated[list[str] | None, typer.Option(help="A dump (path or URL) to add first; may be repeated.")] = None,
    preset: PresetName = "tiny",
    root: Root = "data",
    seed: Seed = 0,
    select: Annotated[str | None, typer.Option(help="Dagster asset selection, e.g. '+docstring_pairs'.")] = None,
    bundled: Annotated[
        bool | None,
        typer.Option(help="Add the bundled dump and real C++ from Debian; by default where no dump was given."),
    ] = None,
) -> None:
    """Bring the whole graph up to date, from dumps to the model report."""
    from cpp_pipeline.main_job import default_dumps, main_job, wants_default_dumps
    from cpp_pipeline.storage.dumps import named
    from cpp_pipeline.storage.space import told_plainly
    from cpp_pipeline.storage.store import Store

    with told_plainly(root):
        sources = named(Store(root), dump or [])
        if bundled is None:
            bundled = not sources and wants_default_dumps(root)
        defaults = default_dumps(root, _say) if bundled else []
        try:
            summary = main_job(root, preset, seed, [*defaults, *sources], select, _say)
        except KeyboardInterrupt:
            _say("interrupted; what is finished is kept, run again to go on")
            raise typer.Exit(130) from None
    console.print(_summary_table(summary))
    for failure in summary.failures:
        console.print(f"failed: {failure}", style="red", markup=False)
    store = Store(root)
    if store.result("reports", "model_report") is not None:
        page = store.folder("reports", "model_report") / "index.html"
        console.print(f"report: {page}", markup=False)
    console.print(f"{'done' if summary.success else 'NOT COMPLETE'} in {summary.seconds:.0f} s")
    raise typer.Exit(0 if summary.success else 1)


def _summary_table(summary: object) -> Table:
    from cpp_pipeline.summary import Summary

    assert isinstance(summary, Summary)
    table = Table("asset", "status", "rows", "seconds", "checks", title="cpp_pipeline")
    for line in summary.lines.values():
        checks = f"{line.checks_passed} passed" if line.checks_passed else ""
        checks += f", {len(line.warnings)} warned" if line.warnings else ""
        checks += f", {len(line.checks_failed)} FAILED" if line.checks_failed else ""
        seconds = f"{line.seconds:.1f}" if line.seconds else ""
        table.add_row(line.asset, line.status, "" if line.rows is None else f"{line.rows:,}", seconds, checks)
    return table


@app.command()
def ui(root: Root = "data", preset: PresetName = "tiny", seed: Seed = 0, port: int = 3000) -> None:
    """Open the Dagster UI on the runs and data of a root; Ctrl-C ends it."""
    from cpp_pipeline.storage.space import told_plainly
    from cpp_pipeline.ui import serve

    with told_plainly(root):
        raise typer.Exit(serve(root, preset, seed, port))


@app.command()
def doctor(root: Root = "data") -> None:
    """Tell what this machine has, and what to do about what is missing."""
    from cpp_pipeline.doctor import examine

    findings = examine(root)
    for f in findings:
        mark = {"ok": "[green]ok[/]", "optional": "[yellow]--[/]", "missing": "[red]!![/]"}[f.level]
        console.print(f"{mark} {f.subject}: {f.found}" + (f"\n   -> {f.remedy}" if f.remedy else ""))
    raise typer.Exit(1 if any(f.level == "missing" for f in findings) else 0)


@app.command()
def report(root: Root = "data") -> None:
    """Print the figures of the model report and where its page lies."""
    import json

    from cpp_pipeline.storage.metadata import metrics_markdown
    from cpp_pipeline.storage.store import Store

    store = Store(root)
    if store.result("reports", "model_report") is None:
        _fail(f"no report below {root}: run `cpp-pipeline run` first")
    figures = store.local_folder("reports", "model_report") / "metrics.json"
    console.print(metrics_markdown(json.loads(figures.read_text())), markup=False)
    console.print(f"report: {store.folder('reports', 'model_report') / 'index.html'}", markup=False)


@app.command()
def unlock(root: Root = "data") -> None:
    """Free a gs:// root whose run was killed. A local root is free when its process has ended."""
    from cpp_pipeline.storage.lock import unlock as take_away
    from cpp_pipeline.storage.store import Store

    holder = take_away(Store(root))
    console.print(f"{root} is free" + (f"; it was held by {holder}" if holder else ""), markup=False)


@dumps_app.command("add")
def dumps_add(
    path: Annotated[
        str, typer.Argument(help="A folder, archive, JSONL or parquet file: a path, or gs://bucket/prefix.")
    ],
    name: Annotated[str, typer.Option(help="Partition key.")],
    shards: Annotated[
        int, typer.Option(help="Cut a huge dump into this many partitions, NAME-0001-of-000N and so on.")
    ] = 1,
    root: Root = "data",
) -> None:
    """Register a dump; `run` then takes it through the graph."""
    from cpp_pipeline.dumps.progress import words
    from cpp_pipeline.known_dumps import added, check_home
    from cpp_pipeline.storage.dumps import add_dump, add_shards
    from cpp_pipeline.storage.store import Store

    check_home(root)
    try:
        if shards == 1:
            found, how = [add_dump(Store(root), path, name)], ""
        else:
            with console.status(f"looking at {path}") as status:
                found, how = add_shards(Store(root), path, name, shards, lambda n, b: status.update(words(n, b)))
    except (ValueError, FileNotFoundError) as error:
        _fail(str(error))
    told = added(root, [d.name for d in found])
    if how:
        console.print(f"{name}: {len(found)} shards, {found[0].name} to {found[-1].name}; {how}; {told}", markup=False)
    else:
        console.print(f"{found[0].name}: {found[0].kind} at {found[0].path}; {told}", markup=False)


@dumps_app.command("list")
def dumps_list(root: Root = "data") -> None:
    """List the registered dumps; the shards of one are one line."""
    from cpp_pipeline.storage.dumps import dumps
    from cpp_pipeline.storage.store import Store

    for d in dumps(Store(root)):
        if d.shard.index == 0:
            cut = f"\t{d.shard.count} shards" if d.group else ""
            console.print(f"{d.group or d.name}\t{d.kind}\t{d.path}{cut}", markup=False)


@dumps_app.command("remove")
def dumps_remove(name: str, root: Root = "data") -> None:
    """Forget a dump (all its shards) and its partitions of every table; the user's data stay."""
    from cpp_pipeline.known_dumps import check_home, removed
    from cpp_pipeline.storage.dumps import remove_dump
    from cpp_pipeline.storage.store import Store

    check_home(root)
    try:
        gone = remove_dump(Store(root), name)
    except KeyError as error:
        _fail(str(error.args[0]))
    told = removed(root, gone)
    console.print(f"removed {name}, {told}; `cpp-pipeline run` brings the joined tables up to date", markup=False)


@problems_app.command("add")
def problems_add(path: Path, root: Root = "data") -> None:
    """Add a problem set (own format or HumanEval-X JSONL) to the held-out problems."""
    from cpp_pipeline.storage.dumps import add_problems
    from cpp_pipeline.storage.store import Store

    try:
        target = add_problems(Store(root), path)
    except FileNotFoundError as error:
        _fail(str(error))
    console.print(f"added {target.name}; `cpp-pipeline run` judges its references and evaluates on it", markup=False)


@app.command()
def export(asset: str, jsonl: Annotated[Path, typer.Option(help="File to write.")], root: Root = "data") -> None:
    """Write a training table as JSON lines in the method's row shapes."""
    from cpp_pipeline.storage.export import export_jsonl
    from cpp_pipeline.storage.store import Store

    try:
        rows = export_jsonl(Store(root), asset, jsonl)
    except (ValueError, FileNotFoundError) as error:
        _fail(str(error))
    console.print(f"{rows} rows of {asset} in {jsonl}", markup=False)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def sandbox(ctx: typer.Context) -> None:
    """Serve or check the sandbox: `sandbox serve --port N`, `sandbox check`."""
    os.execv(sys.executable, [sys.executable, "-m", "cpp_pipeline.sandbox", *ctx.args])


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def agent(ctx: typer.Context) -> None:
    """Ask the agent: `agent "request"`, or `agent serve`."""
    os.execv(sys.executable, [sys.executable, "-m", "cpp_pipeline.agent", *ctx.args])


def _say(text: str) -> None:
    console.print(text, markup=False)


def _fail(message: str) -> None:
    Console(stderr=True, soft_wrap=True).print(f"error: {message}", markup=False, style="red")
    raise typer.Exit(2)


def main() -> None:
    """Entry point of the `cpp-pipeline` command."""
    logging.getLogger("dagster").setLevel(logging.ERROR)
    # Dagster's notes on its own functions say nothing to a user of this command
    warnings.filterwarnings("ignore", message=r".* is currently in (preview|beta)")
    try:
        app()
    except (ValueError, OSError, RuntimeError) as error:
        Console(stderr=True, soft_wrap=True).print(f"error: {error}", markup=False, style="red")
        sys.exit(2)


if __name__ == "__main__":
    main()
