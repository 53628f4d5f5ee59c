"""``python -m carom`` is the ``carom`` command."""

from .cli import main

if __name__ == "__main__":
    main()
