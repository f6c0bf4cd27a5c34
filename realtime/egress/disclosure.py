"""How the audience is told where there is no visible label."""

from realtime.errors import SettingsError


def told(disclosure: str) -> str:
    """A sentence that says how the audience is told, without the space around it. Raises SettingsError for none."""
    sentence = " ".join(disclosure.split())
    if not any(letter.isalpha() for letter in sentence):
        raise SettingsError(
            f"the disclosure {disclosure!r} says nothing, wanted how the audience is told, "
            'such as "the presenter says so at the beginning"'
        )
    return sentence
