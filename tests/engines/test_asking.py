"""The question that an engine outside of the policy gets."""

import torch

from tests.engines.conftest import ask, uniforms
from tvg_lightning.engines.asking import asked, positions_of
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings


def test_a_question_holds_prompts_as_the_loss_reads_them() -> None:
    policy = PolicyBackbone(PolicySettings()).eval()
    prompts, features = ask(policy)
    prefixes = [[[5, 6], []], [[], [7]]]
    question = asked(policy, prompts, features, 2, GenerationSettings(max_new_tokens=9), uniforms(2, 2, 9), prefixes)
    assert [row.prompt for row in question.rows] == [0, 0, 1, 1]
    assert [row.prefix for row in question.rows] == [(5, 6), (), (), (7,)]
    assert len({row.seed for row in question.rows}) == 4
    assert all(0 <= row.seed < 2**31 for row in question.rows)
    assert question.longest == max(len(prompt.input_ids) for prompt in prompts) + 9
    for found, prompt, feature in zip(question.prompts, prompts, features, strict=True):
        assert found.ids == tuple(prompt.input_ids.tolist())
        assert int(found.is_video_L.sum()) == len(feature)
        longer = positions_of(found, len(found.ids) + 2)
        assert torch.equal(longer[:, :-2], prompt.position_ids)
        assert longer[:, -2:].tolist() == [[prompt.next_position, prompt.next_position + 1]] * 3


def test_seeds_follow_the_numbers_of_a_row() -> None:
    policy = PolicyBackbone(PolicySettings()).eval()
    prompts, features = ask(policy)
    numbers = torch.tensor([[0.5, 0.1], [0.25, 0.1], [0.5, 0.9], [0.0, 0.0]], dtype=torch.float64)
    question = asked(policy, prompts, features, 2, GenerationSettings(max_new_tokens=2), numbers, None)
    assert [row.seed for row in question.rows] == [2**30, 2**29, 2**30, 0]
    greedy = asked(policy, prompts, features, 2, GenerationSettings(max_new_tokens=2, temperature=0.0), None, None)
    assert [row.seed for row in greedy.rows] == [0] * 4
