"""``python -m bitsback``: the command, also for ``torchrun -m``."""

from bitsback.cli import main

if __name__ == "__main__":
    main()
