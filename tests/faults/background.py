"""What goes on beside a run: on a thread of its own, from entering to leaving."""

import threading
from typing import Self


class Background:
    """Runs ``_run`` on a thread; ``_over`` is set when it has to end."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__.lower(), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        raise NotImplementedError
