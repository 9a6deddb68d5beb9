"""What TensorBoard finds of a run, read back from its event files, and the texts by hand-made answers."""

import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

import train
from callbacks.tensorboard_panels import ENGINE_LAYOUT, LAYOUT, TensorBoardPanels, best_and_worst
from tests.builders import GOOD_TRACE
from tests.runs import WITHOUT_VALIDATION, by_two_ranks, changed, grpo, stage, write_config
from tvg_lightning.schema import AnswerFormat, Method, Span

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of the html5lib inside TensorBoard
    from tensorboard.plugin_util import markdown_to_safe_html

Values = dict[str, dict[str, list[Any]]]  # of a plugin, by tag, in their order


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """A run of two stages with TensorBoard's logger and long enough answers to be read."""
    folder = tmp_path_factory.mktemp("board")
    stages = [stage(name, 2, **grpo(generation={"max_new_tokens": 40}, beta=0.04)) for name in ("explore", "refine")]
    config = write_config(folder, shapes, stages=stages, evaluation={"max_new_tokens": 40})
    with changed(config) as given:
        given["trainer"]["logger"] = True
        given["trainer"]["default_root_dir"] = str(folder)
    train.main(["fit", "--config", str(config)])
    return folder


@pytest.fixture(scope="module")
def events(run: Path) -> Values:
    return events_in(run)


def events_in(run: Path) -> Values:
    (file,) = run.rglob("events.out.tfevents*")
    found: Values = defaultdict(lambda: defaultdict(list))
    for event in EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            found[value.metadata.plugin_data.plugin_name][value.tag].append((int(event.step), value))
    return found


def test_every_chart_of_the_first_page_has_something_to_draw(events: Values) -> None:
    layout = layout_in(events)
    assert [category.title for category in layout.category] == list(LAYOUT), "its own engine: nothing to weigh"
    assert layout.category[0].chart[0].title == "mIoU of every split"
    assert empty_charts(layout, events) <= {"IoU of the anchors, first to last"}  # an untrained policy states none
    pattern = layout.category[0].chart[3].multiline.tag[0]
    assert re.search(pattern, "held_out/anchor_mIoU_1") and not re.search(pattern, "held_out/mIoU")


def layout_in(events: Values) -> Layout:
    ((_, value),) = events["custom_scalars"]["custom_scalars__config__"]
    layout = Layout()
    layout.ParseFromString(make_ndarray(value.tensor).item())
    return layout


def empty_charts(layout: Layout, events: Values) -> set[str]:
    return {
        chart.title
        for category in layout.category
        for chart in category.chart
        if not any(re.search(pattern, tag) for pattern in chart.multiline.tag for tag in events["scalars"])
    }


def test_charts_of_an_engine_where_there_is_one(tmp_path: Path, shapes: Path) -> None:
    """Of a run that weighs its completions; where that is turned off, nothing is logged and no chart stands empty."""
    for correction in ({}, {"importance_correction": None}):
        folder = tmp_path / str(len(correction))
        short = grpo(None, None, generation={"max_new_tokens": 8}, **correction)
        config = write_config(folder, shapes, stages=[stage("only", 1, **short)])
        with changed(config) as given:
            given["trainer"]["logger"] = True
        engine = ["--model.init_args.engine", "tests.modules.test_importance_correction.other"]
        train.main(["fit", "--config", str(config), *engine, *WITHOUT_VALIDATION])
        events = events_in(folder)
        layout = layout_in(events)
        titles = [category.title for category in layout.category]
        assert titles == [*LAYOUT, *([] if correction else ENGINE_LAYOUT)]
        (charts,) = ENGINE_LAYOUT.values()
        assert not empty_charts(layout, events) & charts.keys()
        assert any(tag.startswith("train/importance") for tag in events["scalars"]) is not bool(correction)


def hparams_of(events: Values, tag: str) -> HParamsPluginData:
    ((_, value),) = events["hparams"][tag]
    return HParamsPluginData.FromString(value.metadata.plugin_data.content)


def test_settings_stand_beside_the_final_metrics(events: Values) -> None:
    experiment = hparams_of(events, "_hparams_/experiment").experiment
    tags = [metric.name.tag for metric in experiment.metric_infos]
    assert tags == ["held_out/mIoU", "held_out/R1@0.5", "train/reward"]
    assert all(events["scalars"][tag] for tag in tags) and "hp_metric" not in events["scalars"]
    settings = hparams_of(events, "_hparams_/session_start_info").session_start_info.hparams
    assert settings["stages/explore/steps"].number_value == 2
    assert settings["stages/refine/grpo/beta"].number_value == 0.04
    assert settings["policy/checkpoint"].string_value == "tiny"
    assert hparams_of(events, "_hparams_/session_end_info").session_end_info.status == 1  # STATUS_SUCCESS


def test_texts_after_every_validation(events: Values) -> None:
    texts = events["text"]
    names = [f"held_out/{name}/text_summary" for name in ("best answers", "worst answers", "failures")]
    assert sorted(texts) == sorted(names)
    assert [step for step, _ in texts[names[0]]] == [0, 2, 4]
    told = make_ndarray(texts[names[0]][0][1].tensor).item().decode()
    assert told.startswith("**IoU ") and "truth" in told and "░" in told


def judged(text: str, iou: float, **changes: Any) -> Any:
    form = AnswerFormat(Method.TIME_R1)
    return replace(GOOD_TRACE, text=text, answer_iou=iou, form=form, **changes)


def test_best_and_worst_by_iou() -> None:
    traces = [judged(f"text {k}", k / 10, spans=(Span(10.0, 11.0),)) for k in range(10)]
    texts = best_and_worst(traces, 2)
    assert re.findall(r"IoU (\d\.\d\d).*", texts["best answers"]) == ["0.90", "0.80"]
    assert re.findall(r"IoU (\d\.\d\d)", texts["worst answers"]) == ["0.00", "0.10"]
    assert "**IoU 0.00**, truth missed" in texts["worst answers"]
    assert texts["failures"].splitlines()[2:] == [
        "| none | 5 | 50% |", "| right event with loose edges | 4 | 40% |", "| truth missed | 1 | 10% |"
    ]  # fmt: skip


def texts_in(folder: Path) -> dict[str, str]:
    """The text of every tag in the event files of a folder."""
    return {
        value.tag: make_ndarray(value.tensor).item().decode()
        for file in folder.rglob("events.out.tfevents*")
        for event in EventFileLoader(str(file)).Load()
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "text"
    }


def end_validation(folder: Path, positions: Sequence[int], is_first: bool = True) -> None:
    """The end of a validation of ten answers, of which this process has had those at some positions."""
    logger = TensorBoardLogger(str(folder), name="", version="")
    panels = TensorBoardPanels(num_texts=2)
    answers = [judged(f"text {k}", k % 5 / 10, spans=(Span(10.0, 11.0),)) for k in range(10)]  # IoUs come twice
    panels._traces = {"held_out": [(k, answers[k]) for k in positions]}
    trainer = SimpleNamespace(is_global_zero=is_first, loggers=[logger], global_step=3)
    panels.on_validation_end(trainer, None)  # type: ignore[arg-type]
    logger.finalize("success")


def _half(rank: int, folder: Path) -> None:
    end_validation(folder / "two", range(rank, 10, 2), is_first=rank == 0)


@pytest.mark.slow
def test_the_texts_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    end_validation(tmp_path / "one", range(10))
    by_two_ranks(_half, tmp_path)
    alone, together = texts_in(tmp_path / "one"), texts_in(tmp_path / "two")
    assert re.findall(r"text \d", alone["held_out/best answers/text_summary"]) == ["text 4", "text 9"]
    assert together == alone and len(alone) == 3


def blocks(html: str) -> Iterator[str]:
    yield from re.findall(r"<pre><code>(.*?)</code></pre>", html, re.DOTALL)


def test_text_of_a_model_is_shown_and_never_run() -> None:
    hostile = "<think>a</think>\n```\n<script>alert(1)</script>\n# head\n<img src=x onerror=alert(1)>\x1b[2J"
    texts = best_and_worst([judged(hostile, 0.9, query="<b>who</b> *sits*")], 1)
    html = markdown_to_safe_html(texts["best answers"])
    (code,) = blocks(html)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in code and "&lt;b&gt;who&lt;/b&gt; *sits*" in code
    assert "&lt;think&gt;a" in code and "<script" not in html and "<img" not in html and "<h1" not in html


def test_a_number_below_none_is_refused() -> None:
    with pytest.raises(ValueError, match="num_texts must not be negative, it is -1"):
        TensorBoardPanels(num_texts=-1)
