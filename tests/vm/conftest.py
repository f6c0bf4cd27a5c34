"""One boot of the virtual machine for all that is asked of it; what it gave stays in out/vm."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.vm import image, machine, pictures
from tests.vm.bounded import last_words

BOOT_S: Final = 2400  # most that the scenario may take; it is killed then
WITHOUT: Final = "VM_WITHOUT"  # steps to leave out, such as "chromium" or "chromium,no_driver"


@dataclass(frozen=True, slots=True)
class Proof:
    """What the scenario reported and what its readers saw."""

    folder: Path
    steps: dict[str, Any]
    truth: pictures.Truth
    without: tuple[str, ...]

    def of(self, step: str) -> dict[str, Any]:
        """A step's facts; the test fails, with what is known, where it was not reached or failed."""
        if step.replace(" ", "_") in self.without:
            pytest.skip(f"{WITHOUT} leaves out {step!r}")
        if step not in self.steps:
            pytest.fail(f"{step!r} was not reached; the console's end:\n{last_words(self.folder / 'console.log')}")
        facts: dict[str, Any] = self.steps[step]
        if "failed" in facts:
            pytest.fail(f"{step!r}: {facts['failed']}\n{facts['where']}")
        return facts

    def judged(self, step: str) -> list[pictures.Judged]:
        """The pictures of the step's reader, compared with the truth."""
        return [pictures.judged(self.folder / name, self.truth) for name in self.of(step)["pictures"]]

    def said(self, name: str) -> str:
        """What a run said."""
        path = self.folder / name
        return path.read_text("utf-8", "replace") if path.is_file() else ""


@pytest.fixture(scope="session")
def proof(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    """Builds what is not built yet, boots, and unpacks the report, also where the machine had to be killed."""
    if "vm" not in request.config.option.markexpr:
        pytest.skip("the virtual machine takes minutes: `make test-vm` boots it")
    if missing := image.what_is_missing():
        pytest.skip(missing)
    folder = image.ROOT / "out" / "vm"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = tmp_path_factory.mktemp("vm")
    clip = made / "clip.mkv"
    pictures.clip(clip)
    truth = pictures.truth(clip, made / "truth")
    disks = image.disks(made, clip)
    without = os.environ.get(WITHOUT, "")
    try:
        machine.booted(disks, folder, BOOT_S, f"vm.without={without}" if without else "")
    except TimeoutError as error:
        (folder / "killed.txt").write_text(f"{error}\n", "utf-8")
    finally:
        disks.project.unlink(missing_ok=True)
    found = Proof(folder, machine.report(folder), truth, tuple(without.split(",")))
    sheet(found)
    return found


def sheet(proof: Proof) -> None:
    """The contact sheet: what the camera saw, what a swap outside shows, and what each reader was given."""
    some = range(0, len(proof.truth.seen), max(1, len(proof.truth.seen) // pictures.ROW))
    rows = [
        ("what the camera sees", [proof.truth.seen[number] for number in some]),
        ("the swap made outside of the machine", [proof.truth.swapped[number] for number in some]),
    ]
    for step, facts in proof.steps.items():
        if names := facts.get("pictures"):
            rows.append((f"in the machine: {step}", [pictures.loaded(proof.folder / name) for name in names]))
    pictures.contact_sheet(rows, proof.folder / "sheet.jpg")
