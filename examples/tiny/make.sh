#!/bin/sh
# A small Linux in the folder tree/ beside this file: Debian's kernel, busybox, an initrd that finds
# the root. Nothing is installed, and nothing needs root.
#
#   examples/tiny/make.sh [KERNEL]
#
# KERNEL is a folder with an unpacked kernel package; without it, apt-get downloads Debian's kernel
# for clouds. Needs busybox-static and cpio.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
tree=$here/tree
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

kernel=${1:-$work/kernel}
if [ $# = 0 ]; then
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: linux-image/linux-image/p')
    (cd "$work" && apt-get --quiet download "$package" && dpkg-deb -x "$package"_*.deb kernel)
fi
image=$(find "$kernel" -name 'vmlinuz*' | head -n 1)
modules=$(find "$kernel" -path '*lib/modules/*' -prune | head -n 1)
release=${modules##*/}

# busybox and its names
programs() {
    mkdir -p "$1/bin" "$1/proc" "$1/sys" "$1/dev"
    cp "$(command -v busybox)" "$1/bin/"
    for name in sh mount cat cut echo findfs insmod ls poweroff sleep setsid cttyhack \
        switch_root; do
        ln -s busybox "$1/bin/$name"
    done
}

rm -rf -- "$tree"
programs "$tree"
mkdir -p "$tree/boot" "$tree/etc"
cp "$image" "$tree/boot/vmlinuz-$release"
echo 'PRETTY_NAME="Tiny Linux"' >"$tree/etc/os-release"
cat >"$tree/init" <<'EOF'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
[ -d /sys/firmware/efi ] && by=UEFI || by=BIOS
echo "tiny: booted by $by, $(cut -d. -f1 /proc/uptime) s after the kernel started"
exec setsid cttyhack sh
EOF

# The initrd: drivers for a virtual disk, then the root that the command line names
initrd=$work/initrd
programs "$initrd"
mkdir -p "$initrd/root" "$initrd/modules"
for name in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
    found=$(find "$modules" -name "$name.ko*")
    case $found in
        *.ko) cp "$found" "$initrd/modules/" ;;
        *.xz) xz -dc "$found" >"$initrd/modules/$name.ko" ;;
        *) continue ;; # built in
    esac
    echo "insmod /modules/$name.ko"
done >"$work/drivers"
cat - "$work/drivers" >"$initrd/init" <<'EOF'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
EOF
cat >>"$initrd/init" <<'EOF'
for word in $(cat /proc/cmdline); do
    case $word in root=*) root=${word#root=} ;; esac
done
until device=$(findfs "$root"); do sleep 0.1; done
mount -t ext4 "$device" /root
mount -t devtmpfs dev /root/dev
exec switch_root /root /init
EOF
chmod 755 "$tree/init" "$initrd/init"
(cd "$initrd" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 --reproducible) |
    gzip -9n >"$tree/boot/initrd.img-$release"
echo "$tree has a system with Linux $release"
