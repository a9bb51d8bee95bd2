"""`python -m lilliput` is `lilliput`."""

from lilliput.cli import main

if __name__ == "__main__":
    main()
