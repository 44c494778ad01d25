"""`repomesh` with some limits changed: `python limited.py JSON WORD…`."""

from __future__ import annotations

import json
import sys

from repomesh.cli.main import main
from repomesh.kernel import limits

if __name__ == "__main__":
    program, changed, *words = sys.argv
    for name, value in json.loads(changed).items():
        assert hasattr(limits, name), name
        setattr(limits, name, value)
    sys.argv = [program, *words]
    main()
