"""A packed row is the same as G separate ones: log-probs, gradients, and blindness between completions."""

import torch
from torch import Tensor

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.rows import EncodedPrompt

COMPLETIONS = [
    [[20, 21, 22], [30], [40, 41, 42, 43, 44, 45, 46]],
    [[50, 51], [52, 53, 54, 55], [56, 57, 58]],
    [[60], [61, 62], [63, 64, 65, 66, 67]],
]


def one_by_one(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> list[list[Tensor]]:
    return [
        [tiny.logp([prompt], [[completion]])[0][0, 0] for completion in group]
        for prompt, group in zip(prompts, COMPLETIONS, strict=True)
    ]


def test_packed_rows_give_the_log_probs_of_separate_rows(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    with torch.no_grad():
        packed_BGC, mask_BGC = tiny.logp(prompts, COMPLETIONS)
        for b, group in enumerate(one_by_one(tiny, prompts)):
            for g, alone_C in enumerate(group):
                assert int(mask_BGC[b, g].sum()) == len(alone_C)
                torch.testing.assert_close(packed_BGC[b, g, : len(alone_C)], alone_C, rtol=1e-5, atol=1e-5)
    assert bool((packed_BGC[~mask_BGC] == 0).all())


def test_packed_rows_give_the_gradients_of_separate_rows(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    def gradients(loss: Tensor) -> dict[str, Tensor]:
        tiny.zero_grad()
        loss.backward()
        found = {n: p.grad.clone() for n, p in tiny.named_parameters() if p.grad is not None}
        tiny.zero_grad()
        return found

    packed = gradients(tiny.logp(prompts, COMPLETIONS)[0].sum())
    separate = gradients(torch.stack([x.sum() for group in one_by_one(tiny, prompts) for x in group]).sum())
    assert packed.keys() == separate.keys()
    assert any("visual" in name for name in packed)
    for name, gradient in packed.items():
        scale = separate[name].abs().max()
        assert (gradient - separate[name]).abs().max() <= 1e-4 * scale + 1e-6, name


def test_a_completion_does_not_see_its_neighbours(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    with torch.no_grad():
        before = tiny.logp(prompts[:1], [[[20, 21], [30, 31]]])[0]
        after = tiny.logp(prompts[:1], [[[20, 21], [99, 98]]])[0]
    assert torch.equal(before[0, 0], after[0, 0])
    assert not torch.equal(before[0, 1], after[0, 1])


def test_chunked_logits_change_nothing(tiny: PolicyBackbone, prompts: list[EncodedPrompt]) -> None:
    whole = tiny.logp(prompts, COMPLETIONS)[0]
    chunked = PolicyBackbone(tiny.settings.__class__(logits_chunk=3, train_vision_tower=True, train_merger=True)).eval()
    torch.testing.assert_close(chunked.logp(prompts, COMPLETIONS)[0], whole)
