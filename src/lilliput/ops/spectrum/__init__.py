"""The discrete Fourier transform, and the constants that go with it: windows, mel weights."""

from lilliput.ops.spectrum.dft import Dft as Dft
