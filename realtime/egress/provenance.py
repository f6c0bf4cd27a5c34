"""What a file's manifest, the marks in its picture and the session log say together, and where they contradict."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from realtime.egress.credentials import Manifest
from realtime.egress.session_log import Entry


@dataclass(frozen=True, slots=True)
class Marked:
    """What one mark in a picture says."""

    session: str  # hex: the first digits of the session's id
    model: str = ""  # hex: the first digits of the model's digest; empty or zeros where nobody was shown yet


@dataclass(frozen=True, slots=True)
class Provenance:
    """The findings about one file, in sentences."""

    manifest: Manifest | None
    agrees: bool  # nothing that was found contradicts anything else
    sentences: tuple[str, ...]  # about the manifest and the marks
    logged: tuple[str, ...] = ()  # about the session log
    entries: tuple[Entry, ...] = ()  # of the session log, for the sessions that were found

    def as_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        seen = self.manifest
        return {
            "manifest": None if seen is None else _manifest(seen),
            "agrees": self.agrees,
            "findings": list(self.sentences),
            "sessions": [
                {"session": one.session, "began": one.began, "identities": [*one.identities], "sinks": [*one.sinks]}
                for one in self.entries
            ],
        }


def together(
    manifest: Manifest | None,
    marks: Sequence[Marked],
    log: Sequence[Entry] | None = None,
    unread: bool = False,
    enough: bool = True,
) -> Provenance:
    """What a manifest, the marks that were read and, where it is given, the session log say about one file.

    unread: there is a mark that could not be read. enough: there was enough to look at to find a mark in any case.
    """
    agrees, said = _about_manifest(manifest, bool(marks) or unread, enough)
    if manifest is not None and manifest.session and not manifest.faults and marks:
        strange = [mark for mark in marks if not manifest.session.startswith(mark.session)]
        for mark in strange:
            said.append(
                f"the manifest is of session {manifest.session[:6]} and the mark of session {mark.session}: "
                "they do not belong together"
            )
        unknown = [] if strange else [mark for mark in marks if not _names(manifest, mark)]
        for mark in unknown:
            said.append(f"the mark is of model {mark.model}, which the manifest does not name")
        agrees = agrees and not strange and not unknown
        if not strange and not unknown:
            said.append(f"manifest and mark belong together: session {manifest.session[:6]}")
    entries = _logged(manifest, marks, log)
    return Provenance(manifest, agrees, tuple(said), _about_log(entries, log), entries)


def _about_manifest(manifest: Manifest | None, marked: bool, enough: bool) -> tuple[bool, list[str]]:
    """Whether the manifest holds beside the mark, and what there is to say of it."""
    if manifest is None:
        how = "and there is a mark: the manifest was stripped" if marked else "(content credentials)"
        return not marked, [f"there is no manifest {how}"]
    if manifest.faults:
        return False, [f"the manifest does not fit the file, which was changed: {'; '.join(manifest.faults)}"]
    who = ", ".join(one.identity for one in manifest.shown) or "nobody"
    trust = "" if manifest.trusted else ", for whom nobody vouches"
    said = [f"the manifest holds: written by {manifest.generator}, signed by {manifest.signer}{trust}"]
    if manifest.session:
        said.append(f"it says that faces became {who} in session {manifest.session[:6]}")
    if manifest.disclosure:
        said.append(f"it has no label, and says how the audience is told: {manifest.disclosure}")
    if manifest.session and not marked:
        why = "" if enough else ", for which a single picture or a short film may be too little"
        said.append(f"it comes with a mark in the picture, and none was found{why}")
    return marked or not enough or not manifest.session, said


def _names(manifest: Manifest, mark: Marked) -> bool:
    """Whether the manifest names the mark's model, or the mark names none."""
    return not mark.model.strip("0") or any(one.model.startswith(mark.model) for one in manifest.shown)


def _logged(manifest: Manifest | None, marks: Sequence[Marked], log: Sequence[Entry] | None) -> tuple[Entry, ...]:
    wanted = {mark.session for mark in marks if mark.session}
    if manifest is not None and manifest.session and not manifest.faults:
        wanted.add(manifest.session)
    return tuple(entry for entry in log or () if any(entry.session.startswith(one) for one in wanted))


def _about_log(entries: Sequence[Entry], log: Sequence[Entry] | None) -> tuple[str, ...]:
    if log is None:
        return ()
    if not entries:
        return ("the session log has no such session",)
    return tuple(
        f"the session log has it: session {one.session[:6]} of {one.began}, "
        f"{', '.join(one.identities) or 'nobody'} into {', '.join(one.sinks) or 'nothing'}"
        for one in entries
    )


def _manifest(seen: Manifest) -> dict[str, Any]:
    return {
        "faults": [*seen.faults],
        "generator": seen.generator,
        "signer": seen.signer,
        "trusted": seen.trusted,
        "composite": seen.composite,
        "session": seen.session,
        "shown": [{"identity": one.identity, "model": one.model} for one in seen.shown],
        "disclosure": seen.disclosure,
    }
