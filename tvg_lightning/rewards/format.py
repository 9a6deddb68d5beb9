"""The format reward, the same for all methods; what the layout is, ``parsing`` says."""


def format_reward(well_formed: bool) -> float:
    """Whether the completion keeps the layout that its prompt asks for.

    ``1[well formed]``; TAR-TVG, TVG-R1, Time-R1, Invert4TVG. 1: the layout of ``parsing.read_strict``
    (grounding) or ``parsing.read_inverted`` (inversion). 0: any other text.

    >>> format_reward(True), format_reward(False)
    (1.0, 0.0)
    """
    return 1.0 if well_formed else 0.0
