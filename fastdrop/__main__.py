"""``python -m fastdrop`` is the command ``fastdrop``."""

from fastdrop.cli import main

if __name__ == "__main__":
    main(prog_name="fastdrop")
