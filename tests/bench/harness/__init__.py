"""The orchestration of tests/bench: start servers, run rows, judge and print."""
