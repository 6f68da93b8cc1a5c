"""The image and compose, as far as that can be told where there is no container engine."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64decode
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser
from support import PROGRAMS, ROOT, env, of_kind, render, rendered, services, values

BIN = Path(sys.executable).parent
DOCKERFILE = DockerfileParser(str(ROOT / "deploy/Dockerfile"))
COMPOSE = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
OURS = {"gateway-1": "socket-gateway", "gateway-2": "socket-gateway", "message-api": "message-api"}
# What distroless/cc has of these, all of glibc and libgcc.
SHARED = re.compile(r"(linux-vdso|libc|libm|libgcc_s|libpthread|libdl|librt|ld-linux-\S+)\.so\.\d+")


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def stages():
    """The instructions of each stage."""
    found = []
    for step in DOCKERFILE.structure:
        if step["instruction"] == "FROM":
            found.append([])
        if found:
            found[-1].append((step["instruction"], step["value"]))
    return found


def test_hadolint_has_nothing_to_say():
    told = run(BIN / "hadolint", ROOT / "deploy/Dockerfile")
    assert told.returncode == 0, told.stdout


def test_the_runtime_stage_has_no_shell_and_is_not_root():
    last = stages()[-1]
    builder = re.search(r"rust:\S*-(\w+) AS", DOCKERFILE.content)[1]
    assert last[0] == ("FROM", "gcr.io/distroless/cc-debian12:nonroot AS runtime")
    assert builder == "bookworm", "programs need the glibc of their builder: Debian 12"
    assert {"RUN", "ADD", "SHELL"}.isdisjoint(name for name, _ in last)
    assert ("USER", "65532:65532") in last
    [command] = [value for name, value in last if name == "CMD"]
    assert command.startswith("["), "there is no shell to read it"


def test_builds_are_locked():
    builds = [
        value for stage in stages() for name, value in stage if name == "RUN" and "cargo" in value
    ]
    for value in builds:
        assert "--locked" in value or "chef prepare" in value


def test_the_web_client_is_complete_before_the_programs_are_compiled():
    web = "services/message-api/web"
    made = next(stage for stage in stages() if stage[0][1].endswith(" AS web"))
    copied = " ".join(value for name, value in made if name == "COPY").split()
    for name in ("package.json", "package-lock.json", ".npmrc", "vendor.sh"):
        assert f"{web}/{name}" in copied and (ROOT / web / name).is_file(), name
    assert ("RUN", "./vendor.sh") in made
    builder = next(stage for stage in stages() if stage[0][1].endswith(" AS builder"))
    steps = [value for _, value in builder]
    vendored = steps.index(f"--from=web /web/vendor {web}/vendor")
    assert vendored < next(at for at, step in enumerate(steps) if "cargo build" in step)


def test_the_image_has_the_commands_and_the_user_that_chart_and_compose_ask_for():
    made = re.search(r"install -D -t /out(\S+) (.*?) &&", DOCKERFILE.content)
    programs = {f"{made[1]}/{Path(path).name}" for path in made[2].split()}
    for _, _, spec, container in services(rendered("minimal")):
        assert container["command"][0] in programs
        assert spec["securityContext"]["runAsUser"] == 65532
    for name, program in OURS.items():
        assert COMPOSE["services"][name]["command"] == [f"/usr/local/bin/{program}"]
    assert programs == {f"/usr/local/bin/{program}" for program in OURS.values()}


def test_the_build_context_has_the_workspace_and_little_else(tmp_path):
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in patterns if line and not line.startswith("#")]
    sent = [Path(path) for path in exclude_paths(str(ROOT), patterns)]
    sent = [path for path in sent if (ROOT / path).is_file()]
    for path in sent:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    told = run(
        "cargo",
        "metadata",
        "--locked",
        "--offline",
        "--no-deps",
        "--format-version=1",
        cwd=tmp_path,
    )
    assert told.returncode == 0, told.stderr
    unwanted = ("*node_modules*", "*/vendor/*", "target/*", ".git/*", ".local/*", "deploy/secrets/*", "helm/*")
    assert not [path for path in sent if any(fnmatch(path, pattern) for pattern in unwanted)]


def test_compose_is_what_compose_takes():
    told = run(
        BIN / "check-jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        ROOT / "deploy/compose.yaml",
    )
    assert told.returncode == 0, told.stdout


def test_every_container_of_compose_is_shut_in():
    for name, service in COMPOSE["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        for variable in service.get("environment", {}):
            is_secret = re.search(
                r"(^MYSQL_PASSWORD|TOKEN|SECRET|DATABASE_URL|REDIS_URL)", variable
            )
            assert not is_secret or variable.endswith("_FILE"), (name, variable)


def test_our_containers_are_healthy_by_their_own_word_and_get_their_grace():
    for name, program in OURS.items():
        service = COMPOSE["services"][name]
        assert service["healthcheck"]["test"] == ["CMD", f"/usr/local/bin/{program}", "--health"]
        told = service["environment"]
        grace = int(service["stop_grace_period"].removesuffix("s"))
        assert grace >= int(told["DRAIN_DELAY"]) + int(told["SHUTDOWN_GRACE"]) + 3


def secrets_made(at):
    """The files of deploy/secrets.sh there, once it has run."""
    told = run(ROOT / "deploy/secrets.sh", at)
    assert told.returncode == 0, told.stderr
    return {path.name: path.read_text() for path in (at / "secrets").iterdir()}


def test_compose_gets_its_secrets_once(tmp_path):
    files = secrets_made(tmp_path)
    assert secrets_made(tmp_path) == files
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"] == f"./secrets/{name}" and files[name].strip()
    for name, service in COMPOSE["services"].items():
        given = {f"/run/secrets/{secret}" for secret in service.get("secrets", [])}
        told = str(service.get("environment")) + str(service.get("command"))
        assert set(re.findall(r"/run/secrets/\w+", told)) == given, name
    assert files["mysql_password"].strip() in files["database_url"]
    assert files["redis_password"].strip() in files["redis_url"]
    assert (tmp_path / "secrets").stat().st_mode & 0o77 == 0


def test_haproxy_takes_the_configuration_of_compose():
    path = os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin"
    files = ("-f", ROOT / "deploy/haproxy.cfg", "-f", ROOT / "deploy/servers.compose.cfg")
    told = run("haproxy", "-c", *files, env={"PATH": path, "FRONT_BIND": "*:3000"})
    assert told.returncode == 0, told.stderr
    hosts = re.findall(r"server \S+ ([\w-]+):", (ROOT / "deploy/servers.compose.cfg").read_text())
    assert set(hosts) == set(OURS)


@pytest.mark.parametrize("program", sorted(set(OURS.values())))
def test_the_programs_need_only_what_the_base_image_has(program):
    told = run("ldd", ROOT / "target/debug" / program).stdout
    needed = [Path(line.split()[0]).name for line in told.splitlines()]
    assert needed and all(SHARED.fullmatch(name) for name in needed), needed


CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"


def bare_root(at):
    """The image's files: the programs, the shared libraries that they name, and certificates."""
    shutil.rmtree(at, ignore_errors=True)
    (at / "var/lib/switchboard").mkdir(parents=True)
    (at / "usr/local/bin").mkdir(parents=True)
    for program in set(OURS.values()):
        source = ROOT / "target/debug" / program
        shutil.copy(source, at / "usr/local/bin")
        for library in re.findall(r"(/\S+) \(0x", run("ldd", source).stdout):
            (at / library[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, at / library[1:])
    (at / CERTIFICATES).parent.mkdir(parents=True)
    shutil.copy(Path("/") / CERTIFICATES, at / CERTIFICATES)


def inside(root, *command):
    """A command in that root: read-only, but for a volume on /var/lib/switchboard, and not as root."""
    script = (
        'mount --bind "$0" "$0" && mount -t tmpfs -o mode=777 tmpfs "$0/var/lib/switchboard" && '
        'mount -o remount,bind,ro "$0" && exec '
    )
    if os.geteuid() == 0:
        flags, become = [], "chroot --userspec=65532:65532"
    else:
        flags, become = ["--map-root-user"], "chroot"
    return [
        "unshare",
        "--mount",
        *flags,
        "sh",
        "-c",
        f'{script}{become} "$0" "$@"',
        str(root),
        *command,
    ]


def free_ports(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@pytest.fixture(scope="module")
def root():
    at = ROOT / ".local/image-root"
    bare_root(at)
    if run(*inside(at, "/usr/local/bin/message-api", "--version"), env=PATH).returncode != 0:
        pytest.skip("this machine lets nobody mount and chroot")
    yield at
    shutil.rmtree(at)


PATH = {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def comes_up(root, program, given):
    """Starts it in that root, waits until it says that it is healthy, stops it."""
    http, grpc, admin = free_ports(3)
    ports = {"HTTP_ADDR": http, "GRPC_ADDR": grpc, "ADMIN_ADDR": admin}
    given = PATH | given | {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    command = f"/usr/local/bin/{program}"
    health = lambda: run(*inside(root, command, "--health"), env=given)
    assert health().returncode == 1, "nobody is there yet"
    with subprocess.Popen(inside(root, command), env=given, stderr=subprocess.PIPE) as running:
        try:
            until = time.monotonic() + 30
            while health().returncode != 0:
                assert running.poll() is None and time.monotonic() < until, running.stderr.read()
            status = Path(f"/proc/{running.pid}/status").read_text()
            if os.geteuid() == 0:
                assert re.search(r"^Uid:\s+65532\s", status, re.MULTILINE)
        finally:
            running.kill()
    assert health().returncode == 1


# Nobody listens there: health is not to depend on it.
NOWHERE = {
    "DATABASE_URL": "mysql://u:p@127.0.0.1:1/chat",
    "REDIS_URL": "redis://127.0.0.1:1",
    "JWT_SECRET": "a secret of the tests, 32 bytes!",
    "SERVICE_TOKEN": "a token of tests, long enough",
}


@pytest.mark.parametrize("program", sorted(set(OURS.values())))
def test_it_runs_in_a_bare_read_only_root_and_tells_its_health(root, program):
    comes_up(root, program, NOWHERE | {"MEDIA_URL": "file:///var/lib/switchboard/media"})


def without_tls(given):
    """Certificates would have to be real."""
    secured = ("grpcTls", "redis", "database")
    return {key: value for key, value in given.items() if key not in secured} | {
        "redis": {"existingSecret": "chat-redis"},
        "database": {"existingSecret": "chat-database"},
        "serviceTokens": {},
    }


@pytest.mark.parametrize("name", ["minimal", "try-out", "every-setting"])
@pytest.mark.parametrize("component", PROGRAMS)
def test_the_programs_take_what_the_chart_gives_them(root, name, component):
    given = values(name) if name != "every-setting" else without_tls(values(name))
    found = render(given)
    [container] = [c for of, _, _, c in services(found) if of == component]
    files = NOWHERE | {
        key: b64decode(value).decode()
        for secret in of_kind(found, "Secret")
        for key, value in secret["data"].items()
    }
    for told in of_kind(found, "ConfigMap"):
        files |= told["data"]
    at = root / "etc/switchboard/secrets"
    at.mkdir(parents=True, exist_ok=True)
    for variable, path in env(container).items():
        if variable.endswith("_FILE"):
            (root / path[1:]).write_text(files[Path(path).name])
    comes_up(root, PROGRAMS[component], env(container))


def test_that_root_is_read_only(root):
    given = NOWHERE | {"MEDIA_URL": "file:///media"}
    told = run(*inside(root, "/usr/local/bin/message-api"), env=PATH | given)
    assert told.returncode == 2 and "MEDIA_URL" in told.stderr and "Read-only" in told.stderr
