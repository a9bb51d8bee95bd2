"""The errors Lilliput raises on purpose: what a user can mend, what a check found, what a pass broke."""


class LilliputError(Exception):
    """Base of all deliberate errors."""


class UserError(LilliputError):
    """What the user can mend: names file or layer, the value, what was expected, the remedy (exit code 2)."""


class CheckError(LilliputError):
    """A check that was asked for failed: results differ, memory does not fit (exit code 1)."""


class GraphError(LilliputError):
    """A graph that breaks a rule of `verify`: a bug in an importer or a pass, or a hostile file."""
