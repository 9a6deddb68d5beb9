"""Qwen's chat template around one video and one question, as token ids."""

from collections.abc import Sequence
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from tvg_lightning.files import plain_text
from tvg_lightning.schema import Prompt

DEFAULT_SYSTEM = "You are a helpful assistant."  # what Qwen's own template says when there is no system turn
END_OF_TURN = "<|im_end|>"
VIDEO_TOKEN = "<|video_pad|>"
VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", VIDEO_TOKEN)


def chat_text(prompt: Prompt, num_video_tokens: int, times_s: Sequence[float] = ()) -> str:
    """The whole prompt as text, up to the point where the assistant begins to speak.

    ``times_s``: of every pair of frames, written in seconds with one decimal before the tokens of the pair, which then
    are a video of their own (TimeLens, arXiv 2512.14698, whose exact text is not public); () writes none.
    """
    each = num_video_tokens // max(1, len(times_s))
    times = [f"{time_s:.1f}" for time_s in times_s] or [""]
    video = "".join(f"{time}<|vision_start|>{VIDEO_TOKEN * each}<|vision_end|>" for time in times)
    user = f"{video}{prompt.user}" if prompt.video_first else f"{prompt.user}{video}"
    return (
        f"<|im_start|>system\n{prompt.system or DEFAULT_SYSTEM}{END_OF_TURN}\n"
        f"<|im_start|>user\n{user}{END_OF_TURN}\n<|im_start|>assistant\n"
    )


def chat_ids(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, num_video_tokens: int, times_s: Sequence[float] = ()
) -> list[int]:
    """Token ids of ``chat_text``. Special tokens that the user's words spell out stay plain text."""
    return list(tokenizer(chat_text(_defused(prompt), num_video_tokens, times_s))["input_ids"])


def plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a completion to learn; special tokens that it spells out stay plain text here, too.

    So it cannot end the turn early or claim video tokens. Tokens that were added but are not special, such as the
    ``<think>`` of later tokenizers, stay one token each.
    """
    return list(tokenizer(plain_text(text), split_special_tokens=True)["input_ids"])


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of one special token; a checkpoint without it is not a Qwen2.5-VL."""
    found = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(found, int):
        raise ValueError(f"policy.checkpoint: its tokenizer has no token {token}; give a Qwen2.5-VL checkpoint")
    return found


def _defused(prompt: Prompt) -> Prompt:
    """A query that contains "<|im_end|>" or "<|video_pad|>" must not end the turn or claim video tokens."""

    def defuse(text: str) -> str:
        return plain_text(text).replace("<|", "< |")

    return replace(prompt, user=defuse(prompt.user), system=defuse(prompt.system) if prompt.system else None)
