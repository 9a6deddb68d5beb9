import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


def trainer(folder: Path, rank: int = 0) -> Any:
    return SimpleNamespace(default_root_dir=str(folder), global_rank=rank)


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
