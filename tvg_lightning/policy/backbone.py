"""PolicyBackbone: the one policy that SFT and GRPO share.

It turns a prompt and a clip into tokens, sees the video once for all that follows, and gives
log-probabilities of completions; ``rollout.sample`` draws completions from it. Position ids are always ours
(see mrope).
Shape suffixes: B prompts, G completions of each, C longest completion, S row length, H hidden, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import Tensor, nn
from transformers import DynamicCache, Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig

from tvg_lightning.data.patches import normalise, patchify
from tvg_lightning.data.video import VideoClip
from tvg_lightning.policy.chat import END_OF_TURN, VISION_TOKENS, chat_ids, token_id
from tvg_lightning.policy.loading import load_model, load_tokenizer
from tvg_lightning.policy.logits import token_logp
from tvg_lightning.policy.mrope import MERGE, prompt_position_ids
from tvg_lightning.policy.rows import EncodedPrompt, pack
from tvg_lightning.policy.settings import PolicySettings
from tvg_lightning.schema import Prompt

Weights = dict[str, Tensor]


class PolicyBackbone(nn.Module):
    """A Qwen2.5-VL policy: fully tuned, or with LoRA or QLoRA adapters on its language model."""

    suppressed_ids: Tensor  # (n,) never sampled: vision tokens, and rows of the head without a token

    def __init__(self, settings: PolicySettings) -> None:
        super().__init__()
        self.settings = settings
        self.tokenizer = load_tokenizer(settings)
        self.model = load_model(settings)
        self.model.config.use_cache = False
        if settings.gradient_checkpointing:
            self.model.gradient_checkpointing_enable({"use_reentrant": False})
        self._choose_trainable()
        self.end_id = token_id(self.tokenizer, END_OF_TURN)
        vision_ids = [token_id(self.tokenizer, token) for token in VISION_TOKENS]
        without_token = range(len(self.tokenizer), self.text_config.vocab_size)
        suppressed = torch.tensor([*vision_ids, *without_token], device="cpu")
        self.register_buffer("suppressed_ids", suppressed, persistent=False)
        self.train()  # checkpoints come in evaluation mode

    # ---- what it is made of

    @property
    def device(self) -> torch.device:
        return self.head.device

    @property
    def text_config(self) -> Qwen2_5_VLTextConfig:
        config = self.model.config.text_config
        assert isinstance(config, Qwen2_5_VLTextConfig)
        return config

    @property
    def vision_config(self) -> Qwen2_5_VLVisionConfig:
        config = self.model.config.vision_config
        assert isinstance(config, Qwen2_5_VLVisionConfig)
        return config

    @property
    def head(self) -> Tensor:
        """The output embedding, (V, H)."""
        return self.model.lm_head.weight

    @property
    def sees_with_gradient(self) -> bool:
        return self.settings.train_vision_tower or self.settings.train_merger

    def train(self, mode: bool = True) -> Self:
        """As ever, except that 4-bit layers stay in training mode, which for them means one thing only.

        In evaluation mode bitsandbytes repacks their weights on CPUs with bf16 instructions, and never back:
        the next training step then fails in its backward pass.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, Linear4bit):
                module.training = True
        return self

    def _choose_trainable(self) -> None:
        if self.settings.tuning != "full":
            for name, parameter in self.named_parameters():
                parameter.requires_grad_("lora_" in name)
            return
        visual = self.model.model.visual
        visual.requires_grad_(self.settings.train_vision_tower)
        visual.merger.requires_grad_(self.settings.train_merger)

    # ---- from prompt and clip to log-probabilities

    def encode(self, prompt: Prompt, clip: VideoClip) -> EncodedPrompt:
        """Tokens, positions and patches of one prompt about one clip."""
        patches, grid_thw = patchify(clip.frames)
        num_t, num_h, num_w = (int(n) for n in grid_thw)
        ids = chat_ids(self.tokenizer, prompt, num_t * (num_h // MERGE) * (num_w // MERGE))
        positions = prompt_position_ids(
            ids,
            self.model.config.video_token_id,
            (num_t, num_h, num_w),
            clip.seconds_per_grid,
            self.vision_config.tokens_per_second,
        )
        return EncodedPrompt(torch.tensor(ids), positions, patches, (num_t, num_h, num_w))

    def see(self, prompts: Sequence[EncodedPrompt]) -> list[Tensor]:
        """The video tokens of every prompt, (tokens, H) each: one pass of the tower for all that follows.

        Without gradient unless tower or merger are trained.
        """
        visual = self.model.model.visual
        patches = torch.cat([prompt.patches for prompt in prompts]).to(self.device)
        grids = torch.tensor([prompt.grid_thw for prompt in prompts], device=self.device)
        with torch.set_grad_enabled(self.sees_with_gradient and torch.is_grad_enabled()):
            features = visual(normalise(patches, self.head.dtype), grid_thw=grids).pooler_output
        lengths = [t * (h // MERGE) * (w // MERGE) for t, h, w in (prompt.grid_thw for prompt in prompts)]
        return list(features.split(lengths))

    def embed(self, ids_BS: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Token embeddings (B, S, H), with the video tokens' features in their places."""
        embeds_BSH = self.model.model.language_model.embed_tokens(ids_BS)
        if not features:
            return embeds_BSH
        is_video_BS1 = (ids_BS == self.model.config.video_token_id)[..., None]
        return embeds_BSH.masked_scatter(is_video_BS1, torch.cat(list(features)).to(embeds_BSH.dtype))

    def read(
        self,
        embeds_BSH: Tensor,
        positions_3BS: Tensor,
        may_attend_B1SK: Tensor,
        cache: DynamicCache | None = None,
    ) -> Tensor:
        """The language model's last hidden states (B, S, H). may_attend is boolean, query by key."""
        return self.model.model.language_model(
            inputs_embeds=embeds_BSH,
            position_ids=positions_3BS,
            attention_mask={"full_attention": may_attend_B1SK},
            past_key_values=cache,
            use_cache=cache is not None,
        ).last_hidden_state

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
        rows = pack(prompts, completions)
        mask_BGC, target_BGC = rows.mask_BGC.to(self.device), rows.target_BGC.to(self.device)
        features = self.see(prompts) if features is None else features
        hidden_BSH = self.read(
            self.embed(rows.input_ids_BS.to(self.device), features),
            rows.position_ids_3BS.to(self.device),
            rows.may_attend_B1SS.to(self.device),
        )
        row_B11 = torch.arange(len(prompts), device=self.device)[:, None, None]
        hidden_NH = hidden_BSH[row_B11, rows.predictor_BGC.to(self.device)][mask_BGC]
        logp_N = token_logp(
            hidden_NH,
            self.head,
            target_BGC[mask_BGC],
            self.suppressed_ids,
            temperature,
            self.settings.logits_chunk,
        )
        return torch.zeros(mask_BGC.shape, device=self.device).masked_scatter(mask_BGC, logp_N), mask_BGC

    def text_to_ids(self, text: str) -> list[int]:
        """A completion as the policy would have written it, the end of its turn included."""
        return [*self.tokenizer(text)["input_ids"], self.end_id]

    def ids_to_text(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True))

    # ---- weights of other moments: the fresh base, the reference of a stage

    def trainable_weights(self) -> Weights:
        """A copy of every weight that is trained."""
        return {name: p.detach().clone() for name, p in self.named_parameters() if p.requires_grad}

    def load_trainable_weights(self, weights: Weights) -> None:
        """Put such a copy back."""
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(weights[name])

    @contextmanager
    def using(self, weights: Weights) -> Iterator[None]:
        """Be another policy for a while (the reference, say), without a second model in memory."""
        ours = {name: p for name, p in self.named_parameters() if p.requires_grad}
        kept = {name: p.data for name, p in ours.items()}
        for name, parameter in ours.items():
            parameter.data = weights[name]
        try:
            yield
        finally:
            for name, parameter in ours.items():
                parameter.data = kept[name]
