"""The packaged policy is of this architecture, its tokenizer takes any text, and its times start near each other."""

from collections.abc import Iterator

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.families.known import FAMILIES
from tvg_lightning.policy.loading import PACKAGED, load_tokenizer
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.policy.tiny_architecture import (
    SPECIAL_TOKENS,
    VOCABULARY,
    make_times_alike,
    time_tokens,
    tiny_config,
    train_tokenizer,
)


def leaves(tree: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, tree


@pytest.mark.parametrize(("name", "family"), [("tiny", "qwen2_5_vl"), ("tiny_qwen3_vl", "qwen3_vl")])
def test_the_packaged_config_is_this_one(name: str, family: str) -> None:
    tokenizer = load_tokenizer(PolicySettings(name))
    assert isinstance(tokenizer, PreTrainedTokenizerFast) and len(tokenizer) <= VOCABULARY[family]
    ours = dict(leaves(tiny_config(tokenizer, family).to_dict()))
    packaged = dict(leaves(FAMILIES[family].config_class.from_pretrained(PACKAGED[name]).to_dict()))
    assert {path[-1] for path in ours if ours[path] != packaged[path]} == {"architectures", "dtype"}


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["<answer>the red circle rises from 1.5 to 12.5</answer>"] * 3, 1024)


@pytest.mark.parametrize("model_type", VOCABULARY)
def test_a_tiny_policy_of_every_family_is_small(model_type: str, tokenizer: PreTrainedTokenizerFast) -> None:
    config = tiny_config(tokenizer, model_type)
    with torch.device("meta"):
        model = FAMILIES[model_type].model_class(config)
    assert 1.4e6 < sum(parameter.numel() for parameter in model.parameters()) < 2.1e6


@pytest.mark.parametrize("text", ["Ünïcödé 你好 🎬", "tabs\tand\n\nlines", "no <tag", "0.5 to 99.25", ""])
def test_any_text_comes_back(text: str, tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_special_tokens_come_first_and_end_the_turn(tokenizer: PreTrainedTokenizerFast) -> None:
    assert tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(len(SPECIAL_TOKENS)))
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")


def test_a_time_is_one_token_whatever_stands_before_it(tokenizer: PreTrainedTokenizerFast) -> None:
    (time,) = tokenizer("12.5")["input_ids"]
    for text in ("from 1.5 to 12.5", "<answer>12.5", "at: 12.5"):
        assert tokenizer(text)["input_ids"][-1] == time, text


def test_near_times_are_near_each_other() -> None:
    policy = PolicyBackbone(PolicySettings())
    tokens = time_tokens(policy.tokenizer)
    assert list(tokens.values()) == [half / 2 for half in range(65)] and len(tokens) == 65
    torch.manual_seed(0)
    embedding_VH = torch.zeros(policy.text_config.vocab_size, 128)
    make_times_alike(embedding_VH, policy.tokenizer)
    times_TH = torch.nn.functional.normalize(embedding_VH[list(tokens)], dim=1)
    alike_TT = times_TH @ times_TH.T
    for k in range(3, 62):
        assert alike_TT[k, k + 1] > alike_TT[k, k + 3] and alike_TT[k, k - 1] > alike_TT[k, k - 3]
    is_number = [policy.tokenizer.decode([v]).strip().replace(".", "").isdigit() for v in range(len(embedding_VH))]
    untouched = [v for v, is_time in enumerate(is_number) if not is_time]
    assert not embedding_VH[untouched].any()
