"""The bodies that the controller accepts: their fields, their bounds, and the jobs that they become.

Belongs here: what can be said about a request by its shape alone. Whether a job can be judged (does the prototype
parse, does a test fit it) is the judge's to say, for that job and not for the whole request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from cpp_pipeline.sandbox import formats
from cpp_pipeline.sandbox.types import CMakeJob, Job

MOST_JOBS = 20_000
_STRICT = ConfigDict(extra="forbid", strict=True)
Deadline = Annotated[
    float | None,
    Field(gt=0, le=86_400, description="Seconds from now; jobs not begun by then get the error queue_timeout"),
]


MOST_RECORD_CHARACTERS = 64 << 20
"""Of a record times its candidates, each of which gets a copy."""


class Strict(BaseModel):
    """Unknown fields and values of another type are refused."""

    model_config = _STRICT


class CallTest(TypedDict):
    """The function is called with `args`."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    args: Annotated[list[Any], Field(description="Arguments in the JSON form of the prototype's types")]
    expected: Annotated[Any, Field(description="The value that has to come back; null for void")]
    after: NotRequired[
        Annotated[list[Any], Field(description="Reference parameters after the call; null is not compared")]
    ]


class StreamTest(TypedDict):
    """The program is run on `stdin`."""

    __pydantic_config__ = _STRICT  # type: ignore[misc]
    stdin: Annotated[str, Field(description="What the program reads")]
    expected: Annotated[str, Field(description="What it has to print")]
    compare: NotRequired[Annotated[Literal["exact", "tokens", "float"], Field(description="default: tokens")]]


AssertTest = TypedDict(
    "AssertTest",
    {"assert": Annotated[str, Field(max_length=20_000, description="Condition in C++, such as add(1, 2) == 3")]},
)
AssertTest.__doc__ = "A condition that has to hold."
AssertTest.__pydantic_config__ = _STRICT  # type: ignore[attr-defined]


def _form(test: object) -> str | None:
    names = test.keys() if isinstance(test, Mapping) else ()
    return next((name for name in ("args", "stdin", "assert") if name in names), None)


Test = Annotated[
    Annotated[CallTest, Tag("args")] | Annotated[StreamTest, Tag("stdin")] | Annotated[AssertTest, Tag("assert")],
    Discriminator(
        _form,
        custom_error_type="test_form",
        custom_error_message="A test needs args and expected, or stdin and expected, or assert",
    ),
]


class CapsFields(Strict):
    """Most that compiling and running one job may take; what is not given keeps its default."""

    call_seconds: float | None = Field(default=None, gt=0, le=60, description="CPU seconds of one call")
    memory_mb: int = Field(default=512, ge=16, le=4096, description="Memory of a run")
    output_kb: int = Field(default=256, ge=1, le=16_384, description="Output of a run")
    processes: int = Field(default=48, ge=1, le=256, description="Processes and threads of a run")
    file_mb: int = Field(default=4, ge=1, le=256, description="Size of a file that a run writes")
    compile_cpu_seconds: int = Field(default=15, ge=1, le=120, description="CPU seconds of the compiler")
    compile_wall_seconds: int = Field(default=40, ge=1, le=300, description="Seconds that a compilation may last")
    compile_memory_mb: int = Field(default=2048, ge=256, le=8192, description="Memory of the compiler")


class Problem(Strict):
    """Tests, and how candidates are compiled and run for them."""

    prototype: str = Field(
        default="", max_length=20_000, description="Function under test, such as int add(int a, int b)"
    )
    test_cases: list[Test] = Field(default=[], max_length=5000, description="Tests, all of one form; or give test_code")
    test_code: str = Field(
        default="", max_length=1 << 20, description="C++ with asserts in main, in place of test_cases"
    )
    preamble: str = Field(default="", max_length=1 << 20, description="Stands before the candidate: includes, helpers")
    std: Literal["c++17", "c++20", "c++23"] = Field(default="c++20", description="Language standard")
    timeout: float = Field(default=5.0, ge=0.05, le=60, description="CPU seconds of all tests together")
    harness: Literal["auto", "rpc", "stdio", "inproc", "exit_code"] = Field(
        default="auto", description="How tests reach the candidate; inproc and exit_code can be forged by it"
    )
    opt: Literal["-O0", "-O1", "-O2"] = Field(default="-O0", description="Optimisation")
    compiler: Literal["g++", "clang++"] = Field(default="g++", description="Compiler")
    caps: CapsFields = Field(default_factory=CapsFields, description="Limits")
    sanitize: bool = Field(default=False, description="Compile with ASan and UBSan; what they find is an RE")
    count_instructions: bool = Field(default=False, description="Count the instructions of the calls")
    fresh: bool = Field(default=False, description="Judge anew, whatever was judged before")


class JobFields(Problem):
    """One candidate and its tests."""

    id: str = Field(default="", max_length=500, description="Comes back with the result")
    code: str = Field(max_length=1 << 20, description="The candidate")

    def job(self) -> Job:
        """The job."""
        return Job.from_json(self.model_dump(exclude={"deadline_seconds"}))


class ExecuteRequest(JobFields):
    """One candidate to be judged."""

    deadline_seconds: Deadline = None


class Candidate(Strict):
    """Code for the problem of a batch."""

    id: str = Field(default="", max_length=500, description="Comes back with the result")
    code: str = Field(max_length=1 << 20, description="The candidate")


class BatchRequest(Strict):
    """Either `jobs`, or one `problem` and its `candidates`."""

    jobs: list[JobFields] = Field(default=[], max_length=MOST_JOBS, description="Jobs, each with its tests")
    problem: dict[str, Any] | None = Field(
        default=None,
        description="The fields of a job without id and code; or an unmodified record of HumanEval-X, of MultiPL-E "
        "for C++, or of this project's problems",
    )
    candidates: list[Candidate] = Field(default=[], max_length=MOST_JOBS, description="Candidates for the problem")
    deadline_seconds: Deadline = None

    @model_validator(mode="after")
    def _one_form(self) -> BatchRequest:
        if bool(self.jobs) == bool(self.candidates) or bool(self.candidates) != (self.problem is not None):
            raise ValueError("give either jobs, or a problem and its candidates")
        return self

    def to_jobs(self) -> list[Job]:
        """All jobs of the batch.

        Raises
        ------
        ValueError
            The problem is neither the fields of a job nor a record of a known format.
        """
        if self.problem is None:
            return [fields.job() for fields in self.jobs]
        if self.problem.keys() <= Problem.model_fields.keys():
            job = JobFields.model_validate({**self.problem, "code": ""}).job()
            return [replace(job, id=c.id, code=c.code) for c in self.candidates]
        size = len(json.dumps(self.problem))
        if size * len(self.candidates) > MOST_RECORD_CHARACTERS:
            most = max(1, MOST_RECORD_CHARACTERS // size)
            raise ValueError(
                f"each candidate gets a copy of the record's {size} characters; send at most {most} at once"
            )
        try:
            jobs = [formats.job_from_record(self.problem, c.code, c.id) for c in self.candidates]
        except (TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"problem: a field of the record has an unusable value: {error!r:.200}") from error
        JobFields.model_validate(asdict(jobs[0]))  # the bounds hold for records too
        return jobs


class SourceFile(Strict):
    """A file beside the CMakeLists.txt."""

    path: str = Field(max_length=400, description="Relative path")
    content: str = Field(description="Text of the file")


class Package(Strict):
    """A package that may be found."""

    package: str = Field(max_length=200, description="Name in find_package")
    target: str = Field(max_length=200, description="Imported target that it defines")


class CMakeRequest(Strict):
    """A CMakeLists.txt to be checked, configured and perhaps built."""

    id: str = Field(default="", max_length=500, description="Comes back with the result")
    cmake: str = Field(max_length=200_000, description="Text of the CMakeLists.txt")
    files: list[SourceFile] = Field(default=[], max_length=2000, description="Files beside it")
    packages: list[Package] = Field(default=[], max_length=2000, description="Packages that it may find")
    build: bool = Field(default=False, description="Build as well")

    def job(self) -> CMakeJob:
        """The job."""
        return CMakeJob(**self.model_dump())


class AnalyzeRequest(Strict):
    """Code to be looked at; it is compiled, never run."""

    code: str = Field(max_length=200_000, description="C++ source")
    kind: Literal["bugs", "performance", "style"] = Field(description="What to look for")
