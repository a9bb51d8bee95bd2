"""What a build folder holds besides the ELF: the C, its CMake project, the graph, and lilliput.json."""

from __future__ import annotations

import json
from pathlib import Path

from lilliput import emit, store
from lilliput.build import Optimize
from lilliput.files import write_text
from lilliput.plan import Plan
from lilliput.target import Target
from lilliput.version import __version__

CMAKE = """# SPDX-License-Identifier: 0BSD
# Add to a project with add_subdirectory(); link with target_link_libraries(app {name}).
cmake_minimum_required(VERSION 3.13)
project({name} C)
add_library({name} STATIC {name}.c)
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
set_target_properties({name} PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)
# Each product is rounded before it is added: without this some compilers fuse the two, and floats change.
target_compile_options({name} PRIVATE -ffp-contract=off)
"""


def write_files(
    emitted: emit.Emitted, planned: Plan, core: Target, folder: Path, compiler: str, optimize: Optimize
) -> None:
    """Write what a build folder holds besides the ELF."""
    name = emitted.name
    facts = {
        "name": name,
        "target": core.name,
        "compiler": compiler,
        "optimize": optimize,
        "version": __version__,
        "kernels": [step.kernel.name for step in planned.steps],
        "arena": planned.arena,
        "streams": [[stream.first, stream.last] for stream in planned.streams],
        "feed_rows": planned.fed is not None,
    }
    write_text(folder / f"{name}.c", emitted.source)
    write_text(folder / f"{name}.h", emitted.header)
    write_text(folder / "CMakeLists.txt", CMAKE.format(name=name))
    write_text(folder / "lilliput.json", json.dumps(facts, indent=1) + "\n")
    store.save(planned.graph, folder / f"{name}.lil")
