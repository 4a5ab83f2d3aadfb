"""What the comparison sees beyond a wrong registration: a patch that changes what it must not."""

from __future__ import annotations

import pytest

from lift_kernels import apply_lift_kernels, register_model_family
from lift_kernels.models import families, patch
from lift_kernels.testing import check_model_family, family_comparison
from tests.lift_kernels.testing.small_model import RIGHT, TYPE, SmallModel


@pytest.fixture(autouse=True)
def _own_families(monkeypatch):
    monkeypatch.setattr(families, "_FAMILIES", dict(families._FAMILIES))


def register() -> None:
    register_model_family(TYPE, **RIGHT)


def test_a_patch_that_does_not_go_is_named(monkeypatch):
    register()
    monkeypatch.setattr(family_comparison, "is_patched", lambda model: True)
    with pytest.raises(AssertionError, match="remove_lift_kernels leaves a forward replaced"):
        check_model_family(SmallModel())


def test_a_call_without_labels_that_changes_is_named(monkeypatch):
    register()

    def apply(model):
        """Patch, and double the logits while it is patched."""
        apply_lift_kernels(model)

        def double(module, args, kwargs, output):
            if "labels" not in kwargs and patch.is_patched(module):
                output.logits = 2 * output.logits
            return output

        model.register_forward_hook(double, with_kwargs=True)

    monkeypatch.setattr(family_comparison, "apply_lift_kernels", apply)
    with pytest.raises(AssertionError, match="a call without labels gives other logits when patched"):
        check_model_family(SmallModel())


def test_statistics_and_gradients_are_compared_where_the_loss_agrees(monkeypatch):
    register()

    def apply_with(change):
        def apply(model):
            apply_lift_kernels(model)
            model.register_forward_hook(
                lambda module, args, output: change(output) if patch.is_patched(module) else None
            )

        return apply

    def more_entropy(output):
        if output.logits is None:
            stats, learnability = output.tokens.value
            output.tokens.value = (stats._replace(entropy=stats.entropy + 1e-3), learnability)

    def double_gradient(output):
        if output.logits is None:
            output.loss = 2 * output.loss - output.loss.detach()

    for change, name in ((more_entropy, "entropy"), (double_gradient, "the gradient of body.embed.weight")):
        monkeypatch.setattr(family_comparison, "apply_lift_kernels", apply_with(change))
        with pytest.raises(AssertionError, match=f"SmallModel: {name} of the patched model is off by"):
            check_model_family(SmallModel())
