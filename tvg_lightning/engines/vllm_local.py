"""vLLM in this process: started from an architecture, given weights after every update, asked for completions."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from tvg_lightning.engines.asking import Asked, AskedRow, SampledRow, positions_of
from tvg_lightning.engines.settings import VLLMSettings
from tvg_lightning.policy.families.known import family_of
from tvg_lightning.policy.generation import stops

log = logging.getLogger(__name__)
TESTED_VLLM = "0.32"
_ON_CPU = {"VLLM_CPU_OMP_THREADS_BIND": "nobind"}
_QUIET = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
# in this process, and by the runner that the tests know: on GPUs vLLM would take a newer one
_NEEDED = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_USE_V2_MODEL_RUNNER": "0"}


@dataclass(frozen=True, slots=True)
class EngineModel:
    """The model that an engine runs: a folder with config and tokenizer, without weights."""

    folder: Path
    model_type: str
    dtype: torch.dtype
    suppressed_ids: tuple[int, ...]


class LocalVLLM:
    """One vLLM engine on this process's device. It has no weights that mean anything until ``load`` was called."""

    def __init__(self, model: EngineModel, settings: VLLMSettings, device: torch.device) -> None:
        if device.index:
            raise ValueError(
                f"engine vllm: this process is on {device}, and vLLM would start on the first GPU: give each process "
                "CUDA_VISIBLE_DEVICES of its own, or take engine vllm_server"
            )
        is_cuda = device.type == "cuda"
        self._sleeps, self._is_asleep = is_cuda and settings.sleeps, False
        self._names = count()
        self._llm = _started(model, settings, is_cuda)
        self.max_length = int(self._llm.llm_engine.model_config.max_model_len)
        self.version = _version()
        warn_of_version(self.version, "here")

    def load(self, weights: Iterator[tuple[str, Tensor]]) -> None:
        """Take new weights in place, one at a time, and forget all that was computed with the old ones."""
        self._wake("weights")
        self._llm.collective_rpc(lambda worker: worker.get_model().forget_features())  # a wake brings other memory
        # in this process the iterator can be handed over as it is
        self._llm.collective_rpc(lambda worker: worker.reload_weights(weights_iterator=weights))
        self._wake("kv_cache")
        self._is_asleep = False
        self._llm.llm_engine.reset_mm_cache()
        self._llm.llm_engine.reset_encoder_cache()
        # without this, prompts longer than one block would be answered in part from the old weights
        if not self._llm.reset_prefix_cache():
            raise RuntimeError("vLLM did not reset its prefix cache: a request is still running")

    def release(self) -> bool:
        """Give the memory of weights and cache back until the next ``load``; False on a CPU, where nothing happens."""
        if self._sleeps and not self._is_asleep:
            self._llm.sleep(level=2)
            self._is_asleep = True
        return self._is_asleep

    def _wake(self, part: str) -> None:
        if self._is_asleep:
            self._llm.wake_up(tags=[part])

    def generate(self, asked: Asked) -> list[SampledRow]:
        """The rows in their order; the process's random numbers stay as they are."""
        if asked.longest > self.max_length:
            raise ValueError(
                f"engine vllm: a prompt and its completion have up to {asked.longest} tokens, and the engine has room "
                f"for {self.max_length}: raise vllm.max_length, vllm.memory (vllm.cache_gib on a CPU; of a server the "
                "same of serve), or give the video fewer tokens"
            )
        temperature, call = asked.generation.temperature, next(self._names)
        self._llm.collective_rpc(lambda worker: worker.get_model().take_temperature(temperature))
        with isolate_rng():  # vLLM draws for all rows at once, then anew for those that have a seed
            return self._answers(asked, call)

    def _answers(self, asked: Asked, call: int) -> list[SampledRow]:
        engine = self._llm.llm_engine
        rows = {f"{call}-{number}": row for number, row in enumerate(asked.rows)}
        done: dict[str, SampledRow] = {}
        try:
            for name, row in rows.items():
                engine.add_request(name, _input(asked, row, f"{call}-{row.prompt}"), _sampling(asked, row))
            while engine.has_unfinished_requests():
                for output in engine.step():
                    name = output.request_id
                    num_tokens = self._tokens_to_stop(asked, rows[name], output.outputs[0].token_ids)
                    if name not in done and (output.finished or num_tokens is not None):
                        done[name] = _sampled(asked, rows[name], output, num_tokens)
                        if not output.finished:
                            engine.abort_request([name])
        finally:
            if engine.has_unfinished_requests():  # after an error; the next call must not find them
                engine.abort_request(list(rows))
        return [done[name] for name in rows]

    def _tokens_to_stop(self, asked: Asked, row: AskedRow, ids: Sequence[int]) -> int | None:
        """The number of sampled tokens that complete a stop string begun in the prefix, which vLLM does not see."""
        if not _is_watched(asked, row):
            return None
        farthest = max(len(string.encode()) for string in asked.generation.stop) - 1
        for number in range(1, min(len(ids), farthest) + 1):
            if stops(self._text_of, [*row.prefix, *ids[:number]], asked.generation.stop):
                return number
        return None

    def _text_of(self, ids: Sequence[int]) -> str:
        return str(self._llm.get_tokenizer().decode(list(ids), skip_special_tokens=True))


def _started(model: EngineModel, settings: VLLMSettings, is_cuda: bool) -> Any:
    """vLLM's ``LLM``; what it changes in the process besides is put back."""
    for name, value in (_QUIET if is_cuda else _QUIET | _ON_CPU).items():
        os.environ.setdefault(name, value)  # read when vLLM is imported
    os.environ.update(_NEEDED)
    if not is_cuda:
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(settings.cache_gib)
    set_num_threads = torch.set_num_threads  # vLLM puts another function there on CPUs
    with isolate_rng():  # and seeds the process's random numbers
        try:
            from vllm import LLM

            from tvg_lightning.engines.vllm_models import register
        except ImportError as error:
            raise ValueError(
                f"engine vllm: vLLM cannot be imported ({error}): install it (docs/rollouts.md), or leave "
                "model.init_args.engine at builtin"
            ) from error
        overrides = {
            "architectures": [register(family_of(model.model_type, str(model.folder)))],
            "suppressed_ids": list(model.suppressed_ids),
        }
        try:
            llm = LLM(
                model=str(model.folder),
                load_format="dummy",
                hf_overrides=overrides,
                dtype=model.dtype,
                enforce_eager=settings.eager or not is_cuda,
                max_model_len=settings.max_length or -1,
                max_num_seqs=settings.max_rows,
                gpu_memory_utilization=settings.memory,
                enable_sleep_mode=is_cuda and settings.sleeps,
                limit_mm_per_prompt={"video": 0, "image": 0},  # no vision tower: features come from ours
                enable_mm_embeds=True,
                mm_processor_cache_gb=0,
                logprobs_mode="raw_logprobs",
                generation_config="vllm",
                disable_log_stats=True,
            )
        finally:
            torch.set_num_threads = set_num_threads
    return llm


def _version() -> str:
    import vllm

    return str(vllm.__version__)


def warn_of_version(version: str, where: str) -> None:
    """Say so where vLLM is of another version than the one that was tested; ``where``: here, or on a server."""
    if not version.startswith(f"{TESTED_VLLM}."):
        log.warning("vLLM %s runs %s; %s was tested, others may not work", version, where, TESTED_VLLM)


def _input(asked: Asked, row: AskedRow, video: str) -> Any:
    """A request as vLLM's renderer would give it; ``video`` names the features, alike for one prompt's completions."""
    from vllm.inputs.engine import mm_input
    from vllm.multimodal.inputs import PlaceholderRange

    from tvg_lightning.engines.vllm_models import video_item

    prompt = asked.prompts[row.prompt]
    ids = [*prompt.ids, *row.prefix]
    places = prompt.is_video_L.nonzero()[:, 0]
    first, stop = int(places[0]), int(places[-1]) + 1
    return mm_input(
        ids,
        {"video": [video_item(prompt.features, positions_of(prompt, len(ids)))]},
        {"video": [video]},
        {"video": [PlaceholderRange(first, stop - first, prompt.is_video_L[first:stop])]},
    )


def _sampling(asked: Asked, row: AskedRow) -> Any:
    """The sampling of one row. The policy's temperature is in its logits (``vllm_models``); what follows is at 1."""
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    generation = asked.generation
    return SamplingParams(
        temperature=1.0 if generation.temperature > 0 else 0.0,
        top_p=generation.top_p,
        top_k=generation.top_k,
        max_tokens=max(asked.num_more(row), 1),  # vLLM draws one at least
        stop=list(generation.stop),
        include_stop_str_in_output=True,
        stop_token_ids=[asked.end_id],
        ignore_eos=True,
        repetition_penalty=generation.repetition_penalty,
        presence_penalty=generation.presence_penalty / (generation.temperature or 1.0),
        seed=row.seed,
        logprobs=0,  # of the chosen token alone
        prompt_logprobs=0 if row.prefix else None,
        detokenize=bool(generation.stop),
        output_kind=RequestOutputKind.CUMULATIVE if _is_watched(asked, row) else RequestOutputKind.FINAL_ONLY,
    )


def _is_watched(asked: Asked, row: AskedRow) -> bool:
    """True where a stop string may begin in the prefix and end behind it."""
    return bool(row.prefix and asked.generation.stop) and not row.is_over


def _sampled(asked: Asked, row: AskedRow, output: Any, num_tokens: int | None) -> SampledRow:
    """The prefix and the sampled tokens, of which ``num_tokens`` count where it is given."""
    (found,) = output.outputs
    is_truncated = num_tokens is None and found.finish_reason == "length"
    if asked.num_more(row) == 0:
        num_tokens, is_truncated = 0, not row.is_over
    ids = found.token_ids[:num_tokens]
    logp = [chosen[token].logprob for token, chosen in zip(ids, found.logprobs[:num_tokens], strict=True)]
    if row.prefix:
        before = output.prompt_logprobs[-len(row.prefix) :]
        logp = [chosen[token].logprob for token, chosen in zip(row.prefix, before, strict=True)] + logp
    return SampledRow((*row.prefix, *ids), tuple(logp), is_truncated)
