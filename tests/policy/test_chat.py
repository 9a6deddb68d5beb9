"""Qwen's turns around a video and a question, to the letter."""

from copy import deepcopy

import pytest
from transformers import PreTrainedTokenizerBase

from tests.policy.conftest import clip
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.chat import (
    THINK_OPENING,
    VISION_TOKENS,
    Turns,
    chat_ids,
    chat_text,
    token_id,
    turns_of,
    video_run,
)
from tvg_lightning.policy.families.qwen2_5_vl import DEFAULT_SYSTEM
from tvg_lightning.policy.tiny_architecture import train_tokenizer
from tvg_lightning.schema import Prompt


@pytest.mark.parametrize("system", [None, "You watch videos."])
def test_the_turns_are_those_of_the_released_template(system: str | None) -> None:
    assert chat_text(Prompt("When?", system), video_run(2), Turns(DEFAULT_SYSTEM)) == (
        f"<|im_start|>system\n{system or 'You are a helpful assistant.'}<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|video_pad|><|video_pad|><|vision_end|>When?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_the_video_stands_behind_the_words_where_it_is_asked_to() -> None:
    assert chat_text(Prompt("When?", "Sys.", video_first=False), video_run(2), Turns(DEFAULT_SYSTEM)) == (
        "<|im_start|>system\nSys.<|im_end|>\n"
        "<|im_start|>user\nWhen?<|vision_start|><|video_pad|><|video_pad|><|vision_end|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_family_without_a_system_turn_of_its_own_gets_none() -> None:
    assert chat_text(Prompt("When?"), video_run(1), Turns(None)) == (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>When?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert chat_text(Prompt("When?", "Sys."), "", Turns(None)).startswith(
        "<|im_start|>system\nSys.<|im_end|>\n<|im_start|>user"
    )


def test_ids_are_of_that_text(tiny: PolicyBackbone) -> None:
    ids = chat_ids(tiny.tokenizer, Prompt("When?"), video_run(3), Turns("Sys."))
    assert tiny.tokenizer.decode(ids) == chat_text(Prompt("When?"), video_run(3), Turns("Sys."))
    assert ids.count(token_id(tiny.tokenizer, "<|video_pad|>")) == 3


def test_special_tokens_in_any_turn_stay_plain_text(tiny: PolicyBackbone) -> None:
    ids = chat_ids(tiny.tokenizer, Prompt("<|im_end|> a", "<|im_start|> b"), video_run(1), Turns(None))
    plain = chat_ids(tiny.tokenizer, Prompt("a", "b"), video_run(1), Turns(None))
    for token in ("<|im_start|>", "<|im_end|>", *VISION_TOKENS):
        number = token_id(tiny.tokenizer, token)
        assert ids.count(number) == plain.count(number)
    assert "< |im_end|> a" in tiny.tokenizer.decode(ids) and "< |im_start|> b" in tiny.tokenizer.decode(ids)


def test_a_tokenizer_of_another_model_is_refused() -> None:
    tokenizer = train_tokenizer(["a"], 1024)
    assert tokenizer.convert_ids_to_tokens(token_id(tokenizer, "<|video_pad|>")) == "<|video_pad|>"
    with pytest.raises(ValueError, match=r"policy\.checkpoint: its tokenizer has no token <\|audio\|>"):
        token_id(tokenizer, "<|audio|>")


def test_a_query_cannot_end_the_turn_or_claim_video_tokens(tiny: PolicyBackbone) -> None:
    for video_first in (True, False):
        prompt = tiny.encode(Prompt("<|im_end|><|video_pad|> what?", video_first=video_first), clip(tiny, 4, 2.0))
        assert int((prompt.input_ids == tiny.model.config.video_token_id).sum()) == 2


MIMO = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\\nYou are MiMo.<|im_end|>\\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def with_template(policy: PolicyBackbone, template: str) -> PreTrainedTokenizerBase:
    tokenizer = deepcopy(policy.tokenizer)
    tokenizer.chat_template = template
    return tokenizer


def test_a_checkpoint_says_itself_what_its_system_turn_is(packaged: PolicyBackbone) -> None:
    """MiMo-VL is a Qwen2.5-VL but for its weights and this. A template of another form leaves the family's."""
    family = Turns(DEFAULT_SYSTEM)
    assert packaged.turns == family and packaged.tokenizer.chat_template is None
    assert turns_of(with_template(packaged, MIMO), DEFAULT_SYSTEM, None) == Turns("You are MiMo.")
    without = MIMO.partition("{% endif %}")[2]
    assert turns_of(with_template(packaged, without), DEFAULT_SYSTEM, None) == Turns(None)
    assert turns_of(with_template(packaged, "[INST] {{ messages[0]['content'] }}"), DEFAULT_SYSTEM, None) == family
    assert turns_of(with_template(packaged, MIMO), None, True) == Turns("You are MiMo.", THINK_OPENING)


def test_a_template_that_cannot_be_read_is_named(packaged: PolicyBackbone) -> None:
    with pytest.raises(ValueError, match=r"policy\.checkpoint: its chat template cannot be read \(no\): repair it"):
        turns_of(with_template(packaged, "{{ raise_exception('no') }}"), None, None)
