"""Native text of formulas and of their derivatives, from formulas written in Python.

Numbers of ``Formulas`` stand for rows, a number a world. Arithmetic with them is recorded, not computed: each result is
an entry of one list, equal ones once, each made of entries before it. ``gradient`` appends the reverse of it, entry by
entry. ``texts`` writes the entries that are needed, a line each, in that order; what nothing needs costs nothing.

A choice (``pick``) computes both sides. A side that is not taken must be finite, and so must its derivative: no root
of 0 and no division by 0, or 0 times infinity is added to the derivative of the other.

Products that one sum alone uses are fused with it, the same for any number of lanes (see ``lanes.py``). Sine, cosine
and ``arc`` need the text of ``functions.py`` before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Formulas", "Mask", "Row"]


@dataclass(frozen=True)
class _Entry:
    formulas: Formulas
    place: int


class Mask(_Entry):
    """Yes or no for each world."""

    def __and__(self, other: Mask) -> Mask:
        return self.formulas._mask("&", self, other)

    def __or__(self, other: Mask) -> Mask:
        return self.formulas._mask("|", self, other)

    def __invert__(self) -> Mask:
        return self.formulas._mask("not", self)

    def pick(self, yes: Row | float, no: Row | float) -> Row:
        """``yes`` where it holds, ``no`` elsewhere."""
        f = self.formulas
        a, b = f.row(yes), f.row(no)
        return a if a == b else f._row("pick", self, a, b)


class Row(_Entry):
    """A number for each world."""

    def __add__(self, other: Row | float) -> Row:
        return self.formulas._sum(self, self.formulas.row(other))

    def __sub__(self, other: Row | float) -> Row:
        return self.formulas._sum(self, -self.formulas.row(other))

    def __rsub__(self, other: Row | float) -> Row:
        return self.formulas.row(other) - self

    def __mul__(self, other: Row | float) -> Row:
        return self.formulas._product(self, self.formulas.row(other))

    def __truediv__(self, other: Row | float) -> Row:
        return self.formulas._quotient(self, self.formulas.row(other))

    def __rtruediv__(self, other: Row | float) -> Row:
        return self.formulas._quotient(self.formulas.row(other), self)

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> Row:
        return self.formulas._negative(self)

    def __gt__(self, other: Row | float) -> Mask:
        return self.formulas._mask(">", self, self.formulas.row(other))

    def __ge__(self, other: Row | float) -> Mask:
        return self.formulas._mask(">=", self, self.formulas.row(other))

    def __lt__(self, other: Row | float) -> Mask:
        return self.formulas._mask("<", self, self.formulas.row(other))

    def __le__(self, other: Row | float) -> Mask:
        return self.formulas._mask("<=", self, self.formulas.row(other))

    def root(self) -> Row:
        """Square root."""
        return self.formulas._row("root", self)

    def sine_cosine(self) -> tuple[Row, Row]:
        """Sine and cosine."""
        both = self.formulas._row("both", self)
        return self.formulas._row("sine", both, self), self.formulas._row("cosine", both, self)

    def size(self) -> Row:
        """Absolute value."""
        return (self < 0.0).pick(-self, self)


class Formulas:
    """Numbers by formulas, as lines of native text.

    Args:
        prefix: Of the names in the text, which no other name there may have.
    """

    def __init__(self, prefix: str = "x"):
        self.prefix = prefix
        self.entries: list[tuple[Any, ...]] = []
        """Operation and operands: places of entries before, or a number or text."""
        self._places: dict[tuple[Any, ...], int] = {}

    def input(self, text: str) -> Row:
        """Row given by an expression of the text around."""
        return self._row("input", text)

    def inputs(self, array: str, count: int) -> list[Row]:
        """Rows ``array[0]`` to ``array[count - 1]``."""
        return [self.input(f"{array}[{i}]") for i in range(count)]

    def mask(self, text: str) -> Mask:
        """Mask given by an expression of the text around."""
        return Mask(self, self._place(("input", text)))

    def row(self, value: Row | float) -> Row:
        """A number as a row."""
        return value if isinstance(value, Row) else self._row("constant", float(value))

    def gradient(self, of: Sequence[tuple[Row, Row]], by: Sequence[Row]) -> list[Row]:
        """Derivatives by some rows, of the sum of others times their weights.

        Args:
            of: Rows and the derivatives by them, which weigh them.
            by: Rows that count as independent of each other, mostly inputs.
        """
        last = max(row.place for row, _ in of)
        free = {row.place for row in by}
        varies = set(free)
        for place in range(last + 1):
            if any(operand in varies for operand in self._operands(place)):
                varies.add(place)
        bars: dict[int, Row] = {}

        def add(place: int, bar: Row) -> None:
            if place in varies:
                bars[place] = bars[place] + bar if place in bars else bar

        for row, weight in of:
            add(row.place, weight)
        for place in range(last, -1, -1):
            if place in bars and place not in free and bars[place] != self.row(0.0):
                for operand, bar in self._reverse(place, bars[place]):
                    add(operand, bar)
        return [bars.get(row.place, self.row(0.0)) for row in by]

    def texts(self, *stages: Iterable[Row | Mask]) -> list[str]:
        """Lines that compute the rows and masks of each stage, given those of the stages before.

        ``name`` says how they are called there.
        """
        wanted = [list(stage) for stage in stages]
        uses = self._uses([entry.place for stage in wanted for entry in stage])
        written: set[int] = set()
        return [self._text([entry.place for entry in stage], uses, written) for stage in wanted]

    def name(self, entry: Row | Mask) -> str:
        """Name of a row or mask in the text."""
        return f"{self.prefix}{entry.place}"

    def _place(self, entry: tuple[Any, ...]) -> int:
        if entry not in self._places:
            self._places[entry] = len(self.entries)
            self.entries.append(entry)
        return self._places[entry]

    def _row(self, operation: str, *operands: Any) -> Row:
        return Row(self, self._place((operation, *(x.place if isinstance(x, _Entry) else x for x in operands))))

    def _mask(self, operation: str, *operands: Row | Mask) -> Mask:
        return Mask(self, self._place((operation, *(x.place for x in operands))))

    def _constant(self, row: Row) -> float | None:
        operation, *operands = self.entries[row.place]
        return operands[0] if operation == "constant" else None

    def _sum(self, a: Row, b: Row) -> Row:
        x, y = self._constant(a), self._constant(b)
        if x is not None and y is not None:
            return self.row(x + y)
        if x == 0.0 or y == 0.0:
            return b if x == 0.0 else a
        for one, other in ((a, b), (b, a)):
            if self.entries[one.place][0] == "-":
                return self._row("difference", other, Row(self, self.entries[one.place][1]))
        return self._row("sum", a, b)

    def _negative(self, a: Row) -> Row:
        x = self._constant(a)
        if x is not None:
            return self.row(-x if x else 0.0)
        operation, *operands = self.entries[a.place]
        if operation == "-":
            return Row(self, operands[0])
        return self._row("-", a)

    def _product(self, a: Row, b: Row) -> Row:
        x, y = self._constant(a), self._constant(b)
        if x is not None and y is not None:
            return self.row(x * y)
        for factor, other in ((x, b), (y, a)):
            if factor == 0.0:
                return self.row(0.0)
            if factor in (1.0, -1.0):
                return other if factor == 1.0 else -other
        for one, other in ((a, b), (b, a)):  # signs outside
            if self.entries[one.place][0] == "-":
                return -(Row(self, self.entries[one.place][1]) * other)
        return self._row("product", *sorted((a, b), key=lambda row: row.place))

    def _quotient(self, a: Row, b: Row) -> Row:
        if self._constant(a) == 0.0:
            return a
        y = self._constant(b)
        return self._row("quotient", a, b) if y is None else a * (1.0 / y)

    def _operands(self, place: int) -> list[int]:
        operation, *operands = self.entries[place]
        return [] if operation in ("input", "constant") else operands

    def _reverse(self, place: int, bar: Row) -> list[tuple[int, Row]]:
        """Operands of an entry and what they get of its derivative."""
        operation, *operands = self.entries[place]
        row = Row(self, place)
        zero = self.row(0.0)
        if operation == "sum":
            return [(operands[0], bar), (operands[1], bar)]
        if operation == "difference":
            return [(operands[0], bar), (operands[1], -bar)]
        if operation == "-":
            return [(operands[0], -bar)]
        if operation == "product":
            a, b = (Row(self, x) for x in operands)
            return [(a.place, bar * b), (b.place, bar * a)]
        if operation == "quotient":
            a, b = (Row(self, x) for x in operands)
            part = bar * row if self._constant(a) == 1.0 else bar / b
            return [(a.place, part), (b.place, -(part * row))]
        if operation == "pick":
            mask = Mask(self, operands[0])
            return [(operands[1], mask.pick(bar, zero)), (operands[2], mask.pick(zero, bar))]
        if operation == "root":
            return [(operands[0], bar * 0.5 / row)]
        if operation == "sine":
            return [(operands[1], bar * self._row("cosine", *(Row(self, x) for x in operands)))]
        if operation == "cosine":
            return [(operands[1], -(bar * self._row("sine", *(Row(self, x) for x in operands))))]
        if operation == "arc":
            y, x = (Row(self, operand) for operand in operands)
            part = bar / (x * x + y * y)
            return [(y.place, part * x), (x.place, -(part * y))]
        return []

    def arc(self, y: Row, x: Row) -> Row:
        """Angle of the direction (x, y)."""
        return self._row("arc", y, x)

    def _uses(self, wanted: list[int]) -> dict[int, int]:
        """How often each entry is used, of those that are needed."""
        uses: dict[int, int] = dict.fromkeys(wanted, 1)  # a name for the text around: not to be fused away
        for place in sorted(self._needed(wanted), reverse=True):
            for operand in self._operands(place):
                uses[operand] = uses.get(operand, 0) + 1
        for place in wanted:
            uses[place] += 1
        return uses

    def _needed(self, wanted: Iterable[int]) -> set[int]:
        needed: set[int] = set()
        open_ = list(wanted)
        while open_:
            place = open_.pop()
            if place not in needed:
                needed.add(place)
                open_ += self._operands(place)
        return needed

    def _text(self, wanted: list[int], uses: dict[int, int], written: set[int]) -> str:
        needed: set[int] = set()
        open_ = list(wanted)
        fused: dict[int, tuple[int, str]] = {}  # of a sum: the product in it, and how
        while open_:
            place = open_.pop()
            if place in needed or place in written:
                continue
            needed.add(place)
            operands = self._operands(place)
            found = self._fusible(place, uses, written)
            if found is not None:
                product, line = found
                fused[place] = (product, line)
                operands = [x for x in operands if x != product] + self._operands(product)
            open_ += operands
        lines = []
        for place in sorted(needed):
            lines.append(fused[place][1] if place in fused else self._line(place))
        written |= needed
        return "".join(f"    {line}\n" for line in lines)

    def _fusible(self, place: int, uses: dict[int, int], written: set[int]) -> tuple[int, str] | None:
        """A product that this sum alone uses, and the line of both."""
        operation, *operands = self.entries[place]
        if operation not in ("sum", "difference") or operands[0] == operands[1]:
            return None
        for which in (1, 0):
            product, other = operands[which], operands[1 - which]
            if self.entries[product][0] != "product" or uses[product] != 1 or product in written:
                continue
            a, b = (f"{self.prefix}{x}" for x in self.entries[product][1:])
            c = f"{self.prefix}{other}"
            if operation == "difference":
                a, c = (f"-{a}", c) if which == 1 else (a, f"-{c}")
            return product, f"const row {self.prefix}{place} = fused({a}, {b}, {c});"
        return None

    def _line(self, place: int) -> str:
        operation, *operands = self.entries[place]
        name = f"{self.prefix}{place}"
        if operation == "input":
            return f"const auto {name} = {operands[0]};"
        if operation == "constant":
            return f"const row {name} = zero + (TYPE){operands[0]!r};"
        if operation == "both":
            return f"row {name}, {name}_; sine_cosine({self.prefix}{operands[0]}, {name}, {name}_);"
        x = [f"{self.prefix}{operand}" for operand in operands]
        if operation in (">", ">=", "<", "<=", "&", "|"):
            return f"const irow {name} = {x[0]} {operation} {x[1]};"
        forms: dict[str, Callable[[], str]] = {
            "sum": lambda: f"{x[0]} + {x[1]}", "difference": lambda: f"{x[0]} - {x[1]}", "-": lambda: f"-{x[0]}",
            "product": lambda: f"{x[0]} * {x[1]}", "quotient": lambda: f"{x[0]} / {x[1]}",
            "pick": lambda: f"{x[0]} ? {x[1]} : {x[2]}", "root": lambda: f"root({x[0]})",
            "sine": lambda: x[0], "cosine": lambda: f"{x[0]}_", "arc": lambda: f"arc({x[0]}, {x[1]})",
            "not": lambda: f"{x[0]} == 0",
        }  # fmt: skip
        return f"const {'irow' if operation == 'not' else 'row'} {name} = {forms[operation]()};"
