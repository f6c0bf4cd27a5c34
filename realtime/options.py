"""Flags that commands share: which models run and how, who may be shown, and how it is marked, signed and noted."""

from pathlib import Path
from typing import Annotated

import typer

ModelFolder = Annotated[str | None, typer.Option(metavar="FOLDER", help="Models in place of the embedded ones.")]
NetworkSize = Annotated[
    str | None, typer.Option(metavar="live|small", help="Of the networks; small draws fewer pixels in less time.")
]
Detector = Annotated[str | None, typer.Option(metavar="centerface|insightface:PACK", help="What finds faces.")]
Provider = Annotated[str | None, typer.Option(metavar="auto|cpu|cuda|...", help="Where models run.")]
Precision = Annotated[
    str | None, typer.Option(metavar="auto|int8|fp32", help="How exactly they run; auto measures once on the CPU.")
]
CudaGraphs = Annotated[
    bool | None, typer.Option("--cuda-graphs/--no-cuda-graphs", help="Have NVIDIA's cards record its runs.")
]
Cores = Annotated[
    str | None, typer.Option(metavar="auto|all|0-3,8", help="That work on frames; auto prefers fast ones.")
]
Threads = Annotated[int | None, typer.Option(metavar="N", help="Of each model on the CPU; 1 on two cores, else 2.")]
Unsure = Annotated[
    str | None,
    typer.Option(
        metavar="blur|hold|blank|pass|raise",
        help="What is shown where a real face may be: as one enters or is lost, after a cut, when a model fails.",
    ),
]
Config = Annotated[Path | None, typer.Option(metavar="FILE.toml", help="The same settings as `run` has, in a file.")]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, help="Say more; -vv for everything.")]
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
