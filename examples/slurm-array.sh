#!/bin/bash
#SBATCH --job-name=hypervisor
#SBATCH --array=1-50
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --requeue
#SBATCH --output=hypervisor-%A-%a.log
#
# 50 nodes' shares of one queue: sbatch slurm-array.sh docs
# Each array task has a clone of its own on the node's disk, and four workers in it. Before: the
# program on PATH, the store's address in ~/.config/hypervisor/config.toml and its password in
# ~/.pgpass (both are read from the shared home), a remote that nodes can push to, and the agents'
# command in the repository.
set -euo pipefail

queue=${1:?"name the queue: sbatch slurm-array.sh QUEUE"}
remote=${TASKS_REMOTE:?"set TASKS_REMOTE to the repository of the tasks"}
clone=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/tasks-${SLURM_JOB_ID:-$$}
trap 'rm -rf "$clone"' EXIT

git clone --quiet "$remote" "$clone"
cd "$clone"
git config hypervisor.remote origin

# Before the time limit the pool is told to stop: what is in work is given back at no cost.
pool=
stop() {
    trap - TERM
    [ -z "$pool" ] || kill -TERM "$pool" 2>/dev/null || true
    wait || true
    exit 0
}
trap stop TERM

while true; do
    hypervisor work "$queue" --agent command --branch \
        --workers "${SLURM_CPUS_PER_TASK:-4}" -- ./fix.sh '{path}' &
    pool=$!
    code=0
    wait "$pool" || code=$?
    # 3: nothing is left. Otherwise others still hold items, which may come back.
    [ "$code" != 3 ] || break
    sleep 10
done
