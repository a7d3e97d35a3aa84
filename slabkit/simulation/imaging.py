"""What a tilt series, weighted back-projection and denoising make of a volume.

Weighted back-projection of exact projections is linear, and shift-invariant as long as the detector
is wide enough: every voxel becomes the same star of streaks, one along each beam. So instead of
projecting and back-projecting, each ``(z, x)`` plane is convolved with that star by FFT. It is the
same up to interpolation errors, which it has none of, and far cheaper.

Noise that is white in each projection is back-projected in the same way; its covariance is known in
closed form, and noise of that covariance is drawn directly (circulant embedding: Dietrich and
Newsam, SIAM J. Sci. Comput. 18, 1997), with one liberty: along a streak it fades linearly with the
distance, which keeps the spectrum from being negative anywhere.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from slabkit.arrays.exact import exp

Volume = npt.NDArray[np.float32]
Real = npt.NDArray[np.float64]

# A denoiser leaves next to nothing above this many cycles per voxel, and the less of what is below
# the higher its frequency: half at `_HALF`.
_CUTOFF, _HALF = 0.29, 0.12

# Beyond the streak's end the filter's own tail is followed for this many voxels.
_TAIL_VOX = 16


def image_volume(
    volume: Volume,
    tilts: npt.ArrayLike | None,
    noise_sd: float,
    rng: np.random.Generator,
    *,
    smooth: bool = True,
) -> Volume:
    """Image a volume: missing wedge (tilts in degrees about y; None: none), noise, low-pass.

    ``noise_sd`` is what the noise would have without ``smooth``, which takes away the high
    frequencies as denoising does.
    """
    from scipy import fft

    depth, height, width = volume.shape
    angles = None if tilts is None else np.radians(np.asarray(tilts, dtype=np.float64))
    lag_x = width - 1 if angles is None else min(width - 1, _streak_length(depth, angles))
    size_z = fft.next_fast_len(2 * depth - 1 if angles is not None else depth + _TAIL_VOX)
    size_y = fft.next_fast_len(height + _TAIL_VOX, real=True)
    size_x = fft.next_fast_len(width + (lag_x if angles is not None else _TAIL_VOX))
    if angles is None:
        transfer = power = np.ones((size_z, size_x))
    else:
        transfer, power = _star_spectra(angles, (depth - 1, lag_x), (size_z, size_x))
    # Complex noise of this amplitude has the wanted covariance once it is transformed back.
    amplitude = noise_sd * np.sqrt(power * (size_z * size_y * size_x / 2))
    frequency_zx = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, (size_z, size_x)), indexing="ij"))

    planes = fft.rfft(volume, n=size_y, axis=1)
    for ky in range(planes.shape[1]):
        low_pass = np.ones_like(frequency_zx)
        if smooth:
            frequency = np.sqrt(frequency_zx**2 + (ky / size_y) ** 2)
            square = (frequency / _CUTOFF) ** 2
            fall = square * square * square
            low_pass = np.zeros_like(fall)
            near = fall < 40
            low_pass[near] = exp(-fall[near]) / (1 + frequency[near] / _HALF)
        plane = fft.fft2(planes[:, ky, :], s=(size_z, size_x), overwrite_x=True)
        plane *= (transfer * low_pass).astype(np.float32)
        if noise_sd > 0:
            # Planes without a conjugate in a real transform keep only the real part.
            alone = np.sqrt(2.0) if ky == 0 or 2 * ky == size_y else 1.0
            white = rng.standard_normal((size_z, size_x, 2), dtype=np.float32)
            plane += white.view(np.complex64)[..., 0] * (alone * amplitude * low_pass).astype(
                np.float32
            )
        planes[:, ky, :] = fft.ifft2(plane, overwrite_x=True)[:depth, :width]
    # In blocks of z, so that no second copy of everything is needed.
    result = np.empty_like(volume)
    for z in range(depth):
        result[z] = fft.irfft(planes[z], n=size_y, axis=0)[:height]
    return result


def _streak_length(depth: int, angles: Real) -> int:
    steepest = min(float(np.abs(angles).max()), np.radians(80))
    return math.ceil((depth - 1) * math.tan(steepest)) + _TAIL_VOX


def _star_spectra(angles: Real, lags: tuple[int, int], size: tuple[int, int]) -> tuple[Real, Real]:
    """Transfer function of weighted back-projection, and power spectrum of its noise, (z, x).

    Angles are in radians, ``lags`` the farthest distances in z and x that are followed, in voxels.
    """
    from scipy import fft

    step = float(np.ptp(angles)) / max(1, len(angles) - 1) or np.pi
    z, x = (np.arange(-lag, lag + 1) for lag in lags)
    star, covariance = np.zeros((2, len(z), len(x)))
    for angle in angles:
        along = x[None, :] * np.cos(angle) + z[:, None] * np.sin(angle)
        star += step * _ramp(along)
        covariance += _ramp_squared(along)
    covariance *= 1 - np.abs(z[:, None]) / (lags[0] + 1)
    covariance /= covariance[lags]
    spectra = []
    for kernel in (star, covariance):
        padded = np.zeros(size)
        padded[np.ix_(z % size[0], x % size[1])] = kernel
        spectra.append(fft.fft2(padded).real)
    power = np.maximum(spectra[1], 0.0)  # rounding, and the tails that were not followed
    return spectra[0], power / power.mean()


def _ramp(distance: Real) -> Real:
    """Sample the filter ``|k|`` up to half a cycle per voxel (Ramachandran & Lakshminarayanan)."""
    return 0.5 * np.sinc(distance) - 0.25 * np.sinc(distance / 2) ** 2


def _ramp_squared(distance: Real) -> Real:
    """Sample the filter ``k²`` up to half a cycle per voxel, in real space."""
    a = np.pi * distance
    near = np.abs(a) < 1e-2
    a = np.where(near, 1.0, a)
    far = (np.sin(a) / a + 2 * np.cos(a) / a**2 - 2 * np.sin(a) / (a * a * a)) / 4
    return np.where(near, 1 / 12 - (np.pi * distance) ** 2 / 40, far)
