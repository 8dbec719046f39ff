#!/usr/bin/env bash
# The first process of a bed's node (control.sh): node.sh FOLDER NODE ADDRESS/BITS
# It runs in name spaces of its own. Two slurmd that share /tmp collide in PMIx, two that share /dev/shm crash
# Open MPI's shared memory.
set -euo pipefail
readonly folder=$1 node=$2 address=$3

# The old /proc tells by which number the control knows this process.
read -r pid _ </proc/self/stat
mount -t proc proc /proc
echo "$pid" >"$folder/run/$node.pid.new"
mv "$folder/run/$node.pid.new" "$folder/run/$node.pid"

hostname "$node"
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
# slurmd finds nothing to change there: the machine's control groups are no part of the bed.
if [[ -d /sys/fs/cgroup ]]; then
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
fi
if [[ $node == node1 && -d /etc/OpenCL/vendors ]]; then
    mount -t tmpfs -o mode=755 tmpfs /etc/OpenCL/vendors # a node without devices
fi
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip address add "$address" dev eth0
ip link set eth0 up

export SLURM_CONF=$folder/slurm.conf
slurmd -D -N "$node" >"$folder/log/slurmd-$node" 2>&1 &
wait # a first process reaps what its children leave behind
