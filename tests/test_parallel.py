import multiprocessing
from pathlib import Path

import torch
import torch.distributed as dist

from tvg_lightning.parallel import sum_over_ranks


def test_one_process_sums_alone() -> None:
    count = torch.tensor(3.0, requires_grad=True)
    total = sum_over_ranks(count)
    assert total.item() == 3.0 and not total.requires_grad


def _rank(rank: int, meeting_point: str, folder: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting_point}", rank=rank, world_size=2)
    count = torch.tensor(float(rank + 1))
    total = sum_over_ranks(count)
    (Path(folder) / str(rank)).write_text(f"{count.item()} {total.item()}", encoding="utf-8")
    dist.destroy_process_group()


def test_two_processes_get_the_same_sum_and_keep_their_own_count(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    arguments = (str(tmp_path / "meeting"), str(tmp_path))
    ranks = [context.Process(target=_rank, args=(rank, *arguments)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(60)
    assert [(tmp_path / str(rank)).read_text(encoding="utf-8") for rank in range(2)] == ["1.0 3.0", "2.0 3.0"]
