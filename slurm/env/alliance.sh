# shellcheck shell=bash
# Narval, Rorqual, Fir, Nibi and the other clusters of the Digital Research Alliance of Canada but Trillium. Sourced by
# dhatu-job.sh, which has `default`, `modules` and `gpu_modules`.
#
# These clusters want --time (an hour or more for real work) and an account, and choose the partition themselves.
# Memory is 256 MiB a core unless asked for; about 4000M a core is a node's share. $SLURM_TMPDIR is a folder on the node's own disk.
# GPUs by name: --gpus-per-node=h100:1 on Rorqual, Fir and Nibi, a100:1 on Narval.
modules StdEnv/2023 gcc openmpi hdf5-mpi
gpu_modules cuda

# The way out where Open MPI's own MPI-IO hangs on Lustre. dhatu itself never writes through MPI: this is for tools
# that are built on the same libraries.
default OMPI_MCA_io romio321
