"""The Python and the C++ decoder against frames of anyone: no crash, and the same answer from both."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cpp_pipeline.sandbox.cpp.cpptypes import CppType
from cpp_pipeline.sandbox.cpp.prototype import parse_prototype
from cpp_pipeline.sandbox.judging.glue import codecs
from cpp_pipeline.sandbox.judging.runs import BROKEN, MAGIC, parse_records
from cpp_pipeline.sandbox.judging.wire import FRAME_CAP, WireError, decode, encode
from cpp_pipeline_tests.sandbox.judging.frames import PREAMBLE, TYPES, damaged, frame_of, kind_of

HERE = Path(__file__).parent
NATIVE = HERE.parents[2] / "cpp_pipeline" / "sandbox" / "native"
KINDS = [kind_of(text) for text in TYPES]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]
# what a frame of 1 MB can need at most, and what the sanitizer keeps for itself
SANITIZER = {"ASAN_OPTIONS": "hard_rss_limit_mb=1024:quarantine_size_mb=16:detect_leaks=1"}
Frames = list[tuple[int, bytes]]


def driver(folder: Path, flags: list[str]) -> Path:
    """The compiled decoder of all types."""
    parameters = ", ".join(f"{text} a{i}" for i, text in enumerate(TYPES))
    structs = codecs(parse_prototype(f"void f({parameters})", PREAMBLE))
    table = ", ".join(f"decode<{kind}>" for kind in KINDS)
    (folder / "types.inc").write_text(f"{PREAMBLE}{structs}constexpr Decoder decoders[] = {{{table}}};\n")
    program = folder / "driver"
    order = ["g++", "-std=c++20", "-DJUDGE_INSTANTIATE", *flags, f"-I{NATIVE}", f"-I{folder}", "-o", str(program)]
    subprocess.run([*order, str(HERE / "decoder_driver.cpp")], check=True)
    return program


def random_frames(count: int, seed: int) -> Frames:
    rng = random.Random(seed)
    types = [rng.randrange(len(KINDS)) for _ in range(count)]
    return [(t, damaged(frame_of(KINDS[t], rng), rng)) for t in types]


def accepted_by_python(kind: CppType, frame: bytes) -> str | None:
    """The value as text, which tells -0.0 from 0.0 and calls every NaN alike; None where the frame is refused."""
    try:
        return repr(decode(kind, frame))
    except WireError:
        return None


def accepted_by_cpp(program: Path, frames: Frames) -> list[str | None]:
    sent = b"".join(struct.pack("<II", t, len(frame)) + frame for t, frame in frames)
    environment = {**os.environ, **SANITIZER}
    run = subprocess.run([program], input=sent, capture_output=True, timeout=600, env=environment, check=False)
    assert run.returncode == 0, run.stderr.decode("utf-8", "replace")[-3000:]
    found: list[str | None] = []
    at = 0
    for t, _ in frames:
        accepted, size = struct.unpack_from("<BI", run.stdout, at)
        at += 5 + size
        found.append(repr(decode(KINDS[t], run.stdout[at - size : at])) if accepted else None)
    assert at == len(run.stdout)
    return found


def assert_agreement(program: Path, frames: Frames) -> None:
    expected = [accepted_by_python(KINDS[t], frame) for t, frame in frames]
    assert 0.2 < sum(e is not None for e in expected) / len(expected) < 0.9, "the frames do not test both answers"
    for (t, frame), python, cpp in zip(frames, expected, accepted_by_cpp(program, frames), strict=True):
        assert cpp == python, f"{TYPES[t]}: {frame.hex()}"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return driver(tmp_path_factory.mktemp("driver"), ["-O0"])


def test_both_decoders_agree(program: Path) -> None:
    assert_agreement(program, random_frames(1000, seed=1))


@pytest.mark.slow
def test_both_decoders_agree_on_100000_frames_under_sanitizers(tmp_path: Path) -> None:
    program = driver(tmp_path, SANITIZED)
    assert_agreement(program, random_frames(100_000, seed=2))
    bombs = [*BOMBS, *((t, data[:-1]) for t, data in BOMBS)]
    assert [b is None for b in accepted_by_cpp(program, bombs)] == [
        accepted_by_python(KINDS[t], frame) is None for t, frame in bombs
    ]


def _bomb(text: str, count: int, data: bytes) -> tuple[int, bytes]:
    return TYPES.index(text), struct.pack("<I", count) + data


_ABSENT = "std::vector<std::optional<std::array<long, 40>>>"
_FIT = FRAME_CAP // 41
BOMBS = [
    _bomb(_ABSENT, _FIT, bytes(_FIT)),
    _bomb(_ABSENT, _FIT + 1, bytes(_FIT + 1)),
    _bomb(_ABSENT, FRAME_CAP - 4, bytes(FRAME_CAP - 4)),
    _bomb("std::vector<std::vector<short>>", 50_000, bytes(200_000)),
    _bomb("std::deque<std::string>", 50_000, bytes(200_000)),
    _bomb("std::vector<bool>", FRAME_CAP - 4, b"\1" * (FRAME_CAP - 4)),
    _bomb("std::vector<bool>", FRAME_CAP - 3, b"\1" * (FRAME_CAP - 4)),
    _bomb("std::string", 0xFFFFFFFF, b"a" * 100),
    _bomb("std::list<std::pair<bool, float>>", 0x80000000, bytes(FRAME_CAP - 4)),
]


def test_frames_that_ask_for_much_get_the_same_answer_from_both(program: Path) -> None:
    expected = [accepted_by_python(KINDS[t], frame) for t, frame in BOMBS]
    assert [e is not None for e in expected] == [True, False, False, True, True, True, False, False, False]
    assert accepted_by_cpp(program, BOMBS) == expected


@given(st.integers(0, 2**64))
def test_what_the_decoder_accepts_is_a_value_of_the_type(seed: int) -> None:
    (t, frame) = random_frames(1, seed)[0]
    try:
        value = decode(KINDS[t], frame)
    except WireError:
        return
    again = encode(KINDS[t], value)
    assert repr(decode(KINDS[t], again)) == repr(value)


def _records(rng: random.Random) -> bytes:
    tests = [(entry, test) for entry in range(2) for test in range(2)]
    parts = [MAGIC]
    for entry, test in [*tests, (0xFFFFFFFF, 0)]:
        texts = [rng.randbytes(rng.randrange(4)) for _ in range(3)]
        head = (entry, test, rng.randrange(BROKEN + 3), 0, *map(len, texts), rng.randrange(1000))
        parts.append(struct.pack("<8I", *head) + b"".join(texts))
    return b"".join(parts)


def _check_records(data: bytes) -> None:
    ran = parse_records(data, [2, 2])
    assert ran.records.keys() <= {(e, t) for e in range(2) for t in range(2)}
    assert not ran.complete or len(ran.records) == 4
    assert sum(len(r.value) + len(r.stdout) + len(r.stderr) for r in ran.records.values()) <= len(data)


@given(st.integers(0, 2**64), st.booleans())
def test_records_of_anyone_are_read_or_left(seed: int, whole: bool) -> None:
    rng = random.Random(seed)
    data = _records(rng)
    _check_records(data if whole else damaged(data, rng))


@pytest.mark.slow
@settings(max_examples=2000, deadline=None)
@given(st.integers(0, 2**64))
def test_python_reads_100000_damaged_frames(seed: int) -> None:
    rng = random.Random(seed)
    for t, frame in random_frames(25, seed):
        accepted_by_python(KINDS[t], frame)
    for _ in range(25):
        _check_records(damaged(_records(rng), rng))
