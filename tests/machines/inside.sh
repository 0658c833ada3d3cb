#!/bin/sh
# Runs in a bare machine, in a clone of the project, and proves it there.
#
#   inside.sh setup           sets up the project, for builds and then for tests
#   inside.sh network         whether what set-up downloads from answers
#   inside.sh examples OUT    builds every example that needs no download, and prints
#                             "SHA-256 NAME" of each image
#   inside.sh tests PATH...   runs the quick tests; what fails on a loaded computer is tried once
#                             more, by itself, and then decides, as .ci/run does
set -eu

verb=$1
shift
case $verb in
    setup)
        ./diskwright --version >&2
        root=$PWD
        . setup/lib.sh
        prepare dev
        ;;
    network)
        apt-get -q -o APT::Update::Error-Mode=any update >&2
        probe=$(mktemp -d)
        python3 -m venv "$probe/venv"
        "$probe/venv/bin/python" -m pip download --quiet --no-cache-dir --no-deps \
            --require-hashes --dest "$probe" --requirement requirements-build.lock >&2
        ;;
    examples)
        python3 examples/container/make.py >&2
        for spec in examples/*.toml; do
            # A loader takes a kernel, and that a download.
            ! grep -q '^loader = ' "$spec" || continue
            name=$(basename "$spec" .toml)
            ./diskwright build "$spec" -o "$1/$name" --quiet >&2
            ./diskwright verify "$1/$name" >&2
            for image in "$1/$name"/*.img "$1/$name"/*.qcow2; do
                [ -e "$image" ] || continue
                ./diskwright inspect "$image" >/dev/null
                sum=$(sha256sum <"$image")
                printf '%s %s\n' "${sum%% *}" "$name/${image##*/}"
            done
        done
        ;;
    tests)
        workers=$(($(nproc) * 2)) # as ./check has them
        [ "$workers" -le 16 ] || workers=16
        set -- -q --dist loadfile -m 'not slow' "$@"
        .venv/bin/python -P -m pytest --numprocesses "$workers" "$@" >&2 ||
            .venv/bin/python -P -m pytest --numprocesses 2 --last-failed "$@" >&2
        ;;
    *)
        echo "inside.sh: unknown verb $verb" >&2
        exit 2
        ;;
esac
