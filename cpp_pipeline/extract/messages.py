"""What a commit message asks for, by rule; nothing is invented.

Belongs here: rules on messages and paths of a commit, and the instruction made from a subject.
Does not belong here: the change itself (`diffs.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MIN_WORDS, MAX_WORDS = 4, 59
MIN_CHARACTERS, MAX_CHARACTERS = 11, 299

_PATH = re.compile(
    r"(?i)(^|/)(bench\w*|examples?|samples?|demos?|fuzz\w*|contrib|tests?|testing|third[_-]?party|vendor|external|deps)/"
    r"|(^|[/_])(test|tests|unittest|bench\w*|fuzz\w*)\.(c|cc|cpp|cxx|h|hh|hpp)$"
)
_UNUSABLE = re.compile(r"(?i)^\s*(merge|revert|release|bump|version|backport|cherry.pick|initial commit)\b|https?://")
_VAGUE = re.compile(
    r"(?i)\b(minor|cosmetic|small (fix|issue|change)\w*|misc\w*|clean(ed|s)?[ -]?up|cleanups?|tidy"
    r"|re-?format\w*|format(ting)?|indent\w*|style|tweak\w*|various|updat(e|es|ed|ing)|try|trying|examples?|comments?"
    r"|include order|typos?)\b"
)
_MULTI = re.compile(
    r"(?i);|\balso\b|\band (fix|add|remov|chang|updat|improv|mak|us|renam|mov|clean|refactor|simplif)\w*"
)
_FIX = re.compile(
    r"(?i)\b(fix\w*|bugs?|crash\w*|overflow\w*|underflow\w*|leak\w*|races?|deadlock\w*|incorrect\w*|wrong\w*|corrupt\w*|uninit\w*"
    r"|undefined|invalid\w*|handl(e|es|ed|ing)|check\w*|prevent\w*|avoid\w*|warnings?|errors?)\b"
)
_REFERENCE = re.compile(
    r"\s*\((?:#|gh-|issue |pr )?#?\d+\)|\s*\b(?:fixes|closes|resolves|refs?)\s+#\d+|\s*#\d+\b", re.IGNORECASE
)
_TAG = re.compile(r"^\s*(?:\[[^\]]{1,40}\]\s*)+")
_PREFIX = re.compile(
    r"^\s*(?:(?:fix|feat|chore|refactor|perf|bugfix)(?:\([^)]{1,60}\))?!?|[\w./\\*-]+\.\w{1,4}|[\w-]*/[\w./-]*)\s*:\s+",
    re.IGNORECASE,
)
_IMPERATIVE = {
    word: verb
    for verb, words in {
        "Fix": "fix fixed fixes fixing",
        "Add": "add added adds adding",
        "Remove": "remove removed removes removing",
        "Handle": "handle handled handles handling",
        "Avoid": "avoid avoided avoids avoiding",
        "Prevent": "prevent prevented prevents preventing",
        "Check": "check checked checks checking",
        "Use": "use used uses using",
        "Make": "make made makes making",
        "Correct": "corrected corrects correcting",
        "Change": "change changed changes changing",
        "Improve": "improve improved improves improving",
        "Replace": "replace replaced replaces replacing",
    }.items()
    for word in words.split()
}


def subject(message: str) -> str:
    """First line of a message without ticket numbers, [tags] and "path: "; one space between words."""
    first = next((line for line in message.splitlines() if line.strip()), "")
    first = _PREFIX.sub("", _TAG.sub("", _REFERENCE.sub("", first)))
    return " ".join(first.split()).rstrip(" .")


def is_fix(message: str) -> bool:
    """Whether the subject speaks of a defect."""
    first = next((line for line in message.splitlines() if line.strip()), "")
    return _FIX.search(first) is not None


def message_problem(message: str, paths: Sequence[str]) -> tuple[str, str] | None:
    """Why a commit is no repair to learn from, judged by paths and message: (reason, detail) or None."""
    beside = next((p for p in paths if _PATH.search(p)), None)
    if beside is not None:
        return "path", beside
    said = subject(message)
    n_words = len(said.split())
    if _UNUSABLE.search(message.strip().split("\n")[0]):
        return "message", said[:200]
    if not (MIN_WORDS <= n_words <= MAX_WORDS and MIN_CHARACTERS <= len(said) <= MAX_CHARACTERS):
        return "message", f"{n_words} words, {len(said)} characters"
    for reason, pattern in (("vague", _VAGUE), ("multi", _MULTI)):
        found = pattern.search(said)
        if found:
            return reason, found[0]
    return None


def instruction(message: str, function: str) -> str:
    """The subject as a request that names the function; a known first verb is put in the imperative."""
    said = subject(message) or "Repair the function"
    first, _, rest = said.partition(" ")
    said = " ".join(p for p in (_IMPERATIVE.get(first.lower(), first[:1].upper() + first[1:]), rest) if p)
    if not function or re.search(rf"(?<!\w){re.escape(function)}(?!\w)", said):
        return f"{said}."
    return f"{said} in `{function}`."
