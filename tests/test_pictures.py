"""Every picture is drawn, from a model that was hardly trained."""

from __future__ import annotations

import pytest
import torch
from matplotlib.image import imread

from grader.pictures import imagegpt
from solutions.lecture1 import imagegpt as module


@pytest.mark.filterwarnings("ignore")
def test_show_draws_every_picture(tmp_path):
    before = torch.get_rng_state()
    written = imagegpt.show(module, tmp_path, steps=2, progress=lambda line: None)
    assert torch.equal(torch.get_rng_state(), before)
    names = {"samples", "completions", "surprise", "receptive-field", "attention", "temperature", "palette"}
    assert {path.stem.removeprefix("imagegpt-") for path in written} == names
    for path in written:
        assert imread(path).std() > 0.05, f"{path.name} is blank"


def test_attention_weights_are_read_off_the_students_own_attention():
    config = module.ImageGPTConfig(K=imagegpt.LEVELS, m=imagegpt.SIDE**2, dim=8, num_layers=2, num_heads=2)
    own = module.causal_attention
    weights = imagegpt._attention_weights(module, module.ImageGPT(config), torch.zeros(3, 64, dtype=torch.int64))
    assert module.causal_attention is own
    assert weights.shape == (2, 2, 64, 64)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 64))
    assert not weights.triu(1).any()
