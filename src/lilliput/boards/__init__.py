"""Real boards and parts with cited figures, and which of them a compiled model fits."""

from lilliput.boards.model import Active, Board, Figure, Source, load_boards
from lilliput.boards.quantity import parse_quantity
from lilliput.boards.rank import Fit, Limits, Recommendation, rank, recommend
from lilliput.boards.table import boards, fits_table, ranked

__all__ = [
    "Active",
    "Board",
    "Figure",
    "Fit",
    "Limits",
    "Recommendation",
    "Source",
    "boards",
    "fits_table",
    "load_boards",
    "parse_quantity",
    "rank",
    "ranked",
    "recommend",
]
