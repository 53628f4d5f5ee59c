"""The energy of a contact, written once more, and its differences, in decimal numbers of sixty digits.

It is P(a - b y)/b with P' = p, the normal impulse as a function of z = a - b y; see ``docs/contact.md``. Steps are
1e-11 of the contact's own scales, so differences are exact to rounding in float64.
"""

import decimal
from decimal import Decimal

import numpy as np
from contact_laws import Contacts

__all__ = ["DIGITS", "Energy"]

DIGITS = decimal.Context(prec=60)


class Energy:
    """The energy of one contact in decimal numbers.

    Of ``Law.of_slopes`` it is that of the program whose impulse is p(z) - p(z0) + max(z0, 0), z0 that at the motion.
    """

    def __init__(self, contacts: Contacts, index: int):
        self.law = contacts.law
        self.n = [Decimal(float(x)) for x in contacts.normal[index]]
        with decimal.localcontext(DIGITS):
            size = sum(x * x for x in self.n).sqrt()
            self.n = [x / size for x in self.n]
        self.x = [Decimal(float(x)) for x in contacts.motion[index]]
        self.q = [Decimal(float(x)) for x in contacts.coefficients[index]]
        self.eps = Decimal(contacts.eps)
        self.shift = Decimal(0)
        if self.law.of_slopes and self.beta > 0:
            with decimal.localcontext(DIGITS):
                z = self.z(self.x)
                self.shift = max(z, Decimal(0)) - self.load(z)

    @property
    def beta(self) -> Decimal:
        return self.q[-2] if self.law.softens else Decimal(0)

    def y(self, x: list[Decimal]) -> Decimal:
        """Separation speed, but for the part in the coefficient a."""

        def split(v: list[Decimal]) -> tuple[Decimal, Decimal]:
            along = sum((a * b for a, b in zip(self.n, v, strict=True)), Decimal(0))
            rest = [b - a * along for a, b in zip(self.n, v, strict=True)]
            return along, sum((r * r for r in rest), Decimal(0))

        along, slip2 = split(x[:3])
        y = along - self.q[2] * ((slip2 + self.eps**2).sqrt() - self.q[3])
        if self.law.resists:
            spin, roll2 = split(x[3:])
            slow2 = self.q[6] ** 2
            y -= self.q[4] * (roll2 + slow2).sqrt() + self.q[5] * (spin**2 + slow2).sqrt()
        return y

    def z(self, x: list[Decimal]) -> Decimal:
        return self.q[0] - self.q[1] * self.y(x)

    def load(self, z: Decimal) -> Decimal:
        """Normal impulse p(z), of slopes without the shift."""
        if self.beta == 0:
            return max(z, Decimal(0))
        t = z / self.beta
        if self.law.mode in (1.0, 3.0):
            f = (t + (t * t + 2).sqrt()) / 2
        else:
            f = (1 + (-abs(t)).exp()).ln() + max(t, Decimal(0))
        s = 2 * (t / Decimal(self.law.reach) + 1)
        if s < 1:
            f = f * s * s * (3 - 2 * s) if s > 0 else Decimal(0)
        return self.beta * f

    def rise(self, start: list[Decimal], end: list[Decimal]) -> Decimal:
        """Energy at ``end`` less that at ``start``, by Gauss' rule of two points: the two are close.

        It is the integral of -p(z) by y, so b may be zero.
        """
        y0, y1 = self.y(start), self.y(end)
        z0, z1 = self.q[0] - self.q[1] * y0, self.q[0] - self.q[1] * y1
        middle, half = (z0 + z1) / 2, (z1 - z0) / (2 * Decimal(3).sqrt())
        load = (self.load(middle - half) + self.load(middle + half)) / 2 + self.shift
        return -(y1 - y0) * load

    def scale(self) -> Decimal:
        """Motion over which nothing of the law changes by more than a small part."""
        scales = [self.eps, *([self.q[6]] if self.law.resists else [])]
        if self.beta > 0 and self.q[1] > 0:
            scales.append(self.beta / self.q[1])
        return min(scales)

    def impulse(self, step: Decimal = Decimal("1e-15")) -> list[Decimal]:
        """Impulse [k], less the energy's gradient by central differences."""
        with decimal.localcontext(DIGITS):
            d, out = step * self.scale(), []
            for i in range(len(self.x)):
                ahead, back = list(self.x), list(self.x)
                ahead[i] += d
                back[i] -= d
                out.append((self.rise(self.x, back) - self.rise(self.x, ahead)) / (2 * d))
        return out

    def differences(self, step: Decimal = Decimal("1e-11")) -> tuple[np.ndarray, np.ndarray]:
        """Gradient [k] and second derivative [k, k] by central differences."""
        k, d = len(self.x), step * self.scale()

        def moved(*axes: int) -> tuple[Decimal, Decimal]:
            """First and second difference along the sum of some axes."""
            ahead, back = list(self.x), list(self.x)
            for i in axes:
                ahead[i] += d
                back[i] -= d
            up, down = self.rise(self.x, ahead), self.rise(self.x, back)
            return (up - down) / (2 * d), (up + down) / d**2

        with decimal.localcontext(DIGITS):
            single = [moved(i) for i in range(k)]
            hessian = np.empty((k, k))
            for i in range(k):
                hessian[i, i] = single[i][1]
                for j in range(i):
                    both = moved(i, j)[1]
                    hessian[i, j] = hessian[j, i] = (both - single[i][1] - single[j][1]) / 2
        return np.array([float(x[0]) for x in single]), hessian
