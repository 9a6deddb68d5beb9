"""Charts by hand: ends of the axes, paths, bands of the stages."""

from tvg_lightning.pages.curves import HEIGHT, MAX_POINTS, WIDTH, Curve, binned, chart, pieces


def test_a_chart_by_hand() -> None:
    found = chart(
        "IoU", [Curve("answer", [(0, 0.0), (10, 0.5)]), Curve("answer", [(5, 1.0)], run=1)], {"a": (0, 20)}, 1.0
    )
    first, second = found["lines"]
    assert first["path"] == f"M0.0 {HEIGHT:.1f} L{WIDTH / 2:.1f} {HEIGHT / 2:.1f}"
    assert (first["last"], first["number"], second["number"], second["run"]) == ("0.5", 0, 0, 1)
    assert found["bands"] == [{"name": "a", "x": 0.0, "width": float(WIDTH)}]
    assert (found["low"], found["high"], found["left"], found["right"]) == ("0", "1", "0", "20")


def test_a_line_has_a_gap_where_nothing_was_sampled() -> None:
    points = [(0, 0.0), (10, 1.0), (30, 1.0), (40, 0.0)]
    (line,) = chart("IoU", [Curve("answer", points, silent=[(11, 30)])], {"a": (0, 11), "b": (30, 40)}, 1.0)["lines"]
    assert line["path"] == "M0.0 150.0 L90.0 0.0 M270.0 0.0 L360.0 150.0"
    # what was logged there joins it, as seconds a step do
    assert len(pieces([(10, 1.0), (20, 1.0), (30, 1.0)], [(11, 30)])) == 1
    assert len(pieces([(10, 1.0), (12, 1.0), (30, 1.0)], [(11, 30)])) == 1


def test_a_value_alone_is_a_dot_and_bins_do_not_reach_over_a_gap() -> None:
    (line,) = chart("IoU", [Curve("answer", [(5, 0.5)])], {"a": (0, 10)}, 1.0)["lines"]
    assert line["path"] == "M180.0 75.0 L180.0 75.0"
    long = [(float(step), float(step >= 300)) for step in range(1000) if not 250 <= step < 300]
    (line,) = chart("IoU", [Curve("answer", long, silent=[(250, 300)])], {}, 1.0)["lines"]
    before, behind = line["path"].split(" M")
    assert {y for _, y in map(str.split, before[1:].split(" L"))} == {"150.0"}
    assert {y for _, y in map(str.split, behind.split(" L"))} == {"0.0"}
    assert line["path"].count(" ") < 3 * MAX_POINTS


def test_negative_values_and_nothing_at_all() -> None:
    assert chart("reward", [Curve("total", [(0, -2.0), (1, 3.0)])], {})["low"] == "-2"
    assert chart("reward", [Curve("total", [])], {})["lines"] == []


def test_bins_keep_the_mean() -> None:
    points = [(float(step), float(step % 7)) for step in range(1000)]
    found = binned(points, 10.0)
    assert len(found) == 100 and abs(sum(y for _, y in found) / 100 - sum(y for _, y in points) / 1000) < 1e-12
    rare = [point for point in points if point[0] % 50 == 0]  # as many points as stretches that have any
    assert binned(rare, 100.0)[0] == (25.0, (0 + 50 % 7) / 2) and len(binned(rare, 100.0)) == 10
