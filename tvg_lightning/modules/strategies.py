"""Strategies by the words of ``--trainer.strategy``, where Lightning means something else by them."""

from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from lightning.pytorch.utilities import rank_zero_info

from tvg_lightning.modules.grounding import GroundingModule
from tvg_lightning.policy.sharding import back_to_main_memory


class ShardedStrategy(ModelParallelStrategy):
    """FSDP2 over all processes of the run; a checkpoint is one file of whole weights.

    Lightning's own word ``fsdp`` is FSDP1, which needs GPUs and gathers weights at every token of a rollout. Its
    ModelParallelStrategy cuts weights over machines only (``data_parallel_size: auto`` is the number of nodes).
    """

    def __init__(self) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)

    def setup_environment(self) -> None:
        self._data_parallel_size = self.num_nodes * self.num_processes  # known from here on
        if self._module.policy_settings.cpu_offload and self.root_device.type == "cuda":
            self._process_group_backend = "cpu:gloo,cuda:nccl"  # norms of gradients are summed where they lie
        super().setup_environment()

    def model_to_device(self) -> None:
        super().model_to_device()
        back_to_main_memory(self._module.policy)

    @property
    def _module(self) -> GroundingModule:
        assert isinstance(self.lightning_module, GroundingModule)
        return self.lightning_module


def strategy_of(word: object) -> Strategy | None:
    """The strategy that a word means here; None where Lightning's own meaning stands."""
    match word:
        case "ddp":  # gradients lie in the buckets that are sent, instead of a second time beside them
            return DDPStrategy(gradient_as_bucket_view=True)
        case "fsdp":
            rank_zero_info("trainer.strategy fsdp: FSDP2 over all processes (ShardedStrategy)")
            return ShardedStrategy()
        case "fsdp_cpu_offload":
            raise ValueError("trainer.strategy fsdp_cpu_offload is FSDP1: take fsdp, and policy.cpu_offload: true")
        case _:
            return None
