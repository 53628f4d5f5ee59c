"""One contact in one dimension: a kink, its softened forms, and a box that pushes a box."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...plain import plain_numbers
from ..errors import TaskError
from .normal import average_in_pieces, cdf, ramp
from .testbed import Scale, Testbed, check_choice, check_positive

__all__ = ["BoxOnBox", "GapPush", "ScalarContact", "SoftenedGapPush"]


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class GapPush(Testbed):
    """A pusher travels u [m] towards an object a gap g [m] away and pushes it from there on: f(u) = max(0, u - g).

    Continuous with a kink: the exact gradient is 0 before contact and 1 after it (0 at the kink itself). Smoothed, with
    z = (u - g)/scale: F = scale [z Phi(z) + phi(z)], gradient Phi(z). The first order is unbiased with variance
    Phi(z) (1 - Phi(z)) per sample.
    """

    name: ClassVar[str] = "gap_push"
    parameter_unit: ClassVar[str] = "m"
    description: ClassVar[str] = "a push across a gap: nothing moves until contact; the exact gradient is 0 before it"

    gap: float = 0.03
    """Travel before contact g [m]."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.gap):
            raise TaskError(f"{self.name}: gap is {self.gap}: give a finite number")

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("travel",)

    def _start(self) -> Sequence[float]:
        return [0.0]

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return (self._check(theta)[..., 0] - self.gap).clamp_min(0.0)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters]."""
        return self(theta), (self._check(theta) > self.gap).to(theta.dtype)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        return ramp(self._check(theta)[..., 0] - self.gap, self._scales(theta, scale)[0])

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        return cdf((self._check(theta) - self.gap) / self._scales(theta, scale)[0])

    softening_width: ClassVar[dict[str, float]] = {"softplus": 0.01, "log_barrier": 0.01}

    def softened(self, kind: str, width: float, *, forward: bool = True) -> SoftenedGapPush:
        """The push with a contact force that acts before contact; see ``carom.gradients.Softened``."""
        return SoftenedGapPush(hard=self, softening=kind, width=width, forward=forward)


@dataclass(frozen=True, kw_only=True)
class SoftenedGapPush(Testbed):
    """``GapPush`` over noise on the travel: logistic for softplus, Student-t (2 degrees of freedom) for a log barrier.

    With ``forward`` false the cost is that of the hard push, and only its derivative is softened.
    """

    name: ClassVar[str] = "softened_gap_push"
    parameter_unit: ClassVar[str] = "m"
    description: ClassVar[str] = "a push across a gap with a contact force that acts before contact"

    hard: GapPush
    """The push."""
    softening: str
    """``"softplus"`` or ``"log_barrier"``."""
    width: float
    """Scale of the noise [m]."""
    forward: bool = True
    """Whether the cost is softened, or only its derivative."""

    def __post_init__(self) -> None:
        _ = self._contact

    @property
    def _contact(self) -> ScalarContact:
        # whose width is 1/sqrt(kappa), the noise's scale over sqrt(2)
        narrower = math.sqrt(2.0) if self.softening == "log_barrier" else 1.0
        return ScalarContact(softening=self.softening, width=self.width / narrower)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return self.hard.parameter_names

    def _start(self) -> Sequence[float]:
        return self.hard._start()

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        return self._contact(self._check(theta) - self.hard.gap) if self.forward else self.hard(theta)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and softened gradients [batch, parameters]."""
        return self(theta), self._contact.value_and_gradient(self._check(theta) - self.hard.gap)[1]


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class BoxOnBox(Testbed):
    """A box on a position controller pushes a box, quasi-dynamically: where the second box ends one step later [m].

    One step minimizes k/2 (p - u)^2 + m/(2 h^2) (q - 1)^2 over the positions p and q >= p of the two faces, the
    second of which starts at q = 1: q = 1 + max(0, u - 1) k/(k + m/h^2), with slope 1/2 in contact at the published
    numbers. Smoothed: slope * Phi((u - 1)/scale), the bundled gradient of Suh, Pang and Tedrake 2021.
    """

    name: ClassVar[str] = "box_on_box"
    parameter_unit: ClassVar[str] = "m"
    description: ClassVar[str] = "a box on a spring pushes a box one quasi-dynamic step: slope 0, then 1/2"

    mass: float = 1.0
    """Mass of the pushed box m [kg]."""
    stiffness: float = 100.0
    """Stiffness of the controller k [N/m]."""
    step: float = 0.1
    """Step size h [s]."""
    face: float = 1.0
    """Initial position of the pushed face [m]."""

    def __post_init__(self) -> None:
        check_positive(self.name, mass=self.mass, stiffness=self.stiffness, step=self.step)

    @property
    def smoothing_scale(self) -> float:
        """Noise that reaches contact from the start [m]; the paper's formula holds for any."""
        return 0.1

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("command",)

    def _start(self) -> Sequence[float]:
        return [self.face - 0.05]

    @property
    def slope(self) -> float:
        """Displacement of the pushed box for each metre of command in contact."""
        return self.stiffness / (self.stiffness + self.mass / self.step**2)

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Final positions of the pushed face [m] for theta [batch, parameters], shape [batch]."""
        return self.face + self.slope * (self._check(theta)[..., 0] - self.face).clamp_min(0.0)

    def value_and_gradient(self, theta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Costs [batch] and exact gradients [batch, parameters]; 0 at the kink itself."""
        return self(theta), self.slope * (self._check(theta) > self.face).to(theta.dtype)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) in closed form, shape [batch]."""
        return self.face + self.slope * ramp(self._check(theta)[..., 0] - self.face, self._scales(theta, scale)[0])

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` in closed form, shape [batch, parameters]."""
        return self.slope * cdf((self._check(theta) - self.face) / self._scales(theta, scale)[0])


@plain_numbers
@dataclass(frozen=True, kw_only=True)
class ScalarContact(Testbed):
    """The contact max(u, 0), softened: by a log barrier or by softplus, each the same as randomized smoothing.

    * ``"log_barrier"``: x = argmin (x - u)^2/2 - log(x)/kappa = (u + sqrt(u^2 + 4/kappa))/2, kappa = 1/width^2. It is
      E max(u + w, 0) for Student-t noise w with 2 degrees of freedom and scale sqrt(2) width (sqrt(2/kappa)).
    * ``"softplus"``: width log(1 + exp(u/width)), which is E max(u + w, 0) for logistic noise of scale width.

    So the exact gradient of the softened problem is the smoothed gradient of the hard one (Pang, Suh, Yang, Tedrake
    2023).
    """

    name: ClassVar[str] = "scalar_contact"
    parameter_unit: ClassVar[str] = "m"
    description: ClassVar[str] = "max(u, 0) softened by a log barrier or softplus: a gradient from a distance"

    softening: str = "log_barrier"
    """``"log_barrier"`` or ``"softplus"``."""
    width: float = 0.01
    """Width of the softening [m]."""

    def __post_init__(self) -> None:
        check_choice(self.name, "softening", self.softening, ("log_barrier", "softplus"))
        check_positive(self.name, width=self.width)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return ("travel",)

    def _start(self) -> Sequence[float]:
        return [-0.03]

    def __call__(self, theta: torch.Tensor) -> torch.Tensor:
        """Costs of theta [batch, parameters], shape [batch]."""
        u = self._check(theta)[..., 0]
        if self.softening == "softplus":
            return self.width * torch.logaddexp(u / self.width, torch.zeros_like(u))
        root = torch.hypot(u, torch.full_like(u, 2.0 * self.width))
        # the same number as (u + root) / 2, without cancellation far from contact
        return torch.where(u > 0, 0.5 * (root + u.clamp_min(0.0)), 2.0 * self.width**2 / (root - u.clamp_max(0.0)))

    def hard(self, theta: torch.Tensor) -> torch.Tensor:
        """The hard contact max(u, 0) that this softens, [batch]."""
        return self._check(theta)[..., 0].clamp_min(0.0)

    def noise_density(self, w: torch.Tensor) -> torch.Tensor:
        """Density [1/m] of the noise w [m] under which E hard(u + w) is the softened cost: its second derivative."""
        if self.softening == "softplus":
            return 0.25 / (self.width * torch.cosh(w / (2.0 * self.width)).square())
        return 2.0 * self.width**2 / torch.hypot(w, torch.full_like(w, 2.0 * self.width)).pow(3)

    def _smoothed(self, theta: torch.Tensor, scale: Scale) -> tuple[torch.Tensor, torch.Tensor]:
        sigma = self._scales(self._check(theta), scale)[0].double()
        # the softening may be far narrower than the noise: breaks at its own lengths keep the panels fine there
        lengths = torch.tensor([1.0, 3.0, 10.0, 30.0, 100.0, 300.0], dtype=torch.float64, device=theta.device)
        breaks = self.width * torch.cat([-lengths, lengths.new_zeros(1), lengths])
        return average_in_pieces(lambda u: self(u.reshape(-1, 1)).view_as(u), breaks, theta[..., 0], sigma)

    def smoothed_value(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """E f(theta + scale * w) by quadrature to 1e-12, shape [batch]."""
        return self._smoothed(theta, scale)[0].to(theta.dtype)

    def smoothed_gradient(self, theta: torch.Tensor, scale: Scale) -> torch.Tensor:
        """Gradient of ``smoothed_value`` by quadrature to 1e-12, shape [batch, parameters]."""
        return self._smoothed(theta, scale)[1].unsqueeze(-1).to(theta.dtype)
