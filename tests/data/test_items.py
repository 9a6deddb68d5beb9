"""From a sample to a question: which part of which file is read, and what the policy is told."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tvg_lightning.data.items import (
    Draw,
    EvaluationQuestions,
    ItemMaker,
    Question,
    Target,
    TargetQuestions,
    TrainingQuestions,
)
from tvg_lightning.data.video import FrameSettings, VideoClip, read_clip
from tvg_lightning.data.workers.worker import ClipRequest
from tvg_lightning.prompts import grounding_prompt, inversion_prompt
from tvg_lightning.schema import AnswerFormat, Method, Sample, Span, Task
from tvg_lightning.tasks.mixture import Mixture

TAR_TVG = AnswerFormat(Method.TAR_TVG)

QUERY = "The red circle rises."
PLAIN = Sample("s", "a.mp4", 10.0, QUERY, (Span(2.0, 3.0), Span(4.0, 8.0)))
CUT = Sample("c", "a.mp4", 6.0, QUERY, (Span(1.0, 3.0),), cut=Span(20.0, 26.0))
VERBLESS = Sample("v", "a.mp4", 10.0, "the red circle", (Span(4.0, 8.0),))
INVERSIONS = (Task.VERB_COMPLETION, Task.ACTION_RECOGNITION, Task.VIDEO_DESCRIPTION)
FIFTHS = Mixture(0.4, 0.2, 0.2, 0.2)


CLIP = VideoClip(torch.zeros(2, 28, 28, 3, dtype=torch.uint8), (0.0, 0.5), 2.0, "none")


@pytest.fixture
def maker() -> ItemMaker:
    return ItemMaker(Path("videos"), TAR_TVG, FrameSettings(), side=32)


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
def test_which_part_of_the_file_is_seen(maker: ItemMaker, sample: Sample, task: Task, segment: Span | None) -> None:
    mixture = Mixture(**{**dict.fromkeys(Task, 0.0), task: 1.0})
    question = TrainingQuestions([sample], mixture, seed=0)[Draw(0, 0, 0)]
    assert maker.request(question) == ClipRequest(str(Path("videos/a.mp4")), FrameSettings(), segment, side=32)


def test_inversion_sees_the_frames_of_the_true_segment(
    tmp_path: Path, write_video: Callable[..., Path], shown: Callable[[torch.Tensor], list[int]]
) -> None:
    """Frame k is shown at k / 4 s. The cut begins at 2 s, the window 1 s later: 3 to 5 s, frames 12 to 19."""
    write_video("a.mp4", [k / 4 for k in range(40)])
    sample = Sample("c", "a.mp4", 6.0, QUERY, (Span(1.0, 3.0),), cut=Span(2.0, 8.0))
    maker = ItemMaker(tmp_path, TAR_TVG, FrameSettings(fps=2.0), side=28)

    def clip(task: Task) -> VideoClip:
        request = maker.request(Question(sample, task, 0))
        return read_clip(request.path, request.frames, request.segment, side=request.side)

    assert shown(clip(Task.ACTION_RECOGNITION).frames) == [12, 14, 16, 18]
    assert clip(Task.ACTION_RECOGNITION).times_s == pytest.approx((0.0, 0.5, 1.0, 1.5))
    assert shown(clip(Task.TVG).frames) == list(range(8, 32, 2))


def test_prompts_and_verbs(maker: ItemMaker) -> None:
    grounding = maker.make(Question(PLAIN, Task.TVG, 5), CLIP)
    assert grounding.prompt == grounding_prompt(TAR_TVG, QUERY) and grounding.query_verbs == ()
    completion = maker.make(Question(PLAIN, Task.VERB_COMPLETION, 6), CLIP)
    assert completion.prompt == inversion_prompt(Task.VERB_COMPLETION, "The red circle ____.")
    assert completion.query_verbs == ("rise",)
    recognition = maker.make(Question(PLAIN, Task.ACTION_RECOGNITION, 7), CLIP)
    assert recognition.prompt == inversion_prompt(Task.ACTION_RECOGNITION)
    assert [item.position for item in (grounding, completion, recognition)] == [5, 6, 7]


def test_an_item_carries_what_its_question_says(maker: ItemMaker) -> None:
    item = maker.make(Question(CUT, Task.TVG, 4, "to be learned", is_repeated=True), CLIP, "it hangs")
    assert (item.sample, item.clip, item.position) == (CUT, CLIP, 4)
    assert (item.target, item.is_repeated, item.error) == ("to be learned", True, "it hangs")


def test_the_same_draw_is_the_same_task() -> None:
    draws = [Draw(epoch, index, 50 * epoch + index) for epoch in range(4) for index in range(50)]
    samples = [PLAIN] * 50
    first, again = (TrainingQuestions(samples, FIFTHS, seed=3) for _ in range(2))
    tasks = [first[draw].task for draw in draws]
    assert [again[draw].task for draw in reversed(draws)] == tasks[::-1]  # whatever the order
    elsewhere = [Draw(draw.epoch, draw.index, draw.position + 9) for draw in draws]  # on another rank layout
    assert [again[draw].task for draw in elsewhere] == tasks
    assert set(tasks) == set(Task)
    other_seed = TrainingQuestions(samples, FIFTHS, seed=4)
    assert [other_seed[draw].task for draw in draws] != tasks


def test_training_questions_know_their_sample_and_position() -> None:
    questions = TrainingQuestions([PLAIN, CUT], Mixture(), seed=0)
    assert len(questions) == 2
    assert questions[Draw(epoch=2, index=1, position=17)] == Question(CUT, Task.TVG, 17, is_rewarded=True)


def test_target_questions_ground_and_carry_the_text() -> None:
    questions = TargetQuestions([Target(PLAIN, "one"), Target(PLAIN, "two")])
    assert len(questions) == 2
    assert questions[Draw(epoch=0, index=1, position=4)] == Question(PLAIN, Task.TVG, 4, "two")


def test_evaluation_asks_what_can_be_asked() -> None:
    questions = EvaluationQuestions([PLAIN, VERBLESS], (Task.TVG, *INVERSIONS))
    asked = [(questions[i].sample.sample_id, questions[i].task) for i in range(len(questions))]
    assert asked == [("s", Task.TVG), ("v", Task.TVG), *(("s", task) for task in INVERSIONS)]
    assert [questions[i].position for i in range(len(questions))] == list(range(5))
    again = questions[~1]
    assert (again.sample.sample_id, again.is_repeated, questions[1].is_repeated) == ("v", True, False)


def test_the_video_stands_where_it_is_asked_to_and_the_query_is_cleaned_as_asked() -> None:
    sample = Sample("s1", "a.mp4", 9.0, "..It rises.. ", (Span(1.0, 2.0),))
    maker = ItemMaker(Path("videos"), TAR_TVG, FrameSettings(), video_first=False, clean_query="dots", side=28)
    for task in (Task.TVG, Task.ACTION_RECOGNITION):
        assert not maker.make(Question(sample, task, 0), CLIP).prompt.video_first
    assert '"It rises"' in maker.make(Question(sample, Task.TVG, 0), CLIP).prompt.user


def test_a_video_that_lies_elsewhere_is_read_there() -> None:
    maker = ItemMaker(Path("videos"), TAR_TVG, FrameSettings(), video_map={"a.mp4": "part/a.mkv"}, side=28)
    assert maker.request(Question(PLAIN, Task.TVG, 0)).path == str(Path("videos/part/a.mkv"))


def test_windows_are_snapped_to_frames_where_answers_are_rewarded() -> None:
    """And nowhere else: not in evaluation, not for inversion, not where the truth is unknown."""
    sample = Sample("s1", "a.mp4", 9.0, "It rises.", (Span(0.2, 0.9), Span(3.0, 8.0)))
    maker = ItemMaker(Path("videos"), TAR_TVG, FrameSettings(), snap_windows=True, side=28)
    assert CLIP.times_s == (0.0, 0.5)

    def windows(task: Task, given: Sample, is_rewarded: bool) -> object:
        return maker.make(Question(given, task, 0, is_rewarded=is_rewarded), CLIP).sample.windows

    assert windows(Task.TVG, sample, True) == (Span(0.0, 0.9), Span(0.5, 8.0))
    assert windows(Task.TVG, sample, False) == windows(Task.VERB_COMPLETION, sample, True) == sample.windows
    assert windows(Task.TVG, replace(sample, windows=None), True) is None
    assert TrainingQuestions([sample], Mixture(), 0)[Draw(0, 0, 0)].is_rewarded
    assert not EvaluationQuestions([sample], [Task.TVG])[0].is_rewarded


def test_times_as_text_are_for_grounding_and_said_in_front() -> None:
    sample = Sample("s1", "a.mp4", 9.0, "It rises.", (Span(1.0, 2.0),))
    maker = ItemMaker(Path("videos"), TAR_TVG, FrameSettings(), time_as_text=True, side=28)
    plain = ItemMaker(Path("videos"), TAR_TVG, FrameSettings(), side=28)
    prompts = [one.make(Question(sample, Task.TVG, 0), CLIP).prompt for one in (maker, plain)]
    assert [prompt.time_as_text for prompt in prompts] == [True, False]
    assert prompts[0].user == f"Each number before frames of the video is their time in seconds. {prompts[1].user}"
    assert not maker.make(Question(sample, Task.ACTION_RECOGNITION, 0), CLIP).prompt.time_as_text
