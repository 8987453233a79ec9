"""Phrasings of requests to the agent, and the words that fill them.

Belongs here: word lists only. Train and eval phrasings are disjoint, and so are the tasks in them; the words
in `WORDS` (verbs and nouns that name a tool's business) are in both, for a router trained from scratch knows
no synonym that it has not seen.
Does not belong here: how a request is put together (`router_data`).

Slots: {task} what to write, {code} the attached code, {tests} the attached tests, {spec} an attached
specification, {name} a project, {files} the attached sources, {deps} {std} {samples} {seconds} optional
clauses, and the keys of `WORDS`. A phrasing in lower case is a command and may get a courtesy in front.
"""

from __future__ import annotations

from collections.abc import Mapping

from cpp_pipeline.agent.tools import ANALYZE_CODE, EXECUTE_CODE, GENERATE_CMAKE, GENERATE_CODE, NO_TOOL

Phrases = Mapping[str, tuple[str, ...]]

TRAIN: Phrases = {
    GENERATE_CODE: (
        "{make} {function} that {task}. {samples}",
        "{make} $signature: {task}. {samples}",
        "{make} `$signature`: {task}. {samples}",
        "I need {function} which {task}. {samples}",
        "{make} $signature. It {task}.",
        "{make} {function}: {task}. {samples}",
        "Given the prototype $signature, {make} the body; it {task}.",
        "{make} {function} for {spec}. {samples}",
        "{make} {spec}. {samples}",
        "{repair} {code} so that {tests} pass.",
        "{repair} {code}, it stops with $error.",
        "How would you {make} {function} that {task}?",
        "Solve this in C++: {task}.",
        "{function} that {task}, please. {samples}",
        "Show me {function} that {task}.",
        "I look for {function} that {task}.",
        "{repair} {code}.",
        "There is $error; {repair} {code}.",
        "My task: {task}. {make} {function}. {samples}",
        "{code} has to be rewritten so that it {task}.",
        "{make} what {spec} asks for. {samples}",
        "{make} the function of {spec}.",
        "{repair} {code}, the message is $error.",
        "{repair} the cause of $error, which {code} gives.",
        "{make} the code of $signature, it {task}. {samples}",
        "We need {function}, it {task}. {samples}",
    ),
    GENERATE_CMAKE: (
        "{make} {cmake} for {name} with {files}. {deps} {std}",
        "{make} {cmake} for the project {name}, sources {files}. {deps} {std}",
        "I need {cmake} for {name}: {files}. {std} {deps}",
        "{make} {cmake}, project {name}, files {files}. {deps}",
        "{make} {cmake} of {name}. The sources are {files}. {deps} {std}",
        "{make} a CMake project called {name} from {files}. {deps}",
        "{make} {cmake} for {name} out of {files}. {std}",
        "How do I build {name} with CMake? It has {files}. {deps}",
        "Project {name} needs {cmake} for {files}. {deps} {std}",
        "Give me {cmake} for the library {name} made from {files}. {std} {deps}",
        "Add {cmake} to {name}; it consists of {files}. {deps}",
        "{cmake} for the program {name}: compile {files}. {std} {deps}",
        "I have a project {name} of {files}, {make} {cmake}. {std}",
        "Here are {files}: {make} {cmake} for {name}. {deps}",
        "{make} {cmake} that compiles {files} into {name}. {std}",
    ),
    EXECUTE_CODE: (
        "{run} {code}. {seconds}",
        "{run} {code} with {tests}. {seconds}",
        "Does {code} pass {tests}? {seconds}",
        "{run} {tests} against {code}. {seconds}",
        "Check that {code} compiles. {seconds}",
        "{run} {code} on {tests}. {seconds}",
        "What happens when I {run} {code}?",
        "Test {code} using {tests}. {seconds}",
        "Build {code} and {run} {tests}. {seconds}",
        "See whether {code} works with {tests}.",
        "I want to {run} {code}. {seconds}",
        "I would like to know whether {code} passes {tests}.",
        "Take {code} and {run} it{show}. {seconds}",
        "{run} {code}{show}. {seconds}",
        "Can {code} be compiled? {seconds}",
        "Do {tests} pass with {code}?",
        "{run} {code} and compare with {tests}. {seconds}",
        "Use {tests} to test {code}.",
        "{run} {code}; then {run} {tests}. {seconds}",
        "I am not sure that {code} passes {tests}.",
        "{tests} are for {code}: {run} them. {seconds}",
    ),
    ANALYZE_CODE: (
        "Find {flaws} in {code}.",
        "{review} {code} for {flaws}.",
        "Are there {flaws} in {code}?",
        "look for {flaws} in {code}.",
        "Why {ask} {code}?",
        "{review} {code}; I fear {flaws}.",
        "I think that {code} has {flaws}.",
        "Tell me about {flaws} in {code}.",
        "Where are the {flaws} of {code}?",
        "{review} the {aspect} of {code}.",
        "How is the {aspect} of {code}?",
        "Is the {aspect} of {code} good?",
        "What {flaws} can you see in {code}?",
        "Which {flaws} are there in {code}?",
        "Say whether {code} has {flaws}.",
        "{review} {code}, mainly its {aspect}.",
        "{review} {code} as for its {aspect}.",
        "Which {flaws} does {code} contain?",
        "{review} {code} and name its {flaws}.",
        "scan {code} for {flaws}.",
        "{review} {code} and point out {flaws}.",
        "{review} {code}, then tell me the {flaws}.",
    ),
    NO_TOOL: (
        "Hello!",
        "Thank you, that was all.",
        "What is the capital of {place}?",
        "Who are you?",
        "Tell me a joke about {place}.",
        "What does {term} mean?",
        "Explain {term} to me.",
        "What is the weather in {place}?",
        "Good morning, how are you?",
        "When was {term} introduced?",
        "Translate 'good day' into the language of {place}.",
        "Recommend a book about {term}.",
    ),
}
EVAL: Phrases = {
    GENERATE_CODE: (
        "I want {function} that {task}. {samples}",
        "{make} C++ for $signature: it {task}. {samples}",
        "We are looking for {function} which {task}.",
        "{make} the function $signature, which {task}.",
        "{make} what is described in {spec}. {samples}",
        "{repair} $error in {code}.",
    ),
    GENERATE_CMAKE: (
        "My project {name} has {files}; {make} {cmake}. {deps} {std}",
        "{make} {cmake} so that {files} become {name}. {std} {deps}",
        "I have {files}. {make} {cmake} named {name}. {deps}",
        "Build {name} with CMake out of {files}. {deps} {std}",
        "Set up {cmake}: project {name}, sources {files}. {std}",
    ),
    EXECUTE_CODE: (
        "Now {run} {code} and check {tests}. {seconds}",
        "Does {code} compile and run? {seconds}",
        "{run} {tests} on {code}. {seconds}",
        "{run} {code}, then show what it prints. {seconds}",
        "I wonder whether {code} passes {tests}.",
    ),
    ANALYZE_CODE: (
        "What {flaws} does {code} have?",
        "Search {code} for {flaws}.",
        "{review} {code} and list {flaws}.",
        "Does {code} suffer from {flaws}?",
        "{review} {code} with regard to {aspect}.",
    ),
    NO_TOOL: (
        "Good day!",
        "What does the term {term} mean?",
        "Tell me about the capital of {place}.",
        "How is the weather in {place}?",
        "Thank you!",
    ),
}

WORDS: Phrases = {
    "{make}": ("write", "create", "implement", "generate", "produce", "develop", "make"),
    "{function}": (
        "a function", "a C++ function", "a routine", "C++ code", "code", "a method", "a small function",
    ),
    "{repair}": ("fix", "repair", "correct", "mend"),
    "{cmake}": (
        "a CMakeLists.txt", "the CMakeLists.txt", "a CMake file", "a CMake script", "a CMake build",
        "CMake code", "the CMake configuration",
    ),
    "{run}": ("run", "execute", "compile and run", "build and run", "start", "try", "launch"),
    "{show}": (
        " and show the result", " and tell me the output", "; I need the output", " and report the result",
        ", please show the output", " and print what comes out",
        ", then give me the output", ", then display the result", " and show me what happens",
    ),
    "{review}": ("review", "check", "inspect", "examine", "analyse", "look over", "go through"),
}  # fmt: skip
ASPECTS: Mapping[str, Phrases] = {
    "bugs": {
        "{flaws}": (
            "bugs", "errors", "defects", "mistakes", "memory leaks", "undefined behaviour", "crashes",
        ),
        "{aspect}": ("correctness", "safety", "memory safety"),
        "{ask}": ("does it crash in", "is the answer wrong in"),
    },
    "performance": {
        "{flaws}": (
            "slow spots", "inefficient loops", "needless copies", "performance problems", "wasted time",
            "bottlenecks", "slow code",
        ),
        "{aspect}": ("performance", "speed", "efficiency", "run time"),
        "{ask}": ("is it slow to use", "does it take so long in", "is there so much waste in"),
    },
    "style": {
        "{flaws}": (
            "style problems", "bad names", "unclear names", "ugly layout", "outdated style",
            "unreadable lines", "style issues",
        ),
        "{aspect}": ("style", "readability", "naming", "layout"),
        "{ask}": ("is it hard to read", "is the style so odd in", "are the names unclear in"),
    },
}  # fmt: skip
"""The words of each kind of analysis."""

COURTESY_TRAIN = (
    "",
    "",
    "",
    "Please ",
    "Can you ",
    "Could you ",
    "Hi, ",
    "I would like you to ",
    "Now ",
    "Please could you ",
    "We want you to ",
    "Next, ",
    "Quickly ",
    "Hello, please ",
    "Be so kind and ",
)
COURTESY_EVAL = ("", "Please ", "Would you ", "Kindly ")

TASKS_TRAIN = (
    "reverses a string", "counts the vowels of a text", "returns the largest value of a vector",
    "sorts a list of pairs by the second member", "checks whether a number is prime",
    "computes the greatest common divisor of two numbers", "removes duplicates from a vector",
    "splits a line at commas", "adds two matrices", "finds the longest word of a sentence",
    "converts a number to binary text", "merges two sorted lists", "rotates a vector by k places",
    "counts the bits that are set", "tests whether two words are anagrams",
    "returns the n-th Fibonacci number", "keeps the even values and returns their sum",
    "square each value, then add 3 to each value; returns the total",
    "keep only the odd values, then negate each value and return the largest",
    "drop values under 4, then multiply each value by 2; returns how many are left",
    "takes each value modulo 5, then returns the last one", "trims spaces at both ends",
    "replaces tabs by four spaces", "parses a date", "validates an email address",
    "returns the median of a list", "walks a binary tree in order", "finds the shortest path in a grid",
    "rounds a price to two digits", "joins strings with a separator",
)  # fmt: skip
TASKS_EVAL = (
    "returns the smallest value of a list", "counts the words of a sentence",
    "checks whether a string is a palindrome", "keep only the positive values, then square each value; "
    "returns the sum", "scale each value by 3, then keep the even values and return the total",
    "computes the average of a vector", "sorts words by length", "removes spaces from a text",
    "adds 7 to each value, then returns the xor of all", "converts text to a number",
)  # fmt: skip

CODE = ("$code", "$code", "this code", "the attached code", "my function", "the program", "this snippet")
TESTS = ("$tests", "$tests", "the tests", "the attached tests", "my test cases", "these cases")
SPECS = ("$specification", "the attached specification", "what $specification says")
FILES = ("$files", "$files", "the attached files", "the files")
NAME_PARTS = (
    ("net", "image", "audio", "geo", "data", "text", "math", "json", "graph", "game", "log", "disk"),
    ("kit", "tool", "lib", "core", "box", "view", "scan", "db", "app", "works", "craft", "flow"),
)
"""A project name is one part of each, joined by nothing, `_` or `-`."""
PACKAGES = ("fmt", "spdlog", "Boost", "OpenSSL", "ZLIB", "Eigen3", "GTest", "Threads", "CURL", "SQLite3")
PLACES = ("France", "Peru", "Japan", "Kenya", "Norway", "Canada")
TERMS = ("RAII", "polymorphism", "a monad", "move semantics", "gravity", "open source")

DEPS_TRAIN = ("Link {deps}.", "It depends on {deps}.", "Uses {deps}.")
DEPS_EVAL = ("Link it with {deps}.", "It uses {deps}.")
STD_TRAIN = ("Use C++{std}.", "The standard is C++{std}.", "C++{std} please.")
STD_EVAL = ("Please use C++{std}.",)
SECONDS_TRAIN = ("Stop after {seconds} seconds.", "The limit is {seconds} seconds.", "Timeout {seconds} s.")
SECONDS_EVAL = ("Use a limit of {seconds} seconds.",)
SAMPLES_TRAIN = ("Give me {samples} versions.", "Make {samples} attempts.", "Try {samples} samples.")
SAMPLES_EVAL = ("Please make {samples} versions.",)

NO_TOOL_REPLY = "I can write, run and review C++ code, and write CMake files."
