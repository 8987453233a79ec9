"""Git repositories made to harm their reader, byte by byte where git itself would refuse to write them.

Each case is a function of (dump folder, folder outside the dump) that makes the repository `r` in the dump; what
`OUTSIDE` holds lies outside and must never be read, and `PROGRAM` must never run.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cpp_pipeline_tests.dumps import repositories

GOOD = b"int good;\n"
SECRET = b"int secret_of_the_outside;\n"
_HOOKS = (
    "pre-commit",
    "post-checkout",
    "post-merge",
    "reference-transaction",
    "fsmonitor-watchman",
    "post-index-change",
)
Case = Callable[[Path, Path], None]


def program(outside: Path) -> Path:
    """A program outside the dump that leaves the file `started` there."""
    script = outside / "program.sh"
    script.write_text(f"#!/bin/sh\necho $0 $@ >> {outside}/started\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return script


def clone(dump: Path) -> Path:
    """An ordinary clone with two commits."""
    repositories.make(dump / "r", [{"good.cc": b"int old;\n"}, {"good.cc": GOOD}])
    return dump / "r" / ".git"


def with_config(text: str, attributes: str = "") -> Case:
    """A clone with more configuration; `{program}` in it is a program, `{outside}` the folder outside."""

    def make(dump: Path, outside: Path) -> None:
        git = clone(dump)
        filled = text.replace("{program}", str(program(outside))).replace("{outside}", str(outside))
        with (git / "config").open("a") as config:
            config.write(filled)
        (git / "info").mkdir(exist_ok=True)
        (git / "info" / "attributes").write_text(attributes)
        (dump / "r" / ".gitattributes").write_text(attributes)

    return make


def hooks(dump: Path, outside: Path) -> None:
    folder = clone(dump) / "hooks"
    folder.mkdir(exist_ok=True)
    for name in _HOOKS:
        (folder / name).write_text(program(outside).read_text())
        (folder / name).chmod(0o755)


def lazy_fetch(dump: Path, outside: Path) -> None:
    with_config(
        "[core]\n\trepositoryformatversion = 1\n\tsshCommand = {program}\n[extensions]\n\tpartialClone = origin\n"
        '[remote "origin"]\n\turl = ssh://host/r\n\tpromisor = true\n'
    )(dump, outside)
    lose(dump / "r" / ".git", b"blob", GOOD)


def lose(git: Path, kind: bytes, data: bytes) -> None:
    """Take an object away."""
    oid = hashlib.sha1(kind + b" %d\0" % len(data) + data).hexdigest()
    (git / "objects" / oid[:2] / oid[2:]).unlink()


def secret_repository(outside: Path) -> Path:
    repositories.make(outside / "r", [{"secret.cc": SECRET}, {"secret.cc": SECRET}])
    return outside / "r" / ".git"


def alternates(line: str) -> Case:
    def make(dump: Path, outside: Path) -> None:
        secret_repository(outside)
        info = clone(dump) / "objects" / "info"
        info.mkdir(exist_ok=True)
        (info / "alternates").write_text(line.replace("{outside}", str(outside)) + "\n")

    return make


def alternates_chain(dump: Path, outside: Path) -> None:
    """Alternates inside the dump whose own alternates lead out of it."""
    secret_repository(outside)
    clone(dump)
    other = dump / "store" / "objects"
    (other / "info").mkdir(parents=True)
    (other / "info" / "alternates").write_text(f"{outside}/r/.git/objects\n")
    info = dump / "r" / ".git" / "objects" / "info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_text("../../../store/objects\n")


def linked(part: str) -> Case:
    """A part of the git folder is a link to the same part outside."""

    def make(dump: Path, outside: Path) -> None:
        secret = secret_repository(outside)
        git = clone(dump)
        target = git / part if part else git
        kept = target.with_name(target.name + ".kept")
        if target.exists():
            target.rename(kept)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(secret / part if part else secret)

    return make


def gitdir_file(dump: Path, outside: Path) -> None:
    secret = secret_repository(outside)
    (dump / "r").mkdir()
    (dump / "r" / ".git").write_text(f"gitdir: {secret}\n")
    (dump / "r" / "good.cc").write_bytes(GOOD)


def commondir(dump: Path, outside: Path) -> None:
    (clone(dump) / "commondir").write_text(f"{secret_repository(outside)}\n")


def worktree(dump: Path, outside: Path) -> None:
    tree = clone(dump) / "worktrees" / "w"
    tree.mkdir(parents=True)
    (tree / "gitdir").write_text(f"{secret_repository(outside)}\n")
    (tree / "commondir").write_text(f"{outside}/r/.git\n")
    (tree / "HEAD").write_text("ref: refs/heads/main\n")


def head(text: str) -> Case:
    def make(dump: Path, outside: Path) -> None:
        secret_repository(outside)
        (clone(dump) / "HEAD").write_text(text.replace("{outside}", str(outside)))

    return make


def replaced(dump: Path, outside: Path) -> None:
    """A replace ref that would show another file under the good one's id."""
    git = clone(dump)
    evil = write_loose(git, b"blob", SECRET)
    good = hashlib.sha1(b"blob %d\0" % len(GOOD) + GOOD).hexdigest()
    (git / "refs" / "replace").mkdir(parents=True)
    (git / "refs" / "replace" / good).write_text(evil + "\n")
    (git / "info").mkdir(exist_ok=True)
    (git / "info" / "grafts").write_text(f"{evil} {evil}\n")


def write_loose(git: Path, kind: bytes, data: bytes, says: int | None = None) -> str:
    """Write a loose object; `says` is the size that its header tells, when it lies."""
    head_bytes = kind + b" %d\0" % (len(data) if says is None else says)
    oid = hashlib.sha1(head_bytes + data).hexdigest()
    file = git / "objects" / oid[:2] / oid[2:]
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.write_bytes(zlib.compress(head_bytes + data))
    return oid


def write_tree(git: Path, entries: Sequence[tuple[str, bytes, str]]) -> str:
    """A tree of (mode, name, id) as they stand, whatever git thinks of them."""
    body = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries)
    return write_loose(git, b"tree", body)


def bare(dump: Path, objects: Callable[[Path], str]) -> None:
    """A bare repository whose HEAD commit has the tree that `objects` makes."""
    git = dump / "r"
    (git / "objects").mkdir(parents=True)
    (git / "refs" / "heads").mkdir(parents=True)
    tree = objects(git)
    who = b"A <a@b> 1700000000 +0000\n"
    commit = write_loose(git, b"commit", b"tree " + tree.encode() + b"\nauthor " + who + b"committer " + who + b"\nm\n")
    (git / "HEAD").write_text(commit + "\n")


def with_tree(make: Callable[[Path], Sequence[tuple[str, bytes, str]]]) -> Case:
    """A bare repository with the good file and more entries."""

    def build(dump: Path, _outside: Path) -> None:
        bare(dump, lambda git: write_tree(git, [*make(git), ("100644", b"good.cc", write_loose(git, b"blob", GOOD))]))

    return build


def named(name: bytes, mode: str = "100644") -> Case:
    def entries(git: Path) -> list[tuple[str, bytes, str]]:
        blob = write_loose(git, b"blob", SECRET)
        return [(mode, name, write_tree(git, [("100644", b"x.cc", blob)]) if mode == "40000" else blob)]

    return with_tree(entries)


def deep_tree(git: Path) -> list[tuple[str, bytes, str]]:
    oid = write_tree(git, [("100644", b"leaf.cc", write_loose(git, b"blob", b"int leaf;\n"))])
    for _ in range(5_000):
        oid = write_tree(git, [("40000", b"d", oid)])
    return [("40000", b"d", oid)]


def wide_tree(git: Path) -> list[tuple[str, bytes, str]]:
    """Ten levels of the same ten folders: 10 GB of files from 20 objects."""
    oid = write_tree(git, [("100644", b"leaf.txt", write_loose(git, b"blob", b"leaf"))])
    for _ in range(10):
        oid = write_tree(git, [("40000", b"%d" % i, oid) for i in range(10)])
    return [("40000", b"d", oid)]


def huge_tree(git: Path) -> list[tuple[str, bytes, str]]:
    blob = write_loose(git, b"blob", b"leaf")
    return [("40000", b"d", write_tree(git, [("100644", b"%07d.txt" % i, blob) for i in range(1_000_000)]))]


def zlib_bomb(git: Path) -> list[tuple[str, bytes, str]]:
    return [("100644", b"bomb.cc", write_loose(git, b"blob", bytes(100_000_000)))]


def lying_size(git: Path) -> list[tuple[str, bytes, str]]:
    return [("100644", b"bomb.cc", write_loose(git, b"blob", bytes(50_000_000), says=10))]


def links_and_modules(git: Path) -> list[tuple[str, bytes, str]]:
    link = write_loose(git, b"blob", b"/etc/passwd")
    return [("120000", b"a.cc", link), ("160000", b"module", "ab" * 20)]


def delta_bomb(dump: Path, _outside: Path) -> None:
    """A pack in which a file of ten bytes is a delta on a base of six gigabytes."""
    base, file = "aa" * 20, "bb" * 20
    bare(
        dump,
        lambda git: write_tree(
            git, [("100644", b"bomb.cc", file), ("100644", b"good.cc", write_loose(git, b"blob", GOOD))]
        ),
    )
    size = 6 << 30
    delta = _varint(size) + _varint(10) + b"\x91\x00\x0a"  # copy ten bytes from offset 0
    write_pack(dump / "r", {base: (3, size, None, bytes(1_000)), file: (6, len(delta), base, delta)})


def broken_pack(dump: Path, _outside: Path) -> None:
    bare(dump, lambda git: write_tree(git, [("100644", b"lost.cc", "cc" * 20)]))
    write_pack(dump / "r", {"cc" * 20: (3, 100, None, b"x" * 100)})
    pack = next((dump / "r" / "objects" / "pack").glob("*.pack"))
    data = pack.read_bytes()
    pack.write_bytes(data[:12] + b"\xb0\x06" + b"\xee" * (len(data) - 34) + data[-20:])  # a blob of 96 bytes, not zlib


def broken_index(dump: Path, outside: Path) -> None:
    broken_pack(dump, outside)
    index = next((dump / "r" / "objects" / "pack").glob("*.idx"))
    index.write_bytes(b"\xfftOc\0\0\0\2" + b"\xff" * 1024 + index.read_bytes()[1032:])


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = value >> 7, value & 127
        out.append(low | (128 if value else 0))
        if not value:
            return bytes(out)


def _offset(distance: int) -> bytes:
    out = [distance & 127]
    while distance := (distance >> 7):
        distance -= 1
        out.append(128 | (distance & 127))
    return bytes(reversed(out))


def write_pack(git: Path, objects: Mapping[str, tuple[int, int, str | None, bytes]]) -> None:
    """A pack and its index (version 2) of id -> (type, size told, base id of a delta, bytes)."""
    body, offsets, checks = bytearray(b"PACK" + struct.pack(">2L", 2, len(objects))), {}, {}
    for oid, (kind, size, base, data) in objects.items():
        offsets[oid] = len(body)
        first, rest = (kind << 4) | (size & 15), size >> 4
        head_bytes = bytes([first | (128 if rest else 0)]) + (_varint(rest) if rest else b"")
        behind = _offset(offsets[oid] - offsets[base]) if base is not None else b""
        entry = head_bytes + behind + zlib.compress(data)
        checks[oid] = zlib.crc32(entry)
        body += entry
    body += hashlib.sha1(body).digest()
    ids = sorted(objects)
    fan = [sum(int(oid[:2], 16) <= i for oid in ids) for i in range(256)]
    index = b"\xfftOc" + struct.pack(">257L", 2, *fan) + b"".join(map(bytes.fromhex, ids))
    index += b"".join(struct.pack(">L", checks[oid]) for oid in ids)
    index += b"".join(struct.pack(">L", offsets[oid]) for oid in ids) + bytes(body[-20:])
    index += hashlib.sha1(index).digest()
    folder = git / "objects" / "pack"
    folder.mkdir(parents=True, exist_ok=True)
    name = body[-20:].hex()
    (folder / f"pack-{name}.pack").write_bytes(body)
    (folder / f"pack-{name}.idx").write_bytes(index)


CONFIGS: dict[str, Case] = {
    "textconv by attributes": with_config('[diff "x"]\n\ttextconv = {program}\n', "*.cc diff=x\n"),
    "diff.external": with_config("[diff]\n\texternal = {program}\n"),
    "log.showSignature with gpg.program": with_config("[log]\n\tshowSignature = true\n[gpg]\n\tprogram = {program}\n"),
    "core.fsmonitor": with_config("[core]\n\tfsmonitor = {program}\n"),
    "filter smudge, clean and process": with_config(
        '[filter "x"]\n\tsmudge = {program}\n\tclean = {program}\n\tprocess = {program}\n', "* filter=x\n"
    ),
    "core.hooksPath": with_config("[core]\n\thooksPath = {outside}\n"),
    "include.path outside": with_config("[include]\n\tpath = {outside}/config\n"),
    "core.worktree outside": with_config("[core]\n\tworktree = {outside}\n"),
    "pager, editor and credential helper": with_config(
        "[core]\n\tpager = {program}\n\teditor = {program}\n[credential]\n\thelper = {program}\n"
    ),
    "hooks": hooks,
}
OUT: dict[str, tuple[Case, str]] = {
    "partial clone with sshCommand": (lazy_fetch, "missing object"),
    "alternates, absolute": (alternates("{outside}/r/.git/objects"), "unreadable repository"),
    "alternates, relative": (alternates("../../../../outside/r/.git/objects"), "unreadable repository"),
    "alternates, in two steps": (alternates_chain, "unreadable repository"),
    "objects are a link": (linked("objects"), "unreadable repository"),
    "a folder of objects is a link": (linked("objects/aa"), "unreadable repository"),
    ".git is a link": (linked(""), ""),
    "HEAD is a link": (linked("HEAD"), ""),
    "refs are a link": (linked("refs"), "unreadable repository"),
    "packed-refs are a link": (linked("packed-refs"), ""),
    "a gitdir file points out": (gitdir_file, ""),
    "commondir": (commondir, "unsupported repository"),
    "worktrees": (worktree, ""),
    "HEAD climbs out": (head("ref: ../../../outside/r/.git/refs/heads/main\n"), ""),
    "HEAD is no id": (head("0123\n"), ""),
    "replace refs and grafts": (replaced, ""),
}
OBJECTS: dict[str, tuple[Case, str]] = {
    "tree entry '..'": (named(b".."), "forbidden name"),
    "tree entry '..' that is a folder": (named(b"..", "40000"), "forbidden name"),
    "tree entry '.git'": (named(b".git", "40000"), "forbidden name"),
    "tree entry '.GIT'": (named(b".GIT", "40000"), "forbidden name"),
    "tree entry with a slash": (named(b"a/../../x.cc"), "forbidden name"),
    "tree entry without a name": (named(b""), "missing object"),
    "links and submodules": (with_tree(links_and_modules), "submodule"),
    "a tree 5,000 levels deep": (with_tree(deep_tree), "path too long"),
    "a tree of 10^10 files": (with_tree(wide_tree), "repeated folder"),
    "a tree of a million entries": (with_tree(huge_tree), "folder too large"),
    "a blob that unpacks to 100 MB": (with_tree(zlib_bomb), "too large"),
    "a blob that lies about its size": (with_tree(lying_size), "missing object"),
    "a delta on a base of 6 GB": (delta_bomb, "too large"),
    "a damaged pack": (broken_pack, "missing object"),
    "a damaged pack index": (broken_index, "missing object"),
}
