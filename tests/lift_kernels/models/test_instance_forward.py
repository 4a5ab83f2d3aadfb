"""Layers of replaced forwards: put on, renewed, copied, pickled, and taken off in any order."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle

import pytest
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from torch import nn

from lift_kernels.models.instance_forward import is_replaced, options_of, replace_forward, restore_forwards


class Named(nn.Module):
    def forward(self, trace: list[str], tail: str = "own") -> list[str]:
        return [*trace, tail]


def layer(name: str):
    """A forward that leaves its name before the call goes on."""
    return lambda module, former, trace, **kwargs: former([*trace, name], **kwargs)


def test_layers_run_from_the_last_to_the_first_and_come_off():
    module = Named()
    own = module.forward
    replace_forward(module, "a", layer("a"))
    replace_forward(module, "b", layer("b"), options={"size": 3})
    assert module([]) == ["b", "a", "own"] and module([], tail="end") == ["b", "a", "end"]
    assert is_replaced(module, "a") and options_of(module, "b") == {"size": 3}
    restore_forwards(module)
    assert module([]) == ["own"] and module.forward == own and not is_replaced(module, "a")
    assert set(vars(module)) == set(vars(Named()))


def test_a_copy_for_data_parallel_is_refused_while_patched():
    module = Named()
    replace_forward(module, "a", layer("a"))
    for patched in (module, copy.deepcopy(module)):
        with pytest.raises(RuntimeError, match=r"DataParallel cannot copy a Named .* Start one process per GPU"):
            patched._replicate_for_data_parallel()
    loaded = pickle.loads(pickle.dumps(module))
    restore_forwards(module)
    assert type(loaded._replicate_for_data_parallel()) is type(module._replicate_for_data_parallel()) is Named


def test_the_same_owner_renews_its_layer_in_its_place():
    module = Named()
    replace_forward(module, "a", layer("a"), options=1)
    replace_forward(module, "b", layer("b"))
    replace_forward(module, "a", layer("A"), options=2)
    assert module([]) == ["b", "A", "own"] and options_of(module, "a") == 2


@pytest.mark.parametrize("order", list(itertools.permutations("abc")), ids="".join)
def test_a_layer_that_outlives_the_patch_stays_wherever_it_is(order):
    module = Named()
    for name in order:
        replace_forward(module, name, layer(name), outlives_patch=name == "b")
    restore_forwards(module)
    assert module([]) == ["b", "own"]
    replace_forward(module, "a", layer("a"))
    assert module([]) == ["a", "b", "own"]


def test_what_others_had_put_there_comes_back():
    module = Named()
    module.forward = foreign = lambda trace: [*trace, "foreign"]
    replace_forward(module, "a", layer("a"))
    assert module([]) == ["a", "foreign"]
    restore_forwards(module)
    assert module.forward is foreign


def test_what_others_put_over_a_layer_stays_and_the_layer_passes_calls_on():
    module = Named()
    replace_forward(module, "a", layer("a"))
    inner = module.forward
    module.forward = lambda trace: inner([*trace, "foreign"])
    assert module([]) == ["foreign", "a", "own"]
    restore_forwards(module)
    assert module([]) == ["foreign", "own"] and not is_replaced(module, "a")
    replace_forward(module, "a", layer("a"))
    assert module([]) == ["a", "foreign", "own"]
    restore_forwards(module)
    assert module([]) == ["foreign", "own"]


def test_a_layer_that_others_threw_away_is_put_on_again():
    module = Named()
    replace_forward(module, "a", layer("a"))
    del module.forward
    assert module([]) == ["own"]
    replace_forward(module, "a", layer("a"))
    assert module([]) == ["a", "own"]


class Marking(ModelHook):
    def pre_forward(self, module, trace, **kwargs):
        return ([*trace, "hook"],), kwargs


@pytest.mark.parametrize("beneath", [True, False])
@pytest.mark.parametrize("order", list(itertools.permutations(["hook", "replace", "restore", "unhook"])), ids="-".join)
def test_hooks_of_accelerate_come_and_go_at_any_time(order, beneath):
    """Their removal brings back what they had found: a layer around them goes with them."""
    module = Named()
    expected: list[str] = []  # the outermost first
    for step in order:
        if step == "hook":
            add_hook_to_module(module, Marking())
            expected = ["hook", *expected]
        if step == "unhook":
            remove_hook_from_module(module)
            expected = expected[expected.index("hook") + 1 :] if "hook" in expected else expected
        if step == "replace":
            replace_forward(module, "a", layer("a"), beneath_hooks=beneath)
            expected = [*expected, "a"] if beneath else ["a", *expected]
        if step == "restore":
            restore_forwards(module)
            expected = [name for name in expected if name != "a"]
        assert module([]) == [*expected, "own"], step


def test_a_copy_has_layers_of_its_own():
    module = Named()
    module.size = 1
    replace_forward(module, "a", lambda self, former, trace: former([*trace, self.size]), options=[1])
    replace_forward(module, "b", layer("b"))
    twin = copy.deepcopy(module)
    twin.size = 2
    assert module([]) == ["b", 1, "own"] and twin([]) == ["b", 2, "own"]
    options_of(twin, "a").append(2)
    assert options_of(module, "a") == [1]
    restore_forwards(twin)
    assert twin([]) == ["own"] and module([]) == ["b", 1, "own"]


def test_a_copy_shares_the_object_whose_method_runs():
    class Owner:
        def forward(self, module, former, trace):
            return former([*trace, id(self)])

    owner, module = Owner(), Named()
    replace_forward(module, "a", owner.forward)
    assert copy.deepcopy(module)([]) == [id(owner), "own"]


def test_a_pickled_module_has_its_own_forward():
    module = Named()
    replace_forward(module, "a", layer("a"))
    loaded = pickle.loads(pickle.dumps(module))
    assert loaded([]) == ["own"] and not is_replaced(loaded, "a") and module([]) == ["a", "own"]
    replace_forward(loaded, "a", layer("A"))
    assert loaded([]) == ["A", "own"]


def test_the_signature_is_the_own_one_or_the_one_given():
    module = Named()
    replace_forward(module, "a", layer("a"))
    assert inspect.signature(module.forward) == inspect.signature(Named().forward)
    other = inspect.signature(lambda self, labels: None)
    replace_forward(module, "b", layer("b"), signature=other)
    assert list(inspect.signature(module.forward).parameters) == ["labels"]
