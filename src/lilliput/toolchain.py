"""Compilers: finding them, running them, and keeping what they made by the hash of what went in."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lilliput.errors import UserError
from lilliput.files import replacing

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-pedantic", "-Werror")
# No contraction to fused multiply-add: host and core must round alike. Strict aliasing stays on:
# the generated code has to be right under a user's ordinary flags.
COMMON = ("-std=c99", *WARNINGS, "-ffp-contract=off", "-g")

_INCLUDE = re.compile(rb'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True)
class Compiler:
    """A C compiler driver: the command, whether it is zig, and the text that tells its version."""

    command: tuple[str, ...]
    is_zig: bool
    version: str


@functools.cache
def cache_dir() -> Path:
    """Where compiled things are kept between runs (`$XDG_CACHE_HOME/lilliput` or `~/.cache/lilliput`)."""
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "lilliput"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@functools.cache
def find_compiler(name: str, prefix: str = "") -> Compiler:
    """The compiler called `name`: "zig", "gcc", "clang" or a path; `prefix` ("arm-none-eabi-") goes before.

    Raises `UserError` with the remedy if it is not there.
    """
    if name == "zig":
        if importlib.util.find_spec("ziglang") is None:
            raise UserError("compiler 'zig': the Python package 'ziglang' is missing; install it with pip")
        version = "ziglang " + importlib.metadata.version("ziglang")
        return Compiler((sys.executable, "-m", "ziglang", "cc"), True, version)
    program = prefix + name if os.sep not in name else name
    path = shutil.which(program)
    if path is None:
        raise UserError(
            f"compiler '{program}' was not found on PATH; install it, or use the default compiler 'zig'"
        )
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    return Compiler((path,), False, f"{path} {shown.splitlines()[0] if shown else ''}")


def run_compiler(compiler: Compiler, arguments: Sequence[str], what: str, folder: Path | None = None) -> None:
    """Run `compiler` in `folder`; what it complains about becomes a `UserError` that starts with `what`."""
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache_dir() / "zig")}
    command = [*compiler.command, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    if done.returncode != 0:
        raise UserError(f"{what}: {compiler.version} failed:\n{_head(done.stderr or done.stdout)}")


def _head(text: str, lines: int = 30) -> str:
    kept = text.strip().splitlines()
    more = [f"… and {len(kept) - lines} more lines"] if len(kept) > lines else []
    return "\n".join(kept[:lines] + more)


def inputs_hash(sources: Iterable[Path], include_dirs: Sequence[Path], words: Iterable[str]) -> str:
    """A hash of the sources, of every header they include with quotes, and of `words` (flags, versions)."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    waiting, seen = list(sources), set[Path]()
    while waiting:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        content = _read(path)
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(content).digest())
        for match in _INCLUDE.finditer(content):
            name = os.fsdecode(match.group(1))
            found = (folder / name for folder in (path.parent, *include_dirs))
            waiting += [header for header in found if header.is_file()][:1]
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the C source '{path}': {error.strerror}") from error


def cached(key: str, suffix: str, make: Callable[[Path], None]) -> Path:
    """The file that `make(path)` writes, made once per `key` and kept; safe with several processes."""
    folder = cache_dir() / "made" / key[:2]
    kept = folder / (key + suffix)
    if kept.exists():
        return kept
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = Path(scratch) / ("made" + suffix)
        make(made)
        os.replace(made, kept)
    return kept


def deliver(made: Path, out: Path) -> Path:
    """Copy `made` to `out`, beside first and renamed then, so that a half-written file never shows."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as beside:
        shutil.copyfile(made, beside)
    return out
