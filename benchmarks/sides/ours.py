"""One side of ``grpo_step``: this project's own GRPO step, its loss's backward pass, clipping and AdamW."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.sides.work import (
    LEARNING_RATE,
    MAX_GRAD_NORM,
    QUESTION,
    Measured,
    Work,
    peak_gib,
    picture,
    read_work,
    tell,
    threads_from,
)
from tvg_lightning.data.item_reader import ItemReader
from tvg_lightning.data.items import Item
from tvg_lightning.data.training_set import TrainingSet
from tvg_lightning.data.video import VideoClip
from tvg_lightning.modules.grpo import GRPOObjective
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.phases import Phases
from tvg_lightning.modules.step import StepContext, StepResult
from tvg_lightning.oracle import OracleSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.chat import VISION_TOKENS
from tvg_lightning.policy.generation import Completion, generate
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.rewards.total import Rewards
from tvg_lightning.rewards.weights import RewardWeights
from tvg_lightning.schema import AnswerFormat, Method, Prompt, Sample, Span, Task

PHASES = ("vision", "rollout", "loss", "backward", "optimizer")


def every_other_one_answers(policy: PolicyBackbone, *request: Any) -> list[list[Completion]]:
    """``generate`` of completions that are all as long as they may be.

    Random weights never answer, so some texts are exchanged, or all rewards would be equal.
    """
    end_id, policy.end_id = policy.end_id, -1
    groups = generate(policy, *request)
    policy.end_id = end_id
    answer = "<think>It spins.</think><answer>0.0 to 0.5</answer>"
    return [[replace(one, text=answer) if g % 2 else one for g, one in enumerate(group)] for group in groups]


class OurStep:
    """A policy and the step that trains it: ``GRPOObjective.step``, the backward pass, clipping and AdamW."""

    def __init__(self, work: Work, folder: Path, device: str = "cpu") -> None:
        self.work = work
        self.policy = PolicyBackbone(
            PolicySettings(
                str(folder),
                dtype="bfloat16" if work.dtype == "bfloat16" else "float32",
                gradient_checkpointing=work.gradient_checkpointing,
            )
        ).to(device)
        # as in TRL, beside the vision tokens; seven of eight rows of this head have no token
        self.policy.suppressed_ids = self.policy.suppressed_ids[: len(VISION_TOKENS)]
        self._trained = [p for p in self.policy.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(self._trained, lr=LEARNING_RATE, weight_decay=0.0, fused=True)  # as in TRL
        sample = Sample("picture", "picture.mp4", 1.0, QUESTION, (Span(0.0, 0.5),))
        # two equal frames are what the tower makes of one picture
        self.clip = VideoClip(torch.from_numpy(picture(work))[None].repeat(2, 1, 1, 1), (0.0, 0.5), 2.0, "noise")
        self.item = Item(sample, Task.TVG, Prompt(QUESTION), self.clip, (), position=0)
        form = AnswerFormat(Method.TIME_R1 if work.prune is None else Method.ORA_RL)
        self._training_set = TrainingSet([sample], ItemReader.in_this_process(folder, form, side=self.policy.side))
        settings = GRPOSettings(
            generation=GenerationSettings(max_new_tokens=work.new_tokens),
            num_generations=work.num_generations,
            beta=0.0,
            scale_rewards="group" if work.prune is None else "none",
            oracle=None if work.prune is None else OracleSettings(prune=work.prune),
        )
        rewards = Rewards(form, RewardWeights(format=1.0, iou=1.0))
        self._objective = GRPOObjective(settings, rewards, every_other_one_answers)

    def take(self, number: int, clock: Phases) -> StepResult:
        """Take step ``number``; the clock knows its phases then."""
        clock.start(self.policy.device)
        step = self._objective.step(self.policy, [self.item], StepContext(step=number), self._training_set, clock)
        clock.enter("backward")
        step.loss.backward()
        clock.enter("optimizer")
        torch.nn.utils.clip_grad_norm_(self._trained, MAX_GRAD_NORM)
        self._optimizer.step()
        self._optimizer.zero_grad()
        clock.end()
        assert step.loss.requires_grad
        if self.work.prune is None:
            assert step.num_tokens == self.work.num_generations * self.work.new_tokens
        return step


def main() -> None:
    work, folder = read_work()
    threads_from(work)
    ours = OurStep(work, folder)
    before_gib = peak_gib()
    clock = Phases()
    phases: dict[str, list[float]] = {phase: [] for phase in PHASES}
    seconds, processor_s = [], []
    for number in range(1 + work.repetitions):
        start_s, start_processor_s = time.perf_counter(), time.process_time()
        ours.take(number, clock)
        seconds.append(time.perf_counter() - start_s)
        processor_s.append(time.process_time() - start_processor_s)
        for phase in PHASES:
            phases[phase].append(clock.seconds[phase])
    ids = ours.policy.encode(ours.item.prompt, ours.clip).input_ids
    tell(
        Measured(
            len(ids),
            int((ids == ours.policy.model.config.video_token_id).sum()),
            work.new_tokens,
            seconds[1:],
            processor_s[1:],
            {phase: times[1:] for phase, times in phases.items()},
            peak_gib(),
            before_gib,
            sum(p.numel() for p in ours.policy.parameters()),
        )
    )


if __name__ == "__main__":
    main()
