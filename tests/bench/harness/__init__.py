# __init__.py - the orchestration of tests/bench: servers, rows, judgement.
# SPDX-License-Identifier: MIT
