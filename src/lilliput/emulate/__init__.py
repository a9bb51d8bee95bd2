"""Emulated cores: run firmware functions from the host; exact counts, faults by name, layer traces."""

from lilliput.emulate.machine import Call, Counts, FirmwareFault, Machine
from lilliput.emulate.trace import trace
from lilliput.image import Image

__all__ = ["Call", "Counts", "FirmwareFault", "Machine", "open_machine", "trace"]


def open_machine(image: Image, emulator: str | None = None) -> Machine:
    """A core with `image` in it, start-up done; `emulator` is "unicorn" or "qemu" (default: the target's)."""
    if (emulator or image.target.emulator) == "qemu":
        from lilliput.emulate.qemu_machine import QemuMachine

        return QemuMachine(image)
    from lilliput.emulate.unicorn_machine import UnicornMachine

    return UnicornMachine(image)
