"""Settings of evaluation: how answers are generated, read and scored."""

from dataclasses import dataclass

from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.presets import PresetName, Scorer
from tvg_lightning.schema import AnswerFormat


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of validation, test and predict, where answers are read tolerantly, and greedy unless said otherwise.

    Args:
        max_new_tokens: tokens of an answer with its thought, at most.
        max_anchors: the first so many anchors of a thought have a mean IoU of their own in the metrics; 0: none has.
        strict_recall: R1@m counts answers whose IoU is above m, not those at m.
        frame_dependence: measure how much answers depend on the order of the frames (TaRO's d), at two more passes
            over them.
        empty_thought: answers begin behind a thought without words, whatever is asked for (Time-R1's --use_nothink).
        temperature: logits are divided by it before a token is drawn; 0 is greedy decoding.
        top_p: tokens are drawn from the likeliest whose probabilities add up to this share; 1: from all.
        top_k: tokens are drawn from so many of the likeliest; 0: from all.
        repetition_penalty: the logit of a token that prompt or answer hold already is divided by this, or multiplied
            where it is negative; 1: not changed.
        presence_penalty: taken off the logit of a token that the answer holds already; 0: not changed.
        stop: strings that end an answer, beside its end token; it keeps the string.
        preset: a published evaluation (``presets``), whose name stands beside every number. configs/eval/NAME.yaml
            sets it, with all that goes with it (default: none).
        as_published: read and score as the preset's script does, faults included.
    """

    max_new_tokens: int = 96
    max_anchors: int = 4
    strict_recall: bool = False
    frame_dependence: bool = False
    empty_thought: bool = False
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    preset: PresetName | None = None
    as_published: bool = False

    @property
    def generation(self) -> GenerationSettings:
        """The settings of one answer."""
        return GenerationSettings(
            self.max_new_tokens, self.temperature, self.top_p, self.top_k, self.stop,
            self.repetition_penalty, self.presence_penalty,
        )  # fmt: skip

    def scorer(self, form: AnswerFormat) -> Scorer:
        """The way in which answers are read and scored; ValueError where the preset asks for another format."""
        if self.empty_thought and not form.has_thought:
            raise ValueError(
                f"evaluation.empty_thought: answers in the format of data.method {form.method} hold no thought here: "
                "set it to false"
            )
        return Scorer(form, self.preset, self.as_published)

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"evaluation.max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if self.as_published and self.preset is None:
            raise ValueError("evaluation.as_published is the way of a preset: name one in evaluation.preset")
        try:
            self.generation  # noqa: B018  # refuses bad values
        except ValueError as error:
            raise ValueError(f"evaluation.{error}") from error
        if self.max_anchors < 0:
            raise ValueError(f"evaluation.max_anchors must not be negative, not {self.max_anchors}")
