"""``python -m tvg_lightning export``: from a training checkpoint to a folder that others load."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

from huggingface_hub import HfApi
from huggingface_hub.utils import httpx, validate_repo_id  # type: ignore[attr-defined]  # its lazy imports

from tvg_lightning.files import refuse_existing
from tvg_lightning.policy.export import check_base, merged_weights, read_trained, write_adapters, write_model


def main(
    ckpt: Path, out: Path, merge: bool = False, base: str | None = None, push: str | None = None, public: bool = False
) -> None:
    """Write the policy of a checkpoint as a folder: a whole model for transformers, or adapters for PEFT.

    Args:
        ckpt: checkpoint that training wrote, such as runs/quickstart/checkpoints/final.ckpt.
        out: folder to make.
        merge: write the whole model with the adapters in its weights, where it was LoRA or QLoRA.
        base: folder or hub name of the base, if it lies elsewhere now than in training (default: where it lay).
        push: name of a repository on the Hugging Face hub to upload the folder to, such as me/my-policy
            (default: nothing is uploaded).
        public: let everyone see a repository that is made for this.
    """
    refuse_existing(out)
    if push is not None:
        validate_repo_id(push)
    trained = read_trained(ckpt)
    if base is not None:
        trained = replace(trained, settings=replace(trained.settings, checkpoint=base))
    tuning, name = trained.settings.tuning, trained.settings.checkpoint
    if merge and tuning == "full":
        raise ValueError(f"{ckpt} is of a run that tuned the whole policy: there is nothing to merge")
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    if tuning == "full":
        write_model(trained.weights, name, unfinished)
    else:
        if trained.fingerprint is None:
            sys.stdout.write(f"{ckpt} does not say which weights it began from: {name} is taken on trust\n")
        check_base(trained)
        if merge:
            write_model(merged_weights(trained), name, unfinished)
        else:
            write_adapters(trained, unfinished)
    unfinished.rename(out)
    what = "the whole model" if merge or tuning == "full" else f"adapters of {name}"
    sys.stdout.write(f"{what} in {out}\n")
    if push is not None:
        upload(out, push, public)


def upload(folder: Path, repository: str, public: bool) -> None:
    """Put a folder on the hub, with the login that its own tools keep; never privately meant into a public place."""
    hub = HfApi()
    try:
        if not hub.repo_exists(repository):
            hub.create_repo(repository, private=not public)
        elif not public and not hub.model_info(repository).private:
            raise ValueError(f"{repository} is there already and public: say --public, or choose another name")
        hub.upload_folder(repo_id=repository, folder_path=folder)
    except (OSError, httpx.HTTPError) as error:  # no login, no right to it, no network
        raise ValueError(f"{folder} is written, but could not be pushed to {repository}: {error}") from error
    sys.stdout.write(f"pushed to {repository}\n")
