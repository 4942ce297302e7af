"""`python -m diffloom.verification SESSION`: one process of a trial, described in JSON. `diffloom verify-resume` starts
these."""

import sys

from diffloom.errors import DiffloomError
from diffloom.verification.session import Session

try:
    Session.from_json(sys.argv[1]).run()
except DiffloomError as error:
    sys.exit(f"error: {error}")
