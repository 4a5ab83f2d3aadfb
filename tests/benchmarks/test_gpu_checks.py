"""Each check of the matrix passes on the torch backend, and rejects an op that is broken in the way it looks for."""

from __future__ import annotations

import itertools

import pytest
import torch

from benchmarks.gpu import behaviour, checks, learnability, values
from benchmarks.gpu.findings import Findings
from benchmarks.gpu.setting import Setting
from benchmarks.gpu.truth import random_head, reference_losses, reference_stats

HERE = Setting(torch.device("cpu"), "torch")
SHAPE = (20, 16, 300)
real_loss, real_stats = values.linear_cross_entropy, values.linear_token_stats


@pytest.fixture
def broken(monkeypatch):
    """Replace the op that the checks call."""

    def replace(loss=None, stats=None):
        for module in (values, behaviour):
            if loss is not None and hasattr(module, "linear_cross_entropy"):
                monkeypatch.setattr(module, "linear_cross_entropy", loss)
            if stats is not None:
                monkeypatch.setattr(module, "linear_token_stats", stats)

    return replace


def phantom_columns(hidden_states, weight, targets, bias=None, **options):
    """As a kernel that does not mask columns beyond the vocabulary: their logits are 0."""
    wider = torch.cat([weight, weight.new_zeros(20, weight.shape[1])])
    return real_loss(hidden_states, wider, targets, **options)


def rounds_probabilities(hidden_states, weight, targets, bias=None, **options):
    """As a kernel that keeps p - onehot as a difference of bfloat16 numbers."""

    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(ctx, h, w):
            p = (h.float() @ w.float().T).softmax(-1)
            onehot = torch.nn.functional.one_hot(targets, w.shape[0])
            ctx.save_for_backward(p.to(h.dtype) - onehot.to(h.dtype), w)
            return -p.gather(1, targets[:, None]).log().sum()

        @staticmethod
        def backward(ctx, grad):
            g, w = ctx.saved_tensors
            return (g @ w) * grad, None

    if options["reduction"] != "sum" or weight.requires_grad:
        return real_loss(hidden_states, weight, targets, **options)
    return Rounded.apply(hidden_states, weight)


def a_thousandth_too_much(hidden_states, weight, targets, **options):
    return real_loss(hidden_states, weight, targets, **options) * 1.001


@pytest.mark.parametrize("path", ["default", "minimal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_value_checks_pass(dtype, path):
    options = {"shape": SHAPE, "dtype": dtype, "path": path}
    for variant in values.VARIANTS:
        assert not values.losses_and_gradients(HERE, variant=variant, **options).failures
        assert not values.statistics(HERE, variant=variant, **options).failures
    assert not values.far_below_zero(HERE, **options).failures
    findings = values.confident(HERE, **options)
    assert not findings.failures and findings.numbers["worst_row_gradient_error"] < 1e-2


def test_the_least_workspace_is_what_the_op_says():
    head = random_head(*SHAPE, torch.float32, HERE.device)
    least = values.least_workspace(head, "torch")
    assert least > 1000
    values.call(head, "torch", workspace_bytes=least)
    with pytest.raises(ValueError, match="workspace_bytes must be at least"):
        values.call(head, "torch", workspace_bytes=least - 1)
    assert [values.workspace(path, head, HERE) for path in ("default", "minimal", "77")] == [None, least, 77]


def test_chunks_of_the_reference_change_nothing(monkeypatch):
    head = random_head(*SHAPE, torch.float64, HERE.device)
    names, factor = ("hidden_states", "weight", "bias"), head.token_weight.double()
    whole, stats = reference_losses(head, names, factor), reference_stats(head, head.targets)
    monkeypatch.setattr("benchmarks.gpu.truth._MOST_LOGITS", 7 * SHAPE[2])
    chunks, chunk_stats = reference_losses(head, names, factor), reference_stats(head, head.targets)
    torch.testing.assert_close(chunks.nll, whole.nll)
    for name in names:
        assert whole.gradients[name].any()
        torch.testing.assert_close(chunks.gradients[name], whole.gradients[name])
    for ours, expected in zip(chunk_stats, stats, strict=True):
        torch.testing.assert_close(ours, expected)


def test_a_wrong_loss_a_wrong_gradient_and_a_wrong_dtype_are_found(broken):
    options = {"shape": SHAPE, "dtype": torch.bfloat16, "path": "default"}
    broken(loss=a_thousandth_too_much)
    failures = values.losses_and_gradients(HERE, **options).failures
    assert any("sum loss: off by" in failure for failure in failures)

    def scaled(h, *args, **o):
        h.register_hook(lambda gradient: gradient * 1.1)
        return real_loss(h, *args, **o)

    broken(loss=scaled)
    failures = values.losses_and_gradients(HERE, names=(("hidden_states",),), **options).failures
    assert len(failures) == 3 and all("gradient of hidden_states: rms error" in failure for failure in failures)


def test_a_count_of_targets_that_is_not_used_right_is_found(broken):
    broken(loss=lambda *a, num_targets=None, **o: real_loss(*a, **o) * (1 if num_targets is None else 1.01))
    assert values.numbers_of_rows(HERE, width=8, vocab_size=40, path="default").failures
    broken(loss=real_loss)
    assert not values.numbers_of_rows(HERE, width=8, vocab_size=40, path="default").failures


def test_phantom_columns_are_found(broken):
    broken(loss=phantom_columns)
    for check in (values.far_below_zero, values.losses_and_gradients):
        assert check(HERE, shape=SHAPE, dtype=torch.float32, path="default").failures


def test_lost_gradients_of_sure_predictions_are_found(broken):
    broken(loss=rounds_probabilities)
    failures = values.confident(HERE, shape=SHAPE, dtype=torch.bfloat16, path="default").failures
    assert len(failures) == 1 and failures[0].startswith("hidden_states sum gradient of a row: relative error")


@pytest.mark.parametrize("wrong", ["argmax", "ignored", "entropy"])
def test_wrong_statistics_are_found(broken, wrong):
    def stats(*args, **options):
        found = real_stats(*args, **options)
        if wrong == "argmax":
            return found._replace(argmax=found.argmax.where(found.argmax < 0, (found.argmax + 1) % SHAPE[2]))
        if wrong == "ignored":
            return found._replace(argmax=found.argmax.clamp(min=0))
        return found._replace(entropy=found.entropy * 1.001)

    broken(stats=stats)
    assert values.statistics(HERE, shape=SHAPE, dtype=torch.float32, path="default").failures


def test_a_tie_that_goes_to_the_higher_index_is_found(broken):
    assert not values.ties(HERE, vocab_size=300, path="default").failures
    broken(stats=lambda *a, **o: real_stats(*a, **o)._replace(argmax=torch.full((3,), 8)))
    assert values.ties(HERE, vocab_size=300, path="default").failures


def test_rows_lost_at_the_end_of_many_are_found(broken):
    assert not values.beyond_int32(HERE, shape=(100, 8, 60), path="default").failures

    def loses_last(h, w, t, **options):
        loss, stats = real_loss(torch.cat([h[:-1], 0 * h[-1:]]), w, t, **options)
        return loss, stats

    broken(loss=loses_last)
    failures = values.beyond_int32(HERE, shape=(100, 8, 60), path="default").failures
    assert [failure for failure in failures if "last rows" in failure]


def test_a_race_is_found(broken):
    assert not behaviour.repeats(HERE, shape=SHAPE, path="minimal", times=3).failures
    calls = itertools.count()
    broken(loss=lambda *a, **o: real_loss(*a, **o) * (1 + (next(calls) == 2) * 1e-6))
    failures = behaviour.repeats(HERE, shape=SHAPE, path="default", times=4).failures
    assert failures == ["sum, call 2, output 0: not equal to the last bit"]


def test_what_poisoned_memory_changes_is_found(broken, monkeypatch):
    assert not behaviour.poisoned_memory(HERE, shape=SHAPE, path="default").failures
    is_poisoned = []
    monkeypatch.setattr(behaviour, "_poison", lambda setting: is_poisoned.append(True))
    broken(stats=lambda *a, **o: real_stats(*a, **o)._replace(lse=torch.full((20,), float(len(is_poisoned)))))
    assert [f for f in behaviour.poisoned_memory(HERE, shape=SHAPE, path="default").failures if "statistics" in f]


def test_a_gradient_scaled_in_place_is_found(broken):
    assert not behaviour.retained_graph(HERE, shape=SHAPE, path="default").failures

    class InPlace(torch.autograd.Function):
        @staticmethod
        def forward(ctx, h, w, b):
            ctx.gradients = [torch.ones_like(x) for x in (h, w, b)]
            return h.float().sum()

        @staticmethod
        def backward(ctx, grad):
            return tuple(gradient.mul_(2) for gradient in ctx.gradients)

    def loss(hidden_states, weight, targets, *, bias, workspace_bytes=None, **options):
        return InPlace.apply(hidden_states, weight, bias)

    broken(loss=loss)
    assert behaviour.retained_graph(HERE, shape=SHAPE, path="default").failures


def test_tracing_and_autocast_pass_and_can_fail(broken):
    assert not behaviour.compiled(HERE, shape=SHAPE).failures
    assert not behaviour.autocast(HERE, shape=SHAPE).failures

    def without_autocast(*args, **options):
        with torch.autocast("cpu", enabled=False):
            return real_loss(*args, **options)

    broken(loss=without_autocast)
    assert behaviour.autocast(HERE, shape=SHAPE).failures
    tracing = torch.compiler.is_compiling

    def when_traced(*args, **options):
        loss, stats = real_loss(*args, **options)
        return (loss * 2 if tracing() else loss), stats

    broken(loss=when_traced)
    assert behaviour.compiled(HERE, shape=SHAPE).failures


@pytest.mark.parametrize("replays", [True, False])
def test_a_graph_that_does_not_read_its_inputs_again_is_found(monkeypatch, replays):
    def capture(step):
        outputs = step()

        def replay():
            for old, new in zip(outputs, step(), strict=True):
                old.copy_(new)

        return outputs, replay if replays else lambda: None

    monkeypatch.setattr(behaviour, "capture", capture)
    findings = behaviour.captured_graph(HERE, shape=SHAPE, path="default")
    assert findings.comparisons == 8 and bool(findings.failures) != replays


def test_a_synchronisation_is_found(broken, monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    assert not behaviour.no_synchronisation(HERE, shape=SHAPE, path="default").failures
    assert modes == ["error", "default"] * 3

    def synchronises(*args, **options):
        if modes[-1] == "error":
            raise RuntimeError("called a synchronizing CUDA operation\nat")
        return real_loss(*args, **options)

    broken(loss=synchronises)
    failures = behaviour.no_synchronisation(HERE, shape=SHAPE, path="default").failures
    assert failures == [f"{name}: called a synchronizing CUDA operation" for name in ("sum", "mean", "none")]
    assert modes[-1] == "default"


def test_draws_that_differ_are_found(monkeypatch):
    assert not behaviour.same_corruption(HERE, num_rows=3, length=20).failures
    assert not behaviour.same_selection(HERE, num_rows=3, length=20).failures
    calls = itertools.count()
    corrupt, select = behaviour.corrupt_tokens, behaviour.select_tokens

    def other_seed_when_moved(*args, seed, **options):
        return corrupt(*args, seed=seed ^ (next(calls) % 2), **options)

    monkeypatch.setattr(behaviour, "corrupt_tokens", other_seed_when_moved)
    assert behaviour.same_corruption(HERE, num_rows=3, length=20).failures
    monkeypatch.setattr(
        behaviour, "select_tokens", lambda score, *a, **o: select(score * (-1) ** next(calls), *a, **o)
    )  # fmt: skip
    assert behaviour.same_selection(HERE, num_rows=3, length=20).failures


@pytest.mark.parametrize("learnabilities", ["hard", "soft"])
@pytest.mark.parametrize("wrong", [None, "choice", "loss"])
def test_the_lift_objective_is_compared_in_all_its_parts(monkeypatch, learnabilities, wrong):
    real = learnability.lift_cross_entropy

    def lift(*args, **options):
        loss, stats, chosen = real(*args, **options)
        return loss * (1.001 if wrong == "loss" else 1), stats, chosen.flip(1) if wrong == "choice" else chosen

    monkeypatch.setattr(learnability, "lift_cross_entropy", lift)
    findings = learnability.lift_objective(
        HERE, shape=(4, 9, 16, 300), dtype=torch.bfloat16, path="default", learnability=learnabilities
    )
    assert bool(findings.failures) == (wrong is not None)


@pytest.mark.parametrize(
    ("workspace", "extra", "is_fine"),
    [(None, 1024, True), (None, 1100, False), (48 << 20, 50, True), (48 << 20, 80, False)],
)
def test_memory_beyond_what_is_stated_is_found(monkeypatch, workspace, extra, is_fine):
    monkeypatch.setattr(behaviour, "extra_bytes", lambda step: extra << 20)
    findings = behaviour.peak_memory(HERE, shape=SHAPE, workspace_bytes=workspace, names=("hidden_states",))
    assert (not findings.failures) == is_fine and findings.numbers["step_extra_mib"] == extra


def test_extra_memory_counts_from_what_was_there(monkeypatch):
    log = []
    for name, value in (
        ("synchronize", None),
        ("reset_peak_memory_stats", None),
        ("memory_allocated", 100),
        ("max_memory_allocated", 175),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda name=name, value=value: log.append(name) or value)
    assert behaviour.extra_bytes(lambda: log.append("step")) == 75
    assert log == [
        "synchronize",
        "reset_peak_memory_stats",
        "memory_allocated",
        "step",
        "synchronize",
        "max_memory_allocated",
    ]


def test_findings_keep_every_failure_and_the_worst_number():
    findings = Findings()
    truth = torch.tensor([1.0, 2.0], dtype=torch.float64)
    findings.nats("a", (truth + 3e-5).float(), truth)
    findings.nats("b", (truth + 1e-2).float(), truth)
    findings.nats("c", truth.float() * torch.nan, truth)
    findings.nats("d", truth.float(), truth)
    findings.equal("e", truth, truth.float())
    findings.gradient("f", torch.zeros(3), torch.zeros(3).double(), torch.zeros(3))
    findings.gradient("g", torch.ones(3), torch.zeros(3).double(), torch.zeros(3))
    assert [failure.partition(":")[0] for failure in findings.failures] == ["b", "c", "e", "g"]
    assert set(findings.numbers) == {"nats"}  # a gradient of 0 has no relative error
    assert findings.comparisons == 7 and findings.numbers["nats"] != findings.numbers["nats"]


@pytest.mark.parametrize(("dtype", "is_right"), [(torch.float32, True), (torch.bfloat16, False)], ids=str)
def test_float32_gradients_may_be_off_as_much_as_logits_are(dtype, is_right):
    truth = torch.randn(1000).to(dtype).double()
    findings = Findings()
    wrong = truth * (1 + (1e-6 if dtype == torch.float32 else 2e-2))
    findings.gradient("g", wrong.to(dtype), truth, truth.to(dtype))  # the plain one happens to be exact
    assert (not findings.failures) == is_right
    for error in (1e-5 * truth, 1e-4 * torch.eye(1000)[truth.abs().argmax()] * truth):
        findings = Findings()
        findings.gradient("g", (truth + error).float(), truth, truth.float())
        assert findings.failures


def check(name="c", **changes):
    arguments = {"name": name, "op": "linear_cross_entropy", "run": lambda setting: Findings()} | changes
    return checks.Check(**arguments)


def passing(setting):
    findings = Findings()
    findings.holds("it", True, "")
    findings.note(nats=0.5)
    return findings


def failing(setting):
    findings = passing(setting)
    findings.holds("that", False, "does not hold")
    return findings


def raising(setting):
    raise RuntimeError("no kernel image\nis available")


def test_records_of_checks():
    record = checks.run_check(check(run=passing), HERE)
    assert (record["status"], record["numbers"], record["comparisons"]) == ("passed", {"nats": 0.5}, 1)
    record = checks.run_check(check(run=failing), HERE)
    assert record["status"] == "failed"
    assert record["sentence"] == "that: does not hold (1 of 2 comparisons failed)" and record["failures"]
    record = checks.run_check(check(run=raising), HERE)
    assert record["status"] == "error" and record["sentence"] == "RuntimeError: no kernel image"
    assert "in raising" in record["traceback"]
    assert checks.run_check(check(), HERE)["sentence"] == "compared nothing"
    assert checks.run_check(check(run=raising, needs_gpu=True), HERE)["status"] == "skipped"


def test_a_gate_looks_at_its_op_its_path_and_its_dtype():
    def record(status, op="a", path="default", dtype="bfloat16", gates=True):
        return {"status": status, "op": op, "path": path, "dtype": dtype, "gates": gates}

    fine = [record("passed"), record("skipped")]
    assert checks.gate(fine, "a", "default", "bfloat16") == "green"
    assert checks.gate(fine, "a", "minimal", "bfloat16") == checks.gate(fine, "b", "default", "bfloat16") == "unchecked"
    others = (
        record("failed", op="b"),
        record("failed", path="minimal"),
        record("error", dtype="float16"),
        record("failed", gates=False),
    )
    for other in others:
        assert checks.gate([*fine, other], "a", "default", "bfloat16") == "green"
    for bad in (record("failed"), record("error"), record("failed", dtype=None)):
        assert checks.gate([*fine, bad], "a", "default", "bfloat16") == "red"
    assert checks.gate([record("skipped")], "a", "default", "bfloat16") == "unchecked"


@pytest.mark.parametrize("is_smoke", [True, False])
def test_every_check_has_a_name_of_its_own_and_every_path_a_gate(is_smoke):
    found = [check for job in checks.jobs(Setting(HERE.device, "torch", is_smoke)).values() for check in job]
    assert len({check.name for check in found}) == len(found)
    for op in (checks.CROSS_ENTROPY, checks.STATISTICS, checks.LIFT):
        for path in checks.PATHS:
            assert [check for check in found if (check.op, check.path) == (op, path) and check.gates]
    if not is_smoke:
        assert {check.dtype for check in found} == {"bfloat16", "float16", "float32", None}
        assert checks.Sizes().beyond_int32[0] * checks.Sizes().beyond_int32[2] > 2**31
