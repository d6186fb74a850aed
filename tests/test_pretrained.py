"""A checkpoint that transformers itself saved loads into the lecture's model and computes the same."""

from __future__ import annotations

import json

import pytest
import torch

from grader.checks.lecture1.imagegpt.pretrained import NotFetched, load_pretrained
from solutions.lecture1.imagegpt import ImageGPT, ImageGPTConfig

transformers = pytest.importorskip("transformers")


@pytest.fixture
def published():
    torch.manual_seed(0)
    config = transformers.ImageGPTConfig(vocab_size=6, n_positions=9, n_embd=8, n_layer=2, n_head=2)
    return transformers.ImageGPTForCausalImageModeling(config).eval()


@pytest.mark.parametrize("kind", ["model.safetensors", "pytorch_model.bin"])
def test_a_saved_checkpoint_computes_what_transformers_computes(published, tmp_path, kind):
    published.save_pretrained(tmp_path)
    if kind == "pytorch_model.bin":
        (tmp_path / "model.safetensors").unlink()
        torch.save(published.state_dict(), tmp_path / kind)
    fields, weights = load_pretrained(tmp_path)
    model = ImageGPT(ImageGPTConfig(**fields))
    model.load_state_dict(weights)
    x = torch.randint(5, (3, 9), generator=torch.Generator().manual_seed(0))
    before = torch.cat([torch.full((3, 1), 5), x[:, :-1]], dim=1)
    torch.testing.assert_close(model(x), published(input_ids=before).logits, rtol=0, atol=1e-6)


def test_another_architecture_is_refused(published, tmp_path):
    published.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "activation_function": "gelu"}))
    with pytest.raises(ValueError, match="activation_function"):
        load_pretrained(tmp_path)


def test_an_incomplete_folder_is_named_with_what_is_missing(tmp_path):
    with pytest.raises(NotFetched, match=r"config\.json and one of model\.safetensors, pytorch_model\.bin"):
        load_pretrained(tmp_path)


def test_without_a_network_the_error_says_what_to_fetch(monkeypatch):
    hub = pytest.importorskip("huggingface_hub")

    def offline(*_args, **_kwargs):
        raise hub.errors.LocalEntryNotFoundError("offline")

    monkeypatch.setattr(hub, "snapshot_download", offline)
    with pytest.raises(NotFetched, match=r"Fetch config\.json .* of https://huggingface\.co/openai/imagegpt-small"):
        load_pretrained("openai/imagegpt-small")
