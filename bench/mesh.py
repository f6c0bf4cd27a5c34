"""Writes MediaPipe's face meshes of pictures and clips, for `liveswap-bench landmarks --mesh` to compare with.

A script for an environment of its own: MediaPipe 0.10.21 is the last version that carries its models, and it needs
numpy 1 and a Python from 3.9 to 3.12. So nothing of this project is imported here, and nothing imports this file.

    python3 -m venv mesh-env
    mesh-env/bin/pip install mediapipe==0.10.21 "numpy<2" av scikit-image
    mesh-env/bin/python bench/mesh.py FOLDER|FILE... --out meshes.npz [--astronaut FOLDER]

The mesh network is shown each face enlarged, cut out where the detector for far faces has it: by itself MediaPipe
looks for near faces only. Every frame is read alone, so that no smoothing over time is in the ruler.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import av
import cv2
import mediapipe as mp
import numpy as np

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
CLIPS = (".mp4", ".mkv", ".mov", ".webm", ".avi", ".gif", ".mjpeg")
POINTS = 478  # 468 of the mesh, then five of each iris
FACES = 8  # at most, in one picture
SIDE = 384  # px of the enlarged face that the mesh network is shown
ROOM = 2.0  # its side in sides of the detector's box


def main() -> None:
    """Reads the command line and writes the file."""
    parser = argparse.ArgumentParser(description="Writes MediaPipe's face meshes of pictures and clips.")
    parser.add_argument("paths", nargs="*", type=pathlib.Path, help="clips, pictures, or folders of them")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the .npz to write")
    parser.add_argument("--astronaut", type=pathlib.Path, help="write scikit-image's portrait into this folder first")
    given = parser.parse_args()
    paths = [*given.paths, *([astronaut(given.astronaut)] if given.astronaut else [])]
    files = [file for path in paths for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
    reader = Reader()
    meshes: dict[str, Any] = {}
    for file in files:
        if file.suffix.lower() in (*PICTURES, *CLIPS):
            meshes[file.name] = reader.meshes(file)
            seen = np.isfinite(meshes[file.name][:, :, 0, 0])
            print(f"{file.name}: {seen.sum()} faces in {len(seen)} frames", flush=True)
    if not meshes:
        sys.exit("there is no picture and no clip among the paths")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(given.out, **meshes)


def astronaut(folder: pathlib.Path) -> pathlib.Path:
    """Writes scikit-image's portrait of Eileen Collins (public domain) as a file; its path."""
    from skimage import data

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "astronaut.png"
    portrait = data.astronaut()  # type: ignore[no-untyped-call]
    cv2.imwrite(str(path), portrait[..., ::-1])
    return path


class Reader:
    """MediaPipe's detector for far faces and its mesh network."""

    def __init__(self) -> None:
        self._detector = mp.solutions.face_detection.FaceDetection(model_selection=1)
        self._network = mp.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True)

    def meshes(self, path: pathlib.Path) -> np.ndarray:
        """(frames, faces, 478, 2) x y in px, the centre of the upper-left pixel being (0, 0); NaN where no face is.

        Of a clip the largest face of each frame is read, of a picture every face, also those found in parts of it.
        """
        if path.suffix.lower() in CLIPS:
            return np.stack([self._read(image, self.squares(image)[:1], 1) for image in frames(path)])
        image = picture(path)
        return self._read(image, self.squares_of_parts(image)[:FACES], FACES)[None]

    def squares(self, image: np.ndarray) -> list[np.ndarray]:
        """Around the faces of an RGB picture, each (3,) centre x y and side in px, the largest first."""
        height, width = image.shape[:2]
        found = []
        for one in self._detector.process(image).detections or ():
            box = one.location_data.relative_bounding_box
            middle = (box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height
            found.append(np.array([*middle, ROOM * max(box.width * width, box.height * height)]))
        return sorted(found, key=lambda square: -square[2])

    def squares_of_parts(self, image: np.ndarray) -> list[np.ndarray]:
        """As squares, of the whole picture and of its left, middle and right halves; each face once."""
        half = image.shape[1] // 2
        found = self.squares(image)
        for left in (0, half // 2, image.shape[1] - half):
            part = self.squares(np.ascontiguousarray(image[:, left : left + half]))
            for square in part:
                square[0] += left
                if all(np.linalg.norm(square[:2] - other[:2]) > other[2] / 4 for other in found):
                    found.append(square)
        return found

    def _read(self, image: np.ndarray, squares: list[np.ndarray], rows: int) -> np.ndarray:
        """(rows, 478, 2): the mesh in each square; MediaPipe counts from the picture's border, in shares of its side.

        A square whose face the network does not see stays NaN.
        """
        result = np.full((rows, POINTS, 2), np.nan, np.float32)
        for row, (x, y, side) in enumerate(squares):
            scale = SIDE / side
            cut = np.array([[scale, 0, SIDE / 2 - x * scale], [0, scale, SIDE / 2 - y * scale]])
            inside = cv2.warpAffine(image, _of_centres(cut), (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
            for face in self._network.process(inside).multi_face_landmarks or ():
                places = np.array([(point.x, point.y) for point in face.landmark]) * SIDE
                result[row] = (places - cut[:, 2]) / scale - 0.5
        return result


def _of_centres(cut: np.ndarray) -> np.ndarray:
    """A map of places counted from the border, as OpenCV wants it: counted from the first pixel's centre."""
    return np.column_stack([cut[:, :2], cut[:, :2] @ [0.5, 0.5] + cut[:, 2] - 0.5])


def picture(path: pathlib.Path) -> np.ndarray:
    """An RGB picture (h, w, 3) of a file."""
    image = cv2.imread(str(path))
    if image is None:
        sys.exit(f"{path} cannot be read as a picture")
    return np.ascontiguousarray(image[..., ::-1])


def frames(path: pathlib.Path) -> Iterator[Any]:
    """The RGB frames (h, w, 3) of a clip, as PyAV decodes them: the comparison does too."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


if __name__ == "__main__":
    main()
