"""`python -m chatelier` is the command `chatelier`."""

from chatelier.core.cli.main import main

if __name__ == "__main__":
    main()
