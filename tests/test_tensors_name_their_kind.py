"""Tensors that are made name their device, and their precision: torch's defaults are the user's to set."""

import ast
from pathlib import Path

import carom
import carom.envs
import carom.gradients
import carom.kernels
import carom.sim

FOLDERS = [Path(package.__file__).parent for package in (carom, carom.envs, carom.gradients, carom.kernels, carom.sim)]
DEVICE = {
    "arange", "as_tensor", "asarray", "empty", "empty_strided", "eye", "full", "linspace", "logspace", "ones", "rand",
    "randint", "randn", "randperm", "scalar_tensor", "tensor", "tril_indices", "triu_indices", "zeros",
}  # fmt: skip
DTYPE = DEVICE - {"arange", "as_tensor", "asarray", "randint", "randperm", "tril_indices", "triu_indices"}
"""The others are integers by default, or what they are given."""
MODULES = {"Linear", "LayerNorm", "Conv2d", "Embedding", "GRU", "LSTM", "BatchNorm1d"}


def missing(source):
    """Line, call, and what it does not name."""
    for call in ast.walk(ast.parse(source)):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        owner, name = ast.unparse(call.func.value), call.func.attr
        named = {keyword.arg for keyword in call.keywords}
        if None in named:  # **options
            continue
        wanted = set()
        if owner == "torch":
            wanted = {"device"} if name in DEVICE else set()
            wanted |= {"dtype"} if name in DTYPE else set()
        elif (owner in ("nn", "torch.nn") and name in MODULES) or name == "skip_init":
            wanted = {"device", "dtype"}
        elif owner == "torch.optim":
            yield call.lineno, f"{owner}.{name}", {"carom.gradients.estimators.adam.Adam instead"}
        if wanted - named:
            yield call.lineno, f"{owner}.{name}", wanted - named


def test_the_check_sees_what_it_must():
    assert list(missing("x = torch.zeros(3)")) == [(1, "torch.zeros", {"device", "dtype"})]
    assert list(missing("torch.arange(3, device=d)\ntorch.nn.Linear(2, 3, dtype=t)")) == [
        (2, "torch.nn.Linear", {"device"})
    ]
    assert not list(missing("torch.zeros(3, dtype=t, device=d)\ntorch.zeros(3, **kind)\ntorch.zeros_like(x)"))


def test_every_tensor_names_its_device_and_precision():
    files = sorted({path for folder in FOLDERS for path in folder.rglob("*.py")})
    assert len(files) > 200
    found = [
        f"{path.parent.name}/{path.name}:{line}: {call} names no {', '.join(sorted(names))}"
        for path in files
        for line, call, names in missing(path.read_text())
    ]
    assert not found, "\n".join(found)
