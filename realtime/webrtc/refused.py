"""Why an offer is not taken, with the HTTP status that says so."""

from realtime.errors import LiveswapError


class OfferRefused(LiveswapError):
    """An offer, or a fragment of one, that is not taken: one sentence, and the HTTP status that goes with it."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
