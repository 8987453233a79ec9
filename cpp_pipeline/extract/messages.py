"""What a commit message asks for, by rule; nothing is invented.

Belongs here: rules on messages and paths of a commit, and the instruction made from a subject.
Does not belong here: the change itself (`diffs.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

MIN_WORDS, MAX_WORDS = 4, 59
MIN_CHARACTERS, MAX_CHARACTERS = 11, 299
MIN_THINGS = 2

_PATH = re.compile(
    r"(?i)(^|/)(bench\w*|examples?|samples?|demos?|fuzz\w*|contrib|tests?|testing|third[_-]?party|vendor|external|deps"
    r"|bundled)/|(^|[/_])(test|tests|unittest|bench\w*|fuzz\w*)\.(c|cc|cpp|cxx|h|hh|hpp)$"
    r"|(^|[/_-])tests?[_-]?(util|helper|harness|base|common|fixture)"
)
_UNUSABLE = re.compile(
    r"(?i)^\s*(merge|release|bump|version|initial commit)\b|\b(revert\w*|backport\w*|cherry.pick\w*)\b|https?://"
)
# What is left of a ticket where the sentence does not stand without it.
_NEEDS_TICKET = re.compile(r"\b(?i:issue|bug|ticket|task|pr|pull request) \d+\b|\b[DT]\d{4,}\b")
_VAGUE = re.compile(
    r"(?i)\b(minor|cosmetic|small (fix|issue|change)\w*|misc\w*|clean(ed|s)?[ -]?up|cleanups?|tidy|lint\w*"
    r"|re-?format\w*|formatting|code format|indent\w*|style|tweak\w*|various|updat(e|es|ed|ing)|examples?|comments?"
    r"|include order|typos?|try|trying|tries|attempt\w*|hopefully|maybe|wip|temporar\w*|hack\w*|again|take \d"
    r"|review\w*|feedback|suggest\w*|(unit|regression|flaky|failing)[ -]tests?|benchmarks?|docs?|documentation|ci"
    r"|part \d|follow[ -]?ups?|tests? (is |are )?(fail|fix)\w*|failing)\b|^format\b|[ -]tests?$"
    r"|\btests? (on|for|that|with)\b|\b(add|disabl|fix|extend|enabl|adapt|mak)\w* (\w+ )?tests?\b|-tests?\b"
)
_MULTI = re.compile(
    r"(?i);|\balso\b|\band (fix|add|remov|chang|updat|improv|mak|us|renam|mov|clean|refactor|simplif)\w*"
)
_FIX = re.compile(
    r"(?i)\b(fix\w*|bugs?|crash\w*|overflow\w*|underflow\w*|leak\w*|races?|deadlock\w*|incorrect\w*|wrong\w*|corrupt\w*"
    r"|uninit\w*|undefined|invalid\w*|handl(e|es|ed|ing)|check(s|ed|ing)?|prevent\w*|avoid\w*|warnings?"
    r"|errors?(?! (messages?|codes?|handl|report|text|string|type|class)))\b"
)
_EXTRA = r"(un(necessary|needed|used)|needless|redundant|useless|superfluous|obsolete|dead)"
_NO_FIX = re.compile(
    rf"(?i)\b{_EXTRA} (\w+ )?(code|checks?|checking)\b"
    rf"|^\W*(remov|delet|drop)\w* (the |an? )?({_EXTRA}\b|(\w+ )?(handl|check|prevent|avoid))"
)
_GENERAL = re.compile(
    r"(?i)\b(?:(?:fix|compil|build|warn|error|issue|problem|bug|fail|break|broke|silenc|suppress|disabl|workaround)\w*"
    r"|work(?:s|ing)?|around|mistakes?|careless|stupid|silly|dumb|checks?|caused|related|reported|introduced|merge"
    r"|handl(?:e|es|ed|ing)|us(?:e|es|ed|age)|eliminat\w*|resolv\w*|address\w*|analy[sz]\w*|ndk|sdk|nightly"
    r"|remov(?:e|es|ed|ing)|avoid\w*|prevent\w*|bogus|false|positives?|spurious|possible|potential|least|rare"
    r"|an?|the|some|few|more|another|one|two|on|in|with|for|under|when|if|using|by|from|at|to|of|and|or|new|newer|old"
    r"|older|latest|recent|compilers?|toolchains?|platforms?|systems?|versions?|mode|standard|code|g\+\+|gcc|clang(?:-cl)?"
    r"|llvm|apple|msvc|vc|vs|visual|studio|mingw|cygwin|icc|intel|nvcc|cuda|xcode|linux|windows|win|mac|macos|osx|os|x"
    r"|unix|posix|solaris|aix|android|ios|bsd|freebsd|openbsd|netbsd|ubuntu|debian|arm|ms|x86|x64|bits?|debug|release"
    r"|[amt]san|ubsan|sanitizers?|valgrind|coverity|appveyor|travis|jenkins|circleci|github|actions?|constructors?"
    r"|destructors?|functions?|methods?|class(?:es)?|files?|modules?|impl\w*)"
    r"(?![\w+])|c\+\+\w*|\bcpp\w*|[\d.]+|\b(?:gcc|clang|vs|vc|msvc|xcode|win|arm)[\d.]+\w*"
)
_TICKET = r"(?:(?:issues?|bugs?|tickets?|tasks?|prs?|pull requests?|gh)[ -]?)?#\d+"
_FOR = r"(?:fix(?:e[sd])?|closes|resolves|refs?|see)"
_REFERENCE = re.compile(
    rf"\s*\((?:{_FOR}\s+)?(?:{_TICKET}|\d+)\)|[,\s]*\b{_FOR}\s+{_TICKET}\s*$"
    rf"|(?:\s+(?:caused|introduced|broken|found|seen))?(?:\s+(?:by|in|of|from|after|since|for))?\s*(?<!\w){_TICKET}\b"
    r"|^\s*(?-i:[A-Z]{2,10}-\d+)\b:?",
    re.IGNORECASE,
)
_PEOPLE = re.compile(
    r"(?i)\s*\(?\b(?:thanks|thx|credits?|(?:reported|found|spotted|suggested|contributed|patch) by)\b.*$"
    r"|\s*(?<![\w.])\(?@[\w-]+\)?"
)
_TAG = re.compile(r"^\s*(?:(?:\[[^\]]{1,40}\]|:\w+:)\s*)+")
_PREFIX = re.compile(
    r"^\s*(?:(?:feat|chore|refactor|perf)(?:\([^)]{1,60}\))?!?|(?:bug)?fix\([^)]{1,60}\)!?|[\w./\\*-]+\.\w{1,4}"
    r"|[\w-]*/[\w./-]*)\s*:\s+",
    re.IGNORECASE,
)
_TOPIC = re.compile(r"^\s*[\w-]+\s*:\s+(?=([A-Za-z]+)\b)")
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
        "Resolve": "resolve resolved resolves resolving",
        "Ensure": "ensure ensured ensures ensuring",
        "Return": "return returned returns returning",
        "Restore": "restore restored restores restoring",
        "Report": "report reported reports reporting",
        "Suppress": "suppress suppressed suppresses suppressing",
        "Silence": "silence silenced silences silencing",
        "Disable": "disable disabled disables disabling",
        "Work": "worked works working",
    }.items()
    for word in words.split()
}


def subject(message: str) -> str:
    """First line of a message without ticket numbers, people, [tags] and "path: "; one space between words."""
    first = _PEOPLE.sub("", _REFERENCE.sub("", _first_line(message)))
    first = _PREFIX.sub("", _TAG.sub("", first))
    topic = _TOPIC.match(first)
    if topic and topic[1].lower() in _IMPERATIVE:
        first = first[topic.end() :]
    return " ".join(first.split()).strip(" .:,-")


def _first_line(message: str) -> str:
    """The first line, with those below it on which its sentence goes on."""
    first, *below = (message.strip() or " ").splitlines()
    for line in below:
        if not line[:1].islower() or first.endswith((".", ":", "!", "?")):
            break
        first = f"{first} {line}"
    return first


def is_fix(message: str) -> bool:
    """Whether the subject speaks of a defect."""
    first = _first_line(message)
    return _FIX.search(first) is not None and _NO_FIX.search(first) is None


def beside_the_code(paths: Sequence[str]) -> str | None:
    """The first path that is a benchmark, an example, a test or third-party code."""
    return next((p for p in paths if _PATH.search(p)), None)


def unusable(message: str) -> str | None:
    """What keeps a subject from being a request at all: what kind of commit it tells of, or its length."""
    said = subject(message)
    n_words = len(said.split())
    found = _UNUSABLE.search(message.strip().split("\n")[0]) or _NEEDS_TICKET.search(said)
    if found:
        return found[0].strip()
    if not (MIN_WORDS <= n_words <= MAX_WORDS and MIN_CHARACTERS <= len(said) <= MAX_CHARACTERS):
        return f"{n_words} words, {len(said)} characters"
    return None


def vague_words(message: str) -> str | None:
    """Words by which a subject tells that it tells little."""
    found = _VAGUE.search(subject(message))
    return found[0] if found else None


def unspecific(message: str, places: Sequence[str] = ()) -> str | None:
    """The subject, when it names fewer than two things beside compilers, platforms and the place of the change.

    Parameters
    ----------
    places
        Repository, paths and function that are changed.
    """
    said, place = subject(message), " ".join(places).lower()
    words = re.findall(r"[^\W\d_]{2,}", _GENERAL.sub(" ", said))
    return said if sum(word.lower() not in place for word in words) < MIN_THINGS else None


def multi_words(message: str) -> str | None:
    """Words by which a subject tells of a second change."""
    found = _MULTI.search(subject(message))
    return found[0] if found else None


def instruction(message: str, function: str) -> str:
    """The subject as a request that names the function; a known first verb is put in the imperative."""
    said = subject(message) or "Repair the function"
    first, _, rest = said.partition(" ")
    plain = first.isalpha() and first.islower()
    first = _IMPERATIVE.get(first.lower(), first.capitalize() if plain else first)
    said = f"{first} {rest}".strip()
    if not function or re.search(rf"(?<!\w){re.escape(function)}(?!\w)", said):
        return f"{said}."
    return f"{said} in `{function}`."
