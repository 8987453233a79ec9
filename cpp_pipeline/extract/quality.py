"""Which documented functions are worth training on, and how good they look.

Belongs here: what is measured of a function with its documentation, the rules on these measures, the quality score.
Does not belong here: the patterns (`patterns.py`), duplicates (`pairs.py`, `curate/`), whole files (`curate/files.py`).

All measures are columns of `docstring_pairs`. `RULES` is the whole filter: reason -> (condition, what was seen), in
the order in which they are asked; the first that holds is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import polars as pl
import pycld2

from cpp_pipeline.extract import patterns as p
from cpp_pipeline.extract.docs import Doc, parse_doc
from cpp_pipeline.extract.rows import series_of
from cpp_pipeline.extract.token_table import token_table

MIN_WORDS = 3
MIN_BODY_CHARACTERS = 8
MAX_BODY_LINES = 200
MAX_BODY_CHARACTERS = 8_000
MIN_LANGUAGE_WORDS = 4
MIN_ASCII_WORDS = 8
"""A few technical terms in ASCII read as any language: `Fibonacci iterator` as Corsican."""
MIN_LETTER_SHARE = 0.5
MAX_CONDITION_CHARACTERS = 400
OVERLAP_CHARACTERS = 2_000
MAX_STUB_STATEMENTS = 3
ACCESSORS_KEPT = "0123"
"""First hex digits of `pair_id` with which an accessor stays: a quarter. They are a third of what repositories
document, and each says the same."""
_GOOD_WORDS = 12

Rule = tuple[str, str]
"""(reason, what was seen)."""

_doc, _body, _code, _name = (pl.col(c) for c in ("doc", "body", "code", "name"))
_prose, _bare, _plain = pl.col("_prose"), pl.col("_bare"), pl.col("_plain")
_seen = {flag: f"_seen_{flag}" for flag in (*p.IN_DOC, *p.IN_BODY)}

# What a virtual function that does next to nothing documents is done by those that override it.
_is_virtual, _is_small = pl.col("signature").str.contains(r"\bvirtual\b"), pl.col("n_statements") <= MAX_STUB_STATEMENTS

EARLY_RULES: Mapping[str, tuple[pl.Expr, pl.Expr]] = {
    "autogen": (
        pl.col("doc_raw").str.contains(p.IN_DOC["is_autogen"]),
        pl.col("doc_raw").str.extract(f"({p.IN_DOC['is_autogen']})", 1),
    ),
    "entry_point": (
        _name.str.contains(p.ENTRY_POINT)
        | (_name.str.starts_with("test_") & ~pl.col("parameter_names").list.eval(pl.element() != "").list.any()),
        _name,
    ),
}
"""Asked before anything is measured: of a dump with generated code they take a fifth."""

RULES: Mapping[str, tuple[pl.Expr, pl.Expr]] = {
    "encoding": ((_doc + _body).str.contains("\ufffd", literal=True), pl.lit("undecodable bytes")),
    "autogen": (pl.col("is_autogen"), pl.col(_seen["is_autogen"])),
    "licence": (pl.col("is_licence"), pl.col(_seen["is_licence"])),
    "short": (pl.col("n_words") < MIN_WORDS, pl.format("{} words", "n_words")),
    "symbols": (pl.col("letter_share") < MIN_LETTER_SHARE, pl.format("letters are {} of the text", "letter_share")),
    "echo_name": (pl.col("is_echo"), _prose),
    "todo": (pl.col("is_todo"), pl.col(_seen["is_todo"])),
    "commented_code": (pl.col("is_commented_code"), _plain),
    "inherit": (pl.col("is_inherit"), pl.col(_seen["is_inherit"])),
    "condition": (pl.col("is_condition"), _doc),
    "body_empty": (_bare.str.len_chars() < MIN_BODY_CHARACTERS, _bare),
    "body_long": (
        (pl.col("body_lines") > MAX_BODY_LINES) | (pl.col("body_characters") > MAX_BODY_CHARACTERS),
        pl.format("{} lines, {} characters", "body_lines", "body_characters"),
    ),
    "stub": (
        pl.col("is_stub") | (_is_virtual & (pl.col("is_constant") | (pl.col("is_unsupported") & _is_small))),
        _bare,
    ),
    "language": (pl.col("doc_language").ne("en"), pl.format("reads as {}", "doc_language")),
    "parameters": (
        pl.col("parameter_agreement") == 0,
        pl.format("documents {}, has {}", pl.col("doc_params").list.join(", "), pl.col("_names").list.join(", ")),
    ),
    "accessor": (
        pl.col("is_accessor") & ~pl.col("pair_id").str.slice(0, 1).is_in(list(ACCESSORS_KEPT)),
        pl.format("one in four stays: {}", _bare),
    ),
    # Last: most such functions are good code behind a macro, so every other reason tells more.
    "parse_error": (pl.col("has_parse_error"), pl.lit("inside the function")),
}


def verdict(rules: Mapping[str, tuple[pl.Expr, pl.Expr]] = RULES) -> tuple[pl.Expr, pl.Expr]:
    """`reason` and `detail` of the first rule that a measured row breaks; null when it is kept."""
    reason = pl.coalesce(pl.when(broken).then(pl.lit(name)) for name, (broken, _) in rules.items())
    detail = pl.coalesce(pl.when(broken).then(seen.str.slice(0, 200)) for broken, seen in rules.values())
    return reason.alias("reason"), detail.alias("detail")


def judge(functions: pl.DataFrame) -> pl.DataFrame:
    """Documented functions with all measures, and `reason` and `detail` where they are not kept.

    What an early rule keeps out has no measures.

    Parameters
    ----------
    functions
        With pair_id, name, signature, body, code, doc_raw, parameter_names and has_parse_error.
    """
    asked = functions.with_row_index("_row").with_columns(*verdict(EARLY_RULES))
    early = asked.filter(pl.col("reason").is_not_null())
    late = asked.filter(pl.col("reason").is_null()).drop("reason", "detail")
    return pl.concat([_measured(late), early], how="diagonal").sort("_row").drop("_row")


def _measured(functions: pl.DataFrame) -> pl.DataFrame:
    docs = [parse_doc(raw) for raw in functions["doc_raw"]]
    lexed = token_table(functions["code"])
    measured = (
        functions.with_columns(*_said(docs))
        .with_columns(
            pl.Series("n_tokens", lexed.n_tokens, dtype=pl.Int64),
            pl.Series("cyclomatic", lexed.cyclomatic, dtype=pl.Int64),
            pl.Series("token_sha256", lexed.sha256, dtype=pl.String),
            _bare=p.without_comments(_body).str.replace_all(p.UNUSED, "").str.strip_chars(),
            _plain=p.without_examples(_doc),
            _names=pl.col("parameter_names").list.filter(pl.element() != ""),
        )
        .with_columns(*_text_measures(), *_flags(p.IN_DOC, _doc), *_flags(p.IN_BODY, _bare))
        .with_columns(*_agreement())
    )
    measured = measured.with_columns(languages(measured), _score())
    return measured.with_columns(*verdict()).select("_row", pl.exclude("^_.*$"))


def reject_torn(judged: pl.DataFrame, torn: pl.Series) -> pl.DataFrame:
    """Rows of `judge` after their bodies were parsed; `torn` tells of each whether its body holds errors."""
    rule, (_, seen) = "parse_error", RULES["parse_error"]
    return judged.with_columns(
        has_parse_error=pl.col("has_parse_error") | torn,
        reason=pl.when(torn).then(pl.lit(rule)).otherwise("reason"),
        detail=pl.when(torn).then(seen).otherwise("detail"),
    )


def _said(docs: list[Doc]) -> list[pl.Series]:
    return [
        pl.Series("doc", [doc.text for doc in docs], dtype=pl.String),
        pl.Series("brief", [doc.brief for doc in docs], dtype=pl.String),
        _lists("doc_params", ([name for name, _ in doc.params] for doc in docs)),
        _lists("doc_param_texts", ([text for _, text in doc.params] for doc in docs)),
        _lists("doc_tparams", ([name for name, _ in doc.tparams] for doc in docs)),
        pl.Series("doc_returns", [doc.returns for doc in docs], dtype=pl.String),
        _lists("doc_throws", ([f"{kind} {text}".strip() for kind, text in doc.throws] for doc in docs)),
        _lists("doc_notes", (doc.notes for doc in docs)),
        pl.Series("_prose", [doc.prose for doc in docs], dtype=pl.String),
    ]


def _lists(name: str, values: Iterable[Iterable[str]]) -> pl.Series:
    return series_of(name, ([text.replace("\x1f", " ") for text in texts] for texts in values), pl.List(pl.String()))


def _count(text: pl.Expr, pattern: str) -> pl.Expr:
    return text.str.count_matches(pattern).cast(pl.Int64)


def _text_measures() -> list[pl.Expr]:
    letters = _prose.str.replace_all(r"\P{L}+", "").str.len_chars()
    solid = _prose.str.len_chars().cast(pl.Int64) - _count(_prose, r"\s")
    code_lines, lines = _count(_plain, p.CODE_LINE), _count(_plain, r"(?m)^.*\S.*$")
    return [
        _count(_prose, p.WORD).alias("n_words"),
        (letters / pl.max_horizontal(solid, 1)).round(3).alias("letter_share"),
        (_count(_body, "\n") + 1).alias("body_lines"),
        _body.str.len_chars().cast(pl.Int64).alias("body_characters"),
        p.statements(_bare).alias("n_statements"),
        (2 * code_lines > lines).alias("is_commented_code"),
        _doc.map_batches(_conditions, return_dtype=pl.Boolean, is_elementwise=True).alias("is_condition"),
        _doc.str.contains(r"https?://\S+\s*$").alias("ends_in_url"),
        p.stems(_prose).alias("_said"),
        p.stems(_name).alias("_name_words"),
        p.stems(_code.str.slice(0, OVERLAP_CHARACTERS)).alias("_code_words"),
    ]


def _conditions(docs: pl.Series) -> pl.Series:
    """Whether a text only says when a function may be called, or what its callers have to do."""
    asked = ((docs.str.len_chars() <= MAX_CONDITION_CHARACTERS) & docs.str.contains(p.MAY_BE_CONDITION)).arg_true()
    doc = pl.col("doc")
    said = doc.str.replace_all(p.USAGE, "\n")
    said = pl.when(doc.str.contains(p.DOING)).then(said).otherwise(said.str.replace_all(p.DUTY, "\n"))
    found = docs.gather(asked).to_frame("doc").select(is_condition=(said != doc) & (_count(said, p.WORD) < 2))
    return pl.zeros(len(docs), pl.Boolean, eager=True).scatter(asked, found["is_condition"])


def _flags(patterns: Mapping[str, str], text: pl.Expr) -> list[pl.Expr]:
    found = {flag: text.str.extract(f"({pattern})", 1) for flag, pattern in patterns.items()}
    return [e for flag, seen in found.items() for e in (seen.is_not_null().alias(flag), seen.alias(_seen[flag]))]


def _agreement() -> list[pl.Expr]:
    # Documented template parameters are not among the names of the parameters; they stand before it.
    names = _simple_names(pl.col("_names"))
    heads = pl.col("signature").str.extract(r"^\s*template\s*<([^()]*)>", 1).fill_null("")
    templates = _simple_names(heads.str.extract_all(r"\w+")).list.set_difference(names)
    documented = _simple_names(pl.col("doc_params")).list.set_difference(templates)
    shared, every = documented.list.set_intersection(names).list.len(), documented.list.set_union(names).list.len()
    share = pl.when((documented.list.len() > 0) & (names.list.len() > 0)).then(shared / every)
    content = pl.col("_said").list.filter(pl.element().str.len_chars() > 3).list.unique()
    common = content.list.set_intersection("_code_words").list.len()
    added = pl.col("_said").list.set_difference("_name_words").list.set_difference(p.FILLER).list.len()
    return [
        share.round(4).alias("parameter_agreement"),
        (common / pl.max_horizontal(content.list.len(), 1)).round(4).alias("identifier_overlap"),
        ((pl.col("_said").list.len() > 0) & (added == 0)).alias("is_echo"),
    ]


def _simple_names(names: pl.Expr) -> pl.Expr:
    """Names as people mean them: `_fileName`, `file_name_` and "`fileName`" are one."""
    return names.list.eval(pl.element().str.replace_all(r"[^\p{L}\d]", "").str.to_lowercase())


def _score() -> pl.Expr:
    """0 to 1: the mean of agreement on parameters (0.5 when none is documented), shared words, and length."""
    length = pl.min_horizontal(1.0, pl.col("n_words") / _GOOD_WORDS)
    parts = pl.col("parameter_agreement").fill_null(0.5) + pl.col("identifier_overlap") + length
    return (parts / 3).round(4).alias("quality")


def languages(measured: pl.DataFrame) -> pl.Series:
    """ISO 639 code that CLD2 gives the prose; null for too few words or no answer.

    Identifiers and addresses are taken out first: they are English in every comment.
    """
    prose = measured.select(_prose.str.replace_all(p.NOT_PROSE, " ").str.replace_all(r"\s+", " "))["_prose"]
    enough = prose.str.count_matches(p.WORD) >= MIN_LANGUAGE_WORDS
    found = [_language(text) if ask else None for text, ask in zip(prose, enough, strict=True)]
    return pl.Series("doc_language", found, dtype=pl.String)


def _language(text: str) -> str | None:
    if text.isascii() and text.count(" ") < MIN_ASCII_WORDS:
        return None
    _reliable, _bytes, found = pycld2.detect(text, isPlainText=True, bestEffort=True)
    code = str(found[0][1])
    return None if code == "un" else code
