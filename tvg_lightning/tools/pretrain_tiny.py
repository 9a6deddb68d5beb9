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
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from tvg_lightning.data.moving_shapes.queries import Query, deed_of, query_wordings, true_windows
from tvg_lightning.data.moving_shapes.questions import (
    ANSWER,
    AT_ONCE,
    DESCRIBE,
    REASON,
    RELATE,
    STEP_BY_STEP,
    Mix,
    Question,
    draw_question,
)
from tvg_lightning.data.moving_shapes.sentences import FORMS, query_for
from tvg_lightning.data.moving_shapes.world import ACTIONS, COLOURS, SHAPES
from tvg_lightning.files import atomic_write
from tvg_lightning.losses.sft import sft_loss
from tvg_lightning.parsing import read_windows
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.families.known import FAMILIES
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.policy.tiny_architecture import (
    VOCABULARY,
    make_times_alike,
    time_tokens,
    tiny_config,
    train_tokenizer,
)
from tvg_lightning.progress import Progress, tracked
from tvg_lightning.schema import Prompt, Span
from tvg_lightning.span_sets import set_iou
from tvg_lightning.tools.pretrain_scenes import DrawnScene, draw_asked, draw_clips, what_is_seen, words_between_frames

Features = dict[tuple[int, Span | None], Tensor]  # of a scene's seed and the segment shown
TOKENIZER_SCENES = 6000  # words cost nothing to draw: enough of them for every half second to become one token
GREEDY = GenerationSettings(max_new_tokens=40, temperature=0.0)


@dataclass(frozen=True)
class PretrainSettings:
    """One run of the base's training."""

    tower_steps: int = 2000  # the vision tower alone
    describe_steps: int = 1600  # the language model, on what is seen
    relate_steps: int = 3600  # then on all that it may be asked
    reason_steps: int = 3200  # then also on which of several times a query means
    answer_steps: int = 1600  # and then, more slowly, on how the methods want to be answered
    batch_size: int = 32
    lr: float = 2e-3
    weight_decay: float = 0.01
    num_scenes: int = 6000
    num_unseen: int = 300  # further scenes, on which the log says what is told right
    num_workers: int = 2
    seed: int = 7
    clock: bool = True  # burnt into the pictures; without it, position ids or the text before frames tell the time
    family: str = "qwen2_5_vl"  # of the architecture

    def __post_init__(self) -> None:
        steps = ("tower_steps", "describe_steps", "relate_steps", "reason_steps", "answer_steps")
        for name in (*steps, "batch_size", "num_scenes", "num_unseen", "num_workers"):
            if self.__dict__[name] < 1:
                raise ValueError(f"pretrain-tiny: --{name} must be at least 1")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"pretrain-tiny: --lr must be a positive number, not {self.lr}")
        if self.family not in VOCABULARY:
            raise ValueError(f"pretrain-tiny: --family must be one of {', '.join(VOCABULARY)}, not {self.family}")

    @property
    def side(self) -> int:
        """Pixels of a video token's side."""
        return FAMILIES[self.family].geometry.side


def pretrain(out: Path, settings: PretrainSettings) -> None:
    """Train, and write config, weights (safetensors), tokenizer and the log of the run to ``out``."""
    if (out / "config.json").exists():
        raise ValueError(f"pretrain-tiny: {out} holds a model already: move it away or choose another folder (--out)")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    seeds = _scene_seeds(settings.seed, settings.num_scenes)
    torch.multiprocessing.set_sharing_strategy("file_system")  # a descriptor a tensor would be more than are allowed
    draw = partial(draw_clips, side=settings.side, clock=settings.clock)
    with ProcessPoolExecutor(settings.num_workers) as pool:
        drawn = list(tracked(pool.map(draw, seeds, chunksize=32), "drawing", "scene", len(seeds)))
        unseen = list(pool.map(draw, _scene_seeds(settings.seed + 1, settings.num_unseen)))
    policy = _fresh_policy(out, settings)
    log = _teach_tower(policy, drawn, settings)
    policy.model.save_pretrained(out)
    policy = PolicyBackbone(PolicySettings(checkpoint=str(out)))  # from here on the vision side stays as it is
    features: Features = {}
    phases = (
        ("describe", DESCRIBE, settings.describe_steps, settings.lr),
        ("relate", RELATE, settings.relate_steps, settings.lr),
        ("reason", REASON, settings.reason_steps, settings.lr),
        ("answer", ANSWER, settings.answer_steps, settings.lr / 2),  # or it unlearns to reason
    )
    for phase, mix, steps, lr in phases:
        progress = Progress(f"teaching the language model to {phase}", steps, "step")
        log += _fit(policy, drawn, unseen, features, replace(settings, lr=lr), mix, progress)
    policy.model.save_pretrained(out)
    record = {"settings": asdict(settings), "torch": torch.__version__, "log": log}
    with atomic_write(out / "pretrain_log.json") as part:
        part.write_text(json.dumps(record, indent=1), encoding="utf-8")


def _scene_seeds(seed: int, count: int) -> list[int]:
    return [seed * 1_000_003 + i for i in range(count)]


def _fresh_policy(out: Path, settings: PretrainSettings) -> PolicyBackbone:
    """Random weights and a tokenizer trained on what will be said, saved to ``out`` and loaded from there."""
    family = FAMILIES[settings.family]
    rng = random.Random(0)
    scenes = [draw_asked(scene_seed) for scene_seed in _scene_seeds(settings.seed, TOKENIZER_SCENES)]
    questions = [draw_question(rng, scene, mix) for scene in scenes for mix in (DESCRIBE, RELATE)]
    system = family.default_system or ""
    turns = [f"{q.prompt.system or system}\nuser\n{q.prompt.user}\nassistant\n{q.answer}" for q in questions]
    times = [words_between_frames(family, drawn.scene) for drawn in scenes]
    tokenizer = train_tokenizer([*turns, *times], VOCABULARY[settings.family])
    tokenizer.save_pretrained(out)
    model = family.model_class._from_config(tiny_config(tokenizer, settings.family))
    make_times_alike(model.get_input_embeddings().weight, tokenizer)
    model.save_pretrained(out)
    return PolicyBackbone(PolicySettings(checkpoint=str(out), train_vision_tower=True, train_merger=True))


def _teach_tower(
    policy: PolicyBackbone, drawn: Sequence[DrawnScene], settings: PretrainSettings
) -> list[dict[str, Any]]:
    """Train tower and merger until a video token is most like the words for what it shows; the words stay.

    Without a clock in the pictures, nothing is taught of the time.
    """
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
    log: list[dict[str, Any]] = []
    progress = Progress("teaching the tower", settings.tower_steps, "step")
    for step in range(1, settings.tower_steps + 1):
        chosen = rng.choices(range(len(drawn)), k=settings.batch_size)
        # deepstack's features, where there are some, stand beside those of the merger: all are taught alike
        levels = torch.cat(policy.video_features([prompts[i] for i in chosen])).split(words.shape[1], dim=1)
        seen_NH = torch.cat(levels)
        truth_N24 = torch.cat([labels[i] for i in chosen]).repeat(len(levels), 1, 1)
        groups = [torch.cat((c, n[None])) for c, n in zip(classes, nothing_3H, strict=True)]
        groups += [times] if settings.clock else []
        scores = [16 * normalize(seen_NH, dim=1) @ normalize(group, dim=1).T for group in groups]
        length_loss = (seen_NH.norm(dim=1) - 1).square().mean()  # as long as a word: see the top of the file
        losses = [cross_entropy(s, truth_N24[:, one, k]) / 2 for k, s in enumerate(scores) for one in (0, 1)]
        loss = length_loss + torch.stack(losses).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            first = len(levels[0])  # the merger's own
            hits = [(s[:first].argmax(1)[:, None] == truth_N24[:first, :, k]).any(1) for k, s in enumerate(scores)]
            right = [round(float(hit.float().mean()), 3) for hit in hits]
            log.append(
                {"tower_step": step, "loss": round(loss.item(), 4)}
                | dict(zip(("action", "colour", "shape", "time"), right, strict=False))
            )
            progress.write(json.dumps(log[-1]))
        progress.update()
    progress.close()
    return log


def _fit(
    policy: PolicyBackbone,
    drawn: Sequence[DrawnScene],
    unseen: Sequence[DrawnScene],
    features: Features,
    settings: PretrainSettings,
    mix: Mix,
    progress: Progress,
) -> list[dict[str, Any]]:
    """The training loop on one mix of questions: AdamW, one cycle, answers only in the loss."""
    trained = [p for p in policy.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.lr, weight_decay=settings.weight_decay, betas=(0.9, 0.98))
    steps = progress.total
    assert steps is not None
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, steps, pct_start=0.1)
    rng = random.Random(settings.seed)
    log: list[dict[str, Any]] = []
    losses: list[float] = []
    started = time.perf_counter()
    policy.train()
    for step in range(1, steps + 1):
        asked = [(d, draw_question(rng, d.asked, mix)) for d in rng.choices(drawn, k=settings.batch_size)]
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
            if step % 500 == 0 or step == steps:
                log[-1]["told"] = told_by_kind(policy, unseen, features)
            progress.write(json.dumps(log[-1]))
        progress.update()
    progress.close()
    return log


def _loss(policy: PolicyBackbone, asked: Sequence[tuple[DrawnScene, Question]], features: Features) -> Tensor:
    prompts, seen = _encoded(policy, asked, features)
    answers = [[policy.text_to_ids(question.answer)] for _, question in asked]
    logp_B1C, mask_B1C = policy.logp(prompts, answers, seen)
    return sft_loss(logp_B1C[:, 0], mask_B1C[:, 0]).loss


def _encoded(
    policy: PolicyBackbone, asked: Sequence[tuple[DrawnScene, Question]], features: Features
) -> tuple[list[EncodedPrompt], list[Tensor]]:
    """The prompts and what the tower makes of their videos, which is kept in ``features``: the tower stays as it is."""
    prompts = [policy.encode(question.prompt, drawn.clip(question.segment)) for drawn, question in asked]
    keys = [(drawn.scene.seed, question.segment) for drawn, question in asked]
    new = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in features}
    if new:
        features.update(zip(new, policy.video_features(list(new.values())), strict=True))
    return prompts, [features[key] for key in keys]


def told_by_kind(policy: PolicyBackbone, unseen: Sequence[DrawnScene], features: Features) -> dict[str, list[float]]:
    """Mean set IoU of what the policy tells of unseen scenes, by their kind: asked for all times of a deed, and asked
    which of them answers a query, at once and step by step (the last window that it then states).
    """
    ious: dict[str, list[list[float]]] = {}
    for place, start in enumerate(("When is it:", AT_ONCE, STEP_BY_STEP)):
        rng = random.Random(0)
        questions, truths = [], []
        for drawn in unseen:
            asked, event = rng.choice(drawn.asked.asked), rng.choice(drawn.scene.events)
            words = rng.choice(query_wordings(asked.query)) if place else query_for(rng, drawn.scene, event)
            every = true_windows(drawn.scene, Query("every", *deed_of(drawn.scene, event)))
            truths.append(asked.windows if place else every)
            questions.append(Question(Prompt(f"{start} {words}"), ""))
        prompts, seen = _encoded(policy, list(zip(unseen, questions, strict=True)), features)
        told = generate(policy, prompts, seen, 1, GREEDY)
        for drawn, truth, (completion,) in zip(unseen, truths, told, strict=True):
            kinds = ious.setdefault(drawn.asked.asked[0].query.kind, [[], [], []])
            kinds[place].append(set_iou(read_windows(completion.text.rsplit("so ", 1)[-1]), truth))
    return {kind: [round(math.fsum(v) / len(v), 3) for v in values] for kind, values in sorted(ious.items())}


def main(
    out: Path,
    tower_steps: int = 2000,
    describe_steps: int = 1600,
    relate_steps: int = 3600,
    reason_steps: int = 3200,
    answer_steps: int = 1600,
    batch_size: int = 32,
    lr: float = 2e-3,
    num_scenes: int = 6000,
    num_workers: int = 2,
    seed: int = 7,
    clock: bool = True,
    family: str = "qwen2_5_vl",
) -> None:
    """Train the tiny policy's base from scratch.

    Args:
        out: folder for config, weights, tokenizer and log.
        tower_steps: steps of the vision tower alone.
        describe_steps: steps of the language model on what is seen.
        relate_steps: steps of the language model on all that it may be asked.
        reason_steps: steps of the language model on which of several times a query means, at once and step by step.
        answer_steps: steps of the language model on how the methods want to be answered, with half the learning rate.
        batch_size: questions a step.
        lr: peak learning rate of the one-cycle schedules.
        num_scenes: scenes that are drawn once and asked about many times.
        num_workers: processes that draw them.
        seed: seed of weights, scenes and questions.
        clock: burn two bars that tell the time into the pictures.
        family: the architecture, by the model_type of its config.json: qwen2_5_vl or qwen3_vl.
    """
    settings = PretrainSettings(
        tower_steps,
        describe_steps,
        relate_steps,
        reason_steps,
        answer_steps,
        batch_size,
        lr,
        num_scenes=num_scenes,
        num_workers=num_workers,
        seed=seed,
        clock=clock,
        family=family,
    )
    pretrain(out, settings)
