"""Files that repeat other files of their project: single-header copies and C amalgamations.

Belongs here: telling such a file from its name and text. Does not belong here: other marks (`kinds`), or
whether such a file is kept.

Every function of an amalgamation lies in a second file too, and the second one has the better place. A
single-header *library*, written as one file by hand, is none: nothing else holds its functions.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice

_FOLDER = re.compile(r"(^|/)(single[_-]?includes?|single[_-]?headers?|fused[_-]?src|amalgamat\w*)/", re.I)
_FILE = re.compile(r"amalgamat\w*\.\w+$|[_.-](all[_-]in[_-]one|fused)\.\w+$|^sqlite3\.c$|^gmock-gtest-all\.\w+$", re.I)
# In lower case: what the tools that merge files write at the top of the result.
_NOTE = re.compile(
    r"\b(is|as) an amalgamation of\b|\bamalgamated (source|header|file|distribution|version)\b|"
    r"\b(merged|generated|created|combined|concatenated|amalgamated) (together )?from multiple "
    r"((source |header )?files|headers)\b|"
    r"\b(generated|created) (automatically )?(by|using|with) [\w./ -]{0,40}\b(quom|amalgamate|amalgamation|acme)\b|"
    r"\bsingle-(header|file) version (was|is) (automatically )?generated\b",
)
_NOTE_WORDS = ("amalgamat", "from multiple", "quom", "acme", "single-header", "single-file")
_NOTE_CHARACTERS = 4_000
# A merged file keeps the include lines of its parts as comments, one after the other.
_COMMENTED_INCLUDE = re.compile(r"^[ \t]*(?://|/\*)+[ \t]*#[ \t]*include[ \t]*[<\"][\w./+-]+[>\"]", re.M)
_PROJECT_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*\"", re.M)
_GUARD = re.compile(r"^[ \t]*#[ \t]*ifndef[ \t]+(\w+)[ \t]*\n[ \t]*#[ \t]*define[ \t]+\1[ \t]*$", re.M)
_LONG_CHARACTERS = 100_000
_MANY = 5


def is_amalgamated(path: str, text: str) -> bool:
    """True for a file that was put together from others of its project.

    By its name or folder, by a note in its first lines, or because it is long, includes nothing of a project
    and still carries the guards or the commented-out includes of five and more files.
    """
    folder, _, name = path.rpartition("/")
    if _is_amalgam_folder(folder) or _FILE.search(name):
        return True
    head = text[:_NOTE_CHARACTERS].lower()
    if any(word in head for word in _NOTE_WORDS):
        flat = " ".join(head.replace("*", " ").replace("/", " ").split())
        if _NOTE.search(flat):
            return True
    if len(text) < _LONG_CHARACTERS or ('include "' in text and _PROJECT_INCLUDE.search(text)):
        return False
    return _has_many(_COMMENTED_INCLUDE, text) or _has_many(_GUARD, text)


@lru_cache(maxsize=4096)
def _is_amalgam_folder(folder: str) -> bool:
    return _FOLDER.search(folder + "/") is not None


def _has_many(pattern: re.Pattern[str], text: str) -> bool:
    return sum(1 for _ in islice(pattern.finditer(text), _MANY)) == _MANY
