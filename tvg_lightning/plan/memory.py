"""Memory that a step holds on one GPU, phase by phase, in bytes."""

from dataclasses import asdict, dataclass

from tvg_lightning.plan import activations, parameters
from tvg_lightning.plan.architecture import Architecture
from tvg_lightning.plan.settings import PlanSettings

_FIRST_ROOM = 64  # tokens that the completions' key/value cache begins with; it doubles


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes by what they are for."""

    weights: float
    reference: float  # what is trained, as it was when the stage began
    optimizer: float
    gradients: float = 0.0
    copies: float = 0.0  # of weights, as products read them: cast to bfloat16, or gathered from shards
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
    """Bytes held at the worst moment of every phase; a step needs the largest of the totals."""
    return {
        "rollout": _rollout(architecture, settings),
        "backward begins": _backward_begins(architecture, settings),
        "backward ends": _backward_ends(architecture, settings),
        "update": _update(architecture, settings),
    }


def peak(architecture: Architecture, settings: PlanSettings) -> float:
    return max(held.total for held in phases(architecture, settings).values())


def fits(peak_bytes: float, settings: PlanSettings) -> bool:
    """True where the peak leaves the headroom free.

    >>> fits(70 * 2**30, PlanSettings(gpu_memory_gib=79)), fits(72 * 2**30, PlanSettings(gpu_memory_gib=79))
    (True, False)
    """
    return peak_bytes <= (1 - settings.headroom) * settings.gpu_memory_gib * 2**30


def features(architecture: Architecture, settings: PlanSettings) -> float:
    """Bytes of the video features; those of deepstack are as large again for each of its levels."""
    width = architecture.text.hidden_size * architecture.tower.num_mergers
    return float(settings.batch_size * settings.video_tokens * width * settings.compute_bytes)


# ---- the phases


def _held(architecture: Architecture, settings: PlanSettings, gradients: bool, **others: float) -> Held:
    """Bytes held in a phase, with what lives through the whole step."""
    has_gradients = gradients or settings.keeps_gradients
    return Held(
        parameters.weights(architecture, settings),
        parameters.trained(architecture, settings) if settings.reference else 0.0,
        parameters.optimizer(architecture, settings),
        parameters.trained(architecture, settings) if has_gradients else 0.0,
        features=features(architecture, settings),
        **others,
    )


def _rollout(architecture: Architecture, settings: PlanSettings) -> Held:
    """Temporary is the largest of: encoding the videos, prefill, and decode.

    In decode, logits become probabilities in float64 (20 V a row) and the key/value cache doubles; a captured step
    keeps what its attention needs.
    """
    text = architecture.text
    num_rows = settings.batch_size * settings.num_generations
    width = activations.key_value_width(text) * text.num_hidden_layers * settings.compute_bytes
    room = _FIRST_ROOM
    while room < settings.max_new_tokens:
        room *= 2
    growing = num_rows * room * width / 4 if room > _FIRST_ROOM else 0.0
    prompts = settings.batch_size * settings.prompt_tokens
    return _held(
        architecture,
        settings,
        gradients=False,
        copies=parameters.rollout_copies(architecture, settings),
        keys_values=(prompts + num_rows * room) * width,
        activations=_vision_side(architecture, settings),
        temporary=max(
            activations.vision_pass(architecture.tower, architecture.patch_numbers, settings),
            activations.prefill(text, prompts, settings)
            + activations.added_features(text, architecture.tower, settings),
            growing + 20.0 * num_rows * text.vocab_size + activations.decode_attention(text, settings),
        ),
    )


def _backward_begins(architecture: Architecture, settings: PlanSettings) -> Held:
    """All activations are there; at work is the head, then the last layer, beside the head's gradient."""
    text = architecture.text
    if settings.gradient_checkpointing:
        num_layers, last = 1, _one_layer(architecture, settings)
    else:
        num_layers, last = text.num_hidden_layers, activations.decoder_layer_backward(text, settings)
        last += parameters.summed(architecture.layer_trained, settings)
    return _held(
        architecture,
        settings,
        gradients=False,
        copies=parameters.loss_copies(architecture, settings, num_layers),
        activations=activations.decoder(text, settings, architecture.norms_queries)
        + _vision_side(architecture, settings),
        temporary=max(_at_head(architecture, settings), parameters.head_gradient(architecture, settings) + last),
    )


def _backward_ends(architecture: Architecture, settings: PlanSettings) -> Held:
    """All gradients are there; at work is the first layer, or the embedding, whichever needs more."""
    own = settings.row_tokens * architecture.text.hidden_size * settings.stream_bytes
    kept = own + _vision_side(architecture, settings)
    root = parameters.head_gradient(architecture, settings) if settings.is_sharded else 0.0  # which is cut last
    copies, at_layer = parameters.loss_copies(architecture, settings), root + _one_layer(architecture, settings)
    first_layer = _held(architecture, settings, True, copies=copies, activations=kept, temporary=at_layer)
    at_embedding = _at_embedding(architecture, settings)
    embedding = _held(architecture, settings, True, activations=kept, temporary=at_embedding)
    return max(first_layer, embedding, key=lambda held: held.total)


def _vision_side(architecture: Architecture, settings: PlanSettings) -> float:
    return activations.vision_side(architecture.tower, architecture.patch_numbers, settings)


def _at_head(architecture: Architecture, settings: PlanSettings) -> float:
    """The most transient bytes at the head, cast where that is done: logits on both ways, and its gradient."""
    text = architecture.text
    gradient = parameters.head_gradient_as_made(architecture, settings)
    forward = activations.logits_forward(text, settings)
    forward += activations.added_features(text, architecture.tower, settings)
    at_work = max(forward, gradient + activations.logits_backward(text, settings))
    return parameters.cast_head(architecture, settings) + at_work


def _at_embedding(architecture: Architecture, settings: PlanSettings) -> float:
    """The embedding's gradient, where it is added to one that is there: of a tied head, or in its place already.

    Where weights are cut: the root and its gradients, then those and their sum.
    """
    if settings.is_sharded:
        twice = parameters.head_gradient(architecture, settings) if architecture.tied else 0.0
        whole = settings.compute_bytes * (architecture.root + architecture.root_trained) + twice
        return max(whole, parameters.summed(architecture.root_trained, settings))
    return parameters.head_gradient(architecture, settings) * (architecture.tied + settings.keeps_gradients)


def _one_layer(architecture: Architecture, settings: PlanSettings) -> float:
    text = architecture.text
    at_work = activations.decoder_layer(text, settings, architecture.norms_queries)
    at_work += activations.decoder_layer_backward(text, settings)
    return at_work + parameters.summed(architecture.layer_trained, settings)


def _update(architecture: Architecture, settings: PlanSettings) -> Held:
    """One fused operation on a GPU; on a CPU the root and the quotient of the largest weight are transient."""
    on_cpu = settings.device == "cpu" and settings.optimizer == "adamw"
    largest = architecture.largest_trained * settings.trained_bytes / settings.num_shards
    temporary = 2.0 * largest if on_cpu else 0.0
    return _held(architecture, settings, gradients=True, temporary=temporary)
