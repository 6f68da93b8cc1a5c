#!/bin/sh
# Installs what the local stack runs: MariaDB, Redis, HAProxy, and the client tests' Node modules
# and Python packages; with the argument `chart` those of the chart's tests too, with `browser` those
# of the tests in a browser, and Chromium.
# Says nothing and changes nothing when all is there. Services are neither started nor enabled.
set -eu
cd "$(dirname "$0")/../.."

# Debian keeps server programs in /usr/sbin, which is not on everybody's PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

with_browser=
for argument in "$@"; do
    case $argument in
    browser) with_browser=yes ;;
    chart) ;;
    *)
        echo "set-up: no such argument: $argument (there are chart and browser)" >&2
        exit 2
        ;;
    esac
done

has() { command -v "$1" >/dev/null 2>&1; }

missing_packages() {
    { has mariadbd && has mariadb-install-db; } || echo mariadb-server-core
    { has mariadb && has my_print_defaults; } || echo mariadb-client-core # mariadb-install-db calls it.
    has redis-server || echo redis-server
    has haproxy || echo haproxy
    has setpriv || echo util-linux
    python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    [ -n "$with_browser" ] || return 0
    has chromium || echo chromium
    fonts=/usr/share/fonts/truetype
    [ -e $fonts/dejavu/DejaVuSans.ttf ] || echo fonts-dejavu-core
    [ -e $fonts/noto/NotoColorEmoji.ttf ] || echo fonts-noto-color-emoji
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif has sudo; then
        sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "set-up: needs root to install packages, and there is no sudo" >&2
        return 1
    fi
}

# Packages start their services unless this file forbids it. An existing one is left alone.
policy=/usr/sbin/policy-rc.d
forbid_services() {
    [ ! -e "$policy" ] || return 0
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
}

install_packages() {
    echo "set-up: installing" "$@"
    forbid_services
    as_root apt-get update -qq
    as_root apt-get install -qq -y --no-install-recommends "$@" >/dev/null
    for package in "$@"; do
        case $package in
        redis-server | haproxy)
            ! has systemctl || as_root systemctl disable --quiet "$package" 2>/dev/null || true
            ;;
        esac
    done
}

missing=$(missing_packages)
if [ -n "$missing" ]; then
    if ! has apt-get; then
        echo "set-up: please install (Debian names):" $missing >&2
        exit 1
    fi
    # shellcheck disable=SC2086 # One word a package.
    install_packages $missing
    missing=$(missing_packages)
    if [ -n "$missing" ]; then
        echo "set-up: still missing after the installation:" $missing >&2
        exit 1
    fi
fi

for tests in clients "$@"; do
    [ -e tests/$tests/package-lock.json ] || continue
    # npm writes this file last, so it is as new as the last complete installation.
    installed=tests/$tests/node_modules/.package-lock.json
    [ ! $installed -nt tests/$tests/package-lock.json ] || continue
    if ! has npm; then
        echo "set-up: please install Node.js 20 or newer with npm; tests/$tests needs it" >&2
        exit 1
    fi
    echo "set-up: installing the Node modules of tests/$tests"
    npm ci --prefix tests/$tests --no-audit --no-fund --loglevel=error
    touch $installed
done

# Made anew when the pins change.
for tests in clients "$@"; do
    pins=tests/$tests/requirements.txt
    [ -e $pins ] || continue
    python=.local/$tests-python
    if ! cmp -s $pins $python/requirements.txt; then
        echo "set-up: installing the Python packages of tests/$tests"
        rm -rf $python
        mkdir -p .local
        python3 -m venv $python
        $python/bin/pip install -q --disable-pip-version-check -r $pins
        cp $pins $python/requirements.txt # Last, so that it is there once all is.
    fi
done
