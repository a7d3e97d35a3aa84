"""The few array operations of heavy matrix work, on the processor or on a graphics card.

NumPy is the reference. PyTorch is imported where it is asked for, and only there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from slabkit.errors import InputError, MissingDependencyError


class Backend:
    """Operations on arrays of one library, here NumPy's; all single precision."""

    name = "cpu"

    def put(self, array: Any) -> Any:
        """Bring a NumPy array to the device."""
        return array

    def get(self, array: Any) -> Any:
        """Bring an array of the device to NumPy."""
        return array

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Give an uninitialised array of float32."""
        return np.empty(shape, dtype=np.float32)

    def highest(self, array: Any, axis: int) -> Any:
        """Give the maxima along an axis."""
        return array.max(axis)

    def exponentiate(self, array: Any) -> None:
        """Replace an array by its exponential."""
        np.exp(array, out=array)

    def absolute(self, array: Any) -> None:
        """Replace an array by its absolute values."""
        np.abs(array, out=array)

    def sum_of_products(self, one: Any, other: Any, axis: int) -> Any:
        """Multiply two tables element by element, and sum along an axis."""
        return np.einsum("ij,ij->j" if axis == 0 else "ij,ij->i", one, other)

    def irfft2(self, spectra: Any, shape: Sequence[int]) -> Any:
        """Give images ``shape`` of half spectra, on the last two axes; the spectra may be lost."""
        from scipy.fft import irfft2

        return irfft2(spectra, s=shape, overwrite_x=True)

    def windows(self, image: Any, side: int) -> Any:
        """Give a view of all squares in an image, by the place of their first pixel."""
        return np.lib.stride_tricks.sliding_window_view(image, (side, side))


class TorchBackend(Backend):
    """A device of PyTorch; see `Backend`.

    Parameters
    ----------
    device : str
        As PyTorch names it: ``cuda``, ``cuda:1``, ``mps``.

    Raises
    ------
    MissingDependencyError
        PyTorch is not installed.
    InputError
        It does not have this device.
    """

    def __init__(self, device: str) -> None:
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError(
                f"--device {device} needs PyTorch, which is not installed; pip install "
                "'slabkit-cryoet[gpu]', or leave --device out."
            ) from error
        self._torch = torch
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
        return self._torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def get(self, array: Any) -> Any:
        """Bring an array of the device to NumPy."""
        return array.cpu().numpy()

    def empty(self, shape: tuple[int, ...]) -> Any:
        """Give an uninitialised array of float32."""
        return self._torch.empty(shape, dtype=self._torch.float32, device=self._device)

    def highest(self, array: Any, axis: int) -> Any:
        """Give the maxima along an axis."""
        return array.amax(axis)

    def exponentiate(self, array: Any) -> None:
        """Replace an array by its exponential."""
        array.exp_()

    def absolute(self, array: Any) -> None:
        """Replace an array by its absolute values."""
        array.abs_()

    def sum_of_products(self, one: Any, other: Any, axis: int) -> Any:
        """Multiply two tables element by element, and sum along an axis."""
        return (one * other).sum(axis)

    def irfft2(self, spectra: Any, shape: Sequence[int]) -> Any:
        """Give images of half spectra."""
        return self._torch.fft.irfft2(spectra, s=tuple(shape))

    def windows(self, image: Any, side: int) -> Any:
        """Give a view of all squares in an image."""
        return image.unfold(0, side, 1).unfold(1, side, 1)


def backend_for(device: str) -> Backend:
    """Give the backend of a device.

    ``cpu`` is NumPy; ``torch`` is PyTorch on the processor; else a device as PyTorch names it.
    Raises as `TorchBackend`.
    """
    if device == "cpu":
        return Backend()
    return TorchBackend("cpu" if device == "torch" else device)


@contextmanager
def explain_full_memory(device: str) -> Iterator[None]:
    """Turn PyTorch's ``OutOfMemoryError`` into an InputError with a remedy."""
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        raise InputError(
            f"--device {device}: its memory is full; free it, take another device, or leave "
            "--device out."
        ) from error
