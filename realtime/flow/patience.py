"""How much is borne of a stage whose work fails: a frame now and then, not one after the other."""

import logging

from realtime.errors import MOST_FAILURES, KeepsFailing

logger = logging.getLogger(__name__)


class Patience:
    """With one stage: counts its failures in a row, says when they begin and end, and is over at the last of them."""

    def __init__(self, name: str, most: int = MOST_FAILURES) -> None:
        """most is the failure in a row that is not borne any more; with 1 none is."""
        self._name = name
        self._most = most
        self._failures = 0  # in a row

    def bears(self, error: Exception) -> bool:
        """Notes a failure; whether the run goes on. Work that has counted by itself (KeepsFailing) is not borne."""
        self._failures += 1
        if self._failures >= self._most or isinstance(error, KeepsFailing):
            return False
        if self._failures == 1:
            logger.error(
                "%s failed on a frame, which is replaced or left out, as others are until it works again: %r",
                self._name,
                error,
                exc_info=error,
            )
        return True

    def worked(self) -> None:
        """Notes that the work was done: failures are counted from the beginning again."""
        if self._failures:
            logger.info("%s works again, after %d failures in a row", self._name, self._failures)
        self._failures = 0
