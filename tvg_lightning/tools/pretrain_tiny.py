"""Train the tiny policy's base from scratch: it learns to see moving shapes and to speak of them, not to ground.

First the vision tower alone learns to name what each pair of frames shows and what its clock says, in the language
model's own words: the video token of a purple square that shakes at second 12 points the way in which the embeddings
of "purple", "square", "shakes" and "12.0" point, and is as long as one of them. So the language model finds a thing
that a question names by attending to similar words, as it does in text, and can still write to the token what it finds.
Then the language model learns to answer questions; the tower stays as it is.
Scenes are drawn at the sampled frames' times, without writing video files; a pool of scenes is drawn once and asked
about many times. What the base was trained on is said in ``data/moving_shapes/questions.py``.
"""

import json
import math
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from tqdm import tqdm
from transformers import Qwen2_5_VLForConditionalGeneration

from tvg_lightning.data.moving_shapes.drawing import draw_frame
from tvg_lightning.data.moving_shapes.questions import ANSWER, DESCRIBE, RELATE, Mix, Question, draw_question
from tvg_lightning.data.moving_shapes.sentences import FORMS, events_within
from tvg_lightning.data.moving_shapes.world import ACTIONS, COLOURS, SHAPES, Scene, draw_scene
from tvg_lightning.data.video import FrameSettings, VideoClip, resize_frames, sample_frames
from tvg_lightning.files import atomic_write
from tvg_lightning.losses.sft import sft_loss
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.chat import DEFAULT_SYSTEM
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.policy.tiny_architecture import make_times_alike, time_tokens, tiny_config, train_tokenizer
from tvg_lightning.schema import Prompt, Span

Features = dict[tuple[int, Span | None], Tensor]  # of a scene's seed and the segment shown
TOKENIZER_SCENES = 6000  # words cost nothing to draw: enough of them for every half second to become one token
TINY_FRAMES = FrameSettings(fps=2.0, max_frames=40, max_pixels=28 * 28)


@dataclass(frozen=True)
class PretrainSettings:
    """One run of the base's training."""

    tower_steps: int = 1300  # the vision tower alone
    describe_steps: int = 800  # the language model, on what is seen
    relate_steps: int = 1200  # then on all that it may be asked
    answer_steps: int = 400  # and then on how the methods want to be answered
    batch_size: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.01
    num_scenes: int = 6000
    num_workers: int = 2
    seed: int = 7

    def __post_init__(self) -> None:
        steps = ("tower_steps", "describe_steps", "relate_steps", "answer_steps")
        for name in (*steps, "batch_size", "num_scenes", "num_workers"):
            if self.__dict__[name] < 1:
                raise ValueError(f"pretrain-tiny: --{name} must be at least 1")


@dataclass(frozen=True, slots=True)
class DrawnScene:
    """A scene, and what the policy would see of a file of it: all of it, and each event's segment alone."""

    scene: Scene
    whole: VideoClip
    segments: dict[Span, VideoClip]

    def clip(self, segment: Span | None) -> VideoClip:
        return self.whole if segment is None else self.segments[segment]


def draw_clips(seed: int) -> DrawnScene:
    """The scene of a seed, drawn at the frame times that would be taken from a file of it."""
    scene = draw_scene(seed)
    return DrawnScene(
        scene,
        _draw_clip(scene, None),
        {event.window: _draw_clip(scene, event.window) for event in scene.events},
    )


def _draw_clip(scene: Scene, segment: Span | None) -> VideoClip:
    frame_times_s = [k / scene.fps for k in range(round(scene.duration_s * scene.fps))]
    taken, times_s, fps = sample_frames(frame_times_s, TINY_FRAMES, segment)
    drawn = np.stack([draw_frame(scene, frame_times_s[frame]) for frame in taken])
    return VideoClip(resize_frames(torch.from_numpy(drawn), TINY_FRAMES.max_pixels), tuple(times_s), fps, "drawn")


def pretrain(out: Path, settings: PretrainSettings) -> None:
    """Train, and write config, weights (safetensors), tokenizer and the log of the run to ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    seeds = _scene_seeds(settings.seed, settings.num_scenes)
    torch.multiprocessing.set_sharing_strategy("file_system")  # a descriptor a tensor would be more than are allowed
    with ProcessPoolExecutor(settings.num_workers) as pool:
        drawn = list(tqdm(pool.map(draw_clips, seeds, chunksize=32), "drawing scenes", len(seeds), disable=None))
    policy = _fresh_policy(out, settings.seed)
    log = _teach_tower(policy, drawn, settings)
    policy.model.save_pretrained(out)
    policy = PolicyBackbone(PolicySettings(checkpoint=str(out)))  # from here on the vision side stays as it is
    features: Features = {}
    phases = ((DESCRIBE, settings.describe_steps), (RELATE, settings.relate_steps), (ANSWER, settings.answer_steps))
    for mix, steps in phases:
        log += _fit(policy, drawn, features, settings, mix, steps)
    policy.model.save_pretrained(out)
    record = {"settings": asdict(settings), "torch": torch.__version__, "log": log}
    with atomic_write(out / "pretrain_log.json") as part:
        part.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _scene_seeds(seed: int, count: int) -> list[int]:
    return [seed * 1_000_003 + i for i in range(count)]


def _fresh_policy(out: Path, seed: int) -> PolicyBackbone:
    """Random weights and a tokenizer trained on what will be said, saved to ``out`` and loaded from there."""
    rng = random.Random(0)
    scenes = [draw_scene(scene_seed) for scene_seed in _scene_seeds(seed, TOKENIZER_SCENES)]
    questions = [draw_question(rng, scene, mix) for scene in scenes for mix in (DESCRIBE, RELATE)]
    tokenizer = train_tokenizer(
        f"{q.prompt.system or DEFAULT_SYSTEM}\nuser\n{q.prompt.user}\nassistant\n{q.answer}" for q in questions
    )
    tokenizer.save_pretrained(out)
    model = Qwen2_5_VLForConditionalGeneration._from_config(tiny_config(tokenizer))
    make_times_alike(model.get_input_embeddings().weight, tokenizer)
    model.save_pretrained(out)
    return PolicyBackbone(PolicySettings(checkpoint=str(out), train_vision_tower=True, train_merger=True))


def what_is_seen(drawn: DrawnScene) -> Tensor:
    """Action, colour and shape of the event in every pair of frames, and the half second, as class numbers (T, 4).

    Where there is no event the first three are one past the last class.
    """
    rows = []
    for first_s, second_s in zip(drawn.whole.times_s[::2], drawn.whole.times_s[1::2], strict=True):
        middle_s = (first_s + second_s) / 2
        events = events_within(drawn.scene, Span(middle_s, middle_s))
        seen = (len(ACTIONS), len(COLOURS), len(SHAPES))
        if events:
            actor = drawn.scene.actors[events[0].actor]
            seen = (ACTIONS.index(events[0].action), list(COLOURS).index(actor.colour), SHAPES.index(actor.shape))
        rows.append((*seen, round(2 * middle_s)))
    return torch.tensor(rows)


def _teach_tower(
    policy: PolicyBackbone, drawn: Sequence[DrawnScene], settings: PretrainSettings
) -> list[dict[str, float]]:
    """Train tower and merger until a video token is most like the words for what it shows; the words stay."""
    words = policy.model.model.language_model.embed_tokens.weight.detach()
    named = [[f" {FORMS[action][0]}" for action in ACTIONS], [f" {c}" for c in COLOURS], [f" {s}" for s in SHAPES]]
    nothing_3H = nn.Parameter(0.08 * torch.randn(len(named), words.shape[1]))  # no word: thrown away afterwards
    classes = [words[[policy.tokenizer(name)["input_ids"][0] for name in names]] for names in named]
    times = words[list(time_tokens(policy.tokenizer))]
    optimizer = torch.optim.AdamW([*policy.model.model.visual.parameters(), nothing_3H], lr=settings.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, settings.tower_steps, pct_start=0.1)
    prompts = [policy.encode(Prompt(""), d.whole) for d in drawn]
    labels = [what_is_seen(d) for d in drawn]
    rng = random.Random(settings.seed)
    log: list[dict[str, float]] = []
    for step in tqdm(range(1, settings.tower_steps + 1), "teaching the tower", disable=None):
        chosen = rng.choices(range(len(drawn)), k=settings.batch_size)
        seen_TH = torch.cat(policy.video_features([prompts[i] for i in chosen]))
        truth_T4 = torch.cat([labels[i] for i in chosen])
        groups = [*(torch.cat((c, n[None])) for c, n in zip(classes, nothing_3H, strict=True)), times]
        scores = [16 * normalize(seen_TH, dim=1) @ normalize(group, dim=1).T for group in groups]
        length_loss = (seen_TH.norm(dim=1) - 1).square().mean()  # as long as a word: see the top of the file
        loss = length_loss + torch.stack([cross_entropy(s, truth_T4[:, k]) for k, s in enumerate(scores)]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            right = [round(float((s.argmax(1) == truth_T4[:, k]).float().mean()), 3) for k, s in enumerate(scores)]
            log.append(
                {"tower_step": step, "loss": round(loss.item(), 4)}
                | dict(zip(("action", "colour", "shape", "time"), right, strict=True))
            )
            sys.stderr.write(f" {json.dumps(log[-1])}\n")
    return log


def _fit(
    policy: PolicyBackbone,
    drawn: Sequence[DrawnScene],
    features: Features,
    settings: PretrainSettings,
    mix: Mix,
    steps: int,
) -> list[dict[str, float]]:
    """The training loop on one mix of questions: AdamW, one cycle, answers only in the loss."""
    trained = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.lr, weight_decay=settings.weight_decay, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, steps, pct_start=0.1)
    rng = random.Random(settings.seed)
    log: list[dict[str, float]] = []
    losses: list[float] = []
    started = time.perf_counter()
    policy.train()
    for step in tqdm(range(1, steps + 1), "pretraining", disable=None):
        asked = [(d, draw_question(rng, d.scene, mix)) for d in rng.choices(drawn, k=settings.batch_size)]
        loss = _loss(policy, asked, features)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if step % 100 == 0 or step == steps:
            seconds = round(time.perf_counter() - started, 1)
            log.append({"step": step, "loss": round(math.fsum(losses) / len(losses), 4), "seconds": seconds})
            losses.clear()
            sys.stderr.write(f" {json.dumps(log[-1])}\n")
    return log


def _loss(policy: PolicyBackbone, asked: Sequence[tuple[DrawnScene, Question]], features: Features) -> Tensor:
    prompts = [policy.encode(question.prompt, drawn.clip(question.segment)) for drawn, question in asked]
    keys = [(drawn.scene.seed, question.segment) for drawn, question in asked]
    new = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in features}
    if new:
        features.update(zip(new, policy.video_features(list(new.values())), strict=True))
    answers = [[policy.text_to_ids(question.answer)] for _, question in asked]
    logp_B1C, mask_B1C = policy.logp(prompts, answers, [features[key] for key in keys])
    return sft_loss(logp_B1C[:, 0], mask_B1C[:, 0]).loss


def main(
    out: Path,
    tower_steps: int = 1300,
    describe_steps: int = 800,
    relate_steps: int = 1200,
    answer_steps: int = 400,
    batch_size: int = 32,
    lr: float = 2e-3,
    num_scenes: int = 6000,
    num_workers: int = 2,
    seed: int = 7,
) -> None:
    """Train the tiny policy's base from scratch.

    Args:
        out: folder for config, weights, tokenizer and log.
        tower_steps: steps of the vision tower alone.
        describe_steps: steps of the language model on what is seen.
        relate_steps: steps of the language model on all that it may be asked.
        answer_steps: steps of the language model on how the methods want to be answered.
        batch_size: questions a step.
        lr: peak learning rate of the one-cycle schedules.
        num_scenes: scenes that are drawn once and asked about many times.
        num_workers: processes that draw them.
        seed: of weights, scenes and questions.
    """
    settings = PretrainSettings(
        tower_steps,
        describe_steps,
        relate_steps,
        answer_steps,
        batch_size,
        lr,
        num_scenes=num_scenes,
        num_workers=num_workers,
        seed=seed,
    )
    pretrain(out, settings)
