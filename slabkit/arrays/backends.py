"""The few array operations of heavy matrix work, on the processor or on a graphics card.

NumPy is the reference. PyTorch is imported where it is asked for, and only there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from slabkit.arrays.exact import exponentiate, on_grid
from slabkit.errors import InputError, MissingDependencyError

_COLUMNS = 2000  # that are transformed at a time, so that a processor's cache holds them
_WHOLE = 2.0**26  # of a length of 1; see `on_grid`
DEVICE_MEMORY = 4.0  # GB


class Backend:
    """Operations on arrays of one library, here NumPy's; all single precision."""

    name = "cpu"
    torch: Any = None  # the module; None: this is NumPy
    memory = 0.0  # bytes of a device's memory that batches may fill

    def put(self, array: Any) -> Any:
        """Bring a NumPy array to the device."""
        return array

    def get(self, array: Any) -> Any:
        """Bring an array of the device to NumPy."""
        return array

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Give an uninitialised array of float32."""
        return np.empty(shape, dtype=np.float32)

    def no_waves(self, shape: tuple[int, ...], first: int) -> Any:
        """Give an array of complex64: the first rows uninitialised, the others 0."""
        waves = np.empty(shape, dtype=np.complex64)
        waves[first:] = 0
        return waves

    def highest(self, array: Any, axis: int) -> Any:
        """Give the maxima along an axis."""
        return array.max(axis)

    def columns(self, table: Any, numbers: Any) -> Any:
        """Give some columns of a table; numbers that it has none for must not be asked for."""
        return table.take(numbers, 1, mode="clip")  # quicker, as nothing is looked at twice

    def joined(self, *tables: Any, axis: int = 0) -> Any:
        """Put tables below or (axis 1) beside each other."""
        return np.concatenate(tables, axis)

    def exponentiate(self, array: Any) -> None:
        """Replace an array by its exponential."""
        exponentiate(array)

    def absolute(self, array: Any) -> Any:
        """Give absolute values."""
        return np.abs(array)

    def complex_operand(self, matrix: Any) -> Any:
        """Make a complex NumPy matrix ready to stand on the right of a `complex_product`."""
        real, imaginary = matrix.real, matrix.imag
        pairs = np.stack([np.stack([real, imaginary], -1), np.stack([-imaginary, real], -1)], 1)
        pairs = pairs.reshape(2 * len(matrix), -1)
        unit = float(on_grid(pairs, -2)[1].max(initial=0.0)) or 1.0
        return np.rint(pairs / unit), unit / _WHOLE

    def complex_rows(self, rows: Any) -> Any:
        """Make complex64 rows, of length 1 at most, ready to stand on the left of a product.

        As whole numbers of float64, (rows, 2 * columns), real and imaginary parts side by side.
        """
        whole = np.rint(np.ascontiguousarray(rows).view(np.float32) * np.float32(_WHOLE))
        return whole.astype(np.float64)

    def complex_product(self, rows: Any, operand: Any, factor: float, out: Any) -> None:
        """Write the product of (columns of) `complex_rows` and an operand, times a factor."""
        found = rows @ operand[0]
        found *= factor * operand[1]
        np.copyto(out.view(np.float32), found, casting="same_kind")

    def from_orders(self, waves: Any, count: int) -> Any:
        """Sum complex waves of 0, 1, ... periods, on the first axis, at ``count`` places."""
        from scipy.fft import irfft

        out = self.empty((count, *waves.shape[1:]))
        for start in range(0, waves.shape[1], _COLUMNS):
            part = np.s_[:, start : start + _COLUMNS]
            out[part] = irfft(waves[part], count, axis=0, norm="forward")
        return out

    def bounds(self, waves: Any) -> Any:
        """Give for each column of waves what no value of `from_orders` is above (but rounding)."""
        total, one = np.zeros((2, *waves.shape[1:]), dtype=np.float32)
        for wave in waves[1:]:
            total += np.abs(wave, out=one)
        total *= 2
        total += waves[0].real
        return total

    def to_orders(self, values: Any) -> Any:
        """Give the complex waves on the first axis; undoes `from_orders` but for a factor."""
        from scipy.fft import rfft

        return rfft(values, axis=0)

    def sum_of_products(self, one: Any, other: Any, axis: int) -> Any:
        """Multiply two tables element by element, and sum along an axis."""
        return np.einsum("ij,ij->j" if axis == 0 else "ij,ij->i", one, other)

    def operand(self, matrix: Any) -> Any:
        """Make a NumPy matrix ready to stand on the right of a `product`."""
        return on_grid(matrix, -2)

    def product(self, rows: Any, operand: Any) -> Any:
        """Multiply matrices; on the processor the result is the same whatever its kernels."""
        (grid, unit), (other, other_unit) = on_grid(rows, -1), operand
        found = grid @ other
        found *= unit
        found *= other_unit
        return found

    def ifft2(self, one: Any, other: Any, rows: int) -> Any:
        """Give the first rows of complex images of the products of spectra (last two axes).

        They differ a little between processors.
        """
        from scipy.fft import ifft

        half = ifft(one * other, axis=-2, overwrite_x=True)
        return ifft(half[..., :rows, :], overwrite_x=True)

    def windows(self, image: Any, side: int) -> Any:
        """Give a view of all squares in an image, by the place of their first pixel."""
        return np.lib.stride_tricks.sliding_window_view(image, (side, side))


class TorchBackend(Backend):
    """A device of PyTorch as it names it (``cuda``, ``cuda:1``, ``mps``); see `Backend`.

    Refused where it is not there; `MissingDependencyError` where PyTorch is not installed.
    """

    def __init__(self, device: str, memory: float = DEVICE_MEMORY) -> None:
        if not 0 < memory < float("inf"):
            raise InputError(f"--device-memory must be above 0 GB and finite, not {memory:g}.")
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError(
                f"--device {device} needs PyTorch, which is not installed; pip install "
                "'slabkit-cryoet[gpu]', or leave --device out."
            ) from error
        self.torch, self.memory = torch, memory * 1e9
        self.name = device
        try:
            self._device = torch.device(device)
            torch.zeros(1, device=self._device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"--device {device}: PyTorch cannot use it ({reason}).") from error
        # Tensor cores would cut numbers to ten bits.
        torch.backends.cuda.matmul.allow_tf32 = False

    def put(self, array: Any) -> Any:
        """Bring a NumPy array to the device."""
        return self.torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def get(self, array: Any) -> Any:
        """Bring an array of the device to NumPy."""
        return array.cpu().numpy()

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Give an uninitialised array of float32."""
        return self.torch.empty(shape, dtype=self.torch.float32, device=self._device)

    def highest(self, array: Any, axis: int) -> Any:
        """Give the maxima along an axis."""
        return array.amax(axis)

    def columns(self, table: Any, numbers: Any) -> Any:
        """Give some columns of a table."""
        return table[:, numbers]

    def joined(self, *tables: Any, axis: int = 0) -> Any:
        """Put tables below or beside each other."""
        return self.torch.cat(tables, axis)

    def absolute(self, array: Any) -> Any:
        """Give absolute values."""
        return array.abs()

    def sum_of_products(self, one: Any, other: Any, axis: int) -> Any:
        """Multiply two tables element by element, and sum along an axis."""
        return (one * other).sum(axis)

    def operand(self, matrix: Any) -> Any:
        """Bring a NumPy matrix to the device."""
        return self.put(matrix)

    def product(self, rows: Any, operand: Any) -> Any:
        """Multiply matrices."""
        return rows @ operand

    def ifft2(self, one: Any, other: Any, rows: int) -> Any:
        """Give the first rows of complex images of the products of spectra."""
        return self.torch.fft.ifft2(one * other)[..., :rows, :]

    def windows(self, image: Any, side: int) -> Any:
        """Give a view of all squares in an image."""
        return image.unfold(0, side, 1).unfold(1, side, 1)


def memory_for(device: str, asked: float | None) -> float:
    """Give the memory (GB) that batches fill on a device; refuse to be asked for it without one."""
    if asked is not None and device == "cpu":
        raise InputError(
            "--device-memory is of the graphics card of --device: give --device cuda, or leave "
            "--device-memory out."
        )
    return DEVICE_MEMORY if asked is None else asked


def backend_for(device: str, memory: float = DEVICE_MEMORY) -> Backend:
    """Give the backend of a device, of which batches may fill so much memory (GB).

    ``cpu`` is NumPy; ``torch`` is PyTorch on the processor; else a device as PyTorch names it.
    Raises as `TorchBackend`.
    """
    if device == "cpu":
        return Backend()
    return TorchBackend("cpu" if device == "torch" else device, memory)


@contextmanager
def explain_full_memory(device: str) -> Iterator[None]:
    """Turn PyTorch's ``OutOfMemoryError`` into an InputError with a remedy."""
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise InputError(
            f"--device {device}: its memory is full; free it, give a smaller --device-memory, take "
            "another device, or leave --device out."
        ) from error
