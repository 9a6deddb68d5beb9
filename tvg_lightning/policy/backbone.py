"""PolicyBackbone: the one policy that SFT and GRPO share.

It turns a prompt and a clip into tokens, encodes the video once for all that follows, and gives
log-probabilities of completions; ``generation.generate`` draws completions from it. Position ids are always ours
(see mrope).
Shape suffixes: B prompts, G completions of each, C longest completion, N tokens of a row, M of completions, H
hidden, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from tvg_lightning.data.caches.feature_cache import ClipFeatures
from tvg_lightning.data.video import VideoClip
from tvg_lightning.parallel import rank_and_world_size
from tvg_lightning.policy.attention import RowAttention
from tvg_lightning.policy.chat import END_OF_TURN, VISION_TOKENS, chat_ids, plain_ids, token_id, turns_of
from tvg_lightning.policy.families.family import PromptVideo
from tvg_lightning.policy.families.known import family_of
from tvg_lightning.policy.flops import StepFlops, step_flops
from tvg_lightning.policy.four_bit import Linear4bit
from tvg_lightning.policy.identity import weights_identity
from tvg_lightning.policy.lean_modules import row_angles
from tvg_lightning.policy.loading import enable_checkpointing, load_model, load_tokenizer
from tvg_lightning.policy.logits import token_logp
from tvg_lightning.policy.mrope import prompt_position_ids
from tvg_lightning.policy.patches import normalise, patchify
from tvg_lightning.policy.rows import EncodedPrompt, pack
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.policy.split_attention import DenseAttention, dense_mask
from tvg_lightning.schema import Prompt

Weights = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Embedded:
    """A row as the language model's layers take it: the embeddings, and what is added after each of the first ones."""

    tokens_1NH: Tensor
    video_V: Tensor | None = None  # the places of the video tokens, where something is added
    added: tuple[Tensor, ...] = ()  # to the video tokens after layer 0, 1, …, (V, H) each


class PolicyBackbone(nn.Module):
    """A policy of one of the known families: fully tuned, or with LoRA or QLoRA adapters on its language model."""

    suppressed_ids: Tensor  # (n,) never sampled: vision tokens, and rows of the head without a token

    def __init__(self, settings: PolicySettings) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = load_tokenizer(settings)
        self.model = load_model(settings)
        self.model.config.use_cache = False
        self.family = family_of(self.model.config.model_type, settings.checkpoint)
        if settings.gradient_checkpointing:
            enable_checkpointing(self.model)
        self._choose_trainable()
        self.end_id = token_id(self.tokenizer, END_OF_TURN)
        self.turns = turns_of(self.tokenizer, self.family.default_system, settings.thinking)
        vision_ids = [token_id(self.tokenizer, token) for token in VISION_TOKENS]
        without_token = range(len(self.tokenizer), self.text_config.vocab_size)
        suppressed = torch.tensor([*vision_ids, *without_token], device="cpu")
        self.register_buffer("suppressed_ids", suppressed, persistent=False)
        self._num_changes = self._change = 0  # of all times, and the one that made the weights what they are
        self.register_load_state_dict_post_hook(lambda *_: self.note_change())
        self.train()  # checkpoints come in evaluation mode

    # ---- what it is made of

    @property
    def device(self) -> torch.device:
        return self.suppressed_ids.device  # weights may wait in main memory

    @property
    def text_config(self) -> Any:
        """The language model's config, of the family's class."""
        return self.model.config.text_config

    @property
    def vision_config(self) -> Any:
        """The vision tower's config, of the family's class."""
        return self.model.config.vision_config

    @property
    def side(self) -> int:
        """Pixels of a video token's side: frames are multiples of it, high and wide."""
        return self.family.geometry.side

    @property
    def head(self) -> Tensor:
        """The output embedding, (V, H)."""
        return self.model.lm_head.weight

    @property
    def features_need_grad(self) -> bool:
        """True where tower or merger are trained, so that features carry a gradient and change with every update."""
        return self.settings.trains_vision

    def train(self, mode: bool = True) -> Self:
        """Set the mode as usual, but keep 4-bit layers in training mode.

        In evaluation mode bitsandbytes repacks their weights on CPUs with bf16 instructions, and never back:
        the next training step then fails in its backward pass.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, Linear4bit):
                module.training = True
        return self

    def vision_identity(self) -> str:
        """A digest of the weights of tower and merger."""
        return weights_identity(self.model.model.visual.state_dict())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or cast as usual (``to``, ``bfloat16`` …), but keep the precision of the rotary frequencies.

        ``precision: bf16-true`` casts every buffer; in bfloat16 the angle at position 8,000 is off by 1.4 rad.
        """
        exact = {name: buffer for name, buffer in self.named_buffers() if name.endswith("inv_freq")}
        super()._apply(fn, recurse)
        for name, frequencies in exact.items():
            module, _, key = name.rpartition(".")
            cast = self.get_buffer(name)
            setattr(self.get_submodule(module), key, frequencies.to(cast.device))
        return self

    def _choose_trainable(self) -> None:
        if self.settings.tuning != "full":
            for name, parameter in self.named_parameters():
                parameter.requires_grad_("lora_" in name)
            return
        visual = self.model.model.visual
        visual.requires_grad_(self.settings.train_vision_tower)
        for merger in self.family.mergers(visual):
            merger.requires_grad_(self.settings.train_merger)

    # ---- from prompt and clip to log-probabilities

    def encode(self, prompt: Prompt, clip: VideoClip | ClipFeatures) -> EncodedPrompt:
        """Tokens, positions and patches of one prompt about one clip; its features, where they are known."""
        family, g = self.family, self.family.geometry
        if isinstance(clip, ClipFeatures):
            patches, grid_thw, features, keep = torch.empty(0, dtype=torch.uint8), clip.grid_thw, clip.features, None
        else:
            patches, grid = patchify(clip.frames, g.patch, g.temporal, g.merge)
            num_t, num_h, num_w = grid.tolist()
            grid_thw, features, keep = (num_t, num_h, num_w), None, clip.keep
        video = PromptVideo(grid_thw, clip.times_s, clip.seconds_per_grid, clip.start_s, prompt.time_as_text)
        ids = chat_ids(self.tokenizer, prompt, family.video_text(video), self.turns)
        blocks = family.video_blocks(video, self.vision_config)
        positions = prompt_position_ids(ids, self.model.config.video_token_id, blocks)
        return EncodedPrompt(torch.tensor(ids), positions, patches, grid_thw, features, keep)

    def video_features(self, prompts: Sequence[EncodedPrompt]) -> list[Tensor]:
        """The features of every prompt's video tokens, (tokens, H) each: one pass of the tower for all that follows.

        Where a family adds features in its first k layers, too, they stand beside those: (tokens, (1 + k) * H).
        Without gradient unless tower or merger are trained. Features from a cache are not computed; those that go
        into one are computed for each video alone, so that they do not depend on the batch.
        """
        return self._video_features(prompts)

    def _video_features(self, prompts: Sequence[EncodedPrompt]) -> list[Tensor]:
        """``video_features`` for calls from inside: under FSDP2 a method called from outside gathers weights."""
        if all(prompt.features is None and prompt.keep is None for prompt in prompts):
            return self._compute_features(prompts)
        assert not self.features_need_grad, "a tower that is trained makes other features every time"
        return [self._cached_features(prompt) for prompt in prompts]

    def _cached_features(self, prompt: EncodedPrompt) -> Tensor:
        if prompt.features is not None:
            return prompt.features.to(self.device)
        (features,) = self._compute_features([prompt])
        if prompt.keep is not None:
            prompt.keep(features)
        return features

    def _compute_features(self, prompts: Sequence[EncodedPrompt]) -> list[Tensor]:
        visual, g = self.model.model.visual, self.family.geometry
        patches = torch.cat([prompt.patches for prompt in prompts]).to(self.device)
        grids = torch.tensor([prompt.grid_thw for prompt in prompts], device=self.device)
        with torch.set_grad_enabled(self.features_need_grad and torch.is_grad_enabled()):
            features = self.family.video_features(visual, normalise(patches, self.head.dtype, g.mean, g.std), grids)
        return list(features.split([g.num_tokens(prompt.grid_thw) for prompt in prompts]))

    def embed(self, ids_1N: Tensor, features: Sequence[Tensor]) -> Embedded:
        """Token embeddings of a row, with the video tokens' features in their places."""
        embeds_1NH = self.model.model.language_model.embed_tokens(ids_1N)
        if not features:
            return Embedded(embeds_1NH)
        is_video_1N = ids_1N == self.model.config.video_token_id
        first_VH, *added = torch.cat(list(features)).to(embeds_1NH.dtype).split(embeds_1NH.shape[2], dim=1)
        tokens_1NH = embeds_1NH.masked_scatter(is_video_1N[..., None], first_VH)
        return Embedded(tokens_1NH, is_video_1N[0].nonzero()[:, 0] if added else None, tuple(added))

    def hidden_states(self, embedded: Embedded, positions_31N: Tensor, row: RowAttention) -> Tensor:
        """The language model's last hidden states (N, H) of one row; ``row`` decides which token sees which."""
        language_model = self.model.model.language_model
        hidden_1NH = embedded.tokens_1NH
        angles = row_angles(language_model.rotary_emb, hidden_1NH, positions_31N)
        for number, layer in enumerate(language_model.layers):
            hidden_1NH = layer(hidden_1NH, position_embeddings=angles, row=row)
            if number < len(embedded.added):
                assert embedded.video_V is not None
                added_1VH = embedded.added[number][None].to(hidden_1NH.dtype)
                hidden_1NH = hidden_1NH.index_add(1, embedded.video_V, added_1VH)
        return language_model.norm(hidden_1NH)[0]

    def logp(
        self,
        prompts: Sequence[EncodedPrompt],
        completions: Sequence[Sequence[Sequence[int]]],
        features: Sequence[Tensor] | None = None,
        temperature: float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of completions given as G lists of token ids for each of B prompts.

        Returns logp (B, G, C), float32, 0 where padded, and the mask (B, G, C), True on real tokens.
        """
        row = pack(prompts, completions)
        features = self._video_features(prompts) if features is None else features
        embedded = self.embed(row.input_ids_1N.to(self.device), features)
        is_split = self.settings.attention == "split"
        attention = row.layout if is_split else DenseAttention(dense_mask(row.layout).to(self.device))
        hidden_NH = self.hidden_states(embedded, row.position_ids_31N.to(self.device), attention)
        logp_M = token_logp(
            row.predictors(hidden_NH),
            self.head,
            row.target_M.to(self.device),
            self.suppressed_ids,
            temperature,
            self.settings.logits_chunk,
        )
        mask_BGC = row.mask_BGC.to(self.device)
        return torch.zeros(mask_BGC.shape, device=self.device).masked_scatter(mask_BGC, logp_M), mask_BGC

    def flops(self, prompts: Sequence[EncodedPrompt], completions: Sequence[Sequence[Sequence[int]]]) -> StepFlops:
        """The operations that a step on such prompts and completions needs at least, by phase.

        Videos whose features came from a cache need none of the tower.
        """
        settings, vision = self.settings, self.vision_config
        return step_flops(
            self.text_config,
            sum(self.family.tower_flops(vision, prompt.grid_thw) for prompt in prompts if prompt.features is None),
            [len(prompt.input_ids) for prompt in prompts],
            [[len(completion) for completion in group] for group in completions],
            settings.tuning,
            settings.train_vision_tower,
        )

    def text_to_ids(self, text: str) -> list[int]:
        """A completion as the policy would have written it, the end of its turn included.

        The opening that stands in the prompt already is left out; a text without it cannot follow such a prompt.
        """
        if self.turns.opening:
            tag = self.turns.opening.strip()
            if not text.startswith(tag):
                raise ValueError(
                    f"policy.thinking: prompts of this policy end with {tag}, but a completion to learn does not begin "
                    f"with it: {text[:40]!r}; set policy.thinking to false, or give completions with a thought"
                )
            text = text.removeprefix(tag).removeprefix("\n")
        return [*plain_ids(self.tokenizer, text), self.end_id]

    def ids_to_text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    def completion_text(self, ids: Sequence[int]) -> str:
        """A whole completion as it is parsed, scored and kept: with the opening that stands in the prompt."""
        return self.turns.opening + self.ids_to_text(ids)

    # ---- weights of other moments: the fresh base, the reference of a stage

    @property
    def weights_state(self) -> tuple[int, int]:
        """Differs from any earlier one as soon as a weight has changed; a copy of the weights is kept as long as not.

        An optimizer that writes past autograd's counts, as those of bitsandbytes do, must ``note_change``. After
        ``using`` other weights for a while it is what it was before.
        """
        return self._change, sum(p._version for p in self.parameters() if p.requires_grad)

    def note_change(self) -> None:
        """Say that weights have changed or are about to."""
        self._num_changes += 1
        self._change = self._num_changes

    def trainable_weights(self) -> Weights:
        """A copy of every weight that is trained."""
        return {name: p.detach().clone() for name, p in self.named_parameters() if p.requires_grad}

    def load_trainable_weights(self, weights: Weights) -> None:
        """Put such a copy back; whole weights are cut like ours, where ours are shards."""
        self.note_change()
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(in_shards_like(parameter, weights[name]))

    @contextmanager
    def using(self, weights: Weights) -> Iterator[None]:
        """Be another policy for a while (the reference, say), without a second model in memory.

        Its weights and ours change places, tensor by tensor, and change back, unseen by autograd: a graph that was
        built before finds its weights as they were.
        """
        ours = self._change
        self._exchange(weights)
        theirs = self._change
        try:
            yield
        finally:
            is_unchanged = self._change == theirs
            self._exchange(weights)
            if is_unchanged:
                self._change = ours

    @torch.no_grad()
    def _exchange(self, weights: Weights) -> None:
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                ours = parameter.data.clone()
                parameter.data.copy_(weights[name])
                weights[name].copy_(ours)
        self.note_change()
        torch.clear_autocast_cache()  # it knows weights by their place in memory, and casts them no second time

    def kept_like_ours(self, weights: Weights) -> Weights:
        """Whole weights (of a checkpoint) on our device, and cut into shards where ours are."""
        parameters = dict(self.named_parameters())
        return {name: in_shards_like(parameters[name], weight) for name, weight in weights.items()}


def in_shards_like(parameter: Tensor, weight: Tensor) -> Tensor:
    """A whole weight as the shards that a parameter is kept in."""
    if isinstance(parameter, DTensor) and not isinstance(weight, DTensor):
        return distribute_tensor(weight.to(parameter.device), parameter.device_mesh, parameter.placements)
    return weight.to(parameter.device)


def whole_weights(weights: Weights) -> Weights:
    """Weights without shards in main memory, for a checkpoint; all processes must ask, the first gets them.

    One after the other: no GPU need hold them all, and no machine more than once.
    """
    whole, (rank, _) = {}, rank_and_world_size()
    for name, weight in weights.items():
        full = weight.full_tensor() if isinstance(weight, DTensor) else weight
        if rank == 0:
            whole[name] = full.cpu()
    return whole
