"""Structs of arrays as arguments of kernels: filled by name, and with adjoints of their own."""

import numpy as np
import pytest
import warp as wp

from carom.kernels.core import model_arrays
from carom.kernels.core.adjoint_inputs import by_name
from carom.kernels.core.struct_arguments import filled, is_struct, with_adjoints


@wp.struct
class Springs:
    stiffness: wp.array(dtype=wp.float64)
    length: wp.array(dtype=wp.float64)
    count: int


@wp.kernel(module="unique")
def energy_kernel(springs: Springs, x: wp.array(dtype=wp.float64), energy: wp.array(dtype=wp.float64)):
    i = wp.tid()
    if i < springs.count:
        stretch = x[i] - springs.length[i]
        energy[i] = wp.float64(0.5) * springs.stiffness[i] * stretch * stretch


def numbers(*values):
    return wp.array(values, dtype=wp.float64, device="cpu")


def test_adjoints_of_a_struct_s_arrays_are_added_to_the_arrays_given():
    """Energy k (x - l)^2/2 of two of three springs; its derivatives by k, l and x are known."""
    k, length, x = np.array([2.0, 3.0, 5.0]), np.array([0.1, 0.2, 0.3]), np.array([1.0, -1.0, 2.0])
    springs = filled(Springs, stiffness=numbers(*k), length=numbers(*length), count=2)
    adj_k, adj_length, adj_x = numbers(10.0, 0.0, 0.0), numbers(0.0, 0.0, 0.0), numbers(0.0, 0.0, 0.0)
    known = np.array([1.0, 1.0, 0.0])
    for given in (with_adjoints(springs, stiffness=adj_k, length=adj_length), springs):
        wp.launch(
            energy_kernel, dim=3, inputs=[given, numbers(*x)], outputs=[numbers(0.0, 0.0, 0.0)], adjoint=True,
            adj_inputs=by_name(energy_kernel, x=adj_x, energy=numbers(1.0, 1.0, 1.0)), device="cpu",
        )  # fmt: skip
    stretch = x - length
    np.testing.assert_allclose(adj_k.numpy(), [10.0, 0.0, 0.0] + known * stretch**2 / 2)
    np.testing.assert_allclose(adj_length.numpy(), -known * k * stretch)
    np.testing.assert_allclose(adj_x.numpy(), 2.0 * known * k * stretch)  # that of both launches


def test_structs_stand_empty_among_the_adjoints():
    found = by_name(energy_kernel, x=numbers(0.0))
    assert is_struct(energy_kernel.adj.args[0].type)
    assert found[0].stiffness is None or found[0].stiffness.shape == (0,)
    assert found[2] is None


def test_an_adjoint_for_a_struct_is_refused():
    with pytest.raises(
        ValueError, match=r"parameters \['springs'\] of kernel .* are structs.*struct_arguments\.with_adjoints"
    ):
        by_name(energy_kernel, springs=numbers(0.0))


def test_fields_that_are_none_of_the_struct_s_are_refused():
    with pytest.raises(ValueError, match=r"struct Springs has fields .*: \['count', 'mass'\]"):
        filled(Springs, stiffness=numbers(1.0), length=numbers(1.0), mass=numbers(1.0))
    springs = filled(Springs, stiffness=numbers(1.0), length=numbers(1.0), count=1)
    with pytest.raises(ValueError, match=r"struct Springs has no fields \['mass'\]; it has \['stiffness', "):
        with_adjoints(springs, mass=numbers(1.0))


def test_the_structs_of_a_model_hold_the_arrays_that_their_fields_name():
    """``Bodies.mass`` is ``body_mass`` and so on: none is exchanged with another of its type."""
    prefixes = {"Bodies": "body_", "Shapes": "shape_", "Surfaces": "shape_", "Actuators": "actuator_"}
    structs, names = model_arrays.make(wp.float64), model_arrays.ModelArrays.__dataclass_fields__
    places = {}
    for struct, prefix in prefixes.items():
        for field, variable in getattr(structs, struct).vars.items():
            name = prefix + field if prefix + field in names else {"kind": "shape_type"}.get(field, field)
            places[name] = (struct.lower(), field, variable.type)
    arrays = {
        name: wp.zeros((1,) * kind.ndim, dtype=kind.dtype, device="cpu")
        for name, (_, _, kind) in places.items()
        if name != "dofs"
    }
    model = model_arrays.ModelArrays(**{name: arrays.get(name, 7) for name in names})
    for name, (struct, field, _) in places.items():
        assert getattr(getattr(model, struct), field) is getattr(model, name)
