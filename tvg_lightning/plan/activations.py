"""Bytes that the passes of this project's engine keep for their backward pass, and the most that come and go.

By counting tensors in the code. Letters: N tokens, H hidden, I intermediate size, A query heads, K key heads, D
numbers a head, V vocabulary, e bytes a number. A norm keeps its input in float32 whatever e is.
"""

from transformers import Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig

from tvg_lightning.plan.settings import PlanSettings

_FLOAT = 4
PATCH_NUMBERS = 3 * 2 * 14 * 14  # colours, frames, pixels


def key_value_width(text: Qwen2_5_VLTextConfig) -> int:
    """Numbers of a token's key and value in one layer: 2 K D."""
    assert text.num_key_value_heads is not None
    return 2 * text.num_key_value_heads * (text.hidden_size // text.num_attention_heads)


def decoder_layer(text: Qwen2_5_VLTextConfig, settings: PlanSettings) -> float:
    """What one decoder layer keeps of a row.

    Full tuning: N (e (6 H + 2 K D + 2 I) + 2 * 4 H + 4 A + 8): of both norms the input (float32), the normed and
    the scaled; query, result and its log-sum-exp; keys and values; gate and up.
    Adapters of rank r: frozen norms do not keep the normed, and six projections keep r numbers: 6 r - 2 H.
    Where adapters are cast, each of the six keeps its input once more (peft casts it up, autocast down), so that both
    scaled are kept five times and the result twice: 4 H.
    On a GPU each completion has a copy of its prompt's keys and values, which is kept as well.
    """
    e, hidden, width = settings.dtype_bytes, text.hidden_size, key_value_width(text)
    numbers = 6 * hidden + width + 2 * text.intermediate_size
    if settings.tuning != "full":
        numbers += 6 * settings.lora_rank - 2 * hidden
    if settings.casts_adapters:
        numbers += 4 * hidden
    in_float = 2 * hidden + text.num_attention_heads + 2
    copied = 0
    if settings.device == "cuda":
        copied = settings.completion_tokens
        copied += settings.batch_size * settings.num_generations * settings.prompt_tokens
    return float(settings.row_tokens * (e * numbers + _FLOAT * in_float) + copied * width * e)


def decoder_layer_backward(text: Qwen2_5_VLTextConfig, settings: PlanSettings) -> float:
    """The most that comes and goes in the backward pass of one layer, at its MLP: N e (4 I + 2 H).

    act(gate), computed again, and the gradients of the product and both its factors; the gradient that comes
    in and the one that goes round the MLP.
    """
    return float(settings.row_tokens * settings.dtype_bytes * (4 * text.intermediate_size + 2 * text.hidden_size))


def decoder(text: Qwen2_5_VLTextConfig, settings: PlanSettings) -> float:
    """What the language model keeps of a row: all layers, or with checkpointing their inputs, N H e each; and its ends.

    The ends: the embedded row (N H e), the last norm (N H (2 e + 4)), the states that predict (M H e), M tokens
    of completions.
    """
    e, hidden, num_tokens = settings.dtype_bytes, text.hidden_size, settings.row_tokens
    ends = hidden * (num_tokens * (3 * e + _FLOAT) + settings.completion_tokens * e)
    layer = num_tokens * hidden * e if settings.gradient_checkpointing else decoder_layer(text, settings)
    return float(text.num_hidden_layers * layer + ends)


def logits_backward(text: Qwen2_5_VLTextConfig, settings: PlanSettings) -> float:
    """Logits of one chunk of completion tokens in float32, and three of their size on the way back: 16 n V."""
    return 4.0 * _FLOAT * min(settings.logits_chunk, settings.completion_tokens) * text.vocab_size


def reading(text: Qwen2_5_VLTextConfig, num_tokens: int, e: int) -> float:
    """The most that a pass without gradient holds, at an MLP: N e (4 I + 3 H)."""
    return float(num_tokens * e * (4 * text.intermediate_size + 3 * text.hidden_size))


def tower_block(vision: Qwen2_5_VLVisionConfig, settings: PlanSettings) -> float:
    """What one block of a trained tower keeps of N patches: N (e (11 H + 2 I) + 2 * 4 H + 4 A).

    Of both norms input (float32), normed and scaled; query, key and value before the rotation, query and key
    after it; the result, and once more as the projection reads it; gate and up.
    """
    e, hidden = settings.dtype_bytes, vision.hidden_size
    numbers = 11 * hidden + 2 * vision.intermediate_size
    return float(settings.patches * (e * numbers + _FLOAT * (2 * hidden + vision.num_heads)))


def tower(vision: Qwen2_5_VLVisionConfig, settings: PlanSettings) -> float:
    """What the vision side keeps of all videos: nothing where it is frozen; its merger N H (4 e + 4), and the tower."""
    if not (settings.train_merger or settings.train_vision_tower):
        return 0.0
    e, hidden = settings.dtype_bytes, vision.hidden_size
    kept = float(settings.patches * hidden * (4 * e + _FLOAT))
    if settings.train_vision_tower:
        kept += settings.patches * PATCH_NUMBERS * e
        block = settings.patches * hidden * e if settings.gradient_checkpointing else tower_block(vision, settings)
        kept += vision.depth * block
    return settings.batch_size * kept


def seeing(vision: Qwen2_5_VLVisionConfig, settings: PlanSettings) -> float:
    """The most that the tower holds for a while: patches in float32 three times (12 a number), or, if more, an MLP."""
    e, num_patches = settings.dtype_bytes, settings.batch_size * settings.patches
    mlp = e * (4 * vision.intermediate_size + 3 * vision.hidden_size)
    return float(num_patches * (PATCH_NUMBERS + max(3 * _FLOAT * PATCH_NUMBERS, e * PATCH_NUMBERS + mlp)))
