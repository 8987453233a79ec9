"""Real C++ from Debian source packages, fetched without root.

Belongs here: downloading source archives with apt into a private state, and extracting what the pipeline
reads. Does not belong here: reading the files.

Source packages carry headers, sources and build files. Nothing of a package is run: `dpkg-source` is not
called, so neither its build scripts nor its patches are touched; apt checks the archives' signatures.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from cpp_pipeline.dumps.isolated import Reader
from cpp_pipeline.dumps.parts import Parts
from cpp_pipeline.dumps.registry import file_kind

DEFAULT_PACKAGES = ("ceres-solver", "bullet", "geographiclib", "re2")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+")
_UPDATE_SECONDS = 90.0
_PACKAGE_SECONDS = 120.0
_SOURCES = Path("/etc/apt")
_CONFIG = """\
Dir::Etc::SourceList "{state}/deb-src.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "{state}/lists";
Dir::Cache "{state}/cache";
Acquire::http::Timeout "15";
Acquire::https::Timeout "15";
Acquire::Retries "1";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""


def fetch_debian(
    folder: Path,
    packages: Sequence[str] = DEFAULT_PACKAGES,
    log: Callable[[str], None] = print,
) -> Path | None:
    """Fetch source packages as a dump: one folder a package, with C, C++, CMake and licence files only.

    A package that is already there is not fetched again; each one appears in one rename. Takes about 3 s for the
    default packages and gives up after 90 s for the index and 120 s a package.

    Parameters
    ----------
    folder
        The dump; made when missing.
    packages
        Names of Debian source packages.
    log
        Called with one line for each package, or for the reason why nothing was fetched.

    Returns
    -------
    Path or None
        `folder` when it holds at least one of the packages; None without apt, without a mirror or without any
        of the packages.

    Raises
    ------
    ValueError
        For a name that cannot be a Debian package.
    """
    for package in packages:
        if not _PACKAGE.fullmatch(package):
            raise ValueError(f"{package!r} is no Debian package name: lower-case letters, digits, + - .")
    missing = [p for p in packages if not (folder / p).is_dir()]
    if missing:
        reason = _fetch(folder, missing, log)
        if reason is not None:
            log(f"no C++ from Debian: {reason}")
    return folder if any((folder / p).is_dir() for p in packages) else None


def _fetch(folder: Path, packages: Sequence[str], log: Callable[[str], None]) -> str | None:
    """Fetch `packages` one by one; the reason when none could be tried."""
    apt = shutil.which("apt-get")
    if apt is None:
        return "apt-get is not installed"
    sources = source_entries(_SOURCES)
    if not sources:
        return f"no package mirror is set up in {_SOURCES}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".apt-", dir=folder.parent) as temporary:
        state = Path(temporary).resolve()
        for part in ("lists/partial", "cache/archives/partial", "archives", "work"):
            (state / part).mkdir(parents=True)
        (state / "deb-src.sources").write_text(sources)
        config = state / "apt.conf"
        config.write_text(_CONFIG.format(state=state))
        failed = _run([apt, "-c", str(config), "-qq", "update"], state, _UPDATE_SECONDS)
        # One broken extra mirror fails the update as a whole; what counts is whether an index has come.
        if not any("Sources" in f.name for f in (state / "lists").iterdir()):
            return f"no mirror answered ({failed or 'no source index'})"
        for package in packages:
            log(_fetch_package([apt, "-c", str(config), "-qq"], state, folder, package))
    return None


def _fetch_package(apt: list[str], state: Path, folder: Path, package: str) -> str:
    start = time.monotonic()
    archives = state / "archives" / package
    archives.mkdir()
    failed = _run([*apt, "source", "--download-only", package], archives, _PACKAGE_SECONDS)
    if failed is not None:
        return f"Debian package {package}: not fetched: {failed}"
    names = sorted(f.name for f in archives.iterdir() if file_kind(f.name) == "archive")
    trees: list[Path] = []
    work = state / "work" / package
    work.mkdir()
    with Reader() as reader:
        parts = Parts(archives, work, reader)
        for number, place in enumerate(parts.repositories()):
            trees.append(state / "work" / f"{package}-{number}")
            os.rename(place.repo.folder, trees[-1])
    if len(trees) != 1:
        return f"Debian package {package}: not used: {len(trees)} source trees in {names}"
    tree = trees[0]
    (tree / "debian").mkdir(exist_ok=True)
    # Where the files are from; the names hold the version.
    refused = "".join(f"refused: {b.where}: {b.reason}\n" for b in parts.bad)
    origin = "".join(f"{name}\n" for name in names) + refused
    (tree / "debian" / "fetched-from").write_text(origin)
    os.rename(tree, folder / package)
    count = sum(1 for f in (folder / package).rglob("*") if f.is_file())
    return f"Debian package {package}: {names[-1]}, {count} files, {time.monotonic() - start:.1f} s"


def _run(command: list[str], folder: Path, seconds: float) -> str | None:
    """Run a command in `folder`; None when it succeeded, else one line that says why not."""
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:.0f} s"
    lines = [line for line in done.stderr.splitlines() if line.startswith("E:")]
    if done.returncode != 0:
        return lines[0] if lines else f"exit code {done.returncode}"
    return None


def source_entries(etc_apt: Path) -> str:
    """The machine's package mirrors as deb822 entries of type deb-src; empty when there are none.

    Reads `sources.list` and `sources.list.d`, in the one-line and in the deb822 format.
    """
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    entries: list[str] = []
    for file in (f for f in files if f.is_file()):
        text = file.read_text(encoding="utf-8", errors="replace")
        if file.suffix == ".sources":
            entries += _deb822(text)
        elif file.suffix == ".list":
            entries += _one_line(text)
    return "\n".join(dict.fromkeys(entries))


def _deb822(text: str) -> Iterator[str]:
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
        types = next((line for line in lines if line.lower().startswith("types:")), "")
        disabled = any(re.match(r"enabled:\s*(no|false)", line, re.I) for line in lines)
        if types and not disabled:
            rest = [line for line in lines if line is not types]
            yield "\n".join(["Types: deb-src", *rest]) + "\n"


def _one_line(text: str) -> Iterator[str]:
    for match in re.finditer(r"^\s*deb(?:-src)?\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)([^#\n]*)", text, re.M):
        options, uri, suite, components = match.groups()
        entry = f"Types: deb-src\nURIs: {uri}\nSuites: {suite}\n"
        if components.strip():
            entry += f"Components: {components.strip()}\n"
        signed = re.search(r"signed-by=(\S+)", options or "")
        yield entry + (f"Signed-By: {signed[1]}\n" if signed else "")
