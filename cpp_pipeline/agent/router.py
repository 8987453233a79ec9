"""The router at work: a request in, one call out, well-formed by construction.

Belongs here: constrained decoding over `grammar` with a Hugging Face model, and the confidence of the choice.
Does not belong here: training (`training.router`), carrying the call out (`orchestrator`).

Only where the grammar leaves a choice is the model asked; keys and punctuation are fed in without it. The
declarations are the same for every request, so their keys and values are computed once.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cpp_pipeline.agent.functiongemma import CALL, END_TURN, TURN, parse, render_call
from cpp_pipeline.agent.grammar import Choice, Request, State, choices
from cpp_pipeline.agent.router_data import ordered_handles, router_prompt
from cpp_pipeline.agent.tools import NO_TOOL, Call
from cpp_pipeline.corpus.tokenizer import decode, encode_with_specials, load_tokenizer, special_id

if TYPE_CHECKING:
    import torch

MAX_REPLY_TOKENS = 64
MAX_UTTERANCE_CHARS = 1200
HANDLE = re.compile(r"\$[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True)
class Decision:
    """What the router decided.

    `confidence` is the probability, 0 to 1, of the tool (or of no tool) among all tools and none; `call` and
    `reply` exclude each other.
    """

    tool: str
    confidence: float
    call: Call | None
    reply: str
    text: str


class Routes(Protocol):
    """Whatever can choose a tool."""

    def route(self, utterance: str, handles: Sequence[str]) -> Decision:
        """Decide on one request with the given handles attached."""
        ...


class Router:
    """A router checkpoint, loaded. Greedy, hence deterministic."""

    def __init__(self, folder: Path) -> None:
        from cpp_pipeline.models.build import load_model

        self.tokenizer = load_tokenizer(Path(folder))
        self.model = load_model(Path(folder))
        self._call = special_id(self.tokenizer, CALL)
        self._end = special_id(self.tokenizer, END_TURN)
        # The user's turn opens with a control token, so this is a start of every prompt's ids.
        prompt = router_prompt("", [])
        self._prefix = self._ids(prompt[: prompt.index(f"{TURN}user")])
        self._prefix_cache = _Stream(self.model, None)
        self._prefix_cache.feed(self._prefix)

    def _ids(self, text: str) -> list[int]:
        return encode_with_specials(self.tokenizer, text)

    def route(self, utterance: str, handles: Sequence[str]) -> Decision:
        """Decide on one request.

        Parameters
        ----------
        utterance
            The user's words; what is longer than `MAX_UTTERANCE_CHARS` is not read.
        handles
            Names of what is attached, `$code` and the like.

        Raises
        ------
        ValueError
            For a handle that is not `$` and a lower-case name.
        """
        listed = ordered_handles(handles)
        if wrong := [h for h in listed if not HANDLE.fullmatch(h)]:
            raise ValueError(f"handles {wrong}: use $ and a name of lower-case letters, digits and _")
        utterance = utterance[:MAX_UTTERANCE_CHARS]
        prompt = self._ids(router_prompt(utterance, listed))
        stream = self._prefix_cache.fork()
        stream.feed(prompt[len(self._prefix) :])
        p_call = math.exp(stream.log_probability(self._call))
        if p_call < 0.5:
            reply = self._reply(stream)
            return Decision(NO_TOOL, 1.0 - p_call, None, reply, reply)
        stream.feed([self._call])
        text, confidence = self._decode(stream, Request(utterance, tuple(listed)))
        call = parse(CALL + text).calls[0]
        return Decision(call.name, p_call * confidence, call, "", render_call(call))

    def _decode(self, stream: _Stream, request: Request) -> tuple[str, float]:
        """The call's text after its opening mark, and the probability of its tool among the tools."""
        state, text, confidence = State(), "", 1.0
        while options := choices(state, request):
            trie = _Node()
            for option in options:
                trie.add(self._ids(option.text), option)
            chosen, probability = _walk(stream, trie)
            text, state = text + chosen.text, chosen.state
            confidence *= probability
        return text, confidence

    def _reply(self, stream: _Stream) -> str:
        ids: list[int] = []
        while len(ids) < MAX_REPLY_TOKENS:
            best = stream.best()
            if best in (self._end, self._call):
                break
            ids.append(best)
            stream.feed([best])
        return decode(self.tokenizer, ids).strip()


@dataclass
class _Node:
    """A node of a trie over token ids; `tools` are those that are still possible below it."""

    children: dict[int, _Node] = field(default_factory=dict)
    choice: Choice | None = None
    tools: set[str] = field(default_factory=set)

    def add(self, ids: Sequence[int], choice: Choice) -> None:
        node = self
        node.tools.add(choice.state.tool)
        for i in ids:
            node = node.children.setdefault(i, _Node())
            node.tools.add(choice.state.tool)
        node.choice = choice


def _walk(stream: _Stream, node: _Node) -> tuple[Choice, float]:
    """Follow the model's preference to a leaf; the probability counts the branches that tell tools apart."""
    pending: list[int] = []
    confidence = 1.0
    while node.children:
        if len(node.children) > 1:
            stream.feed(pending)
            pending = []
            allowed = list(node.children)
            probabilities = stream.among(allowed)
            best = max(range(len(allowed)), key=lambda i: (probabilities[i], -allowed[i]))
            if len(node.tools) > 1:
                confidence *= probabilities[best]
            chosen = allowed[best]
        else:
            chosen = next(iter(node.children))
        pending.append(chosen)
        node = node.children[chosen]
    stream.feed(pending)
    if node.choice is None:
        raise AssertionError("a leaf of the trie holds a choice")
    return node.choice, confidence


class _Stream:
    """A model that reads ids one after the other and holds the logits of what comes next."""

    def __init__(self, model: Any, cache: Any) -> None:
        from transformers import DynamicCache

        self.model = model
        self.cache = DynamicCache(config=model.config) if cache is None else cache
        self.logits: torch.Tensor | None = None

    def fork(self) -> _Stream:
        """A stream that continues from here without changing this one."""
        other = _Stream(self.model, copy.deepcopy(self.cache))
        other.logits = self.logits
        return other

    def feed(self, ids: Sequence[int]) -> None:
        """Read ids."""
        import torch

        if ids:
            with torch.inference_mode():
                tokens = torch.tensor([list(ids)], device=self.model.device)
                out = self.model(tokens, past_key_values=self.cache, use_cache=True, logits_to_keep=1)
                self.logits = out.logits[0, -1].float()

    def _next(self) -> torch.Tensor:
        if self.logits is None:
            raise ValueError("feed at least one id before asking for the next")
        return self.logits

    def log_probability(self, token: int) -> float:
        """Natural logarithm of the probability that `token` comes next."""
        return float(self._next().log_softmax(-1)[token])

    def among(self, tokens: Sequence[int]) -> list[float]:
        """Probabilities of the given tokens, renormalised over them."""
        found: list[float] = self._next()[list(tokens)].softmax(-1).tolist()
        return found

    def best(self) -> int:
        """The most probable next token."""
        return int(self._next().argmax())
