"""Memory planning: which kernel computes each layer, and where every tensor lies in the arena."""

from lilliput.plan.choose import choose
from lilliput.plan.place import largest_live_set, overlaps, place
from lilliput.plan.planner import ARENA_TYPES, peak_layer, plan
from lilliput.plan.types import FEED, WORD, Buffer, Plan, Step, Stream, align, alignment

__all__ = [
    "ARENA_TYPES",
    "FEED",
    "WORD",
    "Buffer",
    "Plan",
    "Step",
    "Stream",
    "align",
    "alignment",
    "choose",
    "largest_live_set",
    "overlaps",
    "peak_layer",
    "place",
    "plan",
]
