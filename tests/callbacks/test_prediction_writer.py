import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from callbacks.prediction_writer import PredictionWriter

RECORDS: list[dict[str, Any]] = [
    {"qid": "a", "text": "one\ntwo", "span": [1.0, 2.5], "iou": None},
    {
        "qid": "b",
        "text": "\ud800 and ü",
        "span": None,
        "iou": 0.5,
    },  # half a character, as a policy can produce
    {"qid": "c", "text": "", "span": None, "iou": 0.0},
]


def trainer(folder: Path, rank: int = 0, world_size: int = 2, fast_dev_run: bool = False) -> Any:
    return SimpleNamespace(
        default_root_dir=str(folder),
        global_rank=rank,
        world_size=world_size,
        is_global_zero=rank == 0,
        fast_dev_run=fast_dev_run,
    )


@pytest.mark.parametrize("rank", [0, 1])
def test_one_line_a_query_in_a_file_of_each_process(tmp_path: Path, rank: int) -> None:
    writer, run = PredictionWriter(), trainer(tmp_path, rank)
    module: Any = None
    writer.on_predict_start(run, module)
    writer.on_predict_batch_end(run, module, RECORDS[:2], None, 0)
    writer.on_predict_batch_end(run, module, RECORDS[2:], None, 1)
    lines = (tmp_path / f"predictions-rank{rank}.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == RECORDS


def test_a_new_prediction_takes_the_place_of_the_old(tmp_path: Path) -> None:
    writer, run = PredictionWriter(str(tmp_path / "elsewhere")), trainer(tmp_path)
    module: Any = None
    for records in (RECORDS, RECORDS[:1]):
        writer.on_predict_start(run, module)
        writer.on_predict_batch_end(run, module, records, None, 0)
    text = (tmp_path / "elsewhere" / "predictions-rank0.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line) for line in text.splitlines()] == RECORDS[:1]


def test_files_of_processes_that_are_no_more_go(tmp_path: Path) -> None:
    """Three processes predicted, then two: the first removes the third's file and no other."""
    for name in ("predictions-rank1", "predictions-rank2", "predictions-ranking", "others-rank2"):
        (tmp_path / f"{name}.jsonl").write_text("{}\n", encoding="utf-8")
    writer = PredictionWriter()
    writer.on_predict_start(trainer(tmp_path, rank=0), cast(Any, None))
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes == {"predictions-rank0": 0, "predictions-rank1": 3, "predictions-ranking": 3, "others-rank2": 3}
    writer.on_predict_start(trainer(tmp_path, rank=1), cast(Any, None))
    assert (tmp_path / "predictions-rank1.jsonl").stat().st_size == 0


def test_a_dry_run_touches_nothing(tmp_path: Path) -> None:
    writer, module = PredictionWriter(), cast(Any, None)
    (tmp_path / "predictions-rank0.jsonl").write_text("{}\n", encoding="utf-8")
    for folder in (tmp_path, tmp_path / "new"):
        run = trainer(folder, world_size=1, fast_dev_run=True)
        writer.on_predict_start(run, module)
        writer.on_predict_batch_end(run, module, RECORDS, None, 0)
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["{}\n"]
