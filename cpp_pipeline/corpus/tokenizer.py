"""Byte-level BPE for C++: training, loading, encoding.

Belongs here: everything that turns text into ids. Does not belong here: layouts (`formats`).
Loading takes the `tokenizers` library alone (0.04 CPU s), not `transformers` (5 s).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from cpp_pipeline.corpus.formats import EOT, PAD, SPECIAL_RE, SPECIALS, Parts, Special

SMALL_VOCAB = 4096
"""Up to this size digits are single tokens; above it, pairs of digits may merge."""


def split_pattern(digits: int) -> str:
    """GPT-4 style pre-tokenisation: runs of spaces stay together, at most `digits` digits do."""
    return (
        r"[^\r\n\p{L}\p{N}]?+\p{L}+"
        rf"|\p{{N}}{{1,{digits}}}"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*"
        r"|\s*[\r\n]"
        r"|\s+(?!\S)"
        r"|\s+"
    )


def train_tokenizer(texts: Iterator[str], vocab: int, folder: Path) -> dict[str, Any]:
    """Train on `texts` and write a folder that `AutoTokenizer.from_pretrained` loads.

    The same texts in the same order give the same file. Source text that spells a special token is
    trained on as text.

    Parameters
    ----------
    texts
        Training texts; read once, in batches.
    vocab
        Wanted number of tokens, specials and the 256 bytes included. Very little text gives fewer.
    folder
        Gets tokenizer.json, tokenizer_config.json and special_tokens_map.json.

    Returns
    -------
    dict
        vocab, texts, bytes, sha256 of tokenizer.json.
    """
    least = len(SPECIALS) + 256
    if vocab < least:
        raise ValueError(f"vocabulary of {vocab}: {least} are needed for the specials and all bytes")
    tok = Tokenizer(models.BPE())
    digits = 1 if vocab <= SMALL_VOCAB else 2
    tok.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split_pattern(digits)), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=list(SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    seen = {"texts": 0, "bytes": 0}
    tok.train_from_iterator(_counted(texts, seen), trainer=trainer)
    if not seen["texts"]:
        raise ValueError("no text to train a tokenizer on: are clean_files and train_problems empty?")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(tok.to_str(pretty=True), encoding="utf-8")
    names = {"eos_token": EOT, "pad_token": PAD}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "add_prefix_space": False,
        **names,
    }
    _write_json(folder / "tokenizer_config.json", config)
    _write_json(folder / "special_tokens_map.json", names)
    return {"vocab": tok.get_vocab_size(), **seen, "sha256": tokenizer_sha256(folder)}


def _counted(texts: Iterable[str], seen: dict[str, int]) -> Iterator[str]:
    for text in texts:
        seen["texts"] += 1
        seen["bytes"] += len(text.encode("utf-8"))
        yield text


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def tokenizer_sha256(folder: Path) -> str:
    """Content hash of a tokenizer: that of its tokenizer.json."""
    return hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a tokenizer whose specials are off for plain text.

    Raises
    ------
    FileNotFoundError
        Naming the folder, when it holds no tokenizer.json.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise FileNotFoundError(f"no tokenizer in {folder}: materialize `tokenizer` first")
    tok = Tokenizer.from_file(str(path))
    tok.encode_special_tokens = True
    return tok


def encode_plain(tok: Tokenizer, text: str) -> list[int]:
    """Ids of source text; never a special id, whatever the text spells."""
    # The flag means "treat specials as text"; set here too, for tokenizers that were not loaded above.
    tok.encode_special_tokens = True
    return list(tok.encode(text, add_special_tokens=False).ids)


def encode_many(tok: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """`encode_plain` for a batch in one call."""
    tok.encode_special_tokens = True
    return [list(e.ids) for e in tok.encode_batch(list(texts), add_special_tokens=False)]


def encode_with_specials(tok: Tokenizer, text: str) -> list[int]:
    """Ids of a text built by `formats`: every spelling of a special becomes its id."""
    ids: list[int] = []
    end = 0
    for match in SPECIAL_RE.finditer(text):
        if match.start() > end:
            ids += encode_plain(tok, text[end : match.start()])
        ids.append(special_id(tok, match.group()))
        end = match.end()
    return ids + (encode_plain(tok, text[end:]) if end < len(text) else [])


def encode_parts(tok: Tokenizer, parts: Parts) -> list[int]:
    """Ids of a document in parts: each text on its own, each `Special` one id."""
    ids: list[int] = []
    for part in parts:
        if isinstance(part, Special):
            ids.append(special_id(tok, part.text))
        elif part:
            ids += encode_plain(tok, part)
    return ids


def special_id(tok: Tokenizer, name: str) -> int:
    """Id of a special token; KeyError names the token when this tokenizer lacks it."""
    found = tok.token_to_id(name)
    if found is None:
        raise KeyError(f"the tokenizer has no token {name}")
    return int(found)


def decode(tok: Tokenizer, ids: Sequence[int]) -> str:
    """Text of ids, specials spelled out."""
    return str(tok.decode(list(ids), skip_special_tokens=False))
