"""Foreign model formats, read and turned into a `Graph`."""
