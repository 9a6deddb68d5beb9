"""Numbers on the device against float64: attention with its gradients; and the packaged policy's log-probs."""

from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.machine import fastest_s
from benchmarks.gpu.sizes import Sizes
from tvg_lightning.data.video import VideoClip
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.policy.split_attention import RowLayout, dense_mask, repeated_attention, row_layout
from tvg_lightning.policy.varlen_attention import kernel_here
from tvg_lightning.schema import Prompt

BOUNDS = {"float32": 1e-4, "bfloat16": 1e-2}  # of the largest number, for attention
_HEADS = (2, 8, 128)  # key heads, query heads of each, numbers a head: those of the 3B model
_SCALING = _HEADS[2] ** -0.5


def attention(sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """Errors of split attention and of the loop, results and gradients, and seconds forward and backward of both."""
    prompt, completions = sizes.row
    layout = row_layout([prompt], [completions])
    num_K, num_g, num_D = _HEADS
    num_N = prompt + sum(completions)
    generator = torch.Generator().manual_seed(0)
    shapes = [(num_N, num_K, num_g, num_D), (num_N, num_K, num_D), (num_N, num_K, num_D), (num_N, num_K, num_g, num_D)]
    exact = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    found: dict[str, Any] = {}
    for name, bound in BOUNDS.items():
        inputs = [x.to(device, getattr(torch, name)) for x in exact]
        # the same rounded numbers, so that only the computation is judged
        reference = _with_gradients(_dense, layout, [x.double() for x in inputs])
        ours, loop = (_with_gradients(way, layout, inputs) for way in (_split, _loop))
        error = max(map(_error, ours, reference))
        found[name] = {
            "kernel": kernel_here(inputs[0].transpose(0, 1)) if device.type == "cuda" else "cpu",
            "error": error, "loop_error": max(map(_error, loop, reference)), "bound": bound, "within": error <= bound,
            "s": fastest_s(lambda inputs=inputs: _with_gradients(_split, layout, inputs), device, 3),  # type: ignore[misc]
            "loop_s": fastest_s(lambda inputs=inputs: _with_gradients(_loop, layout, inputs), device, 3),  # type: ignore[misc]
        }  # fmt: skip
    return found


def _with_gradients(way: Any, layout: RowLayout, inputs: list[Tensor]) -> list[Tensor]:
    leaves = [x.detach().requires_grad_() for x in inputs[:3]]
    found = way(layout, *(x.transpose(0, 1) for x in leaves)).transpose(0, 1)
    return [found.detach(), *torch.autograd.grad(found, leaves, inputs[3])]


def _split(layout: RowLayout, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return layout.attend(0, query, key, value, _SCALING)


def _loop(layout: RowLayout, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    return repeated_attention(query, key, value, layout, _SCALING)


def _dense(layout: RowLayout, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax over the whole row, spelled out."""
    score_KNgS = torch.einsum("kngd,ksd->kngs", query, key) * _SCALING
    unseen = ~dense_mask(layout).to(query.device)[None, :, None]
    return torch.einsum("kngs,ksd->kngd", score_KNgS.masked_fill(unseen, float("-inf")).softmax(3), value)


def _error(found: Tensor, reference: Tensor) -> float:
    return float((found.double() - reference).abs().max() / reference.abs().max())


def policy(sizes: Sizes, device: torch.device) -> dict[str, Any]:
    """Log-probs and gradients of the packaged policy on the device against the CPU in float32; a rollout's."""
    clip = noise_clip(8, 28)
    settings = GenerationSettings(max_new_tokens=12)
    uniform_RT = torch.rand(6, 12, generator=torch.Generator().manual_seed(0))
    questions = ("When does the red circle spin?", "When does it rise, and for how long?")
    found: dict[str, Any] = {}
    reference: list[Tensor] = []
    ids: list[list[tuple[int, ...]]] = []
    for name, where in (("reference", torch.device("cpu")), ("float32", device), ("bfloat16", device)):
        dtype = "bfloat16" if name == "bfloat16" else "float32"
        tiny = PolicyBackbone(PolicySettings(dtype=dtype)).to(where)
        prompts = [tiny.encode(Prompt(question), clip) for question in questions]
        features = tiny.video_features(prompts)
        groups = generate(tiny, prompts, features, 3, settings, uniform_RT)
        noted = torch.tensor([x for group in groups for one in group for x in one.logp])
        with torch.no_grad():
            again_BGC, mask_BGC = tiny.logp(prompts, [[one.token_ids for one in group] for group in groups], features)
        ids = ids or [[one.token_ids for one in group] for group in groups]
        logp_BGC, _ = tiny.logp(prompts, ids, features)
        logp_BGC.mean().backward()
        gradient = torch.cat([p.grad.flatten().double().cpu() for p in tiny.parameters() if p.grad is not None])
        numbers = [logp_BGC.detach().double().cpu(), gradient]
        rollout = float((again_BGC[mask_BGC].cpu() - noted).abs().max())
        if not reference:
            reference = numbers
            continue
        found[name] = {
            "logp_off": float((numbers[0] - reference[0]).abs().max()),
            "gradient_error": float((gradient - reference[1]).norm() / reference[1].norm()),
            "rollout_against_loss": rollout,
        }
    return found


def noise_clip(num_frames: int, height: int, width: int | None = None) -> VideoClip:
    """Frames of noise, two a second."""
    generator = torch.Generator().manual_seed(0)
    shape = (num_frames, height, width or height, 3)
    frames = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
    return VideoClip(frames, tuple(k / 2 for k in range(num_frames)), 2.0, "noise")
