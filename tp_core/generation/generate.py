"""Decoding: prompts in, continuations out, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tp_core.assembly.attribution import attribute_errors
from tp_core.assembly.decoding_state import reorder
from tp_core.data.tokenizer import UNK_ID, Tokenizer
from tp_core.errors import RunFailed, TpError
from tp_core.generation.sampler_chain import SamplerChain, reorder_states
from tp_core.interfaces.sequence import SequenceInfo
from tp_core.interfaces.state import State
from tp_core.model.decoder import Decoder
from tp_core.model.device import Autocast

_ROWS = 256  # decoded together; more are done in turns, so that memory is bounded


class NotFinite(RunFailed):
    """The model gave NaN or infinite logits."""


@dataclass(frozen=True)
class Continuation:
    """What was generated for one prompt: new token ids, and why it stopped: `end` (the model ended
    the phrase), `length` (max_new_tokens) or `context` (max_seq_len is full)."""

    row: int
    tokens: tuple[int, ...]
    stopped: str


def encode_prompt(tokenizer: Tokenizer, prompt: str, max_seq_len: int) -> list[int]:
    """The prompt's ids. Raises `TpError` where it can't be encoded or fills the context."""
    ids = tokenizer.encode(prompt)
    room = max_seq_len - 1  # beside the start token
    if len(ids) > room:
        raise TpError(
            f"the prompt is {len(ids)} tokens long; this model's context "
            f"(max_seq_len = {max_seq_len}, start token included) has room for {room}"
        )
    return ids


@torch.no_grad()
def generate(
    model: Decoder,
    chain: SamplerChain,
    tokenizer: Tokenizer,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    seed: int,
    autocast: Autocast = nullcontext,
    on_token: Callable[[int, int], None] | None = None,
) -> list[Continuation]:
    """Continue each of `prompts` (ids without the start token; empty is unconditional).

    Prompt i draws from stream i of `seed`: its text doesn't depend on the others. `on_token(row,
    token)` is called as tokens come. Raises `ValueError` for a prompt that with the start token is
    longer than the context.
    """
    for prompt in prompts:
        if len(prompt) + 1 > model.max_seq_len:
            raise ValueError(f"a prompt of {len(prompt)} tokens is too long for this context")
    training = model.training
    model.eval()
    try:
        done: list[Continuation] = []
        for start in range(0, len(prompts), _ROWS):
            rows = prompts[start : start + _ROWS]
            batch = _Batch(model, chain, tokenizer, rows, start, seed, autocast)
            done += batch.run(max_new_tokens, on_token)
        return done
    finally:
        model.train(training)


class _Batch:
    """Rows that are decoded together. Rows that finish leave, and cost nothing more."""

    def __init__(
        self,
        model: Decoder,
        chain: SamplerChain,
        tokenizer: Tokenizer,
        prompts: Sequence[Sequence[int]],
        first_row: int,
        seed: int,
        autocast: Autocast,
    ) -> None:
        self.model, self.chain, self.seed, self.autocast = model, chain, seed, autocast
        self.device = model.embedding.weight.device
        self.end = tokenizer.eos_id
        self.never = [tokenizer.pad_id, tokenizer.bos_id, UNK_ID]
        if not model.has_eos:
            self.never.append(tokenizer.eos_id)
        rows = [(tokenizer.bos_id, *prompt) for prompt in prompts]
        self.first_row = first_row
        self.prompt_lengths = [len(row) for row in rows]
        self.lengths = torch.tensor(self.prompt_lengths)
        # One place more than the context: the token that overflows it is drawn, and not read.
        self.history = torch.full((len(rows), model.max_seq_len + 1), tokenizer.pad_id)
        for index, row in enumerate(rows):
            self.history[index, : len(row)] = torch.tensor(row)
        self.lengths, self.history = self.lengths.to(self.device), self.history.to(self.device)

    def run(
        self, max_new_tokens: int, on_token: Callable[[int, int], None] | None
    ) -> list[Continuation]:
        count = len(self.lengths)
        room = min(max(self.prompt_lengths) + max_new_tokens, self.model.max_seq_len)
        logits, state = self._prefill(room)
        states = self.chain.init_states(count, self.device)
        rows = np.arange(self.first_row, self.first_row + count)
        history, lengths = self.history, self.lengths
        prompt_lengths = lengths
        new: list[list[int]] = [[] for _ in range(count)]
        stopped = [""] * count
        active = list(range(count))
        while True:
            logits = logits.float()
            if not bool(torch.isfinite(logits).all()):
                raise NotFinite("the model's logits are not finite; was the run diverging?")
            logits[:, self.never] = -torch.inf
            tokens = self.chain.draw(
                logits, history, lengths, rows, states, self.seed, prompt_lengths
            )
            history = history.scatter(1, lengths[:, None], tokens[:, None])
            lengths = lengths + 1
            going = []
            for at, (row, token) in enumerate(zip(active, tokens.tolist(), strict=True)):
                if token == self.end:
                    stopped[row] = "end"
                    continue
                new[row].append(token)
                if on_token is not None:
                    on_token(self.first_row + row, token)
                if len(new[row]) == max_new_tokens:
                    stopped[row] = "length"
                elif self.prompt_lengths[row] + len(new[row]) > self.model.max_seq_len:
                    stopped[row] = "context"
                else:
                    going.append(at)
            if not going:
                break
            if len(going) < len(active):
                pick = torch.tensor(going, device=self.device)
                active = [active[at] for at in going]
                rows, tokens = rows[going], tokens[pick]
                history, lengths = history[pick], lengths[pick]
                prompt_lengths = prompt_lengths[pick]
                state, states = reorder(state, pick), reorder_states(states, pick)
            positions = (lengths - 1)[:, None]
            logits, state = self._step(tokens[:, None], positions, state)
        return [
            Continuation(self.first_row + row, tuple(new[row]), stopped[row])
            for row in range(count)
        ]

    def _prefill(self, room: int) -> tuple[Tensor, State]:
        """Read the prompts: each distinct one once, shorter ones padded on the left."""
        texts = [tuple(row) for row in self.history.tolist()]
        number = {text: index for index, text in enumerate(dict.fromkeys(texts))}
        where = torch.tensor([number[text] for text in texts], device=self.device)
        first = torch.tensor([texts.index(text) for text in number], device=self.device)
        prompts, lengths = self.history[first], self.lengths[first]
        width = max(self.prompt_lengths)
        index = torch.arange(width, device=self.device)[None] - (width - lengths)[:, None]
        tokens = prompts.gather(1, index.clamp(min=0))
        with attribute_errors(self.model.built):
            state = self.model.init_state(len(prompts), room, self.device, torch.float32)
        logits, state = self._step(tokens, index.clamp(min=-1), state)
        return logits[where], reorder(state, where)

    def _step(self, tokens: Tensor, positions: Tensor, state: State) -> tuple[Tensor, State]:
        with self.autocast(), attribute_errors(self.model.built):
            logits, after = self.model(tokens, SequenceInfo.of_positions(positions), state)
        assert after is not None
        return logits[:, -1], after
