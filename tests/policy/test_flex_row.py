"""FlexAttention's mask of a row is the reference's; uncompiled here, and without gradients, which it lacks on a CPU."""

import pytest
import torch

from tests.policy.test_split_attention import SCALING, dense, made_up
from tvg_lightning.policy.split_attention import row_layout


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")  # as it is meant on a CPU
@pytest.mark.parametrize("lengths", [None, [[2, 1, 7], [1, 2, 3]]])
def test_flex_attention_has_the_same_mask(lengths: list[list[int]] | None) -> None:
    layout = row_layout([5, 3], lengths)
    query, key, value, _ = made_up(8 + sum(map(sum, lengths or [])), torch.float32)
    found = layout.flex_row(torch.device("cpu")).attend(query, key, value, SCALING)
    expected = dense(query, key, value, layout)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
