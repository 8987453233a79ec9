"""A code model from a checkpoint folder, behind the agent's `CodeModel` protocol.

Belongs here: loading and one call of the sampler. Does not belong here: prompts (`loops`), decoding (`models`).
"""

from __future__ import annotations

from pathlib import Path

from cpp_pipeline.agent.ports import PromptTooLongError
from cpp_pipeline.corpus.tokenizer import decode, encode_with_specials, load_tokenizer

MIN_NEW_TOKENS = 16


class CheckpointModel:
    """Samples from a Hugging Face folder. Equal arguments give equal completions.

    `temperature` must be above 0 for the loop to get anything new when it asks the same again.
    """

    def __init__(self, folder: Path, max_new_tokens: int = 256, temperature: float = 0.6) -> None:
        from cpp_pipeline.models.build import load_model

        self.tokenizer = load_tokenizer(Path(folder))
        self.model = load_model(Path(folder))
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature

    def complete(self, prompt: str, n: int, seed: int) -> list[str]:
        """`n` completions of a prompt, cut at the end token or after `max_new_tokens`.

        Raises
        ------
        PromptTooLongError
            When fewer than `MIN_NEW_TOKENS` of the model's context are left for the answer.
        """
        from cpp_pipeline.models.sampling import sample

        ids = encode_with_specials(self.tokenizer, prompt)
        context = int(self.model.config.max_position_embeddings)
        room = min(self.max_new_tokens, context - len(ids))
        if room < min(self.max_new_tokens, MIN_NEW_TOKENS):
            raise PromptTooLongError(f"the prompt has {len(ids)} tokens, the model reads {context}")
        eos = self.model.config.eos_token_id
        ends = list(eos) if isinstance(eos, list | tuple) else [int(eos)]
        found = sample(self.model, [ids], n, room, self.temperature, ends, seed)
        return [decode(self.tokenizer, c.ids) for c in found[0]]
