"""`python -m lift.cli`, the same as the command `lift`."""

from lift.cli import main

raise SystemExit(main())
