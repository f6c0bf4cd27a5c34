"""Everything liveswap raises on purpose.

LiveswapError                 one clear sentence for the user; the command ends with exit code 2
├── SettingsError             a setting that is unknown, absurd or contradictory
├── SourceError               a source cannot be opened or read
│   ├── SourceMissing         no such camera, file or folder
│   └── SourceLost            it was there and stopped
├── SinkError                 an output cannot be opened or written
├── ModelError                a model file is missing, broken, foreign or without a contract
│   ├── UnknownIdentity       no identity of that name on the shelf
│   └── ConsentError          an identity's card is missing, incomplete, forged, past its end or revoked
├── KeepsFailing              it failed on so many frames in a row that nobody should wait longer
├── NoAcceleration            a provider was asked for and cannot be used
└── MissingExtra              an optional package or driver is not installed

EndOfStream                   a source or mailbox has no more; an expected outcome, not a fault
"""

from typing import Final

MOST_FAILURES: Final = 30  # frames in a row that may fail before a run ends: a second of a usual camera


class LiveswapError(Exception):
    """One clear sentence for the user: what was seen, what was wanted."""


class SettingsError(LiveswapError):
    """A setting that is unknown, absurd or contradictory."""


class SourceError(LiveswapError):
    """A source cannot be opened or read."""


class SourceMissing(SourceError):
    """No such camera, file or folder."""


class SourceLost(SourceError):
    """The source was there and stopped."""


class SinkError(LiveswapError):
    """An output cannot be opened or written."""


class ModelError(LiveswapError):
    """A model file is missing, broken, foreign or without a contract."""


class UnknownIdentity(ModelError):
    """No identity of that name on the shelf."""


class KeepsFailing(LiveswapError):
    """It failed on so many frames in a row that nobody should wait longer."""


class NoAcceleration(LiveswapError):
    """A provider was asked for and cannot be used."""


class ConsentError(ModelError):
    """An identity's card is missing, incomplete, forged, past its end or revoked."""


class MissingExtra(LiveswapError):
    """An optional package or driver is not installed."""


class EndOfStream(Exception):
    """A source or mailbox has no more."""
