"""Run by test_sanitizers.py with the address sanitizer's runtime preloaded: every sixth example, 150 random graphs."""

import os
import sys

# Capstone loads itself with this flag, which the sanitizer refuses; nothing here disassembles.
del os.RTLD_DEEPBIND

from batch import Case, host_differences, host_models
from lilliput import host
from lilliput.examples import cases as example_cases
from lilliput.op import fastest, simplest
from lilliput.plan import plan
from test_random_graphs import cases as random_cases


def main() -> int:
    host.GUARD = 0  # no canaries: the sanitizer's red zones begin right at the arena's ends
    compiler = sys.argv[1]
    examples = [
        Case(label, plan(graph, pick=pick))
        for label, graph in list(example_cases())[::6]
        for pick in (fastest, simplest)
    ]
    wrong = []
    for found in (*(examples[i : i + 300] for i in range(0, len(examples), 300)), random_cases(70_000, 150)):
        wrong += host_differences(found, host_models(found, compiler=compiler, sanitize="address"), seed=4)
    print("\n".join(wrong) or f"{len(examples) + 150} models, no difference, no report")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
