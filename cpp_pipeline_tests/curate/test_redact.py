"""E-mail addresses and secrets go, code and line numbers stay. Secrets are put together here, none is written out."""

from __future__ import annotations

import random
import re
import string
from typing import Any

import polars as pl
import pytest
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
from detect_secrets.plugins.base import RegexBasedDetector
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cpp_pipeline.curate.redact import RULES, redact, redact_frame

PLUGINS: dict[str, Any] = {found.__name__: found for found in get_mapping_from_secret_type_to_class().values()}
HEX, LOWER = string.hexdigits[:16], string.ascii_lowercase
ALL = string.ascii_letters + string.digits


def some(n: int, alphabet: str = ALL) -> str:
    return "".join(random.Random(n).choices(alphabet, k=n))


def _jwt() -> str:
    import base64

    head, body = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b'{"alg":"HS256"}', b'{"sub":"1"}'))
    return f"{head}.{body}.{some(43)}"


# plugin -> (text in front, the secret, text behind)
PLANTED = {
    "ArtifactoryDetector": (' = "', "AKC" + some(60), '"'),
    "AWSKeyDetector": ('"', "AK" + "IA" + some(16, string.ascii_uppercase + string.digits), '"'),
    "AWSKeyDetector 2": ("aws_secret_" + 'key = "', some(40), '"'),
    "AzureStorageKeyDetector": ('"', "Account" + "Key=" + some(88), '"'),
    "BasicAuthDetector": ('"https:/' + "/bob:", some(9, LOWER), '@host.example/"'),
    "CloudantDetector": ("cloudant_" + 'password = "', some(64, HEX), '"'),
    "DiscordBotTokenDetector": ('"', f"M{some(23)}.{some(6)}.{some(27)}", '"'),
    "GitHubTokenDetector": ('"', "gh" + "p_" + some(36), '"'),
    "GitLabTokenDetector": ('"', "gl" + "pat-" + some(20), '"'),
    "GitLabTokenDetector 2": ('"', "gl" + "cbt-" + "ab_" + some(20), '"'),
    "IbmCloudIamDetector": ('ibm_api_' + 'key = "', some(44), '"'),
    "IbmCosHmacDetector": ('secret_access_' + 'key = "', some(48, HEX), '"'),
    "JwtTokenDetector": ('"', _jwt(), '"'),
    "MailchimpDetector": ('"', some(32, HEX) + "-us" + "5", '"'),
    "NpmDetector": ("/" + "/registry/:_auth" + "Token=", "npm_" + some(36), ""),
    "OpenAIDetector": ('"', "sk-" + some(20) + "T3Blbk" + "FJ" + some(20), '"'),
    "PypiTokenDetector": ('"', "pypi-" + "AgEIcHlwaS5vcmc" + some(70), '"'),
    "SendGridDetector": ('"', "S" + f"G.{some(22)}.{some(43)}", '"'),
    "SlackDetector": ('"', "xo" + "xb-" + "123456789012-" + some(24, LOWER), '"'),
    "SoftlayerDetector": ('softlayer_api_' + 'key = "', some(64, HEX), '"'),
    "SquareOAuthDetector": ('"', "sq0" + "csp-" + some(43), '"'),
    "StripeDetector": ('"', "sk_" + "live_" + some(24), '"'),
    "TelegramBotTokenDetector": ('"', "110201543:" + some(35), '"'),
    "TwilioKeyDetector": ('"', "S" + "K" + some(32, HEX), '"'),
}  # fmt: skip
CODE = "/// Adds. @param a one\nint add(int a, int b) {\n  return a + b;\n}\n"


def test_every_plugin_with_a_form_of_its_own_is_used_and_planted() -> None:
    other = {"IPPublicDetector", "PrivateKeyDetector"}
    with_form = {name for name, plugin in PLUGINS.items() if issubclass(plugin, RegexBasedDetector)}
    assert set(RULES) == with_form - other
    assert {name.split()[0] for name in PLANTED} == set(RULES)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_secret_goes_and_nothing_else(name: str) -> None:
    before, secret, behind = PLANTED[name]
    text = f"{CODE}auto x = {before}{secret}{behind};\n{CODE}"
    found = redact(text)
    assert found.text == f"{CODE}auto x = {before}<SECRET>{behind};\n{CODE}"
    assert found.counts == {"<SECRET>": 1}


@pytest.mark.parametrize(
    ("name", "at"), [(name, at) for name in RULES for at in range(len(PLUGINS[name].denylist))]
)  # fmt: skip
def test_the_cheap_look_misses_nothing_that_a_plugin_finds(name: str, at: int) -> None:
    pattern: re.Pattern[str] = PLUGINS[name].denylist[at]
    needs = RULES[name].needs

    @settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.from_regex(pattern))
    def misses_nothing(text: str) -> None:
        line = text.replace("\n", " ")
        if pattern.search(line):
            assert pl.Series([line]).str.contains(needs)[0]

    misses_nothing()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("// by Bob <bob.b@mail.example.com>.", "// by Bob <<EMAIL>>."),
        ('puts("to:\\nbob@example.com");', 'puts("to:\\n<EMAIL>");'),
        ("/* mailto:bob+x@example.org, eve@example.net */", "/* mailto:<EMAIL>, <EMAIL> */"),
        ("// see bob@example.com.", "// see <EMAIL>."),
        ("//bob@example.com", "//<EMAIL>"),
    ],
)
def test_addresses(text: str, expected: str) -> None:
    assert redact(text).text == expected


@pytest.mark.parametrize(
    "text",
    [
        "// y = a@b, z = A@B.T, w = u@v.transpose()",
        "/// @param a the @c first @return b.c",
        '@interface X; @"text.with dots"',
        "git clone git@github.com:owner/name.git ssh:" + "//git@example.com/x",
        'format("%s@%s.com", user, host); f("user@localhost"); g("x@1.2.3"); memcpy@GLIBC_2.2.5; a@@b.c1',
        "bob@-bad-.example bob@example..com @example.com",
        'const char* dna = "ACCAGATTACAGATTACAGATTACA"; auto v = "192.0.2.17";',
        "APFloatBase APBoolOption x; key = some_identifier_that_is_exactly_long_forty4;",
        'if (line == "-----BEGIN RSA PRIVATE ' + 'KEY-----") return load(line);',
        'snprintf(url, "http:' + '//%s:%s@%s", user, password, host);',
        'const std::string password = "swordfish";',
        "",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert redact(text).text == text
    assert redact(text).counts == {}


def test_the_lines_of_a_private_key_go() -> None:
    body = [some(64), some(64)[::-1], some(20) + "=="]
    for joint in ("\n", '\\n"\n  "', "\\n"):
        text = joint.join(["-----BEGIN RSA PRIVATE " + "KEY-----", *body, "-----END RSA PRIVATE " + "KEY-----"])
        found = redact(f'auto key = "{text}";\nint after = 1;\n')
        assert not any(line in found.text for line in body)
        assert found.text.count("\n") == text.count("\n") + 2
        assert found.text.endswith('KEY-----";\nint after = 1;\n')
        assert found.counts == {"<SECRET>": 3}


def test_frames_are_redacted_by_row() -> None:
    secret = "".join(PLANTED["GitHubTokenDetector"])
    frame = pl.DataFrame(
        {"id": range(4), "a": [CODE, f"x {secret} bob@example.com", None, ""], "b": [None, "bob@example.com", "c", ""]}
    )
    found = redact_frame(frame, ["a", "b"])
    assert found.columns == ["id", "a", "b", "n_redacted"]
    assert found["n_redacted"].to_list() == [0, 3, 0, 0]
    assert found.schema["n_redacted"] == pl.Int64
    assert found["a"].to_list() == [CODE, 'x "<SECRET>" <EMAIL>', None, ""]
    assert redact_frame(frame.lazy(), ["a", "b"]).collect(engine="streaming").equals(found)
    assert redact_frame(frame.head(0), ["a"]).schema == redact_frame(frame, ["a"]).schema


_PIECES = ["bob@example.com", *(f"{before}{secret}" for before, secret, _ in PLANTED.values())]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([*_PIECES, *'ab1@.:/\\"\n -'])).map("".join) | st.text())
def test_line_numbers_stay_and_a_second_pass_finds_nothing(text: str) -> None:
    found = redact(text)
    assert found.text.count("\n") == text.count("\n")
    assert redact(found.text).counts == {}
    assert bool(found.counts) == (found.text != text)
