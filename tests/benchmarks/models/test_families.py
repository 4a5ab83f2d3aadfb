from __future__ import annotations

import pytest
import torch

from benchmarks.models.families import FAMILIES, Sizes, build_model, inputs_for
from lift_kernels.models import find_model_family, vocab_size_of


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_known_and_gives_logits_of_the_vocabulary(name):
    sizes = Sizes.smoke()
    model = build_model(name, sizes).eval()
    assert vocab_size_of(find_model_family(model).head(model)) == sizes.vocab
    assert all(parameter.any() and parameter.dtype == torch.float32 for parameter in model.parameters())
    with torch.no_grad():
        logits = model(**inputs_for(model, sizes)).logits
    assert logits.shape == (sizes.rows, sizes.length, sizes.vocab)


def test_a_model_is_the_same_each_time():
    first, second = (build_model("bert", Sizes.smoke()).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
