"""From a sample to a question: which part of which file is read, and what the policy is told."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tvg_lightning.data.frame_cache import FrameCache
from tvg_lightning.data.items import Draw, EvaluationItems, ItemMaker, Target, TargetItems, TrainingItems
from tvg_lightning.data.video import VideoClip, VideoSampling
from tvg_lightning.prompts import grounding_prompt, inversion_prompt
from tvg_lightning.schema import Method, Sample, Span, Task
from tvg_lightning.tasks.mixture import Mixture

QUERY = "The red circle rises."
PLAIN = Sample("s", "a.mp4", 10.0, QUERY, (Span(2.0, 3.0), Span(4.0, 8.0)))
CUT = Sample("c", "a.mp4", 6.0, QUERY, (Span(1.0, 3.0),), cut=Span(20.0, 26.0))
VERBLESS = Sample("v", "a.mp4", 10.0, "the red circle", (Span(4.0, 8.0),))
INVERSIONS = (Task.VERB_COMPLETION, Task.ACTION_RECOGNITION, Task.VIDEO_DESCRIPTION)
FIFTHS = Mixture(0.4, 0.2, 0.2, 0.2)


class Asked(FrameCache):
    """Decodes nothing and notes what it is asked for."""

    def __init__(self) -> None:
        super().__init__(None)
        self.requests: list[tuple[str, Span | None]] = []

    def get_or_read(self, path: str | Path, sampling: VideoSampling, segment: Span | None = None) -> VideoClip:
        self.requests.append((str(path), segment))
        return VideoClip(torch.zeros(2, 28, 28, 3, dtype=torch.uint8), (0.0, 0.5), 2.0, "none")


@pytest.fixture
def cache() -> Asked:
    return Asked()


@pytest.fixture
def maker(cache: Asked) -> ItemMaker:
    return ItemMaker(Path("videos"), Method.TAR_TVG, VideoSampling(), cache)


@pytest.mark.parametrize(
    ("sample", "task", "segment"),
    [
        (PLAIN, Task.TVG, None),
        (PLAIN, Task.ACTION_RECOGNITION, Span(4.0, 8.0)),  # the longest window
        (CUT, Task.TVG, Span(20.0, 26.0)),
        (CUT, Task.VERB_COMPLETION, Span(21.0, 23.0)),  # windows count from the cut's start
        (VERBLESS, Task.VERB_COMPLETION, None),  # cannot be inverted: grounding
    ],
)
def test_which_part_of_the_file_is_seen(
    maker: ItemMaker, cache: Asked, sample: Sample, task: Task, segment: Span | None
) -> None:
    maker.make(sample, task, 0)
    assert cache.requests == [(str(Path("videos/a.mp4")), segment)]


def test_inversion_sees_the_frames_of_the_true_segment(
    tmp_path: Path, write_video: Callable[..., Path], shown: Callable[[torch.Tensor], list[int]]
) -> None:
    """Frame k is shown at k / 4 s. The cut begins at 2 s, the window 1 s later: 3 to 5 s, frames 12 to 19."""
    write_video("a.mp4", [k / 4 for k in range(40)])
    sample = Sample("c", "a.mp4", 6.0, QUERY, (Span(1.0, 3.0),), cut=Span(2.0, 8.0))
    maker = ItemMaker(tmp_path, Method.TAR_TVG, VideoSampling(fps=2.0), FrameCache(None))
    inverted = maker.make(sample, Task.ACTION_RECOGNITION, 0)
    assert shown(inverted.clip.frames) == [12, 14, 16, 18]
    assert inverted.clip.times_s == pytest.approx((0.0, 0.5, 1.0, 1.5))
    assert shown(maker.make(sample, Task.TVG, 0).clip.frames) == list(range(8, 32, 2))


def test_prompts_and_verbs(maker: ItemMaker) -> None:
    grounding = maker.make(PLAIN, Task.TVG, 5)
    assert grounding.prompt == grounding_prompt(Method.TAR_TVG, QUERY) and grounding.query_verbs == ()
    completion = maker.make(PLAIN, Task.VERB_COMPLETION, 6)
    assert completion.prompt == inversion_prompt(Task.VERB_COMPLETION, "The red circle ____.")
    assert completion.query_verbs == ("rise",)
    recognition = maker.make(PLAIN, Task.ACTION_RECOGNITION, 7)
    assert recognition.prompt == inversion_prompt(Task.ACTION_RECOGNITION)
    assert [item.position for item in (grounding, completion, recognition)] == [5, 6, 7]


def test_the_same_draw_is_the_same_task(maker: ItemMaker) -> None:
    draws = [Draw(epoch, index, 50 * epoch + index) for epoch in range(4) for index in range(50)]
    samples = [PLAIN] * 50
    first, again = (TrainingItems(samples, maker, FIFTHS, seed=3) for _ in range(2))
    tasks = [first[draw].task for draw in draws]
    assert [again[draw].task for draw in reversed(draws)] == tasks[::-1]  # whatever the order
    elsewhere = [Draw(draw.epoch, draw.index, draw.position + 9) for draw in draws]  # on another rank layout
    assert [again[draw].task for draw in elsewhere] == tasks
    assert set(tasks) == set(Task)
    other_seed = TrainingItems(samples, maker, FIFTHS, seed=4)
    assert [other_seed[draw].task for draw in draws] != tasks


def test_training_items_know_their_sample_and_position(maker: ItemMaker) -> None:
    items = TrainingItems([PLAIN, CUT], maker, Mixture(), seed=0)
    item = items[Draw(epoch=2, index=1, position=17)]
    assert len(items) == 2
    assert (item.sample, item.position, item.task, item.target) == (CUT, 17, Task.TVG, None)


def test_target_items_ground_and_carry_the_text(maker: ItemMaker) -> None:
    items = TargetItems([Target(PLAIN, "one"), Target(PLAIN, "two")], maker)
    item = items[Draw(epoch=0, index=1, position=4)]
    assert len(items) == 2
    assert (item.task, item.target, item.position) == (Task.TVG, "two", 4)


def test_evaluation_asks_what_can_be_asked(maker: ItemMaker) -> None:
    items = EvaluationItems([PLAIN, VERBLESS], (Task.TVG, *INVERSIONS), maker)
    asked = [(items[i].sample.sample_id, items[i].task) for i in range(len(items))]
    assert asked == [("s", Task.TVG), ("v", Task.TVG), *(("s", task) for task in INVERSIONS)]
    assert [items[i].position for i in range(len(items))] == list(range(5))
    again = items[~1]
    assert (again.sample.sample_id, again.is_repeated, items[1].is_repeated) == ("v", True, False)
