#!/usr/bin/env bash
# The first process of a bed (bed.py): control.sh FOLDER NODE...
# It runs in name spaces of its own (mounts, network, host name, processes). Makes a network in them, starts
# munged, slurmctld and the nodes, and waits for names of nodes to start again; when it dies the kernel ends all.
set -euo pipefail
readonly folder=$1
shift
readonly network=10.213.7 # inside the name space only
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

# The old /proc tells by which number those outside know this process.
read -r pid _ </proc/self/stat
mount -t proc proc /proc
echo "$pid" >"$folder/run/control.pid"

cd / # slurmd returns to where it was started, which may not be seen in a node
hostname control
for file in hosts passwd group; do
    mount --bind "$folder/$file" "/etc/$file"
done
ip link set lo up
ip link add name eth0 type bridge
ip address add "$network.1/24" dev eth0
ip link set eth0 up

chown -R munge: "$folder/munge"
setpriv --reuid=munge --regid=munge --clear-groups munged --foreground --socket="$folder/munge/socket" \
    --key-file="$folder/munge/key" --log-file="$folder/munge/log" --pid-file="$folder/munge/pid" \
    --seed-file="$folder/munge/seed" >"$folder/log/munged" 2>&1 &
until [[ -S $folder/munge/socket ]]; do sleep 0.05; done

export SLURM_CONF=$folder/slurm.conf
slurmctld -D -c >"$folder/log/slurmctld" 2>&1 &

start_node() { # start_node NODE NUMBER
    local node=$1 number=$2 first
    rm -f "$folder/run/$node.pid"
    ip link delete "$node" 2>/dev/null || true # of its life before
    unshare --mount --net --uts --ipc --pid --fork --kill-child \
        "$here/node.sh" "$folder" "$node" "$network.$number/24" >"$folder/log/node-$node" 2>&1 &
    until [[ -e $folder/run/$node.pid ]]; do sleep 0.05; done
    read -r first <"$folder/run/$node.pid"
    ip link add name "$node" type veth peer name eth0 netns "$first"
    ip link set "$node" master eth0 up
}

declare -A numbers
number=1
for node in "$@"; do
    number=$((number + 1))
    numbers[$node]=$number
    start_node "$node" "$number"
done
mkfifo "$folder/run/again"
touch "$folder/run/started"
while read -r node; do # a lost node comes back (bed.py)
    start_node "$node" "${numbers[$node]}"
done <>"$folder/run/again"
