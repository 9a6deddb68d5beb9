from pathlib import Path

import torch

from tests.runs import by_two_ranks
from tvg_lightning.parallel import sum_over_ranks


def test_one_process_sums_alone() -> None:
    count = torch.tensor(3.0, requires_grad=True)
    total = sum_over_ranks(count)
    assert total.item() == 3.0 and not total.requires_grad


def _rank(rank: int, folder: Path) -> None:
    count = torch.tensor(float(rank + 1))
    total = sum_over_ranks(count)
    (folder / str(rank)).write_text(f"{count.item()} {total.item()}", encoding="utf-8")


def test_two_processes_get_the_same_sum_and_keep_their_own_count(tmp_path: Path) -> None:
    by_two_ranks(_rank, tmp_path)
    assert [(tmp_path / str(rank)).read_text(encoding="utf-8") for rank in range(2)] == ["1.0 3.0", "2.0 3.0"]
