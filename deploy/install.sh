#!/bin/sh
# Installs benchfleet as a service: the program into /opt/benchfleet, its YAML into /etc/benchfleet, and a unit for
# systemd (Linux) or launchd (macOS). Run it again to upgrade: configuration that is there stays as it is.
set -eu

usage() {
    cat <<'END'
Usage: deploy/install.sh --orchestrator | --worker [--orchestrator] [--with ENGINE]… [--python PYTHON] [--dry-run]

  --orchestrator   install the orchestrator's service
  --worker         install the worker's service
  --with ENGINE    also what the worker needs for another engine, and again at each upgrade:
                   openvino   CPU (OpenVINO)
                   cuda       GPU (ONNX) on NVIDIA, in the place of ONNX Runtime for CPUs; some 2 GB
  --python PYTHON  the Python (3.11 or newer) that the program runs on; default: python3
  --dry-run        print what would be done, and do nothing

DESTDIR=FOLDER in the environment installs below FOLDER, as a trial: no user is made, no service is touched.
END
}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit "${2:-1}"
}

programs=''
engines=''
python=python3
dry_run=no
while [ $# -gt 0 ]; do
    case $1 in
        --orchestrator | --worker) programs="$programs ${1#--}" ;;
        --with)
            case ${2:-} in
                openvino | cuda) engines="$engines $2" ;;
                *) fail "--with takes openvino or cuda, and not '${2:-}'" 2 ;;
            esac
            shift
            ;;
        --python)
            [ $# -ge 2 ] || fail '--python needs the path of a Python' 2
            python=$2
            shift
            ;;
        --dry-run) dry_run=yes ;;
        --help | -h)
            usage
            exit 0
            ;;
        *) fail "there is no option '$1'; see --help" 2 ;;
    esac
    shift
done
[ -n "$programs" ] || fail 'say which service to install: --orchestrator, --worker, or both' 2

source_dir=$(cd "$(dirname "$0")/.." && pwd)
root=${DESTDIR:-}
system=$(uname -s)
opt=$root/opt/benchfleet
etc=$root/etc/benchfleet
case $system in
    Linux)
        user=benchfleet
        home=/var/lib/benchfleet
        ;;
    Darwin)
        user=_benchfleet
        home='/Library/Application Support/benchfleet'
        ;;
    *) fail "services are for Linux and macOS, and this is $system; run 'benchfleet worker' by other means" ;;
esac

# Every step that changes something goes through here.
run() {
    if [ "$dry_run" = yes ]; then
        printf '%s\n' "$*"
    else
        "$@"
    fi
}

check() {
    [ "$dry_run" = yes ] && return
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "$python is missing or older than Python 3.11; name another with --python"
    [ -n "$root" ] || [ "$(id -u)" -eq 0 ] || fail 'only root may install services; try: sudo deploy/install.sh …'
}

install_engine() {
    # Both ONNX Runtimes bring the same module, and one would overwrite half of the other.
    [ "$1" != cuda ] || run "$opt/bin/python" -m pip uninstall --quiet --yes onnxruntime
    run "$opt/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement "$source_dir/requirements-$1.lock"
}

install_program() {
    run "$python" -m venv "$opt"
    run "$opt/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
        --requirement "$source_dir/requirements.lock"
    for engine in $engines; do install_engine "$engine"; done
    # Built from a copy, so that nothing of root's is left in the source folder.
    copy=/tmp/benchfleet-source
    [ "$dry_run" = yes ] || copy=$(mktemp -d)
    run cp -R "$source_dir/daemons" "$source_dir/tui" "$source_dir/pyproject.toml" "$source_dir/README.md" \
        "$source_dir/LICENSE" "$copy"
    run "$opt/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
        --force-reinstall "$copy"
    run rm -rf "$copy"
}

install_configuration() {
    run mkdir -p "$etc/schema"
    for program in $programs; do
        if [ -e "$etc/$program.yaml" ]; then
            printf '# %s is there and stays as it is\n' "$etc/$program.yaml"
        else
            run cp "$source_dir/config/$program.yaml" "$etc/$program.yaml"
            run chmod 0644 "$etc/$program.yaml"
        fi
        run cp "$source_dir/config/schema/$program.json" "$etc/schema/$program.json"
    done
}

make_linux_user() {
    id "$user" >/dev/null 2>&1 ||
        run useradd --system --user-group --home-dir "$home" --no-create-home --shell /usr/sbin/nologin "$user"
    # GPUs belong to these groups, where there are any.
    for group in video render; do
        if getent group "$group" >/dev/null; then
            run usermod --append --groups "$group" "$user"
        fi
    done
}

# The first identifier from 300 to 399 that neither a user nor a group has.
free_macos_id() {
    { dscl . -list /Users UniqueID && dscl . -list /Groups PrimaryGroupID; } |
        awk '{ taken[$2] = 1 } END { for (id = 300; id < 400; id++) if (!(id in taken)) { print id; exit } }'
}

make_macos_user() {
    if ! id "$user" >/dev/null 2>&1; then
        number=ID
        [ "$dry_run" = yes ] || number=$(free_macos_id)
        [ -n "$number" ] || fail "no identifier from 300 to 399 is free for the user $user"
        run dscl . -create "/Groups/$user" PrimaryGroupID "$number"
        run dscl . -create "/Users/$user" UniqueID "$number"
        run dscl . -create "/Users/$user" PrimaryGroupID "$number"
        run dscl . -create "/Users/$user" UserShell /usr/bin/false
        run dscl . -create "/Users/$user" NFSHomeDirectory "$home"
        run dscl . -create "/Users/$user" IsHidden 1
    fi
}

install_systemd_unit() {
    run mkdir -p "$root/etc/systemd/system"
    run cp "$source_dir/deploy/systemd/benchfleet-$1.service" "$root/etc/systemd/system/"
    [ "$1" != orchestrator ] || run cp "$source_dir/deploy/systemd/benchfleet-$1.socket" "$root/etc/systemd/system/"
    [ -z "$root" ] || return 0
    if ! command -v systemctl >/dev/null; then
        printf '# systemd does not run here: start %s by other means\n' "$opt/bin/benchfleet $1"
        return
    fi
    run systemctl daemon-reload
    run systemctl try-restart "benchfleet-$1.service"
    printf '# Now edit %s, then: systemctl enable --now benchfleet-%s\n' "$etc/$1.yaml" "$1"
}

# launchd reads a changed plist only when the job is loaded anew, which it refuses until the old one has ended.
restart_launchd_job() {
    run launchctl bootout "system/benchfleet.$1" || true
    while [ "$dry_run" = no ] && launchctl print "system/benchfleet.$1" >/dev/null 2>&1; do sleep 1; done
    run launchctl bootstrap system "$2"
}

install_launchd_job() {
    plist=$root/Library/LaunchDaemons/benchfleet.$1.plist
    run mkdir -p "$root/Library/LaunchDaemons" "$root$home/$1" "$root/Library/Logs/benchfleet"
    run cp "$source_dir/deploy/launchd/benchfleet.$1.plist" "$plist"
    run chmod 0644 "$plist"
    [ -z "$root" ] || return 0
    # launchd refuses a plist that somebody else than root could change.
    run chown root:wheel "$plist"
    run chown -R "$user:$user" "$home" /Library/Logs/benchfleet
    if launchctl print "system/benchfleet.$1" >/dev/null 2>&1; then
        restart_launchd_job "$1" "$plist"
    else
        printf '# Now edit %s, then: sudo launchctl bootstrap system %s\n' "$etc/$1.yaml" "$plist"
    fi
}

check
install_program
install_configuration
case $system in
    Linux)
        [ -n "$root" ] || make_linux_user
        for program in $programs; do install_systemd_unit "$program"; done
        ;;
    Darwin)
        [ -n "$root" ] || make_macos_user
        for program in $programs; do install_launchd_job "$program"; done
        ;;
esac
