# test_torture.py - thinkwire torture, as far as it does not take its time.
# SPDX-License-Identifier: MIT
import subprocess
import unittest

from house import clean_environment, program


def torture(*words, path=None):
    """Exit code, output, error output."""
    env = clean_environment()
    if path is not None:
        env["PATH"] = path
    done = subprocess.run([program("thinkwire"), "torture", *words], capture_output=True,
                          timeout=240, env=env, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Torture(unittest.TestCase):
    def test_help_tells_the_options_and_the_exit_codes(self):
        code, out, error = torture("--help")
        self.assertEqual((code, error), (0, ""))
        for word in ("--seed", "--seconds", "--brokers", "--tasks", "--keep", "Exit codes"):
            self.assertIn(word, out)

    def test_an_option_that_is_none_cannot_run(self):
        code, out, error = torture("--sedes", "7")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("sedes", error)

    def test_without_redis_it_says_what_is_missing(self):
        code, out, error = torture("--seconds", "1", path="/nowhere")
        self.assertEqual((code, out), (2, ""))
        self.assertIn("redis-server", error)

    def test_a_short_one_finds_nothing(self):
        for seed in ("11", "0"):
            with self.subTest(seed=seed):
                code, out, error = torture("--seconds", "6", "--seed", seed, "--tasks", "3",
                                           "--readers", "4")
                self.assertEqual(code, 0, out + error)
                self.assertRegex(out, r"\nseed \d+\n")
                self.assertRegex(out, r"complete at every reader +[1-9]")


if __name__ == "__main__":
    unittest.main()
