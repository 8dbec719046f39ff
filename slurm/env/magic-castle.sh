# shellcheck shell=bash
# A cluster in the cloud made by Magic Castle, with the Alliance's software. Sourced by dhatu-job.sh, which has `default`,
# `modules` and `gpu_modules`.
#
# Nodes are few and small: `sinfo -o "%N %c %m %G"` shows their cores, memory (MiB) and GPUs. GPUs have no names there:
# --gpus-per-node=1. Put the result and the checkpoint on /scratch or /project, which all nodes see.
modules StdEnv/2023 gcc openmpi hdf5-mpi
gpu_modules cuda

# On Ethernet UCX may have nothing for MPI's windows ("MPI_Win_allocate failed"); Open MPI's own ones do.
default OMPI_MCA_osc ^ucx
