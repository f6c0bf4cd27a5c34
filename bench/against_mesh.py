"""Compares the landmarks of real footage with the meshes that bench/mesh.py wrote, on the points that both define."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track as progress

from bench.detection import frames_of
from bench.ruler import FEWEST, Course, eye_opening, mean_of, pooled
from realtime.errors import LiveswapError, SourceMissing
from realtime.face.face import Face
from realtime.face.landmarks import Landmarker
from realtime.face.track import Tracker
from realtime.settings import Settings
from training.landmarks import face_size

FACES: Final = 16  # followed at most in a picture
NEAR: Final = 0.5  # of the face's size: a face whose middle is farther from the mesh's is another one
SHUT: Final = 0.6  # of a clip's median eye opening in the mesh; a clip in which lids fall below it blinks
SHUT_FRAMES: Final = 2  # so often at least, or a single misread frame would make a blink

# Which of the mesh's 478 vertices lie where our points do (of two, their middle), and why. Left out are the jaw's
# sixteen points beside the chin: the mesh ends in an oval through the ears, ours in the line of the jaw bone.
PAIRS: Final[Mapping[str, tuple[tuple[int, tuple[int, ...]], ...]]] = {
    # The corners are corners; of each lid's seven inner vertices the second and the fifth from the outer corner lie at
    # the thirds that Multi-PIE marks.
    "eyes": (
        (36, (33,)), (37, (160,)), (38, (158,)), (39, (133,)), (40, (153,)), (41, (144,)),
        (42, (362,)), (43, (385,)), (44, (387,)), (45, (263,)), (46, (373,)), (47, (380,)),
    ),
    # The first of five vertices of an iris is its centre.
    "irises": ((68, (468,)), (69, (473,))),
    # Corners, peaks and dip of the upper lip, the middle of the lower one; the points between corner and peak lie
    # between two vertices of the contour.
    "outer lips": (
        (48, (61,)), (49, (40, 39)), (50, (37,)), (51, (0,)), (52, (267,)), (53, (269, 270)),
        (54, (291,)), (55, (405, 321)), (56, (314,)), (57, (17,)), (58, (84,)), (59, (91, 181)),
    ),
    # Where the lips meet: the corners, the middle, and half way between.
    "inner lips": (
        (60, (78,)), (61, (81, 82)), (62, (13,)), (63, (312, 311)),
        (64, (308,)), (65, (402, 317)), (66, (14,)), (67, (87, 178)),
    ),
    # The ridge in four steps from between the eyes to the tip; the nose's base from wing to wing.
    "nose": (
        (27, (168,)), (28, (6, 197)), (29, (195,)), (30, (4,)),
        (31, (98,)), (32, (97,)), (33, (2,)), (34, (326,)), (35, (327,)),
    ),
    # The brow's upper edge, from end to end; its height is a matter of definition, which the offset takes out.
    "brows": (
        (17, (70,)), (18, (63,)), (19, (105,)), (20, (66,)), (21, (107,)),
        (22, (336,)), (23, (296,)), (24, (334,)), (25, (293,)), (26, (300,)),
    ),
    # The lowest point of the chin in the middle.
    "chin": ((8, (152,)),),
}  # fmt: skip
POINTS: Final = tuple(ours for pairs in PAIRS.values() for ours, _ in pairs)

Errors = NDArray[np.float64]  # (frames, len(POINTS), 2) x y in the face's frame, shares of its size


@dataclass(frozen=True, slots=True)
class Compared:
    """One clip or picture: the frames in which both the mesh and we see the same face."""

    name: str
    meshes: int  # faces that the mesh finds
    errors: Errors
    mesh_opening: NDArray[np.float64]  # (frames,) of the eyes, shares of the face's size
    opening: NDArray[np.float64]  # the same by our lids
    blink: NDArray[np.float64]  # what our network says of the lids, 0..1

    @property
    def blinks(self) -> bool:
        """Whether the mesh sees the lids fall; never of a picture or of a few frames."""
        if len(self.mesh_opening) < FEWEST:
            return False
        return bool((self.mesh_opening < SHUT * np.median(self.mesh_opening)).sum() >= SHUT_FRAMES)


def measure(file: Path, folders: Sequence[Path], settings: Settings) -> dict[str, Any]:
    """The numbers as JSON takes them. Raises LiveswapError, also where the meshes are of other footage."""
    meshes = read_meshes(file)
    there = {path.name: path for folder in folders for path in (folder.iterdir() if folder.is_dir() else [folder])}
    if not any(name in there for name in meshes):
        raise SourceMissing(f"none of the {len(meshes)} files in {file} is in {', '.join(map(str, folders))}")
    landmarker = Landmarker.load(settings.tracking.landmarks, settings.session)
    one = Tracker.load(settings.tracking, settings.session)
    many = Tracker.load(replace(settings.tracking, max_faces=FACES), settings.session)
    files = []
    for name in progress([name for name in meshes if name in there], "real footage"):
        tracker = one if meshes[name].shape[1] == 1 else many
        files.append(compare(there[name], meshes[name], tracker, landmarker))
    return report(files)


def read_meshes(file: Path) -> dict[str, NDArray[np.float32]]:
    """What bench/mesh.py wrote, (frames, faces, 478, 2) by the name of the clip or picture. Raises LiveswapError."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            meshes = {name: np.asarray(stored[name], np.float32) for name in stored.files}
    except (OSError, ValueError, AttributeError) as error:  # a lone .npy has no names
        raise LiveswapError(f"{file} cannot be read as meshes that bench/mesh.py wrote: {error}") from error
    for name, mesh in meshes.items():
        if mesh.ndim != 4 or mesh.shape[2:] != (478, 2):
            raise LiveswapError(f"{file} holds {mesh.shape} for {name}, wanted (frames, faces, 478, 2)")
    return meshes


def compare(path: Path, meshes: NDArray[np.float32], tracker: Tracker, landmarker: Landmarker) -> Compared:
    """One clip or picture, followed as the pipeline follows it. Raises LiveswapError where the frames do not match."""
    tracker.reset()
    errors, openings = [], []
    frames = 0
    for frame in frames_of(path):
        faces = tracker(frame)
        found = meshes[frames] if frames < len(meshes) else ()
        frames += 1
        for mesh in (as_ours(one) for one in found if np.isfinite(one).all()):
            face = nearest(faces, mesh)
            if face is not None:
                reading = landmarker.follow(frame.image, face.landmarks)  # a Face has no irises
                ours = np.concatenate([face.landmarks, reading.irises])
                errors.append(error_of(ours, mesh))
                lids = eye_opening(mesh) / size_of(mesh), eye_opening(ours) / size_of(ours)
                openings.append((*lids, float(reading.blend[:2].mean())))
    if frames != len(meshes):
        raise LiveswapError(f"{path} has {frames} frames, the meshes are of {len(meshes)}")
    told = np.array(openings).reshape(-1, 3)
    count = int(np.isfinite(meshes).all((2, 3)).sum())
    stacked = np.array(errors).reshape(-1, len(POINTS), 2)
    return Compared(path.name, count, stacked, told[:, 0], told[:, 1], told[:, 2])


def as_ours(mesh: NDArray[np.float32]) -> NDArray[np.float64]:
    """Our 70 points of a mesh (478, 2); NaN where it has none."""
    points = np.full((70, 2), np.nan)
    for pairs in PAIRS.values():
        for ours, theirs in pairs:
            points[ours] = mesh[list(theirs)].mean(0)
    return points


def size_of(points: NDArray[Any]) -> float:
    """The face's size, as training measures it: the outer-eye distance, or 0.8 of bridge to chin in a profile."""
    return float(face_size(torch.from_numpy(points[None]))[0])


def nearest(faces: Sequence[Face], mesh: NDArray[np.float64]) -> Face | None:
    """The face whose eyes and mouth lie where the mesh's do."""
    inner = slice(36, 60)
    apart = [float(np.linalg.norm(face.landmarks[inner].mean(0) - mesh[inner].mean(0))) for face in faces]
    closest = int(np.argmin(apart)) if apart else -1
    return faces[closest] if apart and apart[closest] < NEAR * size_of(mesh) else None


def error_of(ours: NDArray[Any], mesh: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of our 70 points against the mesh's, along and across the line of its eyes, shares of its size; as Errors."""
    across = mesh[45] - mesh[36]
    x, y = across / np.linalg.norm(across)
    turned = (ours - mesh)[list(POINTS)] @ np.array([[x, -y], [y, x]])
    return np.asarray(turned / size_of(mesh))


def without_offsets(files: Sequence[Compared]) -> list[Errors] | None:
    """The errors of each file without each point's mean error in the other files, which all count the same.

    What remains has no constant difference between two definitions of a point in it, and nothing was learnt from the
    file itself. None where there is only one file.
    """
    means = [file.errors.mean(0) for file in files]
    if len(files) < 2:
        return None
    total = np.sum(means, 0)
    return [file.errors - (total - mean) / (len(files) - 1) for file, mean in zip(files, means, strict=True)]


def report(files: Sequence[Compared]) -> dict[str, Any]:
    """The numbers of all files together and of each."""
    seen = [file for file in files if len(file.errors)]
    if not seen:
        raise LiveswapError("neither the mesh nor the tracker finds the same face in any frame")
    raw, mended = [file.errors for file in seen], without_offsets(seen)
    blinking = [file for file in seen if file.blinks]
    return {
        "files": len(files),
        "meshes": sum(file.meshes for file in files),
        "compared": sum(len(file.errors) for file in files),
        "points": len(POINTS),
        "as_defined": spread(raw),
        "without_offsets": spread(mended) if mended else None,
        "eyes": {
            "clips": [file.name for file in blinking],
            "lids": together(blinking, [file.opening for file in blinking]),
            "said": together(blinking, [1 - file.blink for file in blinking]),
        },
        "per_file": [
            {"name": file.name, "meshes": file.meshes, "compared": len(file.errors), "blinks": file.blinks,
             "as_defined": overall(file.errors), "without_offsets": overall(mended[k]) if mended else None}
            for k, file in enumerate(seen)
        ],
    }  # fmt: skip


def spread(errors: Sequence[Errors]) -> dict[str, Any]:
    """Overall, and the mean of each part of the face, %."""
    away = 100 * np.linalg.norm(np.concatenate(errors), axis=2)
    parts, start = {}, 0
    for part, pairs in PAIRS.items():
        parts[part] = float(away[:, start : start + len(pairs)].mean())
        start += len(pairs)
    return {**overall(np.concatenate(errors)), "parts": parts}


def overall(errors: Errors) -> dict[str, float]:
    """% of the face's size: the mean, and the 95th percentile of the frames' means and of single points."""
    away = 100 * np.linalg.norm(errors, axis=2)
    return {
        "mean": float(away.mean()),
        "p95": float(np.percentile(away.mean(1), 95)),
        "p95_points": float(np.percentile(away, 95)),
    }


def together(files: Sequence[Compared], ours: Sequence[NDArray[np.float64]]) -> dict[str, float | None]:
    """How our eye opening goes with the mesh's over time: pooled, and the mean of the clips."""
    courses = [Course(file.mesh_opening, values) for file, values in zip(files, ours, strict=True)]
    return {"pooled": pooled(courses), "mean": mean_of([course.correlation for course in courses])}
