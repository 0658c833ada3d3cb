#!/bin/sh
# Runs in a bare machine, in a clone of the project, and proves it there.
#
#   inside.sh examples OUT    builds every example that needs no download but the set-up's own, and
#                             prints "SHA-256 NAME" of each image
#   inside.sh tests PATH...   sets up what the tests need and runs the quick ones
set -eu

verb=$1
shift
case $verb in
    examples)
        # The README's first build, which sets the project up.
        ./diskwright build examples/hello.toml -o "$1/hello" --quiet >&2
        for spec in examples/*.toml; do
            name=$(basename "$spec" .toml)
            [ -d "$1/$name" ] || ./diskwright build "$spec" -o "$1/$name" --quiet >&2
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
        root=$PWD
        . setup/lib.sh
        prepare run
        prepare dev
        exec "$venv/bin/python" -P -m pytest -q --numprocesses 2 --dist loadfile -m 'not slow' "$@" >&2
        ;;
    *)
        echo "inside.sh: unknown verb $verb" >&2
        exit 2
        ;;
esac
