# test_setup.py - setting up a machine or an image: what is installed, asked for and started.
# SPDX-License-Identifier: MIT
"""deps.sh meets machines made of small stand-ins; Dockerfile and docker-compose.yml, which
need a container engine to run, are held against the sources, the programs and --check-config."""
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ["THINKWIRE_BIN"])
DEPS = (ROOT / "tests/setup/deps.sh").read_text()
PACKAGES = re.search(r"DEBIAN_PACKAGES='\n(.*?)\n'", DEPS, re.S).group(1)
PROGRAMS = ("thinkwired", "thinkwire-worker", "thinkwire")


def packages(group):
    return [line.split()[1] for line in PACKAGES.splitlines() if line.split()[0] == group]


def ask(*command):
    return subprocess.run([str(part) for part in command], check=True, text=True,
                          capture_output=True).stdout


class Machine:
    """A PATH of its own: a Debian on which only what a test says is installed."""

    def __init__(self, test):
        folder = tempfile.TemporaryDirectory()
        test.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        for name in ("awk", "bash", "cat", "env", "head", "sed", "sort", "tr", "touch"):
            (self.path / name).symlink_to(shutil.which(name))
        self.installed = self.path / "installed"
        self.installed.write_text("")
        self.says("id", "echo 0")
        self.says("dpkg-query", f'grep -qx "${{@: -1}}" {self.installed} && echo installed')
        (self.path / "grep").symlink_to(shutil.which("grep"))
        self.cmake("3.25.1")
        self.apt("exit 0")

    def says(self, name, body):
        script = self.path / name
        script.write_text(f'#!/bin/bash\n{body}\n')
        script.chmod(0o755)

    def cmake(self, version):
        self.says("cmake", f"echo cmake version {version}")

    def apt(self, body):
        """apt-get notes what it was asked, and then does `body`."""
        self.says("apt-get", f'echo "$@" >>{self.path}/asked\n{body}')

    def asked(self):
        """What apt-get was asked, without its options."""
        path = self.path / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        return [[word for word in line.split() if "=" not in word and not word.startswith("-")]
                for line in lines]

    def install(self, group):
        return subprocess.run(
            ["/bin/bash", "-euc", f'. tests/setup/deps.sh; deps_install {group}'], cwd=ROOT,
            env={"PATH": str(self.path)}, stdin=subprocess.DEVNULL, text=True,
            capture_output=True)


class Packages(unittest.TestCase):
    def test_a_bare_machine_gets_all_that_run_needs_and_nothing_of_check(self):
        machine = Machine(self)
        answer = machine.install("run")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        # cmake is there, wherever it came from.
        wanted = [name for name in packages("run") if name != "cmake"]
        self.assertEqual(machine.asked(), [["install", *wanted]])

    def test_check_needs_what_run_needs_too(self):
        machine = Machine(self)
        machine.says("node", "echo v18.19.0")
        machine.install("check")
        [[verb, *wanted]] = machine.asked()
        self.assertEqual(verb, "install")
        self.assertLessEqual({*packages("run"), "clang", "npm"} - {"cmake"}, set(wanted))
        self.assertNotIn("nodejs", wanted)

    def test_where_nothing_is_missing_nobody_is_asked(self):
        machine = Machine(self)
        machine.installed.write_text("\n".join(packages("run")) + "\n")
        answer = machine.install("run")
        self.assertEqual((answer.returncode, answer.stdout, machine.asked()), (0, "", []))

    def test_package_lists_that_are_absent_are_fetched(self):
        machine = Machine(self)
        machine.apt(f"[ -e {machine.path}/fresh ] || case $* in *update*) touch {machine.path}/fresh;; *) exit 100;; esac")
        answer = machine.install("run")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual([verb for verb, *_ in machine.asked()], ["install", "update", "install"])

    def test_what_cannot_be_installed_is_named(self):
        machine = Machine(self)
        machine.apt("exit 100")
        answer = machine.install("run")
        self.assertNotEqual(answer.returncode, 0)
        self.assertIn("could not install:", answer.stderr)
        self.assertIn("libwebsockets-dev", answer.stderr)

    def test_a_plain_user_goes_through_sudo_which_must_not_ask(self):
        machine = Machine(self)
        machine.says("id", "echo 1000")
        machine.says("sudo", f'[ "$1" = -n ] || exit 1; echo sudo >>{machine.path}/sudo; shift; exec "$@"')
        self.assertEqual(machine.install("run").returncode, 0)
        self.assertTrue((machine.path / "sudo").exists())
        self.assertEqual(len(machine.asked()), 1)

    def test_a_plain_user_without_sudo_is_told_what_to_install(self):
        machine = Machine(self)
        machine.says("id", "echo 1000")
        answer = machine.install("run")
        self.assertNotEqual(answer.returncode, 0)
        self.assertRegex(answer.stderr, r"  apt-get install .*libhiredis-dev")
        self.assertEqual(machine.asked(), [])

    def test_an_old_cmake_is_refused(self):
        machine = Machine(self)
        machine.cmake("3.18.4")
        answer = machine.install("run")
        self.assertNotEqual(answer.returncode, 0)
        self.assertIn("3.18.4 is too old", answer.stderr)

    def test_every_library_that_cmake_looks_for_is_in_the_list(self):
        modules = re.findall(r"pkg_check_modules\(\w+ REQUIRED IMPORTED_TARGET (\S+)\)",
                             (ROOT / "CMakeLists.txt").read_text())
        self.assertGreaterEqual(len(modules), 7)
        for module in modules:
            folder = ask("pkg-config", "--variable=pcfiledir", module).strip()
            owner = ask("dpkg-query", "-S", f"{folder}/{module}.pc").split(":")[0]
            self.assertIn(owner, packages("run"), module)


class Image(unittest.TestCase):
    """The Dockerfile, which no engine builds here."""

    def setUp(self):
        text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
        stages = re.split(r"^FROM ", text, flags=re.M)[1:]
        self.build, self.run_time = stages
        self.installs = [
            set(re.search(r"apt-get install -y --no-install-recommends (.*?)&&", stage).group(1).split())
            for stage in stages]

    def test_the_build_stage_installs_what_a_build_needs(self):
        # What run needs beyond that starts things, or answers a newcomer.
        wanted = {*packages("run")} - {"redis-server", "curl", "ca-certificates"}
        self.assertEqual(self.installs[0], wanted)

    def test_the_last_stage_installs_the_libraries_of_the_programs(self):
        owners = set()
        for program in PROGRAMS:
            for line in ask("ldd", BIN / program).splitlines():
                name = line.split()[0]
                if name in ask("readelf", "-d", BIN / program):
                    owners.add(self.owner(line.split("=>")[1].split()[0]))
        owners -= {"libc6", "libgcc-s1"}
        self.assertIn("libwebsockets17", owners)
        self.assertLessEqual(owners, self.installs[1])
        # Loaded by name at the start; and who calls a provider trusts its certificate.
        self.assertLessEqual({"libwebsockets-evlib-uv", "ca-certificates"}, self.installs[1])

    def owner(self, path):
        for place in (path, path.removeprefix("/usr"), "/usr" + path):
            found = subprocess.run(["dpkg-query", "-S", place], text=True, capture_output=True)
            if found.returncode == 0:
                return found.stdout.split(":")[0]
        raise AssertionError(f"no package owns {path}")

    def test_what_is_built_is_what_is_copied(self):
        targets = re.search(r"--target (.*)", self.build).group(1).split()
        copied = re.search(r"COPY --from=build (.*) /usr/local/bin/", self.run_time).group(1)
        self.assertEqual({pathlib.PurePath(path).name for path in copied.split()}, set(PROGRAMS))
        self.assertEqual(set(targets), {"thinkwired", "thinkwire_worker", "thinkwire_cli"})
        self.assertIn("\nUSER thinkwire\n", self.run_time)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Ports(unittest.TestCase):
    """./run begins with the port it is told."""

    def next_from(self, port):
        return int(ask("bash", "-c", f". {ROOT}/tests/setup/deps.sh; free_port {port}"))

    def test_a_port_nobody_has_is_taken(self):
        port = free_port()
        self.assertEqual(self.next_from(port), port)

    def test_one_that_somebody_listens_on_is_left(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            self.assertGreater(self.next_from(port), port)

    def test_one_that_is_the_own_end_of_a_connection_is_left(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            with socket.create_connection(server.getsockname()) as client:
                port = client.getsockname()[1]
                self.assertGreater(self.next_from(port), port)


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    def command(self, service):
        """What a service of our image runs: its entry point, else the image's, and its words."""
        image = re.search(r"^ENTRYPOINT (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.M)
        entry = service.get("entrypoint") or yaml.safe_load(image.group(1))
        return [str(BIN / entry[0]), *entry[1:], *shlex.split(service["command"])]

    def test_there_are_redis_broker_and_worker_and_only_the_broker_is_seen_from_this_machine(self):
        self.assertEqual(set(self.services), {"redis", "broker", "worker"})
        ports = [port for one in self.services.values() for port in one.get("ports", [])]
        self.assertEqual(ports, ["127.0.0.1:9000:9000"])
        for name in ("broker", "worker"):
            self.assertEqual(self.services[name]["build"], ".")
            self.assertEqual(self.services[name]["depends_on"], ["redis"])

    def test_the_programs_take_their_command_lines(self):
        for name in ("broker", "worker"):
            command = self.command(self.services[name])
            self.assertIn("redis://redis:6379", command)
            answer = subprocess.run([*command, "--check-config"], text=True, capture_output=True)
            self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
            broken = subprocess.run([*command, "--check-config", "--no-such-option"], capture_output=True)
            self.assertNotEqual(broken.returncode, 0)

    def test_names_from_the_environment_are_known_to_the_worker(self):
        text = ask(BIN / "thinkwire-worker", "--help")
        for name in self.services["worker"]["environment"]:
            self.assertIn(name, text)

    def test_redis_starts_with_the_file_that_is_mounted_and_the_broker_finds_it_fit(self):
        service = self.services["redis"]
        mounts = dict(volume.split(":")[:2] for volume in service["volumes"])
        [ours] = [source for source, target in mounts.items() if target.endswith(".conf")]
        command = [str(ROOT / ours) if word == mounts[ours] else word
                   for word in shlex.split(service["command"])]
        self.assertIn(str(ROOT / ours), command)
        with tempfile.TemporaryDirectory() as folder:
            redis_port, port = free_port(), free_port()
            # On loopback here: the container's network is its own.
            command = ["127.0.0.1" if word == "0.0.0.0" else word for word in command]
            self.start([*command, "--port", str(redis_port), "--dir", folder])
            broker = self.command(self.services["broker"])
            self.start([word.replace("redis:6379", f"127.0.0.1:{redis_port}").replace("0.0.0.0:9000", f"127.0.0.1:{port}")
                        for word in broker])
            self.until(f"http://127.0.0.1:{port}/readyz")

    def start(self, command):
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.send_signal, signal.SIGKILL)

    def until(self, url, seconds=30):
        for _ in range(seconds * 10):
            if subprocess.run(["curl", "-fs", url], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        self.fail(f"{url} does not answer")


if __name__ == "__main__":
    unittest.main()
