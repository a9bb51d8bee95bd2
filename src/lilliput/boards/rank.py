"""Which boards a profiled model fits: memory margins, latency and energy ranges, the smallest one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast

from lilliput.boards.model import Board
from lilliput.errors import UserError

Range = tuple[float, float]

# Cycles for the same portable int8 model, relative to Cortex-M4 (least, most). Wide on purpose: what is known
# is the count of instructions (docs/boards.md has the basis of each row). A profile of the core itself is
# always better; give it in `profiles_by_core`.
CYCLES_VS_M4: Mapping[str, Range] = {
    "cortex-m0plus": (2.5, 5.0),
    "cortex-m3": (1.0, 1.8),
    "cortex-m4": (1.0, 1.0),
    "cortex-m7": (0.4, 1.0),
    "cortex-m33": (0.7, 1.1),
    "cortex-m55": (0.15, 1.0),
    "rv32imc": (1.2, 3.0),
    "pxa27x": (0.8, 2.5),
}


@dataclass(frozen=True)
class Limits:
    """What the model may use at most: seconds and joules per inference, bytes. None is no limit."""

    latency_s: float | None = None
    ram: int | None = None
    flash: int | None = None
    energy_j: float | None = None


@dataclass(frozen=True)
class Fit:
    """One model on one board. A negative margin says by how many bytes the model does not fit."""

    board: Board
    flash_free: int
    ram_free: int
    latency_s: Range | None  # None: the profile gives no ground for an estimate on this core
    energy_j: Range | None  # None: no latency, or no active current known for the board
    estimated_from: str | None  # the core that was profiled, where it is not this board's
    misses: tuple[str, ...]  # why it is not a fit; empty when it is

    @property
    def fits(self) -> bool:
        """It fits the memory and meets every limit."""
        return not self.misses


@dataclass(frozen=True)
class Recommendation:
    """The smallest board that meets everything, or None, and why."""

    fit: Fit | None
    reason: str


class _Total(TypedDict):
    total: int


class _Profile(TypedDict):
    target: str
    cycles_estimate: Sequence[float]
    jumps: NotRequired[int]  # taken; older profiles do not tell
    flash: _Total
    ram: _Total
    layers: Sequence[Mapping[str, object]]


def rank(
    profile: Mapping[str, object],
    boards: Iterable[Board],
    *,
    latency_s: float | None = None,
    ram: int | None = None,
    flash: int | None = None,
    energy_j: float | None = None,
    profiles_by_core: Mapping[str, Mapping[str, object]] | None = None,
) -> list[Fit]:
    """Fits first, smallest first (flash + SRAM, then clock); then the others, those that miss least first.

    `profile` is what `lilliput profile --json` prints. Where `profiles_by_core` has one of the board's own
    core, that one counts. A limit is met when the upper end of the range meets it.
    """
    base = _checked(profile)
    own = {core: _checked(other) for core, other in (profiles_by_core or {}).items()}
    for core, other in own.items():
        if other["target"] != core:
            raise UserError(
                f"profile given for {core!r} is of {other['target']!r}; profile the model for {core!r}"
            )
    limits = Limits(latency_s, ram, flash, energy_j)
    fits = [_fit(own.get(board.core, base), board, limits) for board in boards]
    return sorted(fits, key=_order)


def recommend(fits: Sequence[Fit]) -> Recommendation:
    """The first of a ranked list if it fits; else what the nearest one misses."""
    if not fits:
        return Recommendation(None, "no boards to choose from")
    best = fits[0]
    if best.fits:
        return Recommendation(
            best, f"{best.board.name} is the smallest board that fits the model and meets the limits"
        )
    return Recommendation(None, f"no board fits; the nearest is {best.board.name}: {'; '.join(best.misses)}")


def _order(fit: Fit) -> tuple[bool, int, int, int, str]:
    short = max(0, -fit.flash_free) + max(0, -fit.ram_free)
    size = fit.board.flash.value + fit.board.sram.value
    return (not fit.fits, short, size, fit.board.clock.value, fit.board.name)


def _fit(profile: _Profile, board: Board, limits: Limits) -> Fit:
    flash_free = _least(board.flash.value, limits.flash) - profile["flash"]["total"]
    ram_free = _least(board.sram.value, limits.ram) - profile["ram"]["total"]
    latency = _latency(profile, board)
    energy = None
    if latency is not None and board.active is not None:
        watts = board.active.watts(board.clock.value)
        energy = latency[0] * watts, latency[1] * watts
    misses = [f"flash is {-flash_free} bytes short"] if flash_free < 0 else []
    misses += [f"RAM is {-ram_free} bytes short"] if ram_free < 0 else []
    misses += _over("latency", latency, limits.latency_s, "s", "no estimate for this core")
    misses += _over("energy", energy, limits.energy_j, "J", "no active current is known for this board")
    other = None if profile["target"] == board.core else profile["target"]
    return Fit(board, flash_free, ram_free, latency, energy, other, tuple(misses))


def _least(size: int, limit: int | None) -> int:
    return size if limit is None else min(size, limit)


def _over(what: str, values: Range | None, limit: float | None, unit: str, unknown: str) -> list[str]:
    if limit is None:
        return []
    if values is None:
        return [f"{what} is unknown: {unknown}"]
    return (
        [f"{what} may reach {values[1]:.3g} {unit}, the limit is {limit:.3g} {unit}"]
        if values[1] > limit
        else []
    )


def _latency(profile: _Profile, board: Board) -> Range | None:
    """Estimated cycles over the clock; scaled by `CYCLES_VS_M4` where the profile is of another core.

    The upper one waits for the flash at every jump that is taken, where the board's wait states are known.
    """
    low, high = profile["cycles_estimate"]
    if board.flash_wait_states is not None:
        high += profile.get("jumps", 0) * board.flash_wait_states.value
    if profile["target"] != board.core:
        if _uses_float(profile):
            return None  # soft float or another FPU: no factor says anything useful
        own, other = CYCLES_VS_M4[board.core], CYCLES_VS_M4[profile["target"]]
        low, high = low * own[0] / other[1], high * own[1] / other[0]
    return low / board.clock.value, high / board.clock.value


def _uses_float(profile: _Profile) -> bool:
    return any("f32" in str(layer.get("kernel", "")) for layer in profile["layers"])


def _checked(profile: Mapping[str, object]) -> _Profile:
    """The keys used here are there and make sense: the profile may come from a file."""
    target = profile.get("target")
    if target not in CYCLES_VS_M4:
        raise UserError(f"profile: target is {target!r}, expected one of {', '.join(CYCLES_VS_M4)}")
    cycles = profile.get("cycles_estimate")
    if not (isinstance(cycles, (list, tuple)) and len(cycles) == 2 and all(_is_number(c) for c in cycles)):
        raise UserError(
            f"profile: cycles_estimate is {cycles!r}, expected [low, high]; profile with an emulator first"
        )
    if not 0 < cycles[0] <= cycles[1]:
        raise UserError(f"profile: cycles_estimate is {cycles!r}, expected 0 < low <= high")
    for key in ("flash", "ram"):
        part = profile.get(key)
        total = part.get("total") if isinstance(part, Mapping) else None
        if not isinstance(total, int) or total < 0:
            raise UserError(f"profile: {key}.total is {total!r}, expected a whole number of bytes")
    layers = profile.get("layers")
    if not (isinstance(layers, (list, tuple)) and all(isinstance(layer, Mapping) for layer in layers)):
        raise UserError(
            "profile: layers is not a list of objects; take the output of lilliput profile --json as it is"
        )
    return cast(_Profile, profile)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
