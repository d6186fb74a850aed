"""Published ImageGPT weights, under the names of the lecture's model.

fields, weights = load_pretrained("openai/imagegpt-small")
model = ImageGPT(ImageGPTConfig(**fields))
model.load_state_dict(weights)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
ARCHITECTURE = {  # what the lecture's model is; a checkpoint that says otherwise would load and compute nonsense
    "activation_function": "quick_gelu",
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "tie_word_embeddings": False,
}
LINEAR = {"qkv": "attn.c_attn", "proj": "attn.c_proj", "fc": "mlp.c_fc", "out": "mlp.c_proj"}


class NotFetched(Exception):
    """The checkpoint is not on this machine and cannot be fetched; the message says what to fetch."""


def load_pretrained(path_or_name: str | Path) -> tuple[dict[str, int], dict[str, Tensor]]:
    """The fields of ``ImageGPTConfig`` and the state dict of ``ImageGPT`` for a checkpoint of ``transformers``.

    ``path_or_name`` is a folder that holds ``config.json`` and the weights, or a name on huggingface.co.
    Raises: ``NotFetched`` where the folder is not complete or the name cannot be reached; ``ValueError`` for another
    architecture.
    """
    folder = Path(path_or_name)
    if not folder.is_dir():
        folder = _download(str(path_or_name))
    weight_file = next((folder / name for name in WEIGHT_FILES if (folder / name).exists()), None)
    if weight_file is None or not (folder / "config.json").exists():
        raise NotFetched(f"{folder} must hold config.json and one of {', '.join(WEIGHT_FILES)}")
    return from_transformers(json.loads((folder / "config.json").read_text("utf-8")), _read(weight_file))


def from_transformers(config: dict[str, Any], state: dict[str, Tensor]) -> tuple[dict[str, int], dict[str, Tensor]]:
    """The same for the configuration and state dict of a ``transformers.ImageGPTForCausalImageModeling``.

    There, linear weights are transposed, and the start vector is the last row of the embedding.
    """
    for key, expected in {**ARCHITECTURE, "n_inner": 4 * config["n_embd"]}.items():
        if config.get(key) not in (None, expected):
            raise ValueError(f"this checkpoint has {key} = {config[key]!r}, the lecture's ImageGPT has {expected!r}")
    fields = {
        "K": config["vocab_size"] - 1,
        "m": config["n_positions"],
        "dim": config["n_embd"],
        "num_layers": config["n_layer"],
        "num_heads": config["n_head"],
    }
    embedding = state["transformer.wte.weight"]  # (K + 1, dim)
    weights = {
        "wte.weight": embedding[:-1],
        "sos": embedding[-1],
        "wpe.weight": state["transformer.wpe.weight"],
        "ln_f.weight": state["transformer.ln_f.weight"],
        "head.weight": state["lm_head.weight"],
    }
    for layer in range(fields["num_layers"]):
        ours, theirs = f"blocks.{layer}", f"transformer.h.{layer}"
        for name, their_name in LINEAR.items():
            weights[f"{ours}.{name}.weight"] = state[f"{theirs}.{their_name}.weight"].T
            weights[f"{ours}.{name}.bias"] = state[f"{theirs}.{their_name}.bias"]
        for name in ("ln_1", "ln_2"):
            weights[f"{ours}.{name}.weight"] = state[f"{theirs}.{name}.weight"]
    return fields, {name: weight.contiguous() for name, weight in weights.items()}


def _read(weight_file: Path) -> dict[str, Tensor]:
    if weight_file.suffix == ".bin":
        return torch.load(weight_file, map_location="cpu", weights_only=True)
    from safetensors.torch import load_file

    return load_file(weight_file)


def _download(name: str) -> Path:
    wanted = f"config.json and {' or '.join(WEIGHT_FILES)} of https://huggingface.co/{name}"
    advice = f"Fetch {wanted} on a machine with a network, and pass the folder that holds them."
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise NotFetched(f"there is no folder {name}, and names need the package huggingface_hub. {advice}") from None
    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", *WEIGHT_FILES]))
    except Exception as error:  # the hub raises its own, requests' and httpx's exceptions, by version
        raise NotFetched(f"there is no folder {name}, and huggingface.co did not give it ({type(error).__name__}). {advice}") from error
