"""Fetching Debian source packages: mirrors, refusals, and one real download."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cpp_pipeline.dumps import debian
from cpp_pipeline.dumps.reading import read_files


def test_mirrors_in_both_formats(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").touch()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(
        "# comment\nTypes: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb\nEnabled: no\nURIs: http://off.example\nSuites: x\nComponents: y\n"
    )
    (tmp_path / "sources.list.d" / "old.list").write_text(
        "deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian bookworm main contrib # comment\n"
        "# deb http://commented.example x y\n"
    )
    entries = debian.source_entries(tmp_path)
    assert entries == (
        "Types: deb-src\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: main\n\n"
        "Types: deb-src\nURIs: https://mirror.example/debian\nSuites: bookworm\nComponents: main contrib\n"
        "Signed-By: /k.gpg\n"
    )


def test_without_apt_there_is_a_line_and_no_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    lines: list[str] = []
    assert debian.fetch_debian(tmp_path / "d", ("re2",), lines.append) is None
    assert lines == ["no C++ from Debian: apt-get is not installed"]
    assert not (tmp_path / "d").exists()


def test_what_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "re2").mkdir()
    lines: list[str] = []
    assert debian.fetch_debian(tmp_path, ("re2",), lines.append) == tmp_path
    assert lines == []


def test_a_package_name_cannot_be_an_option_or_a_path(tmp_path: Path) -> None:
    for name in ("-oAPT=x", "../x", "A", ""):
        with pytest.raises(ValueError, match="no Debian package name"):
            debian.fetch_debian(tmp_path, (name,))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("apt-get") is None, reason="needs apt-get")
def test_a_real_package(tmp_path: Path) -> None:
    lines: list[str] = []
    found = debian.fetch_debian(tmp_path / "d", ("re2", "no-such-package-here"), lines.append)
    if found is None:
        pytest.skip(f"no Debian mirror: {lines}")
    assert [p.name for p in tmp_path.iterdir()] == ["d"]
    assert sorted(p.name for p in found.iterdir()) == ["re2"]
    assert "not fetched: E: Unable to find a source package" in lines[1]
    files, _ = read_files(found, "debian", tmp_path / "s")
    rows = files.collect()
    assert len(rows) > 50
    assert (rows["licence"] == "BSD-3-Clause").sum() > 50
