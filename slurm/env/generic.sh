# shellcheck shell=bash
# Any cluster: nothing is loaded but what DHATU_MODULES names. Sourced by dhatu-job.sh, which has `default`, `modules`
# and `gpu_modules`. A file of your own is used by DHATU_SITE=/path/of/it.
#
# Only where HDF5 or another library writes through MPI on Lustre, Open MPI's own MPI-IO may hang, and
# `default OMPI_MCA_io romio321` takes the other one. dhatu writes with plain calls and never needs it.
#
# Where a run ends at once with "MPI_Win_allocate failed", Open MPI has been told to do without what it needs for
# windows between nodes, or UCX has no network that it can use for them (Ethernet alone): `default OMPI_MCA_osc ^ucx`.
# Debian's settings take away what works on Ethernet.
if grep -qs '^osc *=.*pt2pt' /etc/openmpi/openmpi-mca-params.conf; then
    default OMPI_MCA_osc ^ucx
fi
