"""Pictures of numbers, each computed by the project's own functions."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from docs.pictures.drawing.style import AMBER, BLUE, GREEN, LINE, PALE, RED, ROSE, SOFT, VIOLET, plots
from tvg_lightning.filter.time_r1 import TimeR1Rule
from tvg_lightning.filter.timelens import TimeLensRule
from tvg_lightning.filter.timelens2 import TimeLens2Rule
from tvg_lightning.filter.tvg_r1 import TVGR1Rule
from tvg_lightning.losses.grpo import grpo_loss, kl_estimate
from tvg_lightning.metrics.iou import recall_hits
from tvg_lightning.plan.architecture import config_file, read_architecture
from tvg_lightning.plan.memory import phases
from tvg_lightning.plan.settings import PlanSettings
from tvg_lightning.rewards.soft_iou import soft_iou_reward
from tvg_lightning.rewards.timestamp_iou import timestamp_iou_reward
from tvg_lightning.rewards.wasserstein import wasserstein_reward
from tvg_lightning.schema import Span
from tvg_lightning.spans import iou

ROOT = Path(__file__).parents[3]
GIB = 2**30


def rewards() -> Figure:
    """An answer of 6 s slides over a true window of 6 s in a video of 30 s."""
    figure, (axes,) = plots(1, 8.0, 3.2)
    truth = Span(12.0, 18.0)
    starts = [step / 10 for step in range(241)]
    answers = [Span(start, start + 6.0) for start in starts]
    axes.axvspan(12.0, 12.001, color=LINE)
    axes.plot(starts, [iou(answer, truth) for answer in answers], color=BLUE, label="iou", zorder=3, dashes=(3, 2))
    axes.plot(starts, [soft_iou_reward(answer, [truth]) for answer in answers], color=GREEN, label="soft_iou")
    tious = [timestamp_iou_reward(answer, [truth], 30.0) for answer in answers]
    axes.plot(starts, tious, color=RED, label="timestamp_iou")
    axes.plot(starts, [wasserstein_reward([a], [truth]) for a in answers], color=AMBER, label="wasserstein")
    axes.axhline(0.0, color=LINE, lw=1.0)
    axes.set(xlabel="start of the answer, seconds (true window: 12 to 18)", ylabel="reward")
    axes.legend(loc="upper right")
    return figure


def losses() -> Figure:
    """The clipped objective for a good and a bad completion; the three estimators of the KL divergence."""
    figure, (objective, divergence) = plots(2, 8.6, 3.2)
    ratios = torch.linspace(0.4, 1.8, 141)
    mask = torch.ones(1, 1, dtype=torch.bool)
    for advantage, colour, label in ((1.0, GREEN, "advantage +1"), (-1.0, RED, "advantage −1")):
        values = [
            -grpo_loss(ratio.log().reshape(1, 1), torch.zeros(1, 1), torch.tensor([advantage]), mask).loss.item()
            for ratio in ratios
        ]
        objective.plot(ratios, values, color=colour, label=label)
    for edge in (0.8, 1.2):
        objective.axvline(edge, color=LINE, lw=1.0)
    objective.set(xlabel="ratio of the probabilities, new / old", ylabel="objective")
    objective.legend(loc="center left")
    gaps = torch.linspace(-1.5, 1.5, 121)
    for kind, colour in (("k1", SOFT), ("k2", AMBER), ("k3", VIOLET)):
        divergence.plot(gaps, kl_estimate(gaps, torch.zeros_like(gaps), kind), color=colour, label=kind)
    divergence.axhline(0.0, color=LINE, lw=1.0)
    divergence.set(xlabel="log-probability, policy − reference", ylabel="estimate of the KL divergence")
    divergence.legend(loc="upper center")
    return figure


def metrics() -> Figure:
    """R1@m over m of eight answers; the area below is their mean IoU."""
    figure, (axes,) = plots(1, 7.0, 3.0)
    ious = torch.tensor([0.0, 0.18, 0.36, 0.52, 0.55, 0.71, 0.83, 0.95], dtype=torch.float64)
    thresholds = [step / 200 for step in range(1, 201)]
    recalls = (recall_hits(ious, thresholds) / len(ious)).numpy()
    axes.fill_between(thresholds, recalls, color=PALE, step="pre")
    axes.plot(thresholds, recalls, color=BLUE, drawstyle="steps-pre")
    for threshold in (0.3, 0.5, 0.7):
        value = recall_hits(ious, [threshold]).item() / len(ious)
        axes.plot([threshold], [value], "o", color=RED)
        axes.annotate(f"R1@{threshold} = {value}", (threshold, value), (8, 5), textcoords="offset points")
    axes.set(xlabel="threshold m", ylabel="R1@m, share of answers", xlim=(0, 1.02), ylim=(0, 1.05))
    axes.text(0.12, 0.3, f"area: mIoU = {ious.mean():.4f}")
    return figure


def filters() -> Figure:
    """The decision of each filter on a sample, by the IoU of a model's answers to it."""
    figure, (drawn, split) = plots(2, 8.6, 3.0)
    ious = np.linspace(0.0, 1.0, 201)
    time_r1, timelens, timelens2 = TimeR1Rule(), TimeLensRule(), TimeLens2Rule()
    drawn.plot(ious, [time_r1.weight(value) for value in ious], color=BLUE, label="time_r1")
    hard = np.exp(-(((ious - timelens.mean) / timelens.std) ** 2) / 2)
    drawn.plot(ious, hard, color=GREEN, label="timelens, before its bins")
    drawn.plot(ious, [timelens2.weight(value) for value in ious], color=AMBER, label="timelens2")
    drawn.set(xlabel="mean IoU of a model's answers", ylabel="weight of the sample")
    drawn.legend()
    rule = TVGR1Rule()
    edges = [("dropped", 0.0, rule.eps2, LINE), ("reinforced", rule.eps2, rule.eps1, BLUE),
             ("learned from the teacher", rule.eps1, 1.0, GREEN)]  # fmt: skip
    for row, (label, low, high, colour) in enumerate(edges):
        split.barh(row, high - low, left=low, color=colour, height=0.55)
        split.text(low + 0.02 if row < 2 else high, row + 0.45, label, va="center", ha="left" if row < 2 else "right")
    split.set(xlabel="IoU of the teacher's answer (tvg_r1)", xlim=(0, 1), ylim=(-0.5, 2.8), yticks=[])
    return figure


def performance() -> Figure:
    """A GRPO step of ours and of TRL's, from benchmarks/results.json."""
    cases = json.loads((ROOT / "benchmarks/results.json").read_text(encoding="utf-8"))["grpo_step"]["cases"]
    figure, (seconds, memory) = plots(2, 8.6, 3.0)
    rows = list(_sides(cases))
    names = [name for name, _, _ in rows]
    for axes, key, label in ((seconds, "median_s", "seconds a step"), (memory, "peak_gib", "peak memory, GiB")):
        for shift, side, colour in ((-0.2, 1, BLUE), (0.2, 2, SOFT)):
            values = [float(row[side][key]) for row in rows]  # type: ignore[index, arg-type]
            places = [number + shift for number in range(len(rows))]
            axes.barh(places, values, height=0.36, color=colour, label="tvg-lightning" if side == 1 else "TRL")
            for place, value in zip(places, values, strict=True):
                axes.text(value, place, f" {value:.1f}", va="center", size=9)
        axes.set(yticks=range(len(rows)), yticklabels=names if axes is seconds else [], xlabel=label)
        axes.set_xlim(0, 1.15 * max(float(row[2][key]) for row in rows))
        axes.invert_yaxis()
    seconds.set_ylabel("prompt + new tokens")
    handles, labels = memory.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def _sides(cases: list[dict[str, dict[str, Mapping[str, float]]]]) -> Iterator[tuple[str, Mapping, Mapping]]:
    for case in cases:
        ours, trl = case["sides"]["ours"], case["sides"]["trl"]
        yield f"{ours['prompt_tokens']} + {ours['new_tokens']}", ours, trl


def plan() -> Figure:
    """Memory of a step of Qwen2.5-VL-7B on each of 16 GPUs, part by part."""
    figure, (axes,) = plots(1, 8.6, 3.2)
    settings = PlanSettings(strategy="fsdp", gpus=16, gradient_checkpointing=True)
    held = phases(read_architecture(config_file("qwen2_5_vl_7b"), settings), settings)
    colours = {"weights": BLUE, "reference": VIOLET, "optimizer": GREEN, "gradients": RED, "copies": PALE,
               "features": LINE, "keys_values": SOFT, "activations": AMBER, "temporary": ROSE}  # fmt: skip
    left = [0.0] * len(held)
    for part, colour in colours.items():
        values = [asdict(each)[part] / GIB for each in held.values()]
        axes.barh(range(len(held)), values, left=left, color=colour, height=0.6, label=part.replace("_", ", "))
        left = [before + value for before, value in zip(left, values, strict=True)]
    for row, total in enumerate(left):
        axes.text(total, row, f" {total:.1f}", va="center")
    axes.set(yticks=range(len(held)), yticklabels=list(held), xlabel="GiB a GPU, planned", xlim=(0, 1.1 * max(left)))
    axes.invert_yaxis()
    figure.legend(loc="outside right center")
    return figure


def notebook() -> Figure:
    """The rewards that the example of docs/notebook.md prints; they are beside this file."""
    lines = (ROOT / "docs/pictures/drawing/notebook.csv").read_text(encoding="utf-8").splitlines()[1:]
    steps, values, lengths = zip(*(map(float, line.split(",")) for line in lines), strict=True)
    figure, (reward, length) = plots(2, 8.6, 2.8)
    reward.plot(steps, values, color=BLUE, marker="o", markersize=4)
    reward.set(xlabel="step", ylabel="mean reward (at most 2)", ylim=(0, 2))
    length.plot(steps, lengths, color=GREEN, marker="o", markersize=4)
    length.set(xlabel="step", ylabel="mean tokens of a completion", ylim=(0, None))
    return figure
