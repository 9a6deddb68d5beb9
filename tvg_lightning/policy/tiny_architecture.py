"""The tiny policies' architectures and their tokenizer: Qwen2.5-VL and Qwen3-VL in all but size.

1.5 M parameters and 1.9 M; 28 x 28 or 32 x 32 pixels and two frames make one video token, as in the large models. Half
of the rotary frequencies tell the time (the released models: a quarter and three eighths), because a frame of these
policies is a single token.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from tvg_lightning.policy.chat import END_OF_TURN, VISION_TOKENS, token_id
from tvg_lightning.policy.families.known import FAMILIES

VOCABULARY = {"qwen2_5_vl": 1024, "qwen3_vl": 1152}  # times of frames are words of the latter's prompts
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", END_OF_TURN, *VISION_TOKENS)
# Tags, words with their leading blank, whole times ("12.5" is one token here, five in Qwen, which has the depth to
# copy digit by digit), and what stands before a time with the blank that follows it: a time is the same token wherever.
_WORDS = r"<\|[a-z_]+\|>|</?[a-z]+>|(?: to| and|[:,]) (?=\p{N})| ?\p{L}+|\p{N}+(?:\.\p{N}+)?| ?[^\s\p{L}\p{N}<]+|<|\s+"


_TEXT = {
    "hidden_size": 128,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-6,
    "initializer_range": 0.08,  # about 1 / sqrt(hidden_size); with 0.02 nothing is copied for long
    "tie_word_embeddings": True,
    "bos_token_id": None,
}
_VISION = {
    "depth": 2,
    "hidden_size": 96,
    "intermediate_size": 288,
    "num_heads": 4,
    "temporal_patch_size": 2,
    "spatial_merge_size": 2,
    "out_hidden_size": 128,
}
_ROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [8, 4, 4]}
# of the language model and of the tower, by family
_SIZES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "qwen2_5_vl": (
        {"rope_parameters": _ROPE},
        {"patch_size": 14, "window_size": 56, "fullatt_block_indexes": [1], "tokens_per_second": 2},
    ),
    "qwen3_vl": (
        {"rope_parameters": _ROPE | {"mrope_interleaved": True}, "head_dim": 32},
        {"patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]},
    ),
}


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE over the texts: any other text goes through as well, in more tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TURN,
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
    )


def tiny_config(tokenizer: PreTrainedTokenizerFast, model_type: str) -> PreTrainedConfig:
    """Every field that differs from the released models of the family is a size, or follows from the tokenizer."""
    text, vision = _SIZES[model_type]
    ids = {token: token_id(tokenizer, token) for token in SPECIAL_TOKENS}
    own = {
        "vocab_size": VOCABULARY[model_type],
        "eos_token_id": ids[END_OF_TURN],
        "pad_token_id": ids["<|endoftext|>"],
    }
    return FAMILIES[model_type].config_class(
        text_config=_TEXT | text | own,
        vision_config=_VISION | vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )


@torch.no_grad()
def make_times_alike(embedding_VH: torch.Tensor, tokenizer: PreTrainedTokenizerFast) -> None:
    """Start the embeddings of times as waves of periods 1 to 128 s, so that near times are near each other.

    What is learned of one time then holds for its neighbours, as it does for the digits of a large model.
    """
    num_waves, hidden_size = 16, embedding_VH.shape[1]
    basis_HH = torch.linalg.qr(torch.randn(hidden_size, hidden_size))[0]
    periods_s = [2 ** (7 * k / (num_waves - 1)) for k in range(num_waves)]
    for token, time_s in {**_other_times(tokenizer), **time_tokens(tokenizer)}.items():
        waves = [wave(2 * math.pi * time_s / period_s) for period_s in periods_s for wave in (math.cos, math.sin)]
        smooth_H = torch.tensor(waves) @ basis_HH[: 2 * num_waves] / math.sqrt(num_waves)
        embedding_VH[token] = 0.8 * smooth_H + 0.02 * torch.randn(hidden_size)


def time_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, float]:
    """Token id and seconds of every half second that is one token, in order of time."""
    found = {}
    for half in range(65):
        ids = tokenizer(f"{half / 2:.1f}")["input_ids"]
        assert len(ids) == 1, f"{half / 2:.1f} is not one token"
        found[ids[0]] = half / 2
    return found


def _other_times(tokenizer: PreTrainedTokenizerBase) -> dict[int, float]:
    """Token id and seconds of the other times of one decimal that are one token: those before frames."""
    found = {f"{tenth / 10:.1f}": tenth / 10 for tenth in range(330) if tenth % 5}
    ids = {tuple(tokenizer(text)["input_ids"]): time_s for text, time_s in found.items()}
    return {token: time_s for (token, *more), time_s in ids.items() if not more}
