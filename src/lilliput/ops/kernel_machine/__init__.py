"""Support vector machines: decisions between pairs of classes (or one value), and the vote among them."""

from lilliput.ops.kernel_machine.machine import KernelMachine as KernelMachine
from lilliput.ops.kernel_machine.vote import PairwiseVote as PairwiseVote
