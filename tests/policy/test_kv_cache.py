"""Keys and values of a rollout: each new token sees its prompt and its own row, as through one mask."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from tvg_lightning.policy.kv_cache import DecodeAttention, PrefillAttention
from tvg_lightning.policy.split_attention import dense_mask, row_layout

SCALING, LENGTHS, NUM_G = 0.4, [5, 3], 2  # two prompts, two completions of each
GENERATOR = torch.Generator().manual_seed(0)


def made_up(num_N: int) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value for 2 key heads of 3 query heads each, dimension 4."""
    shapes = ((2, num_N, 3, 4), (2, num_N, 4), (2, num_N, 4))
    query, key, value = (torch.randn(shape, generator=GENERATOR) for shape in shapes)
    return query, key, value


def prefilled(layers: Sequence[int] = (0,)) -> PrefillAttention:
    prefill = PrefillAttention(row_layout(LENGTHS))
    for layer in layers:
        prefill.attend(layer, *made_up(sum(LENGTHS)), SCALING)
    return prefill


def over(query_KgD: Tensor, key_KSD: Tensor, value_KSD: Tensor) -> Tensor:
    """What one query finds in all of these keys, spelled out."""
    share_KgS = (torch.einsum("kgd,ksd->kgs", query_KgD, key_KSD) * SCALING).softmax(2)
    return torch.einsum("kgs,ksd->kgd", share_KgS, value_KSD)


def test_prefill_is_causal_in_each_prompt_and_keeps_what_it_read() -> None:
    prefill, inputs = PrefillAttention(row_layout(LENGTHS)), made_up(8)
    found = prefill.attend(0, *inputs, SCALING)
    seen = dense_mask(row_layout(LENGTHS))
    for token in range(8):
        keys, values = (x[:, seen[token]] for x in inputs[1:])
        torch.testing.assert_close(found[:, token], over(inputs[0][:, token], keys, values))
    assert torch.equal(prefill.keys[0], inputs[1]) and torch.equal(prefill.values[0], inputs[2])
    with pytest.raises(AssertionError, match="a layer reads a row once"):
        prefill.attend(0, *inputs, SCALING)


@pytest.mark.parametrize("num_tokens", [3, 70])  # with 70, the room for 64 has to grow
def test_rows_see_their_prompt_and_themselves(num_tokens: int) -> None:
    """Row 2 ends after the second token: the others go on as they were, also when only one prompt is left.

    Layers 3 and 7 attend; those between them may do something else.
    """
    prefill = prefilled(layers=(3, 7))
    decode = DecodeAttention(prefill, NUM_G)
    prompt_of_row = [slice(0, 5), slice(0, 5), slice(5, 8), slice(5, 8)]
    own: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
    rows = [0, 1, 2, 3]
    for t in range(num_tokens):
        if t == 2:
            rows = [0, 1, 3]
            decode.keep([0, 1, 3])
        if t == num_tokens - 1:
            decode.keep([1])  # of what is left
            rows = [1]
        decode.make_room()
        for layer in (3, 7):
            query, key, value = made_up(len(rows))
            found = decode.attend(layer, query, key, value, SCALING)
            for number, row in enumerate(rows):
                own.setdefault((layer, row), []).append((key[:, number], value[:, number]))
                keys, values = (torch.stack(x, dim=1) for x in zip(*own[layer, row], strict=True))
                keys = torch.cat((prefill.keys[layer][:, prompt_of_row[row]], keys), dim=1)
                values = torch.cat((prefill.values[layer][:, prompt_of_row[row]], values), dim=1)
                torch.testing.assert_close(found[:, number], over(query[:, number], keys, values))
