"""What is near: the nearest of known points and what they vote for, and the densities of Gaussians."""

from lilliput.ops.neighbours.gaussian import LogGaussian as LogGaussian
from lilliput.ops.neighbours.nearest import Nearest as Nearest
from lilliput.ops.neighbours.vote import NeighbourMean as NeighbourMean
from lilliput.ops.neighbours.vote import NeighbourVote as NeighbourVote
