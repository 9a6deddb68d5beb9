"""The question that an engine outside of the policy gets."""

import pytest
import torch

from tests.engines.conftest import ask, uniforms
from tvg_lightning.engines.asking import asked, positions_of
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
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


@pytest.mark.parametrize("length", [4, 9])
def test_a_prefix_ends_a_completion_where_the_builtin_engine_ends_it(length: int) -> None:
    """At its end token or a stop string; or it is as long as a completion may be."""
    policy = PolicyBackbone(PolicySettings()).eval()
    prompts, features = ask(policy)
    text = policy.text_to_ids("The square spins")[:-1]
    word = policy.ids_to_text(text[1:3])[-3:]
    greedy = GenerationSettings(max_new_tokens=length, temperature=0.0, stop=(word,))
    prefixes = [[text, [*text[:2], policy.end_id, *text]], [[], [text[0]] * 12]]
    question = asked(policy, prompts, features, 2, greedy, None, prefixes)
    expected = [c for group in generate(policy, prompts, features, 2, greedy, None, prefixes) for c in group]
    assert [row.is_over for row in question.rows] == [True, True, False, False]
    for row, completion in zip(question.rows, expected, strict=True):
        if question.num_more(row) == 0:
            assert row.prefix == completion.token_ids and row.is_over is not completion.truncated
        else:
            assert row.prefix == () and question.num_more(row) == length
    assert question.longest == max(len(prompt.input_ids) for prompt in prompts) + length + 1


def test_a_penalty_that_would_pass_a_beginning_by_is_refused() -> None:
    policy = PolicyBackbone(PolicySettings()).eval()
    prompts, features = ask(policy)
    given = GenerationSettings(max_new_tokens=9, temperature=0.0, presence_penalty=0.5)
    assert len(asked(policy, prompts, features, 1, given, None, None).rows) == 2
    with pytest.raises(ValueError, match=r"presence_penalty 0\.5: on vLLM .*empty_thought.*engine builtin"):
        asked(policy, prompts, features, 1, given, None, [[[]], [[5]]])


def test_seeds_follow_the_numbers_of_a_row() -> None:
    policy = PolicyBackbone(PolicySettings()).eval()
    prompts, features = ask(policy)
    numbers = torch.tensor([[0.5, 0.1], [0.25, 0.1], [0.5, 0.9], [0.0, 0.0]], dtype=torch.float64)
    question = asked(policy, prompts, features, 2, GenerationSettings(max_new_tokens=2), numbers, None)
    assert [row.seed for row in question.rows] == [2**30, 2**29, 2**30, 0]
    greedy = asked(policy, prompts, features, 2, GenerationSettings(max_new_tokens=2, temperature=0.0), None, None)
    assert [row.seed for row in greedy.rows] == [0] * 4
