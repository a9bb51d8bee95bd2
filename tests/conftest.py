"""Settings of all tests; its place makes the modules of this folder importable from the tests below it."""

import os

# Torch's threads wait busily by default: two test workers on two cores would mostly wait for each other.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
