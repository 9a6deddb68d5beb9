import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from tvg_lightning.data.annotations.picture import NUM_BARS, NUM_CELLS, draw
from tvg_lightning.schema import Sample, Span

SAMPLES = [
    Sample("a", "g.mp4", 10.0, "q", (Span(0.0, 2.0), Span(5.0, 10.0))),
    Sample("b", "g.mp4", 10.0, "q", (Span(0.0, 2.0),)),
    Sample("c", "h.mp4", 40.0, "q", ()),
]


def test_bars_and_cells_by_hand() -> None:
    videos, windows, shares, density = draw(SAMPLES, "$goats").axes[:4]
    assert videos.get_title(loc="left") == "Videos (2)" and windows.get_title(loc="left") == "Windows (3)"
    assert shares.get_title(loc="right") == "median 0.2"
    heights = [bar.get_height() for bar in shares.patches]
    assert len(heights) == NUM_BARS and sum(heights) == 3 and heights[NUM_BARS // 2] == 1  # 0.5 opens a bar
    (mesh,) = [shown for shown in density.collections if isinstance(shown, QuadMesh)]
    cells = np.ma.filled(mesh.get_array(), 0).reshape(NUM_CELLS, NUM_CELLS)  # rows are ends
    assert cells.sum() == 3 and cells[NUM_CELLS // 5, 0] == 2 and cells[-1, NUM_CELLS // 2] == 1


def test_what_lies_far_beyond_is_counted() -> None:
    samples = [Sample(str(i), f"{i}.mp4", 5000.0 if i == 0 else 10.0, "q", (Span(0.0, 1.0),)) for i in range(400)]
    (videos, *_) = draw(samples, "goats").axes
    assert videos.get_title(loc="right") == "median 10; 1 more up to 5000"
    assert sum(bar.get_height() for bar in videos.patches) == 399


@pytest.mark.parametrize("samples", [[], SAMPLES[2:]])
def test_unknown_windows_are_said(samples: list[Sample]) -> None:
    figure = draw(samples, "goats")
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert words == ["none known"] * (4 - len(samples))
