"""What links of checkpoints say, to be compared."""

from collections.abc import Sequence

import msgspec

from streams.engine.snapshot import read_chain
from streams.engine.spec import EngineSpec
from streams.engine.waiting import held_in

__all__ = ["known"]


def known(links: Sequence[bytes], spec: EngineSpec, partition: int = 0) -> tuple[object, ...]:
    """All that a chain comes to, without the order in which it came."""
    state = read_chain(links, spec, partition)
    numbers = {head.number for head in state.core.minutes}
    identities = {
        (one.number, one.packed[place : place + 8])
        for one in state.identities
        if one.number in numbers
        for place in range(0, len(one.packed), 8)
    }
    core = msgspec.structs.replace(state.core, held=[])
    return core, held_in(state.core.held, core.waits_from_ms), state.stores, state.runs, identities
