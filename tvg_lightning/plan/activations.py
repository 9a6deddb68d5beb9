"""Bytes that the passes of this project's engine keep for their backward pass, and the most transient ones.

By counting tensors in the code. Letters: N tokens, H hidden, I intermediate size, A query heads, K key heads, D
numbers a head, Q = A D, V vocabulary; e bytes of a product's number (``compute_bytes``), s of one that embeddings,
norms and what is added up give (``stream_bytes``), which is e unless float32 weights are cast for their products. A
norm keeps its input and one float32 number a token.
"""

from typing import Any

from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.policy.families.family import TowerSizes
from tvg_lightning.policy.flops import head_size

_FLOAT = 4


def key_value_width(text: Any) -> int:
    """Numbers of a token's key and value in one layer: 2 K D."""
    return int(2 * text.num_key_value_heads * head_size(text))


def decoder_layer(text: Any, settings: PlanSettings, norms_queries: bool = False) -> float:
    """Bytes that one decoder layer keeps of a row: N (e (i H + (f + 1) Q + 2 K D + 2 I) + s 2 H + 4 (A + 2)).

    e: i inputs of projections, 2, which are what both norms gave; or 5, where that is cast for each of query, key,
    value, gate and up (by autocast from float32; peft casts it up, autocast down). f outputs of attention, 1; or 2
    where the output projection casts it likewise. The query; keys and values; gate and up. s: the inputs of both norms.
    4: their numbers, log-sum-exps. Adapters of rank r: six projections keep r numbers, + e 6 r. Where queries and keys
    have norms (``norms_queries``), these keep their inputs and a number a head: + e (Q + K D) + 4 (A + K).
    The same on GPUs, whose kernels read a prompt's keys where they lie (``policy.varlen_attention``).
    """
    e, hidden, width, num_tokens = settings.compute_bytes, text.hidden_size, key_value_width(text), settings.row_tokens
    query, is_full = text.num_attention_heads * head_size(text), settings.tuning == "full"
    peft_casts = settings.autocasts and settings.tuning == "lora"  # it leaves the inputs of 4-bit layers alone
    num_inputs = 5 if settings.autocasts and (is_full or peft_casts) else 2
    num_found = 2 if peft_casts else 1
    numbers = num_inputs * hidden + (num_found + 1) * query + width + 2 * text.intermediate_size
    numbers += 0 if is_full else 6 * settings.lora_rank
    floats = text.num_attention_heads + 2
    if norms_queries:
        numbers += query + width // 2
        floats += text.num_attention_heads + text.num_key_value_heads
    per_token = e * numbers + settings.stream_bytes * 2 * hidden + _FLOAT * floats
    return float(num_tokens * per_token)


def decoder_layer_backward(text: Any, settings: PlanSettings) -> float:
    """The most transient bytes in the backward pass of one layer, at its MLP: N (e (4 I + H) + s H).

    act(gate), computed again, and the gradients of the product and both its factors; the gradient that comes
    in and the one that goes round the MLP.
    """
    e, hidden = settings.compute_bytes, text.hidden_size
    per_token = e * (4 * text.intermediate_size + hidden) + settings.stream_bytes * hidden
    return float(settings.row_tokens * per_token)


def decoder(text: Any, settings: PlanSettings, norms_queries: bool = False) -> float:
    """Bytes that the language model keeps of a row: layers, or with checkpointing their inputs, N H s each; and ends.

    The ends: the last norm's input (N H s), the states that predict (M H e), M tokens of completions.
    """
    s, hidden, num_tokens = settings.stream_bytes, text.hidden_size, settings.row_tokens
    ends = hidden * (num_tokens * s + settings.completion_tokens * settings.compute_bytes)
    layer = num_tokens * hidden * s if settings.gradient_checkpointing else decoder_layer(text, settings, norms_queries)
    return float(text.num_hidden_layers * layer + ends)


def logits_forward(text: Any, settings: PlanSettings) -> float:
    """Logits of one chunk of n completion tokens in float32, and as many numbers while they are summed: 8 n V."""
    return 2.0 * _FLOAT * min(settings.logits_chunk, settings.completion_tokens) * text.vocab_size


def logits_backward(text: Any, settings: PlanSettings) -> float:
    """The same logits, which become their gradient in place; where e is 2, cast for the products: 4 n V, or 6 n V."""
    per_number = _FLOAT if settings.compute_bytes == _FLOAT else _FLOAT + settings.compute_bytes
    return float(per_number * min(settings.logits_chunk, settings.completion_tokens) * text.vocab_size)


def added_features(text: Any, tower: TowerSizes, settings: PlanSettings) -> float:
    """Bytes of deepstack's features while a row is read, as hidden states are: V m H s, the merger's own beside them.

    V video tokens of all prompts, m mergers; none where there is only one.
    """
    if tower.num_mergers == 1:
        return 0.0
    numbers = settings.video_tokens * tower.num_mergers * text.hidden_size
    return float(settings.batch_size * numbers * settings.stream_bytes)


def prefill(text: Any, num_tokens: int, settings: PlanSettings) -> float:
    """The most that a pass without gradient holds, at an MLP: N (e 4 I + s 3 H)."""
    per_token = settings.compute_bytes * 4 * text.intermediate_size + settings.stream_bytes * 3 * text.hidden_size
    return float(num_tokens * per_token)


def decode_attention(text: Any, settings: PlanSettings) -> float:
    """The most transient bytes of one new token's attention over prompts of N tokens: N max(4 (K D + A G), 12 A G).

    On a GPU, where it is in plain steps: keys in float32 and their scores, then scores and two as large. On a CPU
    scores come and go by blocks.
    """
    if settings.device == "cpu":
        return 0.0
    scores = text.num_attention_heads * settings.num_generations
    per_token = _FLOAT * max(key_value_width(text) // 2 + scores, 3 * scores)
    return float(settings.batch_size * settings.prompt_tokens * per_token)


def tower_block(tower: TowerSizes, settings: PlanSettings) -> float:
    """Bytes that one block of a trained tower keeps of N patches: N (e ((i + 9) H + k I) + 4 (A + 2)).

    i inputs of projections, 2; or 3, where autocast casts them for each: query with key and value, gate, up. The
    inputs of both norms; query, key and value before the rotation, query and key after it; the result, and once more
    as the projection reads it; k inner tensors of an MLP, such as gate and up, or one product before its activation and
    after it. (What is added up is in e: the patches come from a product.) A LayerNorm keeps two numbers a patch, + 8;
    and where a GPU autocasts, its input in float32, + 2 (4 - e) H.
    """
    e, hidden = settings.compute_bytes, tower.hidden_size
    num_inputs = 3 if settings.autocasts and tower.has_gates else 2
    numbers = (num_inputs + 9) * hidden + tower.kept_inner * tower.intermediate_size
    num_floats = tower.num_heads + (4 if tower.has_layer_norms else 2)
    widened = 2 * (_FLOAT - e) * hidden if _widens_norms(tower, settings) else 0
    return float(settings.patches * (e * numbers + widened + _FLOAT * num_floats))


def _widens_norms(tower: TowerSizes, settings: PlanSettings) -> bool:
    """True where autocast takes the tower's norms in float32: LayerNorms, and not on a CPU."""
    return tower.has_layer_norms and settings.autocasts and settings.device == "cuda"


def vision_side(tower: TowerSizes, patch_numbers: int, settings: PlanSettings) -> float:
    """Bytes that the vision side keeps of all videos: none where it is frozen; of m mergers, and of the tower.

    Mergers: N H e (3 m + 1), the inputs of their products and the activation's, and of the last one's norm; the other
    norms' are a block's as well. Where norms are in float32 each has its own input: N H (3 m e + 4 m).
    """
    if not settings.features_need_grad:
        return 0.0
    e, hidden, num_mergers = settings.compute_bytes, tower.hidden_size, tower.num_mergers
    at_norms = _FLOAT * num_mergers if _widens_norms(tower, settings) else e
    kept = float(settings.patches * hidden * (3 * num_mergers * e + at_norms))
    if settings.train_vision_tower:
        kept += settings.patches * patch_numbers * e
        block = settings.patches * hidden * e if settings.gradient_checkpointing else tower_block(tower, settings)
        kept += tower.depth * block
    return settings.batch_size * kept


def vision_pass(tower: TowerSizes, patch_numbers: int, settings: PlanSettings) -> float:
    """The most transient bytes of the tower: patches in float32 three times (12 a number), or, if more, an MLP.

    At an MLP patches are there in s, and e (4 I + 2 H) + s H numbers of each; without a gate k I, as many as it keeps.
    """
    e, s, num_patches = settings.compute_bytes, settings.stream_bytes, settings.batch_size * settings.patches
    num_inner = 4 if tower.has_gates else tower.kept_inner
    mlp = e * (num_inner * tower.intermediate_size + 2 * tower.hidden_size) + s * tower.hidden_size
    return float(num_patches * (patch_numbers + max(3 * _FLOAT * patch_numbers, s * patch_numbers + mlp)))
