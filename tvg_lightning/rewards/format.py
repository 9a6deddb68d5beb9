"""The format reward, the same for all methods; ``parsing`` says what the format is."""


def format_reward(follows_format: bool) -> float:
    """Reward for keeping the format that the prompt asks for.

    ``1[follows the format]``; TAR-TVG, TVG-R1, Time-R1, Invert4TVG. 1: the format of ``parsing.read_strict``
    (grounding) or ``parsing.read_inverted`` (inversion). 0: any other text.

    >>> format_reward(True), format_reward(False)
    (1.0, 0.0)
    """
    return 1.0 if follows_format else 0.0
