"""A small client of the gdb remote protocol, as much of it as driving QEMU needs."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

from lilliput.errors import LilliputError

_CHUNK = 1024  # bytes of memory in one packet
_PATIENCE = 20.0  # seconds for an answer


class GdbError(LilliputError):
    """The other end refused a command, closed the connection or did not answer in time."""


class GdbRemote:
    """A connection to a gdb stub on a Unix socket; memory, registers by number, breakpoints, continue."""

    def __init__(self, path: Path, is_alive: Callable[[], bool]) -> None:
        self._socket = _connect(path, is_alive)
        self._waiting = b""
        if self._ask("QStartNoAckMode") == "OK":
            self._acknowledge = False
        # QEMU lets single registers be written only after it was asked for their description.
        self._ask("qXfer:features:read:target.xml:0,ff0")

    _acknowledge = True

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def read(self, address: int, size: int) -> bytes:
        """Memory, in as many packets as it takes."""
        parts = []
        for start in range(0, size, _CHUNK):
            length = min(_CHUNK, size - start)
            parts.append(bytes.fromhex(self._checked(f"m{address + start:x},{length:x}")))
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        """Memory, in as many packets as it takes."""
        for start in range(0, len(data), _CHUNK):
            part = data[start : start + _CHUNK]
            self._checked(f"M{address + start:x},{len(part):x}:{part.hex()}")

    def register(self, number: int) -> int:
        """A 32-bit register."""
        return int.from_bytes(bytes.fromhex(self._checked(f"p{number:x}"))[:4], "little")

    def set_register(self, number: int, value: int) -> None:
        """A 32-bit register."""
        self._checked(f"P{number:x}={(value & 0xFFFFFFFF).to_bytes(4, 'little').hex()}")

    def set_breakpoint(self, address: int, size: int) -> None:
        """Stop before the instruction of `size` bytes at `address`."""
        self._checked(f"Z1,{address:x},{size:x}")

    def clear_breakpoint(self, address: int, size: int) -> None:
        """Undo `set_breakpoint`."""
        self._checked(f"z1,{address:x},{size:x}")

    def resume(self, timeout: float) -> bool:
        """Run until a breakpoint (gives True); after `timeout` seconds the target is halted (gives False)."""
        self._send("c")
        self._socket.settimeout(timeout)
        try:
            self._receive()
            return True
        except TimeoutError:
            self._socket.settimeout(_PATIENCE)
            self._socket.sendall(b"\x03")
            self._receive()
            return False
        finally:
            self._socket.settimeout(_PATIENCE)

    def _checked(self, command: str) -> str:
        answer = self._ask(command)
        if answer == "" or (answer.startswith("E") and len(answer) == 3):
            raise GdbError(f"the emulator refused '{command[:40]}': answer '{answer}'")
        return answer

    def _ask(self, command: str) -> str:
        self._send(command)
        return self._receive()

    def _send(self, command: str) -> None:
        body = command.encode()
        self._socket.sendall(b"$" + body + b"#" + f"{sum(body) % 256:02x}".encode())

    def _receive(self) -> str:
        """The next packet, its envelope taken off."""
        while True:
            start = self._waiting.find(b"$")
            end = self._waiting.find(b"#", start + 1)
            if start >= 0 and end >= 0 and len(self._waiting) >= end + 3:
                packet, self._waiting = self._waiting[start + 1 : end], self._waiting[end + 3 :]
                if self._acknowledge:
                    self._socket.sendall(b"+")
                return packet.decode("latin-1")
            try:
                received = self._socket.recv(65536)
            except ConnectionError as error:
                raise GdbError("the emulator closed the connection") from error
            if not received:
                raise GdbError("the emulator closed the connection")
            self._waiting += received


def _connect(path: Path, is_alive: Callable[[], bool]) -> socket.socket:
    """The stub's socket, once it is there; `is_alive` tells that waiting still makes sense."""
    last = time.monotonic() + _PATIENCE
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(str(path))
            return connection
        except OSError as error:
            connection.close()
            if time.monotonic() > last or not is_alive():
                raise GdbError(f"no connection to the emulator: {error}") from error
            time.sleep(0.02)
