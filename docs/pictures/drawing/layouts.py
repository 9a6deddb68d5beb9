"""Pictures of how things lie: packed rows, steps, stages, floors, prompts, frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure

from docs.pictures.drawing.style import (
    AMBER,
    BLUE,
    FILL,
    GREEN,
    INK,
    LINE,
    PALE,
    PAPER,
    RED,
    SOFT,
    VIOLET,
    arrow,
    box,
    canvas,
    words,
)  # fmt: skip
from tvg_lightning.data.frame_times import nearest_frames
from tvg_lightning.data.video import FrameSettings, sample_times
from tvg_lightning.policy.families.known import FAMILIES
from tvg_lightning.schema import Sample, Span, Task
from tvg_lightning.tasks.inversion import true_segment
from tvg_lightning.tasks.verbs import remove_first_verb, verb_lemmas

ROOT = Path(__file__).parents[3]


def packed_row() -> Figure:
    """The tokens that see each other, in a row of one prompt with three completions."""
    figure, axes = canvas(8.6, 4.2)
    parts = [("video", 4, PALE), ("query", 2, LINE), ("completion 1", 4, GREEN), ("completion 2", 3, AMBER),
             ("completion 3", 4, VIOLET)]  # fmt: skip
    owner = [number for number, (_, length, _) in enumerate(parts) for _ in range(length)]
    side, left, top = 1.9, 22.0, 6.0
    for row, own in enumerate(owner):
        for column in range(row + 1):
            seen = owner[column]
            if seen <= 1 or seen == own:
                box(axes, left + column * side, top + row * side, side - 0.2, side - 0.2, colour=parts[seen][2])
            else:
                box(axes, left + column * side, top + row * side, side - 0.2, side - 0.2, colour=FILL)
    start = 0
    for name, length, _ in parts:
        words(axes, left - 1.0, top + (start + length / 2) * side, name, at="right")
        words(axes, left + (start + length / 2) * side, top - 2.5, name.replace("completion ", "c. "), at="center")
        start += length
    words(axes, 57, 14, "The prompt is read once.", size=11)
    words(axes, 57, 18, "A completion sees the prompt", size=11)
    words(axes, 57, 20.5, "and itself, not the others.", size=11)
    words(axes, 57, 25, "Grey pairs are left out:", size=11)
    words(axes, 57, 27.5, "no mask, no padding.", size=11)
    return figure


def grpo_step() -> Figure:
    """A step as modules/grpo.py reads: generate, reward, advantage, loss."""
    figure, axes = canvas(8.6, 2.6)
    steps = [("prompts", "videos and queries", FILL, INK), ("generate", "G completions each", BLUE, PAPER),
             ("reward", "format, IoU, anchors …", GREEN, PAPER), ("advantage", "reward − group's mean", AMBER, PAPER),
             ("loss", "clipped, from one row", RED, PAPER)]  # fmt: skip
    for number, (name, told, colour, ink) in enumerate(steps):
        x = 1.5 + number * 17.0
        box(axes, x, 7, 14.5, 7, name, colour, ink, 12, bold=True)
        words(axes, x + 7.25, 17, told, SOFT, 9, at="center")
        if number:
            arrow(axes, (x - 2.4, 10.5), (x - 0.1, 10.5))
    axes.plot([77, 77, 25.7, 25.7], [7, 3.5, 3.5, 6.8], color=SOFT, lw=1.4)
    arrow(axes, (25.7, 6), (25.7, 7))
    words(axes, 51, 2.0, "the updated policy samples the next completions", SOFT, 9, at="center")
    words(axes, 43, 22.5, "every completion, its rewards and its advantage go to traces/", SOFT, 9, at="center")
    return figure


def rollouts() -> Figure:
    """The data that vLLM is given and gives back, as engines/ reads."""
    figure, axes = canvas(8.6, 2.7)
    box(axes, 1.5, 3, 19, 6, "prompt tokens", FILL, INK, 11)
    box(axes, 1.5, 11, 19, 6, "position ids", FILL, INK, 11)
    box(axes, 1.5, 19, 19, 6, "features of our tower", FILL, INK, 11)
    box(axes, 32, 3, 22, 22, "vLLM\nlanguage model,\ncaches, sampler", BLUE, PAPER, 12, bold=True)
    box(axes, 65, 3, 20, 9, "completions\nand log-probs", GREEN, PAPER, 11)
    box(axes, 65, 16, 20, 9, "loss, update", RED, PAPER, 11)
    for y in (6, 14, 22):
        arrow(axes, (20.8, y), (31.7, y))
    arrow(axes, (54.3, 7.5), (64.7, 7.5))
    arrow(axes, (75, 12.3), (75, 15.7))
    arrow(axes, (64.7, 20.5), (54.3, 20.5))
    words(axes, 59.5, 23, "new weights", SOFT, 9, at="center")
    words(axes, 11, 26.7, "the loss reads the same three", SOFT, 9, at="center")
    return figure


def _stages(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Kind and name of each stage of a recipe, included parts left aside."""
    settings = config["model"]["init_args"]
    if "stages" not in settings:
        return [("SFT" if "SFT" in config["model"]["class_path"] else "GRPO", "")]
    return [("SFT" if stage.get("sft") else "GRPO", stage["name"]) for stage in settings["stages"]]


def recipes() -> Figure:
    """The stages of every recipe, as its file lists them."""
    names = ["tar_tvg", "tvg_r1", "invert4tvg", "time_r1", "ora_rl", "timelens2", "timelens", "taro"]
    extras = {
        "tar_tvg": "imitates its own good traces",
        "tvg_r1": "a teacher's reasoning first",
        "invert4tvg": "with three inverted tasks",
        "time_r1": "online difficulty",
        "ora_rl": "the annotation as one more row",
        "timelens2": "sets of windows, hard samples first",
        "timelens": "the answer alone",
        "taro": "a bonus where the order of the frames matters",
    }
    figure, axes = canvas(8.6, 0.42 * len(names) + 0.3)
    for row, name in enumerate(names):
        y = 1.5 + 4.2 * row
        words(axes, 11.5, y + 1.5, name, at="right", size=10.5)
        x = 13.0
        config = yaml.safe_load((ROOT / f"configs/{name}/recipe.yaml").read_text(encoding="utf-8"))
        for kind, stage in _stages(config):
            label = f"{kind}: {stage}" if stage else kind
            box(axes, x, y, 13.0, 3.0, label, BLUE if kind == "GRPO" else GREEN, PAPER, 9)
            x += 13.6
        words(axes, x + 0.6, y + 1.5, extras[name], SOFT, 9)
    return figure


FLOORS = [
    ["callbacks", "tools, __main__", "teacher"],
    ["modules: SFT, GRPO, stages"],
    ["datamodule", "engines: vLLM", "pages", "browsing"],
    ["metrics", "scoring", "harvest, filter", "diagnosis", "plan"],
    ["policy, families", "traces, timeline", "predictions"],
    ["data: video, annotations, workers, caches, moving shapes"],
    ["advantage", "losses", "oracle"],
    ["prompts", "answers", "rewards", "tasks", "presets"],
    ["schema", "spans", "parsing", "published", "files"],
]


def floors() -> Figure:
    """The floors of tests/test_architecture.py, from Lightning's down to the standard library's."""
    figure, axes = canvas(8.6, 0.44 * len(FLOORS) + 0.2)
    colours = [PALE, PALE, PALE, FILL, FILL, FILL, FILL, FILL, FILL]
    for row, names in enumerate(FLOORS):
        y, width = 1.0 + 4.4 * row, 70.0 / len(names)
        for column, name in enumerate(names):
            box(axes, 1.0 + column * width, y, width - 0.5, 3.8, name, colours[row], size=10)
    for row, told in (
        (0, "Lightning"),
        (4, "transformers"),
        (6, "torch"),
        (7, "standard library,"),
        (8, "small packages"),
    ):
        words(axes, 72, 2.9 + 4.4 * row, told, SOFT, 9)
    return figure


def video_frames() -> Figure:
    """Frames of a video with a variable rate: which are taken at 2 a second, and how they are paired."""
    figure, axes = canvas(8.6, 2.9)
    times = [n / 8 for n in range(24)] + [3.0 + n / 4 for n in range(8)] + [5.0 + n / 10 for n in range(31)]
    settings = FrameSettings(fps=2.0, max_frames=16)
    taken = nearest_frames(sample_times(8.0, settings), times)
    scale, left = 9.0, 6.0
    words(axes, 1, 3.2, "frames of the file, at their presentation times", SOFT, 9)
    for number, time_s in enumerate(times):
        colour = BLUE if number in taken else LINE
        box(axes, left + scale * time_s, 5, 0.35, 5 if number in taken else 3.4, colour=colour)
    words(axes, 1, 13.5, "frames taken, in pairs: a pair is one step in time for the policy", SOFT, 9)
    for first, second in zip(taken[::2], taken[1::2], strict=True):
        x, end = left + scale * times[first], left + scale * times[second]
        box(axes, x - 0.4, 16, end - x + 1.2, 4, f"{(times[first] + times[second]) / 2:.2f} s", PALE, size=8)
    for second_s in range(9):
        words(axes, left + scale * second_s, 24, f"{second_s}", SOFT, 9, at="center")
    words(axes, 1, 26.8, "seconds", SOFT, 9)
    return figure


def tasks() -> Figure:
    """One sample as four questions, by the functions that ask them."""
    query = "The man opens the fridge."
    sample = Sample("k1", "kitchen_01.mp4", 34.2, query, (Span(3.1, 7.4),))
    segment = true_segment(sample)
    assert segment is not None
    figure, axes = canvas(8.6, 2.9)
    told = f"“{query}” is true from {segment.start_s} to {segment.end_s} s"
    words(axes, 43, 2.2, told, INK, 11, at="center")
    asked = {
        Task.TVG: ("the whole video:", "when does it happen?", f"{segment.start_s} to {segment.end_s}", BLUE),
        Task.VERB_COMPLETION: (
            "the segment alone:",
            f"“{remove_first_verb(query)}”",
            " ".join(verb_lemmas(query)),
            GREEN,
        ),
        Task.ACTION_RECOGNITION: ("the segment alone:", "the action in one verb?", " ".join(verb_lemmas(query)), AMBER),
        Task.VIDEO_DESCRIPTION: ("the segment alone:", "what happens?", "a sentence with the verb", VIOLET),
    }
    for number, (task, (seen, question, answer, colour)) in enumerate(asked.items()):
        x = 1.0 + 21.2 * number
        box(axes, x, 5.5, 20.4, 4, task.value, colour, PAPER, 10, bold=True)
        box(axes, x, 9.5, 20.4, 15, colour=FILL)
        for line, (text, ink) in enumerate(((seen, SOFT), (question, INK), ("→ " + answer, colour))):
            words(axes, x + 1.0, 12.5 + 4.2 * line, text, ink, 9)
    return figure


def teacher() -> Figure:
    """The way of a question to a teacher, and of the answer back."""
    figure, axes = canvas(8.6, 2.5)
    box(axes, 1, 4, 16, 6, "annotations", FILL)
    box(axes, 1, 12, 16, 6, "videos: 64 frames", FILL)
    box(axes, 23, 8, 15, 6, "annotate", BLUE, PAPER, 11, bold=True)
    box(axes, 44, 1.5, 17, 6, "endpoint", VIOLET, PAPER, 11, bold=True)
    box(axes, 44, 14, 17, 6, "ledger.jsonl", GREEN, PAPER, 11, bold=True)
    box(axes, 68, 10.5, 17, 5, "traces.jsonl", FILL)
    box(axes, 68, 18, 17, 5, "refused.jsonl", FILL)
    for start, end in (((17.3, 7), (22.8, 10)), ((17.3, 15), (22.8, 12.5)), ((38.3, 10), (43.7, 5.5)),
                       ((52, 7.7), (52, 13.8)), ((43.8, 16.5), (38.3, 12.5)), ((61.3, 16.5), (67.7, 13.5)),
                       ((61.3, 18), (67.7, 20.3))):  # fmt: skip
        arrow(axes, start, end)
    words(axes, 53.5, 10.6, "every answer, at once", SOFT, 9)
    words(axes, 30.5, 18.5, "asks nothing twice;", SOFT, 9, at="center")
    words(axes, 30.5, 21, "stops at the budget", SOFT, 9, at="center")
    return figure


def backbones() -> Figure:
    """The video in the prompt of each family: four pairs of frames at 2 frames a second."""
    figure, axes = canvas(8.6, 2.7)
    times = [0.25, 1.25, 2.25, 3.25]
    rows: Sequence[tuple[str, bool, str]] = (
        ("qwen2_5_vl", False, "time is in the position ids"),
        ("qwen2_vl", False, "position ids count pairs and know no seconds"),
        ("qwen3_vl", True, "time is text before each pair"),
    )
    assert {name for name, _, _ in rows} == set(FAMILIES)
    for row, (name, has_text, told) in enumerate(rows):
        y = 1.5 + 8.6 * row
        words(axes, 11.5, y + 2, name, at="right", size=10.5)
        x = 13.0
        for time_s in times:
            if has_text:
                box(axes, x, y, 8.2, 4, f"<{time_s - 0.05:.1f} seconds>", PALE, size=7)
                x += 8.5
            width = 5.0 if has_text else 13.2
            box(axes, x, y, width, 4, "pair" if has_text else "pair of frames", BLUE, PAPER, 9)
            x += width + (0.5 if has_text else 0.0)
        box(axes, x + 0.6, y, 12.0, 4, "query", LINE)
        words(axes, 13, y + 5.8, told, SOFT, 9)
    return figure
