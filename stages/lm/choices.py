"""Log-likelihoods of the choices of a prompt, whose common beginnings are computed once.

The choices form a tree. One forward pass appends all inner nodes of the tree to the prompt; a node
attends to the prompt, to its ancestors and to itself. A choice of one token needs no pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

Choices = tuple[tuple[int, ...], ...]  # the token ids of each choice

MAX_NODES = 2048  # of a pass, over all rows: the pass holds the logits of all nodes
_PROMPT = -1  # the place of the end of the prompt


@dataclass(frozen=True)
class Tree:
    """The common beginnings of choices.

    `tokens`, `parents`, `depths`: of each inner node, a beginning that a token follows; a parent stands
    before its children, and `_PROMPT` is the parent of a node of depth 1. `steps`: for each choice, its
    tokens with the place of the node that predicts them.
    """

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    steps: list[list[tuple[int, int]]]

    def ancestors(self) -> list[list[int]]:
        """The places that each node attends to: its ancestors and itself."""
        attended: list[list[int]] = []
        for place, parent in enumerate(self.parents):
            attended.append([*(attended[parent] if parent != _PROMPT else []), place])
        return attended


def tree_of(choices: Sequence[Sequence[int]]) -> Tree:
    """The tree of token ids of choices."""
    places: dict[tuple[int, ...], int] = {(): _PROMPT}
    tokens: list[int] = []
    parents: list[int] = []
    depths: list[int] = []
    steps = []
    for choice in choices:
        choice_steps = []
        for depth, token in enumerate(choice):
            beginning = tuple(choice[:depth])
            if beginning not in places:
                places[beginning] = len(tokens)
                tokens.append(beginning[-1])
                parents.append(places[beginning[:-1]])
                depths.append(depth)
            choice_steps.append((places[beginning], token))
        steps.append(choice_steps)
    return Tree(tokens, parents, depths, steps)


def choice_log_likelihoods(
    model: Any,
    cache: Any,
    mask: Tensor,
    first: Tensor,
    choices: Sequence[Choices],
) -> list[list[float]]:
    """The log-likelihood of every choice in nats. Shape: (B, number of choices).

    `cache` contains the prompts' keys and values before and after. `mask` (B, T) is the prompts' mask,
    `first` (B, V) the logits of the first answer token. Every row has the same number of choices.
    """
    scores = [[0.0] * len(row_choices) for row_choices in choices]
    start = torch.log_softmax(first, -1)
    distinct = tuple(dict.fromkeys(choices))
    for part in _parts(distinct, max(1, MAX_NODES // len(choices))):
        tree_by_choices = {each: tree_of([each[at] for at in part]) for each in distinct}
        trees = [tree_by_choices[row_choices] for row_choices in choices]
        logits = _node_logits(model, cache, mask, trees)
        normalisers = None if logits is None else torch.logsumexp(logits, -1)
        for row, tree in enumerate(trees):
            for at, steps in zip(part, tree.steps, strict=True):
                for place, token in steps:
                    if place == _PROMPT:
                        value = start[row, token]
                    else:
                        assert logits is not None
                        assert normalisers is not None
                        value = logits[row, place, token] - normalisers[row, place]
                    scores[row][at] += float(value)
    return scores


@lru_cache(maxsize=256)
def _parts(distinct: tuple[Choices, ...], most: int) -> list[list[int]]:
    """Places of choices, in parts whose trees have at most `most` nodes, or a single choice."""
    parts: list[list[int]] = [[]]
    for at in sorted(range(len(distinct[0])), key=distinct[0].__getitem__):
        part = [*parts[-1], at]
        n_nodes = max(len(tree_of([each[at] for at in part]).tokens) for each in distinct)
        if parts[-1] and n_nodes > most:
            parts.append([at])
        else:
            parts[-1] = part
    return parts


def _node_logits(model: Any, cache: Any, mask: Tensor, trees: Sequence[Tree]) -> Tensor | None:
    """The logits after every node of each row's tree. Shape: (B, N, V), N: the most nodes of a tree.

    None without a node.
    """
    width = max(len(tree.tokens) for tree in trees)
    if not width:
        return None
    if model.config._attn_implementation == "flash_attention_2":
        model.set_attn_implementation("sdpa")  # FlashAttention takes no mask of a tree
    device = mask.device
    tokens = torch.zeros(len(trees), width, dtype=torch.long)
    depths = torch.zeros(len(trees), width, dtype=torch.long)
    attended = torch.eye(width, dtype=torch.bool).repeat(len(trees), 1, 1)
    for row, tree in enumerate(trees):
        tokens[row, : len(tree.tokens)] = torch.tensor(tree.tokens)
        depths[row, : len(tree.depths)] = torch.tensor(tree.depths)
        for place, ancestors in enumerate(tree.ancestors()):
            attended[row, place, ancestors] = True
    prompt_positions = (mask.cumsum(1) - 1).clamp(min=0)
    positions = mask.sum(1, keepdim=True) - 1 + depths.to(device)
    visible = torch.cat([mask.bool()[:, None].expand(-1, width, -1), attended.to(device)], 2)
    distances = positions[:, :, None] - torch.cat([prompt_positions, positions], 1)[:, None]
    logits: Tensor = model(
        input_ids=tokens.to(device),
        attention_mask=_masks(model.config.get_text_config(), visible[:, None], distances[:, None]),
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
    ).logits
    cache.crop(-width)  # a negative number removes positions at the end
    return logits.float()


def _masks(config: Any, visible: Tensor, distances: Tensor) -> Any:
    """`visible` as the model's layers take it: layers with a sliding window see no farther than it.

    `visible` (B, 1, N, T + N); `distances`: the position of the node less the other position.
    """
    window = getattr(config, "sliding_window", None)
    if window is None:
        return visible
    near = visible & (distances < window)
    kinds = set(getattr(config, "layer_types", None) or [])
    if {"full_attention", "sliding_attention"} <= kinds:
        return {"full_attention": visible, "sliding_attention": near}
    return visible if kinds == {"full_attention"} else near
