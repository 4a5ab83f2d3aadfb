"""Compare a patched model with its own logits: loss, statistics, gradients, shift, and what the patch leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lift_kernels.models.families import ModelFamily
from lift_kernels.models.head import vocab_size_of
from lift_kernels.models.patch import apply_lift_kernels, is_patched, remove_lift_kernels, unwrap_model
from lift_kernels.testing.attention_masks import check_attention_mask, masked_inputs
from lift_kernels.testing.family_diagnosis import likely_cause
from lift_kernels.testing.logits import aligned_logits, logits_loss
from lift_kernels.testing.own_results import gradients_of, own_loss, relative_error, token_stats

_DENOMINATOR = 17.0


class FamilyComparison:
    """The comparisons, in the order in which a failure says most."""

    def __init__(
        self,
        model: nn.Module,
        family: ModelFamily,
        inputs: Mapping[str, Any] | None,
        tolerance: float | None,
        generator: torch.Generator,
    ) -> None:
        self.model, self.family = model, family
        self.name = type(unwrap_model(model)).__name__
        self.device = next(model.parameters()).device
        try:
            self.head = family.head(unwrap_model(model))
        except AttributeError as error:
            raise AssertionError(f"{self.name}: its head is not where head looks for it: {error}.") from error
        vocab_size = vocab_size_of(self.head)
        self.inputs = dict(inputs or masked_inputs(family, vocab_size, model, generator))
        try:
            with torch.no_grad():
                self.plain_logits: Tensor = model(**self.inputs).logits
        except Exception as error:  # a model may refuse its inputs in any way
            raise AssertionError(
                f"{self.name}: the model does not take {' and '.join(self.inputs)} ({type(error).__name__}: {error}); "
                "likely cause: attention_mask is wrong, or the model needs inputs of its own, to be passed as inputs."
            ) from error
        if self.plain_logits.shape[-1] != vocab_size:
            raise AssertionError(
                f"{self.name}: the head has {vocab_size} rows but the logits {self.plain_logits.shape[-1]} columns; "
                "likely cause: head is another module than the one that makes the logits."
            )
        default = 1e-9 if self.plain_logits.dtype == torch.float64 else 1e-4
        self.tolerance = default if tolerance is None else tolerance
        shape = self.plain_logits.shape[:-1]
        labels = torch.randint(vocab_size, shape, generator=generator)
        labels = labels.where(torch.rand(shape, generator=generator) < 0.5, -100)
        labels[:, 0], labels[:, -1] = -100 if family.predicts_next else 0, 1
        self.labels = labels.to(self.device)
        self.token_weight = (10 * torch.rand(shape, generator=generator)).to(self.device, self.plain_logits.dtype)

    def run(self, predicts_next: bool | None) -> None:
        self._check_shift(predicts_next)
        if set(self.inputs) <= {"input_ids", "attention_mask"}:
            vocab_size = self.plain_logits.shape[-1]
            check_attention_mask(self.model, self.family, self.inputs["input_ids"], vocab_size, self.name)
        forwards = _forwards(self.model)
        self._compare("")
        parameters = list(self.head.parameters())
        for parameter in parameters:
            parameter.requires_grad_(False)
        if any(parameter.requires_grad for parameter in self.model.parameters()):
            self._compare(" with a frozen head")
        self._check_patch_without_labels()
        if is_patched(remove_lift_kernels(self.model)) or _forwards(self.model) != forwards:
            raise AssertionError(f"{self.name}: remove_lift_kernels leaves a forward replaced.")

    def _check_shift(self, predicts_next: bool | None) -> None:
        registered, reason = self.family.predicts_next, "as you say"
        if predicts_next is None:
            predicts_next, reason = own_loss(self.model, self.inputs, self.plain_logits, self.labels), "by its own loss"
        if predicts_next is not None and predicts_next != registered:
            about = "token i + 1" if predicts_next else "token i"
            raise AssertionError(
                f"{self.name}: the logits at position i are about {about} {reason}, but the family is registered with "
                f"predicts_next={registered}; likely cause: predicts_next is wrong."
            )

    def _compare(self, where: str) -> None:
        """Compare loss, statistics and gradients; the model is not patched before or after."""
        labels, weight = self.labels, self.token_weight
        logits = aligned_logits(self.model, self.inputs, predicts_next=self.family.predicts_next)
        loss = logits_loss(logits, labels, weight, _DENOMINATOR)
        truth = gradients_of(self.model, loss)
        apply_lift_kernels(self.model)
        try:
            call = {**self.inputs, "labels": labels, "token_weight": weight, "denominator": _DENOMINATOR}
            outputs = self.model(**call, return_token_stats=True)
            ours = gradients_of(self.model, outputs.loss)
        except Exception as error:  # of a module that the family took for another
            raise AssertionError(
                f"{self.name}: the patched model fails where the plain one does not ({type(error).__name__}: {error}); "
                "likely cause: backbone (or last_norm), transform or head is another module."
            ) from error
        finally:
            remove_lift_kernels(self.model)
        self._expect(f"the loss{where}", outputs.loss, loss)
        stats = token_stats(logits, labels, outputs.token_stats.argmax)
        for name, value in stats.items():
            self._expect(f"{name}{where}", getattr(outputs.token_stats, name), value)
        if missing := sorted(truth.keys() ^ ours.keys()):
            raise AssertionError(
                f"{self.name}: {missing[0]} gets a gradient{where} by one of patched model and logits only; likely "
                "cause: head, transform or backbone is a copy, not the module that the model trains."
            )
        floor = max((tensor.abs().max() for tensor in truth.values()), default=torch.ones(())) / 1000
        for name, gradient in truth.items():
            self._expect(f"the gradient of {name}{where}", ours[name], gradient, floor)

    def _expect(self, what: str, ours: Tensor, truth: Tensor, floor: Tensor | None = None) -> None:
        error = relative_error(ours, truth, floor)
        if not error <= self.tolerance:
            cause = likely_cause(self.model, self.family, self.head, self.inputs, self.plain_logits)
            raise AssertionError(
                f"{self.name}: {what} of the patched model is off by {error:.2g} of its size from that of the model's "
                f"own logits, more than {self.tolerance:g}; likely cause: {cause}."
            )

    def _check_patch_without_labels(self) -> None:
        apply_lift_kernels(self.model)
        try:
            with torch.no_grad():
                error = relative_error(self.model(**self.inputs).logits, self.plain_logits)
        finally:
            remove_lift_kernels(self.model)
        if not error <= self.tolerance:
            raise AssertionError(f"{self.name}: a call without labels gives other logits when patched, by {error:.2g}.")


def _forwards(model: nn.Module) -> dict[str, Any]:
    return {name: module.__dict__.get("forward") for name, module in model.named_modules()}
