"""E-mail addresses and secrets out of texts that models will read.

Belongs here: finding them (detect-secrets, email-validator) and what stands in their place. Does not belong here:
which tables are redacted. Public IPv4 addresses (they look like versions), values of variables that are called
`password`, and strings that are merely random are left: in code these are mostly neither secret nor personal.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, TypeVar

import polars as pl

EMAIL, SECRET = "<EMAIL>", "<SECRET>"

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
_Span = tuple[int, int, str]


@dataclass(frozen=True)
class Redacted:
    """A text with as many lines as before, and how many places were replaced, by what stands there now."""

    text: str
    counts: Mapping[str, int]


class _Rule(NamedTuple):
    """How one plugin of detect-secrets is used.

    `needs` is a pattern of Rust's regex crate which every text matches in which the plugin finds something: those of
    all plugins are looked for in one pass. `in_group`: the first group of the plugin's pattern is the secret,
    otherwise its whole match is. `digits`: the fewest in a secret, where the pattern fits identifiers of C++ too.
    `any_form`: a password, which may be any word.
    """

    needs: str
    in_group: bool = False
    digits: int = 0
    any_form: bool = False

    def is_plausible(self, value: str) -> bool:
        """Whether a find may be a secret: no placeholder, no identifier, not always the same few characters."""
        if self.any_form:
            return _PLACEHOLDER.match(value) is None
        return len(set(value)) >= _MIN_DISTINCT and sum(c.isdigit() for c in value) >= self.digits


_ASSIGNED = r"""(?i:(?:key|pwd|pw|pass|password|token)["']?\]?\x20*[:=\x20]>?[:=]?\x20*["']?[a-z0-9_-]{24})"""
"""An assignment as detect-secrets builds it, of a value that is long enough for each plugin."""
_GITLAB = "GR1348941|glpat-|gldt-|glft-|glsoat-|glrt-|glcbt-|glimt-|glptt-|glagent-|gloas-"
RULES: Mapping[str, _Rule] = {
    "ArtifactoryDetector": _Rule(r"AKC[a-zA-Z0-9]{10}|AP[\dA-F][a-zA-Z0-9]{8}", digits=3),
    "AWSKeyDetector": _Rule(
        r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}|(?i:aws.{0,20}(?:key|pwd|pw|pass|token))",
        in_group=True,
    ),
    "AzureStorageKeyDetector": _Rule("AccountKey="),
    "BasicAuthDetector": _Rule(r"://[^\s/@]+:[^\s/@]+@", in_group=True, any_form=True),
    "CloudantDetector": _Rule(rf"(?i:cloudant\.com)|{_ASSIGNED}", in_group=True),
    "DiscordBotTokenDetector": _Rule(r"\.[a-zA-Z\d_-]{6}\.[a-zA-Z\d_-]{27}"),
    "GitHubTokenDetector": _Rule("gh[pousr]_"),
    "GitLabTokenDetector": _Rule(_GITLAB),
    "IbmCloudIamDetector": _Rule(_ASSIGNED, in_group=True, digits=3),
    "IbmCosHmacDetector": _Rule(_ASSIGNED, in_group=True),
    "JwtTokenDetector": _Rule("eyJ"),
    "MailchimpDetector": _Rule("[0-9a-z]-us[0-9]"),
    "NpmDetector": _Rule(":_authToken=", in_group=True),
    "OpenAIDetector": _Rule("T3BlbkFJ"),
    "PypiTokenDetector": _Rule("pypi-Ag"),
    "SendGridDetector": _Rule(r"SG\.[a-zA-Z0-9_-]{22}\."),
    "SlackDetector": _Rule(r"(?i:xox[abposr]-|hooks\.slack\.com)"),
    "SoftlayerDetector": _Rule(rf"(?i:api.softlayer.com)|{_ASSIGNED}", in_group=True),
    "SquareOAuthDetector": _Rule("sq0csp-"),
    "StripeDetector": _Rule("[rs]k_live_"),
    "TelegramBotTokenDetector": _Rule(r"\d{8}:[0-9A-Za-z_-]{16}"),
    "TwilioKeyDetector": _Rule("(?:AC|SK)[a-z0-9]{32}"),
}
"""The plugins by name of their class: those whose finds have a form of their own."""
_ADDRESS = r"[A-Za-z0-9_+.-]@[A-Za-z0-9-]+\.[A-Za-z]"
_KEY = "PRIVATE KEY|PuTTY-User-Key-File-2"
_SUSPECT = "|".join(dict.fromkeys([_ADDRESS, _KEY, *(rule.needs for rule in RULES.values())]))

_LOCAL = re.compile(r"[A-Za-z0-9_.+-]{1,64}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}(?![\w(]|:\w|\.\w)")
_NO_MAIL = ("%", "@", "$", "://")
_PLACEHOLDER = re.compile(r"[%{<$\\*.x]")
_VALUE = re.compile(r"""[^\s"';,]+""")
_WORD = re.compile(r"[A-Za-z0-9_-]*")
_DELIMITERS = ' \t\r\f\v=:"'
_LINE_BEGIN = r"(?:(?<=\\n)|(?<![\\A-Za-z0-9+/]))"  # the `n` of a line end that is written `\n` is none of its letters
_KEY_LINE = re.compile(_LINE_BEGIN + r"[A-Za-z0-9+/]{40,}={0,2}")
_LAST_KEY_LINE = re.compile(_LINE_BEGIN + r"""[A-Za-z0-9+/]+={0,2}(?=(?:\\n|["'\s\\,])*-----END)""")
_MAX_KEY = 16_384
_MIN_DISTINCT = 8
"""Fewest different characters of a secret: runs of one letter and nucleotide sequences have fewer."""


def redact(text: str) -> Redacted:
    """A text with `<EMAIL>` for each e-mail address and `<SECRET>` for each secret; line numbers do not change."""
    return _redact(text) if _suspects(pl.Series([text]))[0] else Redacted(text, {})


def _redact(text: str) -> Redacted:
    parts: list[str] = []
    counts: Counter[str] = Counter()
    end = 0
    for start, stop, word in sorted(set(_found(text)), key=lambda span: (span[0], -span[1])):
        if start >= end:  # what lies in an earlier find is gone with it
            parts += text[end:start], word
            counts[word] += 1
            end = stop
    if not counts:
        return Redacted(text, {})
    # One find may hide another one of the same plugin.
    rest = redact("".join([*parts, text[end:]]))
    return Redacted(rest.text, dict(counts + Counter(rest.counts)))


def redact_frame(frame: Frame, columns: Sequence[str]) -> Frame:
    """A frame with these text columns redacted, and the Int64 column `n_redacted`: places replaced in the row.

    Row by row, so that lazy frames stream; only texts that pass one cheap look are read in Python.
    """
    returned = pl.Struct({"text": pl.String, "n": pl.Int64})
    redacted = {
        f"_redacted_{name}": pl.col(name).map_batches(_redacted, return_dtype=returned, is_elementwise=True)
        for name in columns
    }
    texts = {name: pl.col(f"_redacted_{name}").struct.field("text") for name in columns}
    total = pl.sum_horizontal(pl.col(name).struct.field("n") for name in redacted).cast(pl.Int64)
    return frame.with_columns(**redacted).with_columns(**texts, n_redacted=total).drop(list(redacted))


def _suspects(texts: pl.Series) -> pl.Series:
    return texts.str.contains(_SUSPECT)


def _redacted(texts: pl.Series) -> pl.Series:
    places = _suspects(texts).fill_null(False).arg_true()
    found = [_redact(text) for text in texts.gather(places)]
    counts = pl.zeros(len(texts), pl.Int64, eager=True)
    if found:
        texts = texts.clone().scatter(places, pl.Series([one.text for one in found]))
        counts = counts.scatter(places, pl.Series([sum(one.counts.values()) for one in found]))
    return pl.struct(text=texts, n=counts, eager=True)


@cache
def _plugins() -> list[tuple[Any, _Rule]]:
    """Made once in a process: setting the library up anew for each line is what makes it slow."""
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

    plugins: list[Any] = list(get_mapping_from_secret_type_to_class().values())
    classes = {plugin.__name__: plugin for plugin in plugins}
    return [(classes[name](), rule) for name, rule in RULES.items()]


def _found(text: str) -> Iterator[_Span]:
    """Start, end and replacement of each find. No plugin looks beyond a line, so the suspect lines are enough."""
    lines = text.split("\n")
    starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
    for at in _suspects(pl.Series(lines)).arg_true():
        secrets = list(_secrets(lines[at]))
        # `//user:password@host` is no address
        mail = (
            one for one in _addresses(lines[at]) if not any(one[0] < end and start < one[1] for start, end in secrets)
        )
        for word, places in ((SECRET, secrets), (EMAIL, mail)):
            yield from ((start + starts[at], end + starts[at], word) for start, end in places)
        if re.search(_KEY, lines[at]):
            yield from ((start, end, SECRET) for start, end in _key_lines(text, starts[at]))


def _secrets(line: str) -> Iterator[tuple[int, int]]:
    """Places of secrets; each is a find of a plugin, told again by the plugin itself for the match alone."""
    for plugin, rule in _plugins():
        for pattern in plugin.denylist:
            for match in pattern.finditer(line):
                if any(plugin.analyze_string(match.group())):
                    start, end = _place(match, rule.in_group)
                    if rule.is_plausible(line[start:end]):
                        yield start, end


def _place(match: re.Match[str], in_group: bool) -> tuple[int, int]:
    """Where the secret of a find lies: without delimiters of the pattern, and to the end of its last word."""
    if in_group and match.re.groups:
        value = _VALUE.match(match[1])
        return match.start(1), match.start(1) + (value.end() if value else 0)
    start = match.end() - len(match[0].lstrip(_DELIMITERS))
    word = _WORD.match(match.string, match.start() + len(match[0].rstrip(_DELIMITERS)))
    return start, word.end() if word else match.end()


def _key_lines(text: str, start: int) -> Iterator[tuple[int, int]]:
    """The lines of a private key behind its heading; the library's plugin finds the heading, which is no secret."""
    end = text.find("-----END", start, start + _MAX_KEY)
    stop = end + len("-----END") if end >= 0 else start + _MAX_KEY
    lines = list(_KEY_LINE.finditer(text, start, stop))
    if lines:
        lines += _LAST_KEY_LINE.finditer(text, lines[-1].end(), stop)
    for line in lines:
        yield line.span()


def _addresses(line: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer("@", line):
        at = match.start()
        local, host = _LOCAL.search(line, max(0, at - 65), at), _HOST.match(line, at + 1)
        if local is not None and host is not None:
            start = _behind_escape(line, local.start())
            if start < at and not line.endswith(_NO_MAIL, 0, start) and _is_address(line[start : host.end()]):
                yield start, host.end()


def _behind_escape(line: str, start: int) -> int:
    """The `n` of a line end that is written `\\n` in a string belongs to no word."""
    backslashes = start - len(line[:start].rstrip("\\"))
    return start + backslashes % 2


def _is_address(candidate: str) -> bool:
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(candidate, check_deliverability=False)
    except EmailNotValidError:
        return False
    return True
