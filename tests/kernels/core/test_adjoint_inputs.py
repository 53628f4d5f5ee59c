"""Adjoints of a kernel's parameters by name."""

import pytest
import warp as wp

from carom.kernels.bodies import integrate
from carom.kernels.core.adjoint_inputs import by_name


def test_adjoints_stand_in_the_order_of_the_parameters():
    kernel = integrate.make(wp.float32).kernel
    names = [argument.label for argument in kernel.adj.args]
    arrays = {name: wp.zeros(1, dtype=float, device="cpu") for name in (names[3], names[1])}
    found = by_name(kernel, **arrays)
    assert len(found) == len(names)
    for name, one in zip(names, found, strict=True):
        assert one is arrays.get(name)


def test_a_name_that_is_none_of_the_kernel_s_is_refused():
    with pytest.raises(ValueError, match=r"has no parameters \['body_x'\]; it has \['body_gyroscopic', "):
        by_name(integrate.make(wp.float32).kernel, body_x=None)
