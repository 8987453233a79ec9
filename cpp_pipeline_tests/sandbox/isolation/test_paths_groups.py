"""Paths of boxes on the host, and where control groups are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cpp_pipeline.sandbox.isolation import Box
from cpp_pipeline.sandbox.isolation.hierarchies import open_groups
from cpp_pipeline.sandbox.isolation.hostpaths import HostPaths

PAIRS = [("/srv/native", "/box/native"), ("/srv/pch", "/box/native/pch"), ("/srv/out", "/out")]
PATHS = HostPaths(Box([], readonly=PAIRS), Path("/srv/scratch"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/out/program", "/srv/out/program"),
        ("/box/native/pch/a.hpp", "/srv/pch/a.hpp"),  # the longest that fits
        ("/box/native/x", "/srv/native/x"),
        ("-I/box/native", "-I/srv/native"),
        ("cd /tmp && cat /out/log", "cd /srv/scratch && cat /srv/out/log"),
        ("--path=/tmp:/out", "--path=/srv/scratch:/srv/out"),
        *((text, text) for text in ("/usr/tmp", "build/out", "/outer", "/out-of", "/box/nativer", "./tmp", "a.b/out")),
    ],
)
def test_paths_of_the_box_become_paths_of_the_host(text: str, expected: str) -> None:
    assert PATHS.outside(text) == expected


@given(st.lists(st.sampled_from([inside for _, inside in PAIRS] + ["/tmp"]), min_size=1), st.text("abc/;&= \n"))
def test_messages_name_paths_as_in_the_box(paths: list[str], between: str) -> None:
    text = f" {between} ".join(f"{path}/x" for path in paths)
    outside = PATHS.outside(text)
    assert outside.count("/srv/") == len(paths)
    assert PATHS.inside(outside.encode()).decode() == text


@given(st.text())
def test_text_without_paths_stays(text: str) -> None:
    if not any(path in text for path in ("/tmp", "/out", "/box")):
        assert PATHS.outside(text) == text


def _machine(folder: Path, cgroup: str, mounts: str) -> Path:
    (folder / "cgroup").write_text(cgroup)
    (folder / "mountinfo").write_text(mounts)
    return folder


@pytest.mark.parametrize(
    "mounts",
    [
        "",
        "30 29 0:26 / {folder}/v1 rw - cgroup cgroup rw,memory\n",  # a folder that takes the files but is no group
        "30 29 0:26 / {folder}/v2 rw - cgroup2 cgroup2 rw\n",
        "30 29 0:26 / /nonexistent rw - cgroup2 cgroup2 rw\n",
    ],
)
def test_machines_without_usable_groups_have_none(folder: Path, mounts: str) -> None:
    for name in ("v1", "v2"):
        (folder / name).mkdir()
    (folder / "v2" / "cgroup.subtree_control").write_text("cpu memory pids")
    proc = _machine(folder, "5:memory:/\n0::/\n", mounts.format(folder=folder))
    groups = open_groups(Path("/bin/true"), proc)
    assert groups.version == ""
    with groups.lease(1 << 20, 4) as group:
        assert (list(group.descriptors), group.out_of_memory()) == ([], False)
    assert [path for path in folder.rglob("cpp-pipeline-*")] == []
