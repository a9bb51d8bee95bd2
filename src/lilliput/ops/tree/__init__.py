"""Ensembles of decision trees: what forests, boosting and isolation forests of any library become."""

from lilliput.ops.tree.build import Tree, assemble
from lilliput.ops.tree.ensemble import Result, TreeEnsemble

__all__ = ["Result", "Tree", "TreeEnsemble", "assemble"]
