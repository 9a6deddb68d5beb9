"""Settings of evaluation: how answers are generated, read and scored."""

from dataclasses import dataclass

from tvg_lightning.policy.settings import GenerationSettings
from tvg_lightning.presets import PresetName, Scorer
from tvg_lightning.schema import AnswerFormat


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of validation, test and predict, where answers are read tolerantly, and greedy unless said otherwise.

    strict_recall: R1@m counts an IoU > m, not >= m. max_anchors: how many anchors have a mean IoU of their
    own. frame_dependence: measure how much answers depend on the order of the frames, at two more passes over them.
    empty_thought: answers begin behind a thought without words, whatever is asked for (Time-R1's --use_nothink).
    temperature, top_p, top_k, stop and the penalties: as in GenerationSettings.
    preset: the name of a published evaluation (``presets``), which stands beside every number; configs/eval/NAME.yaml
    sets it, with all that goes with it. as_published: read and score as its script does, faults included.
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
