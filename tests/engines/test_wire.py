"""A question and its answers are the same after the wire."""

import pytest
import torch

from tvg_lightning.engines.asking import Asked, AskedPrompt, AskedRow, SampledRow
from tvg_lightning.engines.wire import pack, pack_rows, unpack, unpack_rows
from tvg_lightning.policy.settings import GenerationSettings


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_there_and_back(dtype: torch.dtype) -> None:
    features = torch.randn(2, 6).to(dtype).requires_grad_()
    prompt = AskedPrompt((4, 9, 9), torch.arange(9).reshape(3, 3), features, torch.tensor([False, True, True]))
    generation = GenerationSettings(max_new_tokens=7, temperature=0.3, stop=("</answer>", "é"))
    asked = Asked([prompt, prompt], [AskedRow(1, (), 5), AskedRow(0, (3, 2), 2**31 - 1)], generation, end_id=2)
    found, weights = unpack(pack(asked, "weights-1"))
    assert weights == "weights-1"
    assert (found.rows, found.generation, found.end_id) == (asked.rows, generation, 2)
    for ours, theirs in zip(found.prompts, asked.prompts, strict=True):
        assert ours.ids == theirs.ids
        assert ours.features.dtype == dtype
        assert torch.equal(ours.features, theirs.features)
        assert torch.equal(ours.positions_3L, theirs.positions_3L)
        assert torch.equal(ours.is_video_L, theirs.is_video_L)
    rows = [SampledRow((1, 2), (-0.1, -1e-30), True), SampledRow((), (), False)]
    assert unpack_rows(pack_rows(rows)) == rows


def test_a_log_prob_that_is_no_number_does_not_pass() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        pack_rows([SampledRow((1,), (float("nan"),), False)])
