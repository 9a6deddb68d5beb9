from tvg_lightning.published.museg import read_museg
from tvg_lightning.schema import Span


def test_the_numbers_of_the_answer_two_by_two() -> None:
    assert read_museg("<think>9 to 1</think><answer>1.00-2.50 4-5</answer>") == [Span(1, 2.5), Span(4, 5)]
    assert read_museg("<answer>from 1s to 2.5s</answer>") == [Span(1, 2.5)]


def test_one_bad_window_spoils_all() -> None:
    for text in ("<answer>1-2 5-4</answer>", "<answer>1-2 5</answer>", "<answer>3-3</answer>", "1-2", "<answer>1-2"):
        assert read_museg(text) == [], text
