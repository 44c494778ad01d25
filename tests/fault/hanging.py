"""`repomesh` with a thread that never ends: `python hanging.py WORD…`."""

from __future__ import annotations

import threading

from repomesh.cli.main import main
from repomesh.kernel import limits

if __name__ == "__main__":
    limits.STOP_FORCED_S = 0.5
    threading.Thread(target=threading.Event().wait, name="hanging").start()
    main()
