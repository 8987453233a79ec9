"""Which document comes next in the corpus, and in which mode, until every share is met.

Belongs here: quotas of (mode, source) cells and encoding in a mode. Does not belong here: where streams come
from (`sources`), shares and files (`mixing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tokenizers import Tokenizer

from cpp_pipeline.corpus.fim import fim_parts, raw_parts, split_random_fim, structured_parts
from cpp_pipeline.corpus.packing import Packable
from cpp_pipeline.corpus.sources import Document, half
from cpp_pipeline.corpus.tokenizer import encode_parts

Mode = Literal["raw", "random_fim", "structured_fim"]
Source = Literal["real", "family", "docstring"]
Cell = tuple[Mode, Source]

_HOPELESS_DOCUMENTS = 2000


class Stream(Protocol):
    """A source of documents that can be started again for another epoch."""

    def documents(self, epoch: int) -> Iterator[Document]:
        """The documents of one epoch."""
        ...


@dataclass
class Cursor:
    """A stream read over and over; `limit` passes at most."""

    stream: Stream
    limit: int | None = None
    epoch: int = 0
    _rows: Iterator[Document] | None = None

    def take(self) -> tuple[Document, int] | None:
        """The next document and its pass; None when the stream is empty or has reached its limit."""
        empty = 0
        while empty < 2 and (self.limit is None or self.epoch < self.limit):
            if self._rows is None:
                self._rows = self.stream.documents(self.epoch)
            for document in self._rows:
                return document, self.epoch
            self._rows = None
            self.epoch += 1
            empty += 1
        return None


@dataclass
class Mixture:
    """State of one corpus: what is still wanted, and what was given."""

    tokenizer: Tokenizer
    row_tokens: int
    target_tokens: int
    quotas: dict[Cell, float]
    cursors: dict[Source, Cursor]
    given: Counter[Cell] = field(default_factory=Counter)
    documents: Counter[str] = field(default_factory=Counter)
    skipped: Counter[Cell] = field(default_factory=Counter)
    dry: set[Cell] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    text_bytes: int = 0
    text_tokens: int = 0

    def stream(self) -> Iterator[Packable]:
        """Documents as ids until the target is met, always from the cell that is furthest behind."""
        while sum(self.given.values()) < self.target_tokens:
            cell = min(self.quotas, key=lambda c: (self.given[c] / self.quotas[c], c), default=None)
            if cell is None:
                raise ValueError(
                    "too little text for the corpus: clean_files, train_problems with references and "
                    "docstring_pairs are all empty; check that a dump with C++ was added"
                )
            found = None if self._hopeless(cell) else self.cursors[cell[1]].take()
            if found is None:
                self._give_up(cell)
                continue
            pieces = self._encode(cell[0], *found)
            self.skipped[cell] += not pieces
            for ids in pieces:
                self.given[cell] += len(ids)
                self.documents[cell[0]] += 1
                yield Packable(ids, may_cut=cell == ("raw", "real"))

    def _hopeless(self, cell: Cell) -> bool:
        # A stream that repeats for ever without one usable document must end.
        return self.skipped[cell] >= _HOPELESS_DOCUMENTS and not self.given[cell]

    def _give_up(self, cell: Cell) -> None:
        """Move what a dry cell still owes to the same mode of another source."""
        mode, source = cell
        owed = self.quotas.pop(cell) - self.given[cell]
        self.dry.add(cell)
        other: Source = "docstring" if mode == "structured_fim" else "real"
        heirs: tuple[Source, ...] = ("family", other)
        heir = next((h for h in heirs if (mode, h) not in self.dry), None)
        if heir is None:
            self.notes.append(f"no source is left for {mode}: {owed:.0f} tokens go to the other modes")
            return
        self.quotas[mode, heir] = self.quotas.get((mode, heir), 0.0) + owed
        self.notes.append(f"too little {source} text for {mode}: {owed:.0f} tokens are {heir} instead")

    def _encode(self, mode: Mode, document: Document, epoch: int) -> list[list[int]]:
        if mode != "structured_fim":
            return self._fit(mode, document.text, document.id, epoch)
        if document.function is None:
            return []
        ids = encode_parts(self.tokenizer, structured_parts(*document.function))
        return [ids] if len(ids) <= self.row_tokens else []

    def _fit(self, mode: Mode, text: str, name: str, epoch: int) -> list[list[int]]:
        """Encode; a text whose ids overflow a row is halved until its parts fit."""
        if mode == "raw":
            ids = encode_parts(self.tokenizer, raw_parts(text))
        else:
            ids = encode_parts(self.tokenizer, fim_parts(split_random_fim(text, name, epoch)))
        if len(ids) > self.row_tokens:
            first, second = half(text)
            return self._fit(mode, first, f"{name}/0", epoch) + self._fit(mode, second, f"{name}/1", epoch)
        if mode == "raw":
            self.text_bytes += len(text.encode("utf-8"))
            self.text_tokens += len(ids) - 1
        return [ids]
