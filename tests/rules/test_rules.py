# test_rules.py - each rule of the house can fail: small bad trees, one fault each.
# SPDX-License-Identifier: MIT
import contextlib
import io
import pathlib
import tempfile
import unittest

import check
import fences
import manners
import rows
from tree import bare_c, files

HEAD = "/* {} - a test. */\n/* SPDX-License-Identifier: MIT */\n"


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def put(self, path, text):
        """A file with the first lines it should have."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        head = HEAD.format(target.name) if target.suffix in (".c", ".h") else ""
        target.write_text(head + text)

    def faults(self, rule):
        return list(rule(self.root, files(self.root)))

    def one(self, rule, words):
        found = self.faults(rule)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def none(self, rule):
        self.assertEqual(self.faults(rule), [])


class Fences(Tree):
    def test_a_room_may_include_itself_and_what_is_below(self):
        self.put("broker/base/buf.h", "")
        self.put("broker/log/topic.h", '#include "base/buf.h"\n')
        self.put("broker/log/topic.c", '#include "log/topic.h"\n#include <stdint.h>\n')
        self.none(fences.arrows)

    def test_an_arrow_up_is_found(self):
        self.put("broker/session/reader.h", "")
        self.put("broker/log/topic.c", '#include "session/reader.h"\n')
        self.one(fences.arrows, "log may not include session")

    def test_the_bus_never_meets_the_transport(self):
        self.put("broker/transport/server.h", "")
        self.put("broker/bus/redis.c", '#include "transport/server.h"\n')
        self.one(fences.arrows, "bus may not include transport")

    def test_an_emitter_may_not_include_the_broker(self):
        self.put("broker/log/hub.h", "")
        self.put("emitters/lib/emit.c", '#include "log/hub.h"\n')
        self.one(fences.arrows, "lib may not include log")

    def test_a_room_outside_the_table_is_found(self):
        self.put("broker/attic/old.c", "")
        self.one(fences.arrows, "belongs to no room")

    def test_a_header_that_does_not_exist_is_found(self):
        self.put("broker/base/buf.c", '#include "base/gone.h"\n')
        self.one(fences.arrows, 'no header "base/gone.h"')

    def test_a_library_is_seen_in_its_room_only(self):
        for room in ("transport", "session"):
            self.put(f"broker/{room}/web.c", "#include <libwebsockets.h>\n")
        self.one(fences.arrows, "session may not see <libwebsockets.h>")

    def test_a_library_in_no_table_is_found(self):
        self.put("broker/base/buf.c", "#include <glib.h>\n")
        self.one(fences.arrows, "<glib.h> is in no table")

    def test_a_link_line_may_not_point_up(self):
        self.put("broker/log/CMakeLists.txt", "thinkwire_room(log SOURCES a.c\n USES schema bus)\n")
        self.one(fences.links, "log may not link bus")

    def test_tests_stand_outside(self):
        self.put("tests/unit/log/test_topic.c", "#include <cmocka.h>\n")
        self.none(fences.arrows)


class Manners(Tree):
    def test_a_c_file_without_its_first_lines_is_found(self):
        (self.root / "a.c").write_text("int a(void);\n")
        self.assertEqual(len(self.faults(manners.first_lines)), 2)

    def test_a_c_file_that_names_another_file_is_found(self):
        (self.root / "a.c").write_text(HEAD.format("b.c"))
        self.one(manners.first_lines, "/* a.c - purpose. */")

    def test_scripts_say_name_and_licence(self):
        for name in ("a.py", "b.mjs", "c.lua", "d.sh"):
            self.put(name, "x\n")
        self.put("run", "#!/bin/sh\n")
        self.assertEqual(len(self.faults(manners.first_lines)), 10)

    def test_a_long_file_is_found(self):
        self.put("a.c", "\n" * 599)
        self.one(manners.lengths, "601 lines")

    def test_a_banned_call_is_found_outside_comments_and_strings(self):
        self.put("a.c", '/* strcpy(a) */ char *s = "strcpy(b)"; my_strcpy(s); x->gets(s);\n')
        self.none(manners.banned_calls)
        self.put("b.c", "n = atoi(text);\n")
        self.one(manners.banned_calls, "atoi() is banned")

    def test_tests_may_take_apart_their_own_words(self):
        self.put("tests/unit/a.c", "strtok_r(a, b, c); strncat(a, b, n);\n")
        self.none(manners.banned_calls)
        self.put("broker/base/a.c", "strtok_r(a, b, c);\n")
        self.one(manners.banned_calls, "broker/base/a.c:3")

    def test_global_mutable_state_is_found(self):
        good = ("static const char *const names[] = {0};\nstatic int f(void);\n"
                "static inline int g(void)\n{\n    int x = 0;\n    return x;\n}\n"
                "struct later;\nextern const int table[3];\nint h(int a);\n")
        self.put("good.c", good)
        self.none(manners.no_globals)
        for number, line in enumerate(["static int hits;", "int hits = 0;", "struct thing it;",
                                       "    static bool once = false;", "char room[12];",
                                       "static struct thing *head;", "_Thread_local int x;"]):
            self.put(f"bad{number}.c", line + "\n")
            self.assertEqual(len(self.faults(manners.no_globals)), number + 1, line)

    def test_a_typedef_of_a_struct_is_found(self):
        self.put("a.h", "typedef void callback(struct thing *thing);\n")
        self.none(manners.no_typedefs)
        self.put("b.h", "typedef struct thing thing_t;\n")
        self.one(manners.no_typedefs, "b.h:3")

    def test_open_ends_are_found(self):
        self.put("a.c", "/* TO" "DO: later */\n")
        self.one(manners.no_open_ends, "left open")

    def test_skipped_tests_are_found(self):
        for number, line in enumerate(["it.sk" "ip('x')", "test('x', { sk" "ip: true })",
                                       "@unittest.sk" "ip", "sk" "ip();", "it.on" "ly('x')"]):
            self.put(f"tests/bad{number}.mjs", line + "\n")
            self.assertEqual(len(self.faults(manners.no_skipped_tests)), number + 1, line)

    def test_a_path_of_a_machine_is_found(self):
        self.put("a.py", "open('/usr/share/x'); open('/tmp/x')\n")
        self.none(manners.no_paths_of_a_machine)
        self.put("b.md", "see /home/" "alice/notes\n")
        self.one(manners.no_paths_of_a_machine, "b.md:1")

    def test_lock_files_are_there_and_carry_no_address(self):
        self.put("tests/a/package.json", "{}")
        self.one(manners.lock_files, "no package-lock.json")
        self.put("tests/a/package-lock.json",
                 '{"packages":{"":{},"ok":{"integrity":"x"},"bad":{"integrity":"x","resolved":"y"}}}')
        self.one(manners.lock_files, "bad carries a download address")


class Rows(Tree):
    def test_a_row_that_no_title_names_is_found(self):
        named = [row for row in rows.expand(rows.PROMISED) if row != "R20"]
        self.put("tests/e2e/a.test.mjs", f"onEachBus('{' '.join(named)} all of it', act);\n")
        self.one(rows.rows_are_tested, "row R20")
        self.put("tests/e2e/b.test.mjs", "// onEachBus\nonEachBus(`R20 costs nothing with ${name}`, act);\n")
        self.none(rows.rows_are_tested)

    def test_rows_of_one_bus_and_rows_behind_the_beginning_do_not_count(self):
        self.assertEqual(list(rows.named('test("R1 a", x); onEachBus("as R2 says", x); test(`R3 (${bus})`, x)')), [])
        self.assertEqual(list(rows.named("onEachBus(\n  'R4 S5 it\\'s said', x)")), ["R4", "S5"])

    def test_a_list_of_rows_has_ranges(self):
        self.assertEqual(list(rows.expand("C1-C3 S10")), ["C1", "C2", "C3", "S10"])


class Whole(Tree):
    def test_comments_and_literals_are_blanked_in_place(self):
        text = 'a; // b\n"c\\"d" /* e\nf */ g;'
        bare = bare_c(text)
        self.assertEqual([len(line) for line in bare.split("\n")],
                         [len(line) for line in text.split("\n")])
        for letter in "bcdef":
            self.assertNotIn(letter, bare)

    def test_one_fault_fails_the_whole(self):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            self.assertEqual(check.main(self.root), 0)
            self.put("broker/base/a.c", "int a = 1;\n")
            self.assertEqual(check.main(self.root), 1)
        self.assertIn("# fail 1", out.getvalue())


if __name__ == "__main__":
    unittest.main()
