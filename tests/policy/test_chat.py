"""Qwen's turns around a video and a question, to the letter."""

import pytest

from tests.policy.conftest import clip
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.chat import VISION_TOKENS, chat_ids, chat_text, token_id, video_run
from tvg_lightning.policy.families.qwen2_5_vl import DEFAULT_SYSTEM
from tvg_lightning.policy.tiny_architecture import train_tokenizer
from tvg_lightning.schema import Prompt


@pytest.mark.parametrize("system", [None, "You watch videos."])
def test_the_turns_are_those_of_the_released_template(system: str | None) -> None:
    assert chat_text(Prompt("When?", system), video_run(2), DEFAULT_SYSTEM) == (
        f"<|im_start|>system\n{system or 'You are a helpful assistant.'}<|im_end|>\n"
        "<|im_start|>user\n<|vision_start|><|video_pad|><|video_pad|><|vision_end|>When?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_the_video_stands_behind_the_words_where_it_is_asked_to() -> None:
    assert chat_text(Prompt("When?", "Sys.", video_first=False), video_run(2), DEFAULT_SYSTEM) == (
        "<|im_start|>system\nSys.<|im_end|>\n"
        "<|im_start|>user\nWhen?<|vision_start|><|video_pad|><|video_pad|><|vision_end|><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_family_without_a_system_turn_of_its_own_gets_none() -> None:
    assert chat_text(Prompt("When?"), video_run(1), None) == (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>When?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert chat_text(Prompt("When?", "Sys."), "", None).startswith(
        "<|im_start|>system\nSys.<|im_end|>\n<|im_start|>user"
    )


def test_ids_are_of_that_text(tiny: PolicyBackbone) -> None:
    ids = chat_ids(tiny.tokenizer, Prompt("When?"), video_run(3), "Sys.")
    assert tiny.tokenizer.decode(ids) == chat_text(Prompt("When?"), video_run(3), "Sys.")
    assert ids.count(token_id(tiny.tokenizer, "<|video_pad|>")) == 3


def test_special_tokens_in_any_turn_stay_plain_text(tiny: PolicyBackbone) -> None:
    ids = chat_ids(tiny.tokenizer, Prompt("<|im_end|> a", "<|im_start|> b"), video_run(1), None)
    plain = chat_ids(tiny.tokenizer, Prompt("a", "b"), video_run(1), None)
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
