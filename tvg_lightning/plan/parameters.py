"""Bytes that follow from the parameters: what is kept of them, what products read, and gradients on their way."""

from tvg_lightning.plan.architecture import Architecture
from tvg_lightning.plan.settings import PlanSettings

_BFLOAT, _FLOAT = 2, 4
_OPTIMIZER_BYTES = 1 + 4 / 256  # of one state of one parameter in 8 bits: its code, its share of a block's scale


# ---- through the whole step


def weights(architecture: Architecture, settings: PlanSettings) -> float:
    more_for_adapters = architecture.trained * (settings.trained_bytes - settings.weight_bytes)
    return (architecture.weight_bytes(settings.weight_bytes) + more_for_adapters) / settings.num_shards


def trained(architecture: Architecture, settings: PlanSettings) -> float:
    """One number for every parameter that is trained; gradients are as large, and the reference."""
    return architecture.trained * settings.trained_bytes / settings.num_shards


def optimizer(architecture: Architecture, settings: PlanSettings) -> float:
    """AdamW's two states a parameter, in its own dtype or in 8 bits."""
    state_bytes = settings.trained_bytes if settings.optimizer == "adamw" else _OPTIMIZER_BYTES
    return 2 * architecture.trained * state_bytes / settings.num_shards


# ---- as products read them


def rollout_copies(architecture: Architecture, settings: PlanSettings) -> float:
    """Shards: all weights, gathered once. Autocast: the matrices of the layers and the head, cast once."""
    if settings.is_sharded:
        return architecture.weight_bytes(settings.compute_bytes)
    if not settings.autocasts:
        return 0.0
    return _BFLOAT * architecture.matrices + cast_head(architecture, settings) + _vision_copies(architecture, settings)


def loss_copies(architecture: Architecture, settings: PlanSettings, num_layers: int = 1) -> float:
    """Shards: a layer, the next one, and the root. Autocast: what the graph keeps of so many layers."""
    if settings.is_sharded:
        return float(settings.compute_bytes * (2 * architecture.layer + architecture.root))
    if not settings.autocasts:
        return 0.0
    of_a_layer = architecture.matrices_kept / architecture.text.num_hidden_layers
    return _BFLOAT * num_layers * of_a_layer + _vision_copies(architecture, settings)


def _vision_copies(architecture: Architecture, settings: PlanSettings) -> float:
    """Kept by the graph of a vision side that is trained, from the rollout on."""
    if not settings.features_need_grad:
        return 0.0
    keeps_tower = settings.train_vision_tower and not settings.gradient_checkpointing
    return _BFLOAT * (architecture.merger_matrices + (architecture.tower_matrices_kept if keeps_tower else 0))


def cast_head(architecture: Architecture, settings: PlanSettings) -> float:
    return float(_BFLOAT * architecture.head) if settings.autocasts and settings.weight_bytes == _FLOAT else 0.0


# ---- gradients before they are where they belong


def head_gradient(architecture: Architecture, settings: PlanSettings) -> float:
    """Bytes of the head's whole gradient; of shards it is in the type that they are gathered in."""
    if settings.tuning != "full":
        return 0.0
    return float(architecture.head * (settings.compute_bytes if settings.is_sharded else settings.trained_bytes))


def head_gradient_as_made(architecture: Architecture, settings: PlanSettings) -> float:
    """The sum over chunks in float32, and beside it a chunk's product, where that is in another type."""
    product = settings.compute_bytes if settings.compute_bytes < _FLOAT else 0
    return float(architecture.head * (_FLOAT + product)) if settings.tuning == "full" else 0.0


def summed(num_parameters: int, settings: PlanSettings) -> float:
    """Bytes of whole gradients of shards: as they are made, and in float32 as they are summed over the GPUs."""
    return float(num_parameters * (settings.compute_bytes + _FLOAT)) if settings.is_sharded else 0.0
