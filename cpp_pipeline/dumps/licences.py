"""Licences: SPDX identifiers from licence texts, file heads and Debian copyright files.

Belongs here: recognising a licence by phrases of its text and by SPDX tags, and combining what was found.
Does not belong here: which licences are acceptable (the curation room).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

HEAD_CHARACTERS = 4000

_FILE_NAME = re.compile(r"(un)?licen[cs]es?([._-][\w.+-]*)?|copying([._-][\w.]*)?|copyright|mit-license(\.\w+)?", re.I)
_TAG = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+\- ()]{2,100})")
_NOTICE_WORDS = ("licen", "permission", "redistribution", "public domain", "as-is")

# The title or notice of a GNU licence; the texts name each other further down, so the first match counts.
_GNU = re.compile(
    r"gnu (?P<kind>affero |lesser |library )?general public licen[cs]e.{0,120}?version (?P<version>\d(\.\d)?)"
)
_GNU_KINDS = {"affero ": "AGPL", "lesser ": "LGPL", "library ": "LGPL", None: "GPL"}

# (identifier, phrases that must all occur); the first that fits wins, so the more special stand first.
_PHRASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("BSL-1.0", ("boost software license", "version 1.0")),
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("Unlicense", ("free and unencumbered software released into the public domain",)),
    (
        "Zlib",
        (
            "provided 'as-is', without any express or implied",
            "altered source versions must be plainly marked",
        ),
    ),
    (
        "ISC",
        (
            "permission to use, copy, modify, and distribute this software for any purpose",
            "with or without fee",
        ),
    ),
    (
        "MIT",
        ("permission is hereby granted, free of charge, to any person obtaining a copy", "as is"),
    ),
    (
        "BSD-3-Clause",
        (
            "redistributions of source code must retain",
            "redistributions in binary form",
            "endorse or promote",
        ),
    ),
    ("BSD-2-Clause", ("redistributions of source code must retain", "redistributions in binary form")),
)
_NAMES = {
    "expat": "MIT", "mit": "MIT", "x11": "MIT", "apache-2.0": "Apache-2.0", "apache-2": "Apache-2.0",
    "bsd-3-clause": "BSD-3-Clause", "bsd-3": "BSD-3-Clause", "bsd-2-clause": "BSD-2-Clause",
    "bsd-2": "BSD-2-Clause", "bsl-1.0": "BSL-1.0", "boost-1.0": "BSL-1.0", "zlib": "Zlib", "isc": "ISC",
    "unlicense": "Unlicense", "cc0-1.0": "CC0-1.0", "cc0": "CC0-1.0", "mpl-2.0": "MPL-2.0",
    "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later", "gpl-2.0": "GPL-2.0", "gpl-3": "GPL-3.0-only",
    "gpl-3+": "GPL-3.0-or-later", "gpl-3.0": "GPL-3.0", "agpl-3": "AGPL-3.0-only", "agpl-3.0": "AGPL-3.0",
    "agpl-3+": "AGPL-3.0-or-later", "lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later",
    "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3": "LGPL-3.0-only",
    "lgpl-3+": "LGPL-3.0-or-later", "lgpl-3.0": "LGPL-3.0",
}  # fmt: skip


def is_licence_file(path: str) -> bool:
    """True for LICENSE, COPYING and the like, and for `debian/copyright`."""
    return bool(_FILE_NAME.fullmatch(path.rsplit("/", 1)[-1]))


def spdx_tag(text: str) -> str | None:
    """The SPDX expression in a file's first lines; several different tags are joined by AND."""
    found = {" ".join(m.split()).strip(" -") for m in _TAG.findall(text[:HEAD_CHARACTERS])}
    return _joined(found, "AND")


def normalise(name: str) -> str | None:
    """SPDX identifier of a licence name as data sets and Debian write it; unknown names stay as they are."""
    name = name.strip()
    if not name or name.lower() in ("none", "unknown", "other", "noassertion", "no-license"):
        return None
    return _NAMES.get(name.lower(), name)


def declared(value: object) -> str | None:
    """Licence from a record's field: a name or a list of names (all of them apply)."""
    if isinstance(value, str):
        return normalise(value)
    if isinstance(value, Iterable):
        names = {n for item in value if isinstance(item, str) and (n := normalise(item))}
        return _joined(names, "AND")
    return None


def from_text(text: str) -> str | None:
    """SPDX identifier of a licence text; None when no known phrase occurs."""
    if "Files:" in text and "License:" in text:
        debian = _from_debian_copyright(text)
        if debian is not None:
            return debian
    tag = spdx_tag(text)
    if tag is not None:
        return tag
    # 20,000 characters hold the title of every licence; later ones are often lists of bundled code.
    flat = _flat(text[:20_000])
    if "mozilla public license" in flat[:1000] and "2.0" in flat[:1000]:
        return "MPL-2.0"
    gnu = _GNU.search(flat)
    if gnu is not None:
        version = gnu["version"] if "." in gnu["version"] else gnu["version"] + ".0"
        return f"{_GNU_KINDS[gnu['kind']]}-{version}"
    for identifier, phrases in _PHRASES:
        if all(phrase in flat for phrase in phrases):
            return identifier
    return None


def _flat(text: str) -> str:
    """Lower case, without comment marks, one blank between words, one kind of quote."""
    quoted = text.lower().replace("``", "'").replace('"', "'").replace("\u2019", "'")
    return " ".join(quoted.replace("*", " ").replace("#", " ").replace("/", " ").split())


def of_head(text: str) -> str | None:
    """Licence that a source file's own head states: a tag, or the phrases of a licence notice."""
    head = text[:HEAD_CHARACTERS]
    # The text before the first directive is the same in most files of a repository.
    first, _, rest = head.partition("\n#")
    return _of_shared_notice(first) or _of_notice(rest)


@lru_cache(maxsize=1024)
def _of_shared_notice(head: str) -> str | None:
    return _of_notice(head)


def _of_notice(head: str) -> str | None:
    # Word searches first: many heads hold neither, and they cost a fraction of the expressions.
    if "SPDX-License-Identifier" in head:
        return spdx_tag(head)
    lower = head.lower()
    return from_text(head) if any(word in lower for word in _NOTICE_WORDS) else None


def by_folder(texts: Mapping[str, str]) -> dict[str, str]:
    """Licence of each folder that holds licence files ('' is the top).

    Parameters
    ----------
    texts
        Path of a licence file -> its text. Several files in one folder are a choice (joined by OR), except
        for LGPL, which comes with the GPL that it amends. `debian/copyright` speaks for the top folder, but
        only where the top has no recognised licence of its own.
    """
    found: dict[str, set[str]] = {}
    fallback: str | None = None
    for path in sorted(texts):
        identifier = from_text(texts[path])
        if identifier is None:
            continue
        if path == "debian/copyright":
            fallback = identifier
        else:
            found.setdefault(path.rpartition("/")[0], set()).add(identifier)
    if "" not in found and fallback is not None:
        found[""] = {fallback}
    return {folder: _choice(ids) for folder, ids in found.items()}


def nearest(folders: Mapping[str, str], path: str) -> str | None:
    """Licence of the closest folder above `path` that has one."""
    folder = path.rpartition("/")[0]
    while True:
        if folder in folders:
            return folders[folder]
        if not folder:
            return None
        folder = folder.rpartition("/")[0]


def _choice(ids: set[str]) -> str:
    if any(i.startswith("LGPL") for i in ids):
        ids = {i for i in ids if not i.startswith("GPL")}
    return " OR ".join(sorted(ids))


def _joined(ids: set[str], word: str) -> str | None:
    return f" {word} ".join(sorted(ids)) or None


def _from_debian_copyright(text: str) -> str | None:
    """Licence of the `Files: *` paragraph of a machine-readable debian/copyright file."""
    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        files = re.search(r"^Files:\s*(.+)$", paragraph, re.M)
        licence = re.search(r"^License:\s*(.+)$", paragraph, re.M)
        if files and licence and "*" in files.group(1).split():
            names = re.split(r"\s+(and|or)\s+", licence.group(1).strip())
            return " ".join(n.upper() if n in ("and", "or") else (normalise(n) or n) for n in names)
    return None
