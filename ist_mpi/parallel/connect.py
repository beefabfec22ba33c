"""The exchanges by name."""

from typing import Any

from ist_mpi.parallel.exchange import Alone, Drawings, Exchange, Replicated, Server
from ist_mpi.parallel.serverless import Serverless
from ist_mpi.parallel.team import Team
from ist_mpi.sketches import Sketch

KINDS: dict[str, Any] = {"server": Server, "replicated": Replicated, "serverless": Serverless}


def connect(team: Team, kind: str, sketch: Sketch, drawings: Drawings) -> Exchange:
    """The exchange of that name; with one rank there is nothing to exchange."""
    exchange: Exchange = (Alone if team.size == 1 else KINDS[kind])(team, sketch, drawings)
    return exchange
