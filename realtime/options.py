"""Flags that `liveswap run` and `liveswap serve` share: who may be shown, and how it is marked, signed and noted."""

from typing import Annotated

import typer

Labelled = Annotated[
    bool | None, typer.Option("--label/--no-label", help="The visible label; without it --i-disclose is needed.")
]
Disclosed = Annotated[
    str | None,
    typer.Option("--i-disclose", metavar="SENTENCE", help="How the audience is told instead; goes with --no-label."),
]
LabelLanguage = Annotated[str | None, typer.Option(metavar="en|de|el|es|fr|it|pl|uk", help="Of the label.")]
LabelStyle = Annotated[
    str | None, typer.Option(metavar="text|icon|badge", help="Words, a spark and words, or a spark and letters.")
]
LabelSize = Annotated[str | None, typer.Option(metavar="small|medium|large", help="Of the label.")]
LabelCorner = Annotated[
    str | None,
    typer.Option(metavar="bottom-left|bottom-right|top-left|top-right", help="Where it is while no face stays there."),
]
Signing = Annotated[
    str | None,
    typer.Option(metavar="FILE.pem", help="Key and certificates for content credentials, in place of our own."),
]
Logged = Annotated[
    bool | None,
    typer.Option("--session-log/--no-session-log", help="Note locally who was shown when, so that marks can be told."),
]
Revoked = Annotated[
    str | None, typer.Option(metavar="FILE.toml", help="Identities that must not be used, beside expired ones.")
]
