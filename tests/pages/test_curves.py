"""Charts by hand: ends of the axes, paths, bands of the stages."""

from tvg_lightning.pages.curves import HEIGHT, WIDTH, Curve, binned, chart


def test_a_chart_by_hand() -> None:
    found = chart(
        "IoU", [Curve("answer", [(0, 0.0), (10, 0.5)]), Curve("answer", [(5, 1.0)], run=1)], {"a": (0, 20)}, 1.0
    )
    first, second = found["lines"]
    assert first["path"] == f"M0.0 {HEIGHT:.1f} L{WIDTH / 2:.1f} {HEIGHT / 2:.1f}"
    assert (first["last"], first["number"], second["number"], second["run"]) == ("0.5", 0, 0, 1)
    assert found["bands"] == [{"name": "a", "x": 0.0, "width": float(WIDTH)}]
    assert (found["low"], found["high"], found["left"], found["right"]) == ("0", "1", "0", "20")


def test_negative_values_and_nothing_at_all() -> None:
    assert chart("reward", [Curve("total", [(0, -2.0), (1, 3.0)])], {})["low"] == "-2"
    assert chart("reward", [Curve("total", [])], {})["lines"] == []


def test_bins_keep_the_mean() -> None:
    points = [(float(step), float(step % 7)) for step in range(1000)]
    found = binned(points, 100)
    assert len(found) == 100 and abs(sum(y for _, y in found) / 100 - sum(y for _, y in points) / 1000) < 1e-12
