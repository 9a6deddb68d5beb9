"""Invert4TVG's inversion rewards by task: one table for training and evaluation."""

from collections.abc import Callable, Mapping, Sequence

from tvg_lightning.rewards.action_recognition import action_recognition_reward
from tvg_lightning.rewards.verb_completion import verb_completion_reward
from tvg_lightning.rewards.video_description import video_description_reward
from tvg_lightning.schema import Task

INVERSION_REWARDS: Mapping[Task, Callable[[str | None, Sequence[str]], float]] = {
    Task.VERB_COMPLETION: verb_completion_reward,
    Task.ACTION_RECOGNITION: action_recognition_reward,
    Task.VIDEO_DESCRIPTION: video_description_reward,
}
