"""Token shards on disk and the order in which training reads them.

Belongs here: the file layout, its manifest, and `batch`, a pure function of (step, batch size, seed).
Does not belong here: what is in the rows (`mixing`).
Layout: `tokens-00000.bin`, ... (little-endian uint16 or uint32, rows of seq_tokens + 1 without gaps)
and `manifest.json`, written last; a folder without it is unfinished.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SHARD_BYTES = 128 * 2**20
FORMAT = 1

Ids = npt.NDArray[np.integer[Any]]


def write_shards(
    rows: Iterable[Ids],
    folder: Path,
    *,
    seq_tokens: int,
    vocab: int,
    pad_id: int,
    tokenizer_sha256: str,
    stats: Mapping[str, Any] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> dict[str, Any]:
    """Write rows as shards and then the manifest.

    Parameters
    ----------
    rows
        Arrays of seq_tokens + 1 ids each (inputs and, shifted by one, targets); read as a stream.
    stats
        Free-form counts for the manifest; read after the last row, so a generator may still fill it.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    ValueError
        When a row has another length or an id outside the vocabulary, or there is no row.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in [folder / "manifest.json", *folder.glob("tokens-*.bin")]:
        old.unlink(missing_ok=True)
    dtype = np.dtype("<u2" if vocab <= 2**16 else "<u4")
    width = seq_tokens + 1
    per_shard = max(1, shard_bytes // (width * dtype.itemsize))
    files: list[dict[str, Any]] = []
    for chunk in _chunks(rows, per_shard):
        block = _block(chunk, width, vocab, dtype)
        name = f"tokens-{len(files):05d}.bin"
        data = block.tobytes()
        (folder / name).write_bytes(data)
        files.append({"name": name, "rows": len(block), "sha256": hashlib.sha256(data).hexdigest()})
    if not files:
        raise ValueError(f"no row for {folder}: the corpus is empty")
    manifest = {
        "format": FORMAT,
        "seq_tokens": seq_tokens,
        "vocab": vocab,
        "dtype": dtype.str,
        "pad_id": pad_id,
        "tokenizer_sha256": tokenizer_sha256,
        "rows": sum(f["rows"] for f in files),
        "files": files,
        "stats": dict(stats or {}),
    }
    scratch = folder / "manifest.json.part"
    scratch.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    os.replace(scratch, folder / "manifest.json")
    return manifest


def _chunks(rows: Iterable[Ids], size: int) -> Iterator[list[Ids]]:
    chunk: list[Ids] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _block(chunk: list[Ids], width: int, vocab: int, dtype: np.dtype[Any]) -> Ids:
    wrong = next((len(r) for r in chunk if len(r) != width), None)
    if wrong is not None:
        raise ValueError(f"a row has {wrong} tokens, {width} are wanted")
    block = np.stack(chunk)
    if block.min() < 0 or block.max() >= vocab:
        raise ValueError(f"ids {block.min()}..{block.max()} do not fit a vocabulary of {vocab}")
    return block.astype(dtype)


@dataclass(frozen=True)
class Shards:
    """Shards opened for reading (memory-mapped)."""

    folder: Path
    manifest: Mapping[str, Any]
    maps: tuple[Ids, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.manifest["rows"])

    @property
    def seq_tokens(self) -> int:
        """Inputs per row; a row holds one id more."""
        return int(self.manifest["seq_tokens"])

    @property
    def pad_id(self) -> int:
        """Id that fills rows and carries no loss."""
        return int(self.manifest["pad_id"])

    def row(self, index: int) -> npt.NDArray[np.int64]:
        """Row `index` in file order, [seq_tokens + 1]."""
        for block in self.maps:
            if index < len(block):
                found: npt.NDArray[np.int64] = block[index].astype(np.int64)
                return found
            index -= len(block)
        raise IndexError(f"{self.folder} has {self.rows} rows")

    def batch(self, step: int, batch_size: int, seed: int) -> npt.NDArray[np.int64]:
        """Batch of a step, [batch_size, seq_tokens + 1]; inputs are [:, :-1], targets [:, 1:].

        A pure function of its arguments: each epoch is a permutation of all rows, drawn from (seed,
        epoch), and batches run on across its end. Resuming at a step needs no other state.
        """
        if step < 0 or batch_size < 1:
            raise ValueError(f"step {step}, batch size {batch_size}: need step >= 0 and batch size >= 1")
        places = range(step * batch_size, (step + 1) * batch_size)
        order = [_permutation(self.rows, seed, p // self.rows)[p % self.rows] for p in places]
        return np.stack([self.row(int(i)) for i in order])


@functools.lru_cache(maxsize=4)
def _permutation(rows: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    order: npt.NDArray[np.int64] = np.random.Generator(np.random.PCG64([seed, epoch])).permutation(rows)
    order.flags.writeable = False  # shared by the cache
    return order


def open_shards(folder: Path, verify: bool = False) -> Shards:
    """Open a folder of shards.

    Raises
    ------
    FileNotFoundError
        Without a manifest: the folder is unfinished.
    ValueError
        When a file has another size (or, with `verify`, another hash) than the manifest says.
    """
    path = folder / "manifest.json"
    if not path.is_file():
        raise FileNotFoundError(f"no manifest in {folder}: materialize `pretraining_corpus` first")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    dtype, width = np.dtype(manifest["dtype"]), manifest["seq_tokens"] + 1
    maps: list[Ids] = []
    for entry in manifest["files"]:
        file = folder / entry["name"]
        if file.stat().st_size != entry["rows"] * width * dtype.itemsize:
            raise ValueError(f"{file} has {file.stat().st_size} bytes, not what its manifest says")
        if verify and hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
            raise ValueError(f"{file} is damaged: its sha256 is not the manifest's")
        maps.append(np.memmap(file, dtype=dtype, mode="r", shape=(entry["rows"], width)))
    return Shards(folder, manifest, tuple(maps))
