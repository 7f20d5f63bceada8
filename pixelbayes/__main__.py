"""`python -m pixelbayes` is `pixelbayes`."""

import sys

from pixelbayes.cli import main

if __name__ == "__main__":
    sys.exit(main())
