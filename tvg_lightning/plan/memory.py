"""What a step holds on one GPU, phase by phase, in bytes."""

from dataclasses import asdict, dataclass

from tvg_lightning.plan import activations
from tvg_lightning.plan.architecture import Architecture
from tvg_lightning.plan.settings import PlanSettings

_FIRST_ROOM = 64  # tokens that the store of the completions' keys begins with; it doubles
_OPTIMIZER_BYTES = 1 + 4 / 256  # of one state of one parameter in 8 bits: its code, its share of a block's scale


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes by what they are for."""

    weights: float
    reference: float  # what is trained, as it was when the stage began
    optimizer: float
    gradients: float = 0.0
    features: float = 0.0  # of the videos
    keys_values: float = 0.0
    activations: float = 0.0  # kept for the backward pass, those of the vision side from the rollout on
    temporary: float = 0.0

    @property
    def total(self) -> float:
        """Their sum.

        >>> Held(weights=3.0, reference=0.0, optimizer=6.0, gradients=3.0).total
        12.0
        """
        return float(sum(asdict(self).values()))


def phases(architecture: Architecture, settings: PlanSettings) -> dict[str, Held]:
    """What is held at the worst moment of every phase; a step needs the largest of the totals."""
    return {
        "rollout": _rollout(architecture, settings),
        "backward begins": _backward_begins(architecture, settings),
        "backward ends": _backward_ends(architecture, settings),
        "update": _update(architecture, settings),
    }


def peak(architecture: Architecture, settings: PlanSettings) -> float:
    return max(held.total for held in phases(architecture, settings).values())


def fits(peak_bytes: float, settings: PlanSettings) -> bool:
    """Whether that leaves the headroom free.

    >>> fits(70 * 2**30, PlanSettings(gpu_memory_gib=79)), fits(72 * 2**30, PlanSettings(gpu_memory_gib=79))
    (True, False)
    """
    return peak_bytes <= (1 - settings.headroom) * settings.gpu_memory_gib * 2**30


# ---- what lives through the whole step


def weights(architecture: Architecture, settings: PlanSettings) -> float:
    more_for_adapters = architecture.trained * (settings.trained_bytes - settings.dtype_bytes)
    return (architecture.weight_bytes(settings.dtype_bytes) + more_for_adapters) / settings.num_shards


def trained(architecture: Architecture, settings: PlanSettings) -> float:
    """One number for every parameter that is trained; gradients are as large, and the reference."""
    return architecture.trained * settings.trained_bytes / settings.num_shards


def optimizer(architecture: Architecture, settings: PlanSettings) -> float:
    """AdamW's two states a parameter, in its own dtype or in 8 bits."""
    state_bytes = settings.trained_bytes if settings.optimizer == "adamw" else _OPTIMIZER_BYTES
    return 2 * architecture.trained * state_bytes / settings.num_shards


def features(architecture: Architecture, settings: PlanSettings) -> float:
    """The videos' tokens."""
    return float(settings.batch_size * settings.video_tokens * architecture.text.hidden_size * settings.dtype_bytes)


def casts(architecture: Architecture, settings: PlanSettings) -> float:
    """Adapters as they are computed with; autocast keeps them through a pass, the graph until its backward pass."""
    return float(architecture.trained * settings.dtype_bytes) if settings.casts_adapters else 0.0


def gathered(architecture: Architecture, settings: PlanSettings) -> float:
    """Whole parts at work where weights are cut: this layer, the next, embedding and head."""
    if settings.num_shards == 1:
        return 0.0
    num_embeddings = 1 if architecture.tied else 2
    return settings.dtype_bytes * (2.0 * architecture.layer + num_embeddings * architecture.head)


# ---- the phases


def _held(architecture: Architecture, settings: PlanSettings, gradients: float = 0.0, **others: float) -> Held:
    """With what lives through the whole step."""
    return Held(
        weights(architecture, settings),
        trained(architecture, settings) if settings.reference else 0.0,
        optimizer(architecture, settings),
        gradients,
        features(architecture, settings),
        **others,
    )


def _rollout(architecture: Architecture, settings: PlanSettings) -> Held:
    """Where weights are cut they are gathered whole, once, for all tokens.

    Temporary is the largest of: seeing the videos, reading the prompts, and writing, where logits become
    probabilities in float64 (20 V a row) and the store of keys doubles.
    """
    text, e = architecture.text, settings.dtype_bytes
    num_rows = settings.batch_size * settings.num_generations
    width = activations.key_value_width(text) * text.num_hidden_layers * e
    room = _FIRST_ROOM
    while room < settings.max_new_tokens:
        room *= 2
    growing = num_rows * room * width / 4 if room > _FIRST_ROOM else 0.0
    prompts = settings.batch_size * settings.prompt_tokens
    temporary = max(
        activations.seeing(architecture.vision, settings),
        activations.reading(text, prompts, e),
        growing + 20.0 * num_rows * text.vocab_size,
    )
    if settings.num_shards > 1:
        temporary += architecture.weight_bytes(e)
    temporary += casts(architecture, settings)
    return _held(
        architecture,
        settings,
        keys_values=(prompts + num_rows * room) * width,
        activations=activations.tower(architecture.vision, settings),
        temporary=temporary,
    )


def _backward_begins(architecture: Architecture, settings: PlanSettings) -> Held:
    """All activations are there; at work are the logits of a chunk, then the last layer, beside the head's gradient."""
    text = architecture.text
    head = architecture.head * settings.dtype_bytes if settings.tuning == "full" else 0
    last = activations.decoder_layer_backward(text, settings)
    if settings.gradient_checkpointing:
        last = _one_layer(architecture, settings)
    at_work = head + max(activations.logits_backward(text, settings), last)
    return _held(
        architecture,
        settings,
        activations=activations.decoder(text, settings) + activations.tower(architecture.vision, settings),
        temporary=at_work + casts(architecture, settings) + gathered(architecture, settings),
    )


def _backward_ends(architecture: Architecture, settings: PlanSettings) -> Held:
    """All gradients are there; at work is the first layer, or the embedding, whose gradient a tied head adds up."""
    twice = architecture.head * settings.dtype_bytes if architecture.tied and settings.tuning == "full" else 0
    layer = _one_layer(architecture, settings)
    own = settings.row_tokens * architecture.text.hidden_size * settings.dtype_bytes
    return _held(
        architecture,
        settings,
        trained(architecture, settings),
        activations=own + activations.tower(architecture.vision, settings),
        temporary=max(layer, twice) + gathered(architecture, settings),
    )


def _one_layer(architecture: Architecture, settings: PlanSettings) -> float:
    text = architecture.text
    return activations.decoder_layer(text, settings) + activations.decoder_layer_backward(text, settings)


def _update(architecture: Architecture, settings: PlanSettings) -> Held:
    """One fused operation on a GPU; on a CPU the root and the quotient of the largest weight come and go."""
    on_cpu = settings.device == "cpu" and settings.optimizer == "adamw"
    temporary = 2.0 * architecture.largest_trained * settings.trained_bytes if on_cpu else 0.0
    return _held(architecture, settings, trained(architecture, settings), temporary=temporary)
