"""The price on overlong completions, the same for all tasks: DAPO's soft overlong punishment."""

from tvg_lightning.rewards.weights import LengthSettings


def length_reward(num_tokens: int, settings: LengthSettings) -> float:
    """Penalty for running into the last stretch of the allowed length.

    ``0`` for |y| <= L_max - L_cache; ``((L_max - L_cache) - |y|) / L_cache`` up to L_max; ``-1`` beyond; DAPO
    (arXiv 2503.14476, eq. 13). 0: short enough. -1: as long as allowed, or longer. Never positive. Tokens with
    the end token, L_max = ``max_tokens``, L_cache = ``cache_tokens``.

    >>> settings = LengthSettings(max_tokens=100, cache_tokens=20)
    >>> [length_reward(num_tokens, settings) for num_tokens in (80, 85, 100, 140)]
    [0.0, -0.25, -1.0, -1.0]
    """
    excess = num_tokens - settings.free_tokens
    return -min(1.0, excess / settings.cache_tokens) if excess > 0 else 0.0
