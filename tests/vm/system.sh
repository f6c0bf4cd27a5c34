#!/bin/sh
# Fills the folder $1 with the system of the virtual machine: a small Debian with the kernel module v4l2loopback.
# Run it as root in a mount namespace of its own (`unshare --mount`), so that nothing stays mounted.
set -eu
root=$1
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

debootstrap --variant=minbase bookworm "$root"
mount -t proc proc "$root/proc"
mkdir -p "$root/usr/share/initramfs-tools/modules.d" "$root/etc/initramfs-tools/conf.d"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" # nothing is started while it is installed
chmod +x "$root/usr/sbin/policy-rc.d"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/vm"
echo MODULES=list >"$root/etc/initramfs-tools/conf.d/vm" # of the drivers, only what finds the disk
printf 'virtio_pci\nvirtio_blk\next4\n' >"$root/usr/share/initramfs-tools/modules.d/vm"

chroot "$root" apt-get install -y -q --no-install-recommends \
    linux-image-amd64 linux-headers-amd64 v4l2loopback-dkms v4l2loopback-utils v4l-utils kmod \
    python3 ffmpeg libgl1 libglib2.0-0 chromium-headless-shell fonts-dejavu-core iproute2
chroot "$root" sh -c 'ls /lib/modules/*/updates/dkms/v4l2loopback.ko* && dkms status'

# The kernel and its first disk stand beside the image, the module is built: what made them is not needed any more.
cp "$root"/boot/vmlinuz-* "$root/../vmlinuz"
cp "$root"/boot/initrd.img-* "$root/../initrd"
rm -rf "$root"/usr/src/linux-* "$root"/boot/* "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
rm -rf "$root"/usr/lib/gcc "$root"/usr/share/doc "$root"/usr/share/locale "$root"/usr/share/man

cat >"$root/sbin/vm-init" <<'INIT'
#!/bin/sh
# The first process: mounts what there is, and hands over to the project's disk.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
mountpoint -q /proc || mount -t proc proc /proc
mountpoint -q /sys || mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm /dev/pts /packages /project
mount -t tmpfs tmpfs /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /run
ip link set lo up
mount -o ro /dev/vdb /packages
mount -o ro /dev/vdc /project
exec sh /project/tests/vm/begin.sh
INIT
chmod +x "$root/sbin/vm-init"
umount "$root/proc"
