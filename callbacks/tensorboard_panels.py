"""TensorBoard's panels of a run: a page of charts, settings beside final metrics, best and worst answers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard.summary import hparams

from tvg_lightning.browsing.lanes import anchor_lane, answer_lane, axis, safe, truth_lane, wrapped
from tvg_lightning.failures import WORDS, Events, FailureJudge, Verdict
from tvg_lightning.modules.evaluation import Evaluated
from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.modules.grpo import GRPOModule
from tvg_lightning.modules.grpo_settings import GRPOSettings
from tvg_lightning.modules.staged import StagedModule
from tvg_lightning.parallel import of_all_ranks
from tvg_lightning.policy.generation import is_policy_itself
from tvg_lightning.schema import Task
from tvg_lightning.traces import Trace

_WIDTH = 100  # of a text, in characters
_MAX_SETTING_CHARS = 200

# the charts of the page "Custom Scalars", most useful first: what is drawn, by regular expressions of tags
LAYOUT: dict[str, dict[str, list[Any]]] = {
    "Is it learning?": {
        "mIoU of every split": ["Multiline", [r"^(?!train/).*/mIoU$"]],
        "reward": ["Multiline", [r"^train/reward$"]],
        "parts of the reward, before their weights": ["Multiline", [r"^train/reward/"]],
        "IoU of the anchors, first to last": ["Multiline", [r"/anchor_mIoU_\d+$"]],
        "R1@m": ["Multiline", [r"/R1@\d\.\d$"]],
        "share of answers in their format": ["Multiline", [r"/format_rate$", r"^train/reward/format$"]],
    },
    "What keeps it from learning?": {
        "share of groups whose rewards are all equal": ["Multiline", [r"^train/frac_reward_zero_std$"]],
        "standard deviation of rewards in a group": ["Multiline", [r"^train/reward_std$"]],
        "tokens of a completion": ["Multiline", [r"^train/completion_length$"]],
        "share of completions truncated": ["Multiline", [r"^train/truncated$"]],
        "negative log-likelihood of what was sampled": ["Multiline", [r"^train/nll$"]],
        "share of refining thoughts": ["Multiline", [r"/refin"]],
    },
    "Optimization": {
        "loss": ["Multiline", [r"^train/loss$"]],
        "norm of the gradient": ["Multiline", [r"^train/grad_norm$"]],
        "KL to the reference": ["Multiline", [r"^train/kl$"]],
        "updates skipped, clipped": ["Multiline", [r"^train/skipped$", r"^train/clip_fraction$"]],
    },
    "Speed and memory": {
        "seconds by phase": ["Multiline", [r"^speed/.*_s$"]],
        "tokens a second": ["Multiline", [r"^speed/tokens_per_s$"]],
        "share of the machine's peak": ["Multiline", [r"^speed/mfu$"]],
        "peak memory by phase, GiB": ["Multiline", [r"^memory/"]],
    },
}

# below them, where another engine than the policy itself samples what is learned
ENGINE_LAYOUT: dict[str, dict[str, list[Any]]] = {
    "How far is the engine from the policy?": {
        "difference of log-probs, nats a token": ["Multiline", [r"^train/logp_difference$"]],
        "largest difference of a token, nats": ["Multiline", [r"^train/logp_difference_max$"]],
        "KL of the engine to the policy, nats a token": ["Multiline", [r"^train/sampling_kl$"]],
        "weights in the loss: mean, least, largest": ["Multiline", [r"^train/importance_weight(_min|_max)?$"]],
        "share of weights truncated or masked": ["Multiline", [r"^train/importance_cut$"]],
    },
}


class TensorBoardPanels(Callback):
    """Writes what TensorBoard shows beside curves and pictures, to every TensorBoardLogger of the run.

    - *Custom Scalars*: a page of charts in the order in which one asks (``LAYOUT``, ``ENGINE_LAYOUT``).
    - *HParams*: the module's settings; the metrics are the last mIoU and R1@0.5 of each split and the last reward.
    - *Text*: after every validation, ``num_texts`` best and as many worst grounding answers of each split with their
      time lines, and how many answers have which failure, of all processes. 0 leaves them out.

    Args:
        num_texts: how many of the best and of the worst answers of a validation are shown as text; 0: none.
    """

    def __init__(self, num_texts: int = 3) -> None:
        if num_texts < 0:
            raise ValueError(f"TensorBoardPanels: num_texts must not be negative, it is {num_texts}")
        self.num_texts = num_texts
        self._traces: dict[str, list[tuple[int, Trace]]] = {}  # by split, with their places in it

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Write layout and settings, before Lightning writes its own: TensorBoard shows the first it finds."""
        if stage != "fit" or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, GroundingModule)
        metrics = final_tags(pl_module)
        for logger in _boards(trainer):
            logger.experiment.add_custom_scalars(layout_of(pl_module))
            experiment, start, _ = hparams(settings_of(pl_module.hparams), dict.fromkeys(metrics, 0.0))
            logger.experiment.file_writer.add_summary(experiment)
            logger.experiment.file_writer.add_summary(start)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say that the run came to its end; one that did not has none."""
        for logger in _boards(trainer) if trainer.is_global_zero else ():
            logger.experiment.file_writer.add_summary(hparams({}, {})[2])

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._traces = {}

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert isinstance(pl_module, GroundingModule)
        if self.num_texts and any(_boards(trainer)):
            of_split = self._traces.setdefault(pl_module.splits()[dataloader_idx], [])
            of_split += [(e.item.position, _trace(e, pl_module)) for e in pl_module.last_evaluated if _has_iou(e)]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the texts of all processes' answers, which must all be here, in the order of one process alone."""
        if not self.num_texts or not any(_boards(trainer)):
            return
        found: dict[str, list[tuple[int, Trace]]] = {}
        for ours in of_all_ranks(self._traces):
            for split, answered in ours.items():
                found.setdefault(split, []).extend(answered)
        self._traces = {}
        for split, answered in found.items() if trainer.is_global_zero else ():
            traces = [trace for _, trace in sorted(answered, key=lambda one: one[0])]
            for name, text in best_and_worst(traces, self.num_texts).items() if traces else ():
                for logger in _boards(trainer):
                    logger.experiment.add_text(f"{split}/{name}", text, trainer.global_step)


def layout_of(module: GroundingModule) -> dict[str, dict[str, list[Any]]]:
    """The page of charts of a run: those of an engine only where it logs them."""
    return LAYOUT | ENGINE_LAYOUT if _weighs_an_engine(module) else LAYOUT


def _weighs_an_engine(module: GroundingModule) -> bool:
    """True where ``grpo.importance_correction`` has something to weigh, in one stage at least."""
    settings: list[GRPOSettings | None] = []
    if isinstance(module, GRPOModule):
        settings = [module.grpo]
    elif isinstance(module, StagedModule):
        settings = [stage.grpo for stage in module.stages]
    is_weighed = any(one is not None and one.importance_correction is not None for one in settings)
    return is_weighed and not is_policy_itself(module.engine)


def _boards(trainer: L.Trainer) -> Iterator[TensorBoardLogger]:
    return (logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger))


def _has_iou(evaluated: Evaluated) -> bool:
    return evaluated.item.task == Task.TVG and evaluated.score is not None


def _trace(evaluated: Evaluated, module: GroundingModule) -> Trace:
    item = evaluated.item
    more = {"stage": "validation", "step": 0, "epoch": 0, "rewards": {}, "reward": 0.0, "advantage": 0.0}
    more |= {"num_tokens": evaluated.num_tokens, "group": 0, "rollout": 0, "truncated": evaluated.truncated}
    return Trace.of(item.sample, item.task, evaluated.answer, evaluated.text, form=module.form, **more)


# ---- settings


def final_tags(module: GroundingModule) -> list[str]:
    """The tags whose last values are a run's result."""
    label = module.evaluation.scorer(module.form).label
    prefixes = [split if label is None else f"{split}/{label}" for split in module.splits()]
    return [*(f"{prefix}/{name}" for prefix in prefixes for name in ("mIoU", "R1@0.5")), "train/reward"]


def settings_of(given: Mapping[str, Any], prefix: str = "") -> dict[str, str | float | bool]:
    """Nested settings under paths, those of a stage (named, in a list) under its name; None and empty are left out.

    >>> settings_of({"lr": 0.1, "grpo": {"beta": 0.0, "stop": []}, "stages": [{"name": "explore", "steps": 6}]})
    {'lr': 0.1, 'grpo/beta': 0.0, 'stages/explore/steps': 6}
    """
    flat: dict[str, str | float | bool] = {}
    for key, value in given.items():
        if key.startswith("_"):
            continue  # Lightning's own
        if isinstance(value, Mapping):
            flat |= settings_of(value, f"{prefix}{key}/")
        elif isinstance(value, Sequence) and not isinstance(value, str) and value and _all_named(value):
            for one in value:
                rest = {name: inner for name, inner in one.items() if name != "name"}
                flat |= settings_of(rest, f"{prefix}{key}/{one['name']}/")
        elif isinstance(value, bool | int | float):
            flat[prefix + key] = value
        elif value is not None and value != [] and value != ():
            flat[prefix + key] = str(value)[:_MAX_SETTING_CHARS]
    return flat


def _all_named(values: Sequence[Any]) -> bool:
    return all(isinstance(value, Mapping) and "name" in value for value in values)


# ---- texts


def best_and_worst(traces: Sequence[Trace], num: int) -> dict[str, str]:
    """Markdown of the answers with the highest and with the lowest IoU, and of the counts of failures.

    Model text and queries stand in blocks of code, so that nothing in them is read as markdown or HTML.
    """
    judge = FailureJudge(Events(traces))
    judged = [(trace, judge(trace)) for trace in traces]
    ordered = sorted(judged, key=lambda one: -(one[0].answer_iou or 0.0))
    counts = Counter("none" if verdict.failure is None else WORDS[verdict.failure] for _, verdict in judged)
    table = "\n".join(f"| {words} | {count} | {count / len(judged):.0%} |" for words, count in counts.most_common())
    return {
        "best answers": "\n\n".join(_markdown(*one) for one in ordered[:num]),
        "worst answers": "\n\n".join(_markdown(*one) for one in reversed(ordered[-num:])),
        "failures": f"| failure | answers | share |\n|---|---|---|\n{table}",
    }


def _markdown(trace: Trace, verdict: Verdict) -> str:
    """One answer: its IoU as a heading, all else as code."""
    lane = _WIDTH - 12
    lines = [
        *wrapped(safe(trace.query) + (f"  ({trace.kind})" if trace.kind else ""), _WIDTH),
        f"{'':<12}{axis(trace.duration_s, lane)}",
        f"{'truth':<12}{''.join(truth_lane(trace.windows or (), trace.duration_s, lane))}",
    ]
    if trace.anchors:
        lines.append(f"{'anchors':<12}{anchor_lane(trace.anchors, trace.windows or (), trace.duration_s, lane)}")
    lines.append(f"{'answer':<12}{answer_lane(trace.spans or (), trace.windows or (), trace.duration_s, lane)}")
    lines += ["", *wrapped(safe(trace.text), _WIDTH)]
    head = f"**IoU {trace.answer_iou or 0.0:.2f}**" + (f", {WORDS[verdict.failure]}" if verdict.failure else "")
    return f"{head}\n\n" + "\n".join(f"    {line}" for line in lines)
