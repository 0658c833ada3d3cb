# Set-up shared by the launcher and ./check: system packages and the Python environment.
# POSIX sh. Read with `root` set to the project's folder; everything is told on stderr.
#
# Environment:
#   DISKWRIGHT_VENV    folder of the environment (default: .venv beside the launcher, or
#                      under the cache folder where that place is not writable)
#   DISKWRIGHT_PYTHON  interpreter to build it from (default: the first fitting one)

# Ordinary users of Debian lack the folders where mke2fs and sfdisk live.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export PATH

say() {
    printf 'diskwright: %s\n' "$*" >&2
}

refuse() {
    say "$@"
    exit 2
}

# --- the environment's folder and its stamps -----------------------------------------

lock_file() {
    case $1 in
        run) printf %s "$root/requirements.lock" ;;
        *) printf %s "$root/requirements-$1.lock" ;;
    esac
}

# Sets `stamp`: what a finished environment in $venv for group $1 says of itself. The folder is
# part of it, since scripts in an environment hold its absolute path. The number counts changes
# to how this file builds environments.
want_stamp() {
    stamp="1 $(sha256sum <"$(lock_file "$1")") $venv $root"
}

# Whether $venv is finished and built from today's lock. A dangling interpreter (Python was
# upgraded or removed) fails the first test.
is_current() {
    [ -x "$venv/bin/python" ] || return 1
    [ -r "$venv/.diskwright-$1" ] || return 1
    want_stamp "$1"
    read -r found <"$venv/.diskwright-$1"
    [ "$found" = "$stamp" ]
}

choose_venv() {
    venv=${DISKWRIGHT_VENV:-$root/.venv}
    [ -n "${DISKWRIGHT_VENV:-}" ] && return
    if [ ! -w "$root" ] && ! is_current "$1"; then
        cache=${XDG_CACHE_HOME:-${HOME:?needed to find a cache folder}/.cache}
        venv=$cache/diskwright/$(printf %s "$root" | sha256sum | cut -c1-16)
    fi
}

# Sets `venv` to an environment that is ready for group $1 (run, dev, efi, fleet, web), building it where needed.
# Two first starts wait for each other; the kernel drops the lock of one that dies.
prepare() {
    choose_venv "$1"
    is_current "$1" && return
    mkdir -p -- "${venv%/*}" || refuse "cannot create ${venv%/*}; set DISKWRIGHT_VENV elsewhere"
    (: >>"$venv.lock") || refuse "cannot write $venv.lock; set DISKWRIGHT_VENV elsewhere"
    exec 9>>"$venv.lock"
    if ! flock -n 9; then
        say "another set-up is running; waiting for it"
        flock 9
    fi
    # Nothing started here may inherit the lock: a daemon would hold it for ever.
    is_current "$1" || build "$1" 9>&-
    exec 9>&-
}

build() {
    ensure_packages "$1"
    [ "$1" = run ] && make_environment
    install_locked "$1"
    want_stamp "$1"
    printf '%s\n' "$stamp" >"$venv/.diskwright-$1"
}

# --- Python ---------------------------------------------------------------------------

python_candidates() {
    printf '%s\n' "${DISKWRIGHT_PYTHON:-python3}"
    [ -n "${DISKWRIGHT_PYTHON:-}" ] && return
    printf '%s\n' python3.14 python3.13 python3.12 python3.11 python
    for candidate in "${PYENV_ROOT:-${HOME:-/nonexistent}/.pyenv}"/versions/3.*/bin/python3; do
        [ -x "$candidate" ] && printf '%s\n' "$candidate"
    done
}

# Prints the versioned path of interpreter $1 if it is new enough. The versioned one, so that an
# environment built from it is seen to be stale once the distribution moves to the next Python.
python_path() {
    "$1" -I - <<'PY' 2>/dev/null
import os, sys
if sys.version_info < (3, 11):
    raise SystemExit(1)
print(os.path.realpath(getattr(sys, "_base_executable", sys.executable)))
PY
}

python_has_venv() {
    "$1" -I -c 'import ensurepip, venv' 2>/dev/null
}

python_has_headers() {
    include=$("$1" -I -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)
    [ -e "$include/Python.h" ]
}

# Sets `python` to the first interpreter >= 3.11 that can make environments and build extensions,
# else to the first >= 3.11, else to nothing.
find_python() {
    python=
    for candidate in $(python_candidates); do
        path=$(python_path "$candidate") || continue
        python=${python:-$path}
        if python_has_venv "$path" && python_has_headers "$path"; then
            python=$path
            return
        fi
    done
}

make_environment() {
    if [ -e "$venv" ] && [ ! -e "$venv/.diskwright" ]; then
        refuse "$venv is not Diskwright's own environment; move it away or set DISKWRIGHT_VENV"
    fi
    say "making the Python environment in $venv"
    rm -rf -- "$venv"
    mkdir -p -- "$venv" && : >"$venv/.diskwright"
    quietly "$python" -I -m venv "$venv"
    site=$("$venv/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$root" >"$site/diskwright.pth"
}

# pyparted comes as source only: its build tool is locked too, hence no build isolation.
install_locked() {
    say "installing locked dependencies ($(lock_file "$1"))"
    [ "$1" = run ] && pip_install "$root/requirements-build.lock"
    # Of what developers need, most is never imported: Python compiles what is.
    compile=
    [ "$1" = dev ] && compile=--no-compile
    pip_install "$(lock_file "$1")" $compile
}

# Installs what the lock file $1 names; further arguments are options of pip.
pip_install() {
    quietly "$venv/bin/python" -I -m pip install --quiet --no-input --disable-pip-version-check \
        --require-hashes --no-build-isolation --requirement "$@"
}

# Runs a command, showing what it printed only if it fails.
quietly() {
    log=$(mktemp) || refuse "cannot create a temporary file"
    if "$@" >"$log" 2>&1 </dev/null; then
        rm -f -- "$log"
        return
    fi
    cat -- "$log" >&2
    rm -f -- "$log"
    refuse "set-up failed at: $* (start again to resume; nothing else was changed)"
}

# --- system packages (setup/packages.txt) ---------------------------------------------

# Prints the rows of group $1: all need those of `run`, developers those of every group.
rows() {
    while read -r group probe packages; do
        case $group in
            '' | '#'*) continue ;;
            run | "$1") ;;
            *) [ "$1" = dev ] || continue ;;
        esac
        printf '%s %s\n' "$probe" "$packages"
    done <"$root/setup/packages.txt"
}

present() {
    case $1 in
        command:*) command -v -- "${1#*:}" >/dev/null ;;
        file:*) any_exists "${1#*:}" ;;
        header:*) printf '#include <%s>\n' "${1#*:}" | gcc -E - >/dev/null 2>&1 ;;
        pkgconfig:*) pkg-config --exists "${1#*:}" 2>/dev/null ;;
        python:interpreter) [ -n "$python" ] ;;
        python:venv) [ -n "$python" ] && python_has_venv "$python" ;;
        python:headers) [ -n "$python" ] && python_has_headers "$python" ;;
        *) refuse "setup/packages.txt: unknown probe $1" ;;
    esac
}

# Whether one of the paths $1, separated by commas, exists: distributions differ in the place.
any_exists() {
    for path in $(printf %s "$1" | tr ',' ' '); do
        [ -e "$path" ] && return
    done
    return 1
}

# Sets `missing` to the rows of group $1 whose probe fails, one a line.
find_missing() {
    find_python
    missing=$(rows "$1" | while read -r probe packages; do
        present "$probe" || printf '%s %s\n' "$probe" "$packages"
    done)
}

# Prints column $1 (2 Debian, 3 Fedora, 4 Arch, 5 Nix) of `missing`, each package once. Of several
# between bars, which are of different releases, it is the first.
package_names() {
    columns "$1" | sed 's/|[^ ]*//g'
}

columns() {
    printf '%s\n' "$missing" | cut -d ' ' -f "$1" | sort -u | tr '\n' ' ' | sed 's/ $//'
}

# Prints packages, of several between bars the first that this release has, else the last.
available() {
    for names in "$@"; do
        while [ "$names" != "${names#*|}" ] &&
            ! apt-cache show "${names%%|*}" >/dev/null 2>&1; do
            names=${names#*|}
        done
        printf '%s\n' "${names%%|*}"
    done
}

ensure_packages() {
    find_missing "$1"
    [ -z "$missing" ] && return
    names=$(package_names 2)
    if command -v apt-get >/dev/null && become_root; then
        say "installing system packages: $names"
        apt_install $(columns 2)
        find_missing "$1"
        [ -z "$missing" ] && return
    fi
    advise
}

# Sets `as_root` to the prefix that gives root's rights; fails where there is none. A password is
# asked for only where somebody can type it.
become_root() {
    as_root=
    [ "$(id -u)" = 0 ] && return
    command -v sudo >/dev/null || return 1
    if sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    elif [ -t 0 ] && [ -t 2 ]; then
        say "sudo is needed to install system packages: $names"
        sudo -v </dev/tty || return 1
        as_root='sudo -n'
    else
        return 1
    fi
}

# A first try without `apt-get update` spares the network where the lists are fresh.
apt_install() {
    log=$(mktemp) || refuse "cannot create a temporary file"
    if ! apt_get install $(available "$@") >"$log" 2>&1; then
        {
            $as_root dpkg --configure -a
            apt_get update
            apt_get install $(available "$@")
        } >"$log" 2>&1 </dev/null || {
            cat -- "$log" >&2
            say "apt-get could not install: $*"
        }
    fi
    rm -f -- "$log"
}

apt_get() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get --yes --quiet --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

advise() {
    say "missing: $(printf '%s\n' "$missing" | cut -d ' ' -f 1 | tr '\n' ' ')"
    say "install what provides them and start again:"
    cat >&2 <<TEXT
  Debian, Ubuntu  sudo apt-get install $(package_names 2)
  Fedora          sudo dnf install $(package_names 3)
  Arch            sudo pacman -S --needed $(package_names 4)
  Nix             nix-shell -p $(package_names 5)
TEXT
    exit 2
}
