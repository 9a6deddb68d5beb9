"""Qwen's chat template around one video and one question, as token ids."""

from dataclasses import replace

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from tvg_lightning.files import plain_text
from tvg_lightning.schema import Prompt

END_OF_TURN = "<|im_end|>"
THINK_OPENING = "<think>\n"
VIDEO_TOKEN = "<|video_pad|>"
VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", VIDEO_TOKEN)


def video_run(num_tokens: int) -> str:
    """Video tokens between their start and end.

    >>> video_run(2)
    '<|vision_start|><|video_pad|><|video_pad|><|vision_end|>'
    """
    return f"<|vision_start|>{VIDEO_TOKEN * num_tokens}<|vision_end|>"


def chat_text(prompt: Prompt, video: str, default_system: str | None, opening: str = "") -> str:
    """The whole prompt as text, up to the point where the assistant begins to speak.

    ``video``: the text of the video, special tokens included, as the policy's family writes it. ``default_system``:
    what the family's template says where the prompt has no system turn; None leaves the turn out. ``opening``: what
    the assistant is made to begin with.
    """
    system = prompt.system or default_system
    turn = f"<|im_start|>system\n{system}{END_OF_TURN}\n" if system else ""
    user = f"{video}{prompt.user}" if prompt.video_first else f"{prompt.user}{video}"
    return f"{turn}<|im_start|>user\n{user}{END_OF_TURN}\n<|im_start|>assistant\n{opening}"


def chat_ids(
    tokenizer: PreTrainedTokenizerBase, prompt: Prompt, video: str, default_system: str | None, opening: str = ""
) -> list[int]:
    """Token ids of ``chat_text``. Special tokens that the user's words spell out stay plain text."""
    return list(tokenizer(chat_text(_defused(prompt), video, default_system, opening))["input_ids"])


def assistant_opening(tokenizer: PreTrainedTokenizerBase, thinking: bool | None) -> str:
    """The text that ends the prompt of a thinking policy, ``THINK_OPENING``; nothing for any other.

    ``thinking`` None: as the chat template that comes with the tokenizer has it, so that a thinking checkpoint is known
    by what it says itself. Thinking and instruct checkpoints of one size differ in nothing else.
    """
    if thinking is None and tokenizer.chat_template:
        try:
            turns = [{"role": "user", "content": "?"}]
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            raise ValueError(
                f"policy.checkpoint: its chat template cannot be read ({error}): set policy.thinking to true where it "
                "ends prompts with <think>, else to false"
            ) from error
        thinking = str(text).endswith(THINK_OPENING)
    return THINK_OPENING if thinking else ""


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
