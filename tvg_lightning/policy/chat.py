"""Qwen's chat template around one video and one question, as token ids."""

import re
from dataclasses import dataclass, replace

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from tvg_lightning.files import plain_text
from tvg_lightning.schema import Prompt

END_OF_TURN = "<|im_end|>"
THINK_OPENING = "<think>\n"
VIDEO_TOKEN = "<|video_pad|>"
VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", VIDEO_TOKEN)


@dataclass(frozen=True, slots=True)
class Turns:
    """The parts of a prompt that are a checkpoint's own."""

    default_system: str | None  # what the system turn says where a prompt has none; None: no such turn
    opening: str = ""  # what the assistant is made to begin with


def video_run(num_tokens: int) -> str:
    """Video tokens between their start and end.

    >>> video_run(2)
    '<|vision_start|><|video_pad|><|video_pad|><|vision_end|>'
    """
    return f"<|vision_start|>{VIDEO_TOKEN * num_tokens}<|vision_end|>"


def chat_text(prompt: Prompt, video: str, turns: Turns) -> str:
    """The whole prompt as text, up to the point where the assistant begins to speak.

    ``video``: the text of the video, special tokens included, as the policy's family writes it.
    """
    system = prompt.system or turns.default_system
    turn = f"<|im_start|>system\n{system}{END_OF_TURN}\n" if system else ""
    user = f"{video}{prompt.user}" if prompt.video_first else f"{prompt.user}{video}"
    return f"{turn}<|im_start|>user\n{user}{END_OF_TURN}\n<|im_start|>assistant\n{turns.opening}"


def chat_ids(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, video: str, turns: Turns) -> list[int]:
    """Token ids of ``chat_text``. Special tokens that the user's words spell out stay plain text."""
    return list(tokenizer(chat_text(_defused(prompt), video, turns))["input_ids"])


def turns_of(tokenizer: PreTrainedTokenizerBase, default_system: str | None, thinking: bool | None) -> Turns:
    """The turns as the chat template that comes with the tokenizer has them: a checkpoint says itself what it is.

    A thinking checkpoint differs from another of its size in nothing but a prompt that ends with ``THINK_OPENING``, a
    checkpoint like MiMo-VL from Qwen2.5-VL in its weights and its system turn. ``default_system``: the family's, where
    there is no template, or one of another form. ``thinking`` overrules the template.
    """
    opens_thought = False
    if tokenizer.chat_template:
        text = _question(tokenizer)
        opens_thought = text.endswith(THINK_OPENING)
        if said := _SYSTEM_FIRST.match(text):
            default_system = said["system"]
    return Turns(default_system, THINK_OPENING if (opens_thought if thinking is None else thinking) else "")


_SYSTEM_FIRST = re.compile(
    r"(<\|im_start\|>system\n(?P<system>((?!<\|im_).)*)<\|im_end\|>\n)?<\|im_start\|>user\n", re.DOTALL
)


def _question(tokenizer: PreTrainedTokenizerBase) -> str:
    """A prompt of one word by the tokenizer's chat template, which transformers renders in a sandbox."""
    turns = [{"role": "user", "content": "?"}]
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    except TemplateError as error:
        raise ValueError(
            f"policy.checkpoint: its chat template cannot be read ({error}): repair it, or remove chat_template.jinja "
            "and the chat_template in tokenizer_config.json"
        ) from error


def plain_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Token ids of a completion to learn; special tokens that it spells out stay plain text here, too.

    So it cannot end the turn early or claim video tokens. Tokens that were added but are not special, such as the
    ``<think>`` of later tokenizers, stay one token each.
    """
    return list(tokenizer(plain_text(text), split_special_tokens=True)["input_ids"])


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of one special token; a checkpoint without it is none of a known family."""
    found = tokenizer.convert_tokens_to_ids(token)
    if not isinstance(found, int):
        raise ValueError(f"policy.checkpoint: its tokenizer has no token {token}; give a Qwen-VL checkpoint")
    return found


def _defused(prompt: Prompt) -> Prompt:
    """A query that contains "<|im_end|>" or "<|video_pad|>" must not end the turn or claim video tokens."""

    def defuse(text: str) -> str:
        return plain_text(text).replace("<|", "< |")

    return replace(prompt, user=defuse(prompt.user), system=defuse(prompt.system) if prompt.system else None)
