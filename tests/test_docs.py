"""What the documents say is true: the glossary of TRL's keys is complete, the example for a notebook runs."""

import dataclasses
import inspect
import re
import typing
import warnings
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch

from callbacks.anchor_trace import AnchorTrace
from callbacks.step_checkpoint import StepCheckpoint
from tvg_lightning.datamodule import TVGDataModule
from tvg_lightning.modules.grpo import GRPOModule
from tvg_lightning.modules.settings import StageSettings
from tvg_lightning.policy.backbone import PolicyBackbone
from tvg_lightning.policy.families.family import Family
from tvg_lightning.policy.families.known import FAMILIES
from tvg_lightning.policy.settings import PolicySettings

ROOT = Path(__file__).parents[1]
RECIPES = ROOT / "docs/recipes.md"

# What the first word of a key stands for; any other is an argument of GRPOModule, whose place in a config is init_args.
OWNERS: dict[str, Any] = {
    "anchor_trace": AnchorTrace,
    "data": TVGDataModule,
    "stages[]": StageSettings,
    "step_checkpoint": StepCheckpoint,
    "trainer": lightning.Trainer,
}
NO_KEYS = {"model.init_args", "last.ckpt", "final.ckpt"}
KEY = re.compile(r"[a-z_]+(?:\[\])?(?:\.[a-z_]+)+")


def quoted() -> set[str]:
    """All that stands in backticks in the section."""
    _, _, after = RECIPES.read_text(encoding="utf-8").partition("## Coming from TRL\n")
    section, _, _ = after.partition("\n## ")
    assert section, f"{RECIPES} has no section with this heading"
    return set(re.findall(r"`([^`\n]+)`", section))


def our_keys() -> set[str]:
    """Such as ``trainer.precision``, which may stand there with a value: ``trainer.precision: bf16-mixed``."""
    words = {text.partition(":")[0] for text in quoted()}
    return {word for word in words if KEY.fullmatch(word)} - NO_KEYS


def exists(key: str) -> bool:
    """Follows a key from class to class, by the arguments that each takes."""
    first, *rest = key.removeprefix("model.init_args.").split(".")
    owner: Any = OWNERS.get(first, GRPOModule)
    names = rest if first in OWNERS else [first, *rest]
    for number, name in enumerate(names):
        if name not in inspect.signature(owner).parameters:
            return False
        if number < len(names) - 1:
            hint = typing.get_type_hints(owner.__init__)[name]
            (owner,) = [kind for kind in (hint, *typing.get_args(hint)) if dataclasses.is_dataclass(kind)]
    return True


def test_every_key_of_trls_config_is_in_the_glossary() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports warn of packages that nothing here needs
        trl = pytest.importorskip("trl", reason="TRL is the peer: pip install trl==1.16.0")
        fields = {field.name for field in dataclasses.fields(trl.GRPOConfig)}
    assert sorted(fields - quoted()) == []


def test_every_key_of_ours_in_the_glossary_exists() -> None:
    keys = our_keys()
    assert len(keys) > 50
    assert [key for key in sorted(keys) if not exists(key)] == []
    assert not exists("grpo.num_generation")
    assert not exists("grpo.generation.max_tokens")
    assert not exists("trainer.epochs")


def test_the_example_for_a_notebook_trains(tmp_path: Path, shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there, for two steps instead of twenty."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/moving_shapes").symlink_to(shapes)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/notebook.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    assert "range(20)" in code
    after: dict[str, Any] = {}
    exec(code.replace("range(20)", "range(2)"), after)  # our own document
    step = after["step"]
    assert 0.0 <= step.metrics["reward"] <= 2.0 and len(step.traces) == 8 * 8
    fresh = PolicyBackbone(PolicySettings()).state_dict()
    moved = [name for name, weight in after["policy"].state_dict().items() if not torch.equal(weight, fresh[name])]
    assert any("language_model" in name for name in moved) and not any("visual" in name for name in moved)


def test_the_page_of_backbones_names_all_of_them() -> None:
    """Families with their sizes of tokens, and every field of a family."""
    text = (ROOT / "docs/backbones.md").read_text(encoding="utf-8")
    table, _, _ = text.partition("\n\nThe `model_type`")
    for model_type, family in FAMILIES.items():
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `{model_type}`")]
        assert row.endswith(f"| {family.geometry.side} pixels |")
    named = set(re.findall(r"`([a-z_]+)`", text))
    assert {field.name for field in dataclasses.fields(Family)} <= named
