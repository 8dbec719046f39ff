# shellcheck shell=bash
# Trillium (SciNet). Sourced by dhatu-job.sh, which has `default`, `modules` and `gpu_modules`.
#
# - Whole nodes: 192 cores, so --nodes=N --ntasks-per-node=192. With GPUs one (24 cores) or all four of a node (96),
#   from the GPU login node: --gpus-per-node=1 --ntasks-per-node=24, or 4 and 96.
# - 15 minutes to 24 hours. Memory is not asked for: a request is ignored. Should sbatch refuse it, submit so that
#   the options in the script are not read:
#       sbatch --nodes=1 --ntasks-per-node=192 --time=3:00:00 --signal=B:USR1@300 --requeue --open-mode=append \
#           --wrap='exec bash $HOME/dhatu/share/dhatu/slurm/dhatu.sbatch -j profile -o $SCRATCH/out.h5 $SCRATCH/corpus'
# - Home and project are read-only on compute nodes: submit from $SCRATCH, with the result (-o), the checkpoint (-c)
#   and the log there.
# - No job may be submitted from a compute node. If a requeue is refused, too, the job ends with 75 and says so:
#   chain short jobs by --array=1-10%1.
modules StdEnv/2023 gcc openmpi hdf5-mpi
gpu_modules cuda
