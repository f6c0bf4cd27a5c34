"""One Gaussian blur for masks and faces of 8 bit."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray


def blurred(picture: NDArray[np.uint8], sigma: float, out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """picture (h, w) or (h, w, 3), blurred by sigma > 0 px; its border repeats. In out, where there is one.

    sepFilter2D, because GaussianBlur of 8 bit is exact to the last bit and takes three to four times as long.
    """
    line = cv2.getGaussianKernel(2 * math.ceil(3 * sigma) + 1, sigma, cv2.CV_32F)
    return np.asarray(cv2.sepFilter2D(picture, -1, line, line, out, borderType=cv2.BORDER_REPLICATE), np.uint8)
