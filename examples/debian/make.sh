#!/bin/sh
# A Debian that starts: its root made from Debian's packages, the image from that root, and the
# proof that it reaches `login:`.
#
#   examples/debian/make.sh [efi|hybrid|legacy|legacy-gpt|btrfs] [OUTDIR]
#   examples/debian/make.sh root        only the root tarball
#
# Needs mmdebstrap. The root tarball is made once and kept beside this script; as an ordinary user
# that takes user namespaces and the package uidmap. The image itself never needs root.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
layout=${1:-efi}
out=${2:-debian-$layout}
packages=systemd-sysv,linux-image-cloud-amd64,initramfs-tools,udev,kmod,login,passwd

if [ ! -e "$here/root.tar" ]; then
    # Without a password: whoever reaches the console may log in as root.
    mmdebstrap --variant=minbase --include="$packages" --format=tar \
        --customize-hook='chroot "$1" passwd --delete root' \
        --customize-hook='echo debian >"$1/etc/hostname"' \
        bookworm "$here/root.tar.part"
    mv "$here/root.tar.part" "$here/root.tar"
fi
[ "$layout" = root ] && exit
exec "$here/../../diskwright" build "$here/debian-$layout.toml" -o "$out"
