"""Triton's interpreter without the work that it repeats, which took half the time of the kernels' tests.

It replaces the functions of `triton.language` before each launch and, again and in vain, at each call of a device
function, every time from a list of all members of the package; and it makes a table of dtypes for each operation, and
a shape's type and tuples for each tensor.
Nothing that a kernel computes changes. Goes when triton does as much.
"""

from __future__ import annotations

from triton import language
from triton.language import core
from triton.language.core import is_builtin
from triton.runtime import interpreter


def make_interpreter_fast() -> None:
    """Replace the functions; once a process, before the first launch."""
    _patch_from_known_members()
    _patch_once_a_launch()
    _remember_dtypes()
    _remember_block_types()
    _remember_shapes_of_tensors()


def _patch_from_known_members() -> None:
    packages = (language, language.core, language.math, language.tensor, language.core.tensor_descriptor_base)
    builtins = {package: [name for name in dir(package) if is_builtin(getattr(package, name))] for package in packages}

    def patch_builtin(package, builder, scope):
        for name in builtins[package]:
            member = getattr(package, name)
            if is_builtin(member):
                interpreter._patch_attr(package, name, member, builder, scope)

    interpreter._patch_builtin = patch_builtin


def _patch_once_a_launch() -> None:
    patch_lang, launch = interpreter._patch_lang, interpreter.GridExecutor.__call__
    patched: set[int] = set()  # the modules of the language that the present launch has patched

    def patch_new_lang(function):
        seen = {id(value) for value in function.__globals__.values() if value is language or value is language.core}
        if seen <= patched:
            return interpreter._LangPatchScope()
        patched.update(seen)
        return patch_lang(function)

    def launch_afresh(executor, *args, **kwargs):
        patched.clear()
        try:
            return launch(executor, *args, **kwargs)
        finally:
            patched.clear()

    interpreter._patch_lang, interpreter.GridExecutor.__call__ = patch_new_lang, launch_afresh


def _remember_dtypes() -> None:
    find, known = interpreter._get_np_dtype, {}

    def np_dtype(dtype):
        scalar = dtype.scalar
        if scalar.is_ptr():
            return find(dtype)
        if scalar.name not in known:
            known[scalar.name] = find(scalar)
        return known[scalar.name]

    interpreter._get_np_dtype = np_dtype


def _remember_block_types() -> None:
    make, known = core.block_type.__init__, {}

    def make_once(block, element_ty, shape):
        key = (element_ty.name, *(getattr(size, "value", size) for size in shape))
        if key not in known:
            make(block, element_ty, shape)
            known[key] = vars(block)
        block.__dict__ = known[key]  # never written to after it is made

    core.block_type.__init__ = make_once


def _remember_shapes_of_tensors() -> None:
    make = core.tensor.__init__

    def make_from_type(tensor, handle, type):
        facts = vars(type).get("_facts_of_tensors")
        if facts is None:
            make(tensor, handle, type)
            facts = {name: value for name, value in vars(tensor).items() if name != "handle"}
            type._facts_of_tensors = facts
        vars(tensor).update(facts, handle=handle)

    core.tensor.__init__ = make_from_type
