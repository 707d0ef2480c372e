"""``python -m portkin``."""

from portkin.cli import main

if __name__ == "__main__":
    main()
