"""Numbers as people read them: three significant digits with a unit; sizes in KiB, as memories are sold."""

import math
from collections.abc import Sequence

_COUNT = ("", "k", "M", "G", "T")
_BYTES = ("B", "KiB", "MiB", "GiB")
_SMALL = ("", "m", "µ", "n")
MISSING = "–"


def count(value: float | None) -> str:
    """1234567 -> '1.23 M'; what is exact without decimals has none."""
    return MISSING if value is None else _scaled(value, 1000.0, _COUNT)


def size(value: float | None) -> str:
    """12595 -> '12.3 KiB'; a negative size (what is missing) keeps its sign."""
    return MISSING if value is None else _scaled(value, 1024.0, _BYTES)


def percent(value: float | None) -> str:
    """0.98914 -> '98.91 %'."""
    return MISSING if value is None or not math.isfinite(value) else f"{100 * value:.2f} %"


def decibel(value: float) -> str:
    """31.42 -> '31.4 dB'; infinity means that nothing was lost."""
    return "exact" if value == math.inf else f"{value:.1f} dB"


def clock(value: float | None) -> str:
    """168e6 -> '168 MHz'."""
    return MISSING if value is None else f"{value / 1e6:.5g} MHz"


def duration(values: Sequence[float] | None) -> str:
    """(0.0123, 0.0181) -> '12.3–18.1 ms'."""
    return _small_range(values, "s")


def energy(values: Sequence[float] | None) -> str:
    """(0.0004, 0.0005) -> '400–500 µJ'."""
    return _small_range(values, "J")


def count_range(values: Sequence[float] | None) -> str:
    """(2100000, 2600000) -> '2.10–2.60 M'; one number where both ends are equal."""
    if values is None:
        return MISSING
    low, high = values
    if low == high:
        return count(low)
    power = _power(high, 1000.0, len(_COUNT))
    scaled = [_digits(v / 1000.0**power) for v in (low, high)]
    return f"{scaled[0]}–{scaled[1]} {_COUNT[power]}".rstrip()


def _small_range(values: Sequence[float] | None, unit: str) -> str:
    if values is None:
        return MISSING
    low, high = values
    power = 0
    while power < len(_SMALL) - 1 and 0 < high * 1000.0**power < 0.9995:
        power += 1
    ends = [_digits(v * 1000.0**power) for v in (low, high)]
    return f"{'–'.join(dict.fromkeys(ends))} {_SMALL[power]}{unit}"


def _scaled(value: float, base: float, units: Sequence[str]) -> str:
    power = _power(value, base, len(units))
    scaled = value / base**power
    text = f"{int(scaled):,}" if scaled == int(scaled) else _digits(scaled)  # 64 KiB, not 64.0
    return f"{text} {units[power]}".rstrip()


def _power(value: float, base: float, units: int) -> int:
    """The unit to use, chosen after rounding so that 999,950 is 1.00 M and not 1000 k."""
    power = 0
    while power < units - 1 and abs(value) / base**power >= (base if power == 0 else base - 0.5):
        power += 1
    return power


def _digits(value: float) -> str:
    """Three significant digits, without an exponent."""
    if value == 0:
        return "0"
    whole = math.floor(math.log10(abs(value))) + 1
    rounded = round(value, 3 - whole)
    whole = math.floor(math.log10(abs(rounded))) + 1
    return f"{rounded:,.{max(0, 3 - whole)}f}"
