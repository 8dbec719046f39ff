# shellcheck shell=bash
# dhatu in a Slurm job: what dhatu.sbatch, dhatu-gpu.sbatch and dhatu-het.sbatch share. They find this file, source it
# and call `dhatu_job KIND ARGUMENTS...`; the arguments go to `dhatu run`.
#
# A job is started, signalled, preempted, requeued; every start runs the same command, which goes on from the
# checkpoint. The exit code is that of dhatu (docs/operations.md). What may be set in the environment:
#
#   DHATU_SITE             a name in env/, or the path of such a file     [told by the name of the cluster]
#   DHATU_MODULES          modules to load; "none": none                  [those of the site]
#   DHATU_PROGRAM          the program        [of the same prefix, of PATH, of the build folder, in this order]
#   DHATU_LAUNCHER         srun or mpirun                                 [srun]
#   DHATU_LAUNCHER_OPTIONS more options of the launcher, with blanks between
#   DHATU_REQUEUE          no: the job does not requeue itself
#   DHATU_RESTART_LIMIT    starts in a row without progress, after which it does not either  [3]
#   DHATU_ESTIMATE         no: no estimate at the first start
#
# Bash 4.2, as old login nodes have it.

home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly left_code=75   # left as asked; work remains
readonly locked_code=69 # another run holds the checkpoint
readonly usage_code=2
readonly timed_out_code=124 # of timeout(1)
readonly not_known_code=127 # of wait: no such child
readonly start_seconds=5  # before that a launcher or a rank may not catch signals yet
readonly wait_seconds=60  # ranks that do not end after the first one did are ended
readonly tries=6 try_seconds=10 # to reach Slurm
readonly estimate_limit=20

say() { printf '%s\n' "$*"; }
note() { printf 'dhatu-job: %s\n' "$*"; }
fail() { # fail CODE MESSAGE...
    local code=$1
    shift
    note "$@" >&2
    exit "$code"
}

# ---- site --------------------------------------------------------------------------------------------------

# What a file of env/ may call.
default() { [[ -n ${!1+set} ]] || export "$1=$2"; } # default NAME VALUE: what the user has set stays
modules() { site_modules+=("$@"); }                 # to load, in this order, where no version is loaded
gpu_modules() { [[ $kind == cpu ]] || site_modules+=("$@"); }

pick_site() {
    local file
    site=${DHATU_SITE:-}
    if [[ -z $site ]]; then
        # CC_CLUSTER is set by the Alliance's login shells, the other name by Slurm. Trillium's GPU nodes are
        # a cluster of their own to Slurm.
        case ${CC_CLUSTER:-${SLURM_CLUSTER_NAME:-}} in
            trillium | grillium) site=trillium ;;
            narval | rorqual | fir | nibi | beluga | killarney | tamia | vulcan) site=alliance ;;
            *)
                site=generic
                # The Alliance's software on a cluster that is none of theirs.
                if [[ -n ${CC_CLUSTER:-} || -d /cvmfs/soft.computecanada.ca/config ]]; then
                    site=magic-castle
                fi
                ;;
        esac
    fi
    file=$home/env/$site.sh
    [[ $site != */* ]] || file=$site
    [[ -r $file ]] || fail $usage_code "DHATU_SITE is $site, and there is no $file"
    site_modules=()
    # shellcheck source=/dev/null
    . "$file"
}

has_module_command() {
    local file
    for file in "" "${LMOD_PKG-}/init/bash" "${MODULESHOME-}/init/bash" /usr/share/lmod/lmod/init/bash \
        /usr/share/Modules/init/bash /usr/share/modules/init/bash; do
        # shellcheck source=/dev/null
        [[ ! -r $file ]] || . "$file"
        ! type module >/dev/null 2>&1 || return 0
    done
    return 1
}

load_modules() {
    local module
    if [[ -n ${DHATU_MODULES-} ]]; then
        site_modules=()
        [[ $DHATU_MODULES == none ]] || read -r -a site_modules <<<"$DHATU_MODULES"
    fi
    ((${#site_modules[@]} > 0)) || return 0
    has_module_command || fail $usage_code "site $site wants modules, and there is no module command: DHATU_MODULES=none does without"
    for module in "${site_modules[@]}"; do
        case ":${LOADEDMODULES-}:" in
            *":${module%%/*}:"* | *":${module%%/*}/"*) ;;
            *) module load "$module" || fail $usage_code "module load $module failed: DHATU_MODULES names others" ;;
        esac
    done
}

# Is a folder a file system in memory? What lies there counts as memory of the job.
is_in_memory() { [[ $(stat --file-system --format=%T "$1" 2>/dev/null) == @(tmpfs|ramfs) ]]; }

# sbatch hands on what it was called with: of an allocation that it was called from srun would take requests that this
# job does not have. And with --export=NONE srun would hand on nothing of what is set here.
clean_environment() {
    [[ -z ${SLURM_MEM_PER_CPU-} ]] || unset SLURM_MEM_PER_NODE SLURM_MEM_PER_GPU
    [[ $kind != cpu || -n ${SLURM_GPUS_ON_NODE-} ]] || unset SLURM_GPUS SLURM_GPUS_PER_NODE SLURM_GPUS_PER_TASK
    export SLURM_EXPORT_ENV=ALL
}

# What all sites need. What may be lost goes to the node's own disk; the checkpoint stays beside the result.
set_environment() {
    local folder=${SLURM_TMPDIR:-${TMPDIR-}}
    if [[ -n $folder && -d $folder && -w $folder ]]; then
        export TMPDIR=$folder
        is_in_memory "$folder" || default DHATU_SCRATCH "$folder"
    fi
    # PoCL's plug-in of hwloc takes USR1 away from mpirun.
    default HWLOC_COMPONENTS -opencl
    # One process writes the result: no lock is needed where a file system has none.
    default HDF5_USE_FILE_LOCKING BEST_EFFORT
    # srun does not take it from the job's options any more.
    [[ -z ${SLURM_CPUS_PER_TASK-} ]] || default SRUN_CPUS_PER_TASK "$SLURM_CPUS_PER_TASK"
    launcher=${DHATU_LAUNCHER:-srun}
    [[ $launcher == srun || $launcher == mpirun ]] || fail $usage_code "DHATU_LAUNCHER is $launcher: srun or mpirun"
    command -v "$launcher" >/dev/null || fail $usage_code "there is no $launcher in PATH"
    # `dhatu status` takes it for an option of its own.
    restart_limit=${DHATU_RESTART_LIMIT:-3}
    unset DHATU_RESTART_LIMIT
    [[ $restart_limit =~ ^[0-9]+$ ]] || fail $usage_code "DHATU_RESTART_LIMIT is $restart_limit: a number is wanted"
}

find_program() {
    local candidate candidates=()
    [[ $home != */share/dhatu/slurm ]] || candidates+=("${home%/share/dhatu/slurm}/bin/dhatu")
    candidates+=("$(command -v dhatu)" "$home"/../build/{cluster,release}/src/dhatu "$home"/../build/*/src/dhatu)
    [[ -z ${DHATU_PROGRAM-} ]] || candidates=("$(command -v "$DHATU_PROGRAM")")
    program=
    for candidate in "${candidates[@]}"; do
        if [[ -n $candidate && -x $candidate ]]; then
            program=$(cd "$(dirname "$candidate")" && pwd)/$(basename "$candidate")
            break
        fi
    done
    [[ -n $program ]] || fail $usage_code "there is no program ${DHATU_PROGRAM:-dhatu}: DHATU_PROGRAM names it"
    version=$("$program" --version 2>&1) ||
        fail $usage_code "$program does not start: ${version%%$'\n'*} (modules: ${LOADEDMODULES:-none})"
}

# ---- the job ------------------------------------------------------------------------------------------------

is_array() { [[ -n ${SLURM_ARRAY_TASK_ID-} ]]; }

# What scontrol is to name: the number of an array's last task stands for the whole array.
job_name() {
    if is_array; then printf '%s_%s' "$SLURM_ARRAY_JOB_ID" "$SLURM_ARRAY_TASK_ID"; else printf '%s' "$SLURM_JOB_ID"; fi
}

# job_fact NAME: what Slurm says of the job now; nothing where it does not answer.
job_fact() {
    local facts
    facts=$(scontrol show job --oneliner "$(job_name)" 2>/dev/null) || return 0
    [[ $facts == *" $1="* ]] || return 0
    facts=${facts#*" $1="}
    printf '%s' "${facts%%[[:space:]]*}"
}

# Sets ranks, nodes and components, over the components of a heterogeneous job.
count_ranks() {
    local component name
    ranks=${SLURM_NTASKS:-1} nodes=${SLURM_JOB_NUM_NODES:-1}
    components=${SLURM_HET_SIZE:-1}
    if ((components > 1)); then
        ranks=0 nodes=0
        for ((component = 0; component < components; component++)); do
            name=SLURM_NTASKS_HET_GROUP_$component
            ranks=$((ranks + ${!name:-1}))
            name=SLURM_JOB_NUM_NODES_HET_GROUP_$component
            nodes=$((nodes + ${!name:-1}))
        done
    fi
}

# flag_given LETTER NAME VARIABLE ARGUMENTS...: is a flag of `dhatu run` given?
flag_given() {
    local letter=$1 name=$2 value=${!3-} argument
    shift 3
    for argument in "$@"; do
        case $argument in
            --) break ;;
            "--$name" | "--$name=yes") return 0 ;;
        esac
        [[ -z $letter || ! $argument =~ ^-[qv]*${letter}[qvf]*$ ]] || return 0
    done
    [[ $value == yes || $value == true || $value == 1 ]]
}

# Sets result, checkpoint and state: done, open or absent.
look_where() {
    local answer line lines=0 code=0
    answer=$("$program" run --where "$@") || code=$?
    ((code == 0)) || exit "$code" # said by dhatu
    result='' checkpoint='' state=''
    while IFS= read -r line; do
        lines=$((lines + 1))
        case $line in
            "result "*) result=${line#result } ;;
            "checkpoint "*) checkpoint=${line#checkpoint } ;;
            "state "*) state=${line#state } ;;
        esac
    done <<<"$answer"
    if ((lines != 3)) || [[ -z $result || -z $checkpoint || -z $state ]]; then
        fail $usage_code "$program does not say where its files are; paths with line ends cannot be used here"
    fi
}

# Does a later task of the array wait? It goes on where this one left.
has_successor() {
    local waiting
    is_array || return 1
    if waiting=$(squeue --noheader --jobs="$SLURM_ARRAY_JOB_ID" --states=PENDING --format=%i 2>/dev/null); then
        [[ -n $waiting ]]
    else
        ((SLURM_ARRAY_TASK_ID < ${SLURM_ARRAY_TASK_MAX:-0}))
    fi
}

# Options that every task of an array would obey anew; of one job's starts the first alone does.
refuse_endless() {
    is_array || return 0
    if flag_given f force DHATU_FORCE "$@"; then
        fail $usage_code "--force in an array: every task would make the result again. Remove $result instead"
    fi
    if flag_given '' fresh DHATU_FRESH "$@"; then
        fail $usage_code "--fresh in an array: every task would start over. Remove $checkpoint instead"
    fi
}

# ---- header -------------------------------------------------------------------------------------------------

# What can be typed again, quoted where it must be.
quoted() {
    local word
    for word in "$@"; do
        if [[ -n $word && $word != *[^[:alnum:]_./,:=@%+-]* ]]; then
            printf ' %s' "$word"
        else
            printf " '%s'" "${word//\'/\'\\\'\'}"
        fi
    done
}

line() { printf '  %-11s %s\n' "$1" "$2"; } # line NAME TEXT

estimate() {
    local gpus=${SLURM_GPUS_ON_NODE:-${SLURM_GPUS_PER_NODE-}} text code=0 options
    if [[ $state == open ]]; then
        "$program" status "$checkpoint" 2>&1 | sed 's/^/  /'
        return
    fi
    [[ $state == absent && ${DHATU_ESTIMATE-} != no ]] || return 0
    gpus=${gpus##*:} # h100:1
    options=(--nodes "$nodes" --ranks-per-node $(((ranks + nodes - 1) / nodes)))
    [[ ! $gpus =~ ^[1-9][0-9]*$ ]] || options+=(--gpus "$gpus")
    text=$(timeout --kill-after=5 "$estimate_limit" "$program" plan --brief "${options[@]}" "$@" 2>&1) || code=$?
    if ((code == 0)); then
        printf '%s' "$text" | while IFS= read -r text || [[ -n $text ]]; do line estimate "${text#estimate: }"; done
    elif ((code == timed_out_code)); then
        line estimate "none (dhatu plan takes more than $estimate_limit s)"
    else
        line estimate "none (dhatu plan ended with exit code $code)"
    fi
}

# What dhatu's own header, which follows, cannot know.
header() {
    local start=$((${SLURM_RESTART_COUNT:-0} + 1)) end cores=${SLURM_CPUS_ON_NODE:-0} task='' a_node
    a_node=$(((ranks + nodes - 1) / nodes))
    end=$(job_fact EndTime)
    ! is_array || task=", task $SLURM_ARRAY_TASK_ID of array $SLURM_ARRAY_JOB_ID"
    say "dhatu job $SLURM_JOB_ID on ${SLURM_CLUSTER_NAME:-an unknown cluster}, start $start$task, until ${end:-the time limit}"
    line command "dhatu run$(quoted "$@")"
    line program "$program, $version"
    line site "$site"
    line launch "$ranks ranks by $launcher${DHATU_LAUNCHER_OPTIONS:+ $DHATU_LAUNCHER_OPTIONS}"
    [[ -z ${DHATU_SCRATCH-} ]] || line scratch "$DHATU_SCRATCH, of each node, for what may be lost"
    if [[ $components == 1 ]] && ((cores > a_node * ${SLURM_CPUS_PER_TASK:-1})); then
        line hint "$cores CPUs a node, $a_node ranks: --ntasks-per-node=$cores uses all of them"
    fi
    estimate "$@"
}

# ---- launch and signals -------------------------------------------------------------------------------------

ask_to_leave() { # a trap: ask_to_leave SIGNAL
    signals=$((signals + 1))
    [[ -n $asked ]] || asked=$1
    forward
}

# Tells the launcher once what was asked, as soon as there is one.
forward() {
    local wait_for
    [[ -n $asked && -n $launched && -z $forwarded ]] || return 0
    forwarded=yes
    wait_for=$((start_seconds - (SECONDS - launched)))
    ((wait_for <= 0)) || sleep "$wait_for"
    note "signal $asked: dhatu is asked to commit and leave"
    kill -s "$asked" "$launcher_pid" 2>/dev/null || true # it may have ended just now
}

be_ended() { # a trap: Slurm ends the job, and has told the ranks itself
    signals=$((signals + 1))
    ended=TERM
}

set_traps() {
    signals=0 asked='' ended='' forwarded='' launched='' launcher_pid=''
    trap 'ask_to_leave USR1' USR1
    trap 'ask_to_leave USR2' USR2
    trap be_ended TERM
}

launch() {
    local command options=()
    read -r -a options <<<"${DHATU_LAUNCHER_OPTIONS-}"
    if [[ $launcher == srun ]]; then
        command=(srun "--wait=$wait_seconds")
        if ((components > 1)); then
            command+=("--het-group=0-$((components - 1))")
        fi
        if [[ -z ${SLURM_MPI_TYPE-} ]] && [[ $(srun --mpi=list 2>&1) == *pmix* ]]; then
            export SLURM_MPI_TYPE=pmix
        fi
    else
        command=(mpirun -n "$ranks")
        ((components == 1)) || fail $usage_code "components of a heterogeneous job are joined by srun only"
    fi
    ((${#options[@]} == 0)) || command+=("${options[@]}")
    "${command[@]}" "$program" run "$@" &
    launcher_pid=$!
    launched=$SECONDS
    forward # what came in between
}

# Sets code. A signal interrupts `wait`, which then gives more than 128, and is called again. It may also have come just
# before a `wait` that gave the launcher's own code: then the launcher is not known any more.
wait_for_launcher() {
    local before earlier=''
    while true; do
        before=$signals
        code=0
        wait "$launcher_pid" 2>/dev/null || code=$?
        if [[ -n $earlier ]] && ((code == not_known_code)); then
            code=$earlier
        fi
        ((code > 128 && before != signals)) || return 0
        earlier=$code
    done
}

# ---- afterwards ---------------------------------------------------------------------------------------------

attempt_number() { # of the checkpoint; 0 where there is none
    local facts
    facts=$("$program" status "$checkpoint" --json 2>/dev/null) || true
    [[ $facts == *'"attempt":'[0-9]* ]] || { printf 0 && return; }
    facts=${facts#*'"attempt":'}
    printf '%s' "${facts%%[!0-9]*}"
}

# A controller that is restarted or busy does not answer for a while; then most jobs come to their time limit.
job_fact_surely() { # job_fact_surely NAME
    local answer try
    for ((try = 1; try <= tries; try++)); do
        answer=$(job_fact "$1")
        [[ -z $answer ]] || break
        ((try == tries)) || sleep "$try_seconds"
    done
    printf '%s' "$answer"
}

requeue() {
    local answer try
    for ((try = 1; try <= tries; try++)); do
        ! answer=$(scontrol requeue "$(job_name)" 2>&1) || return 0
        [[ $answer == *[Uu]"nable to contact"* || $answer == *"timed out"* ]] || break
        ((try == tries)) || sleep "$try_seconds"
    done
    say "$answer"
    return 1
}

# Is an exit code one that dhatu itself ends with, and tells why? 1 may be the launcher's, too.
is_said() {
    case $1 in
        0 | 2 | 65 | "$locked_code" | 70 | 74 | "$left_code" | 78) return 0 ;;
    esac
    return 1
}

# Has this start made the result, although the exit code is that of a crash? A launcher or a driver may crash when
# all is done. With --force an older result is there too.
has_made_result() {
    look_where "${arguments[@]}"
    [[ $state == 'done' ]] && return 0
    [[ $state == absent && -e $result ]] && (($(attempt_number) == 0 && $(stat -c %Y "$result") >= begun))
}

# Work is left: the job goes on by itself if it may.
go_on() {
    local by_hand="submit the same command again, and it goes on" now
    if [[ -z $ended ]] && has_successor; then
        note "work is left: the next task of the array goes on"
        return
    elif [[ ${DHATU_REQUEUE-} == no ]]; then
        note "work is left, and DHATU_REQUEUE is no: $by_hand"
        return
    elif [[ -z $ended ]] && ! "$program" status "$checkpoint" --restart-limit "$restart_limit"; then
        note "the job is not requeued" # why was said
        return
    fi
    # Who cancels the job, or requeues it, is obeyed: a requeue would bring a cancelled job back.
    now=$(job_fact_surely JobState)
    if [[ -z $now && -z $ended ]]; then
        note "work is left, and Slurm does not answer: $by_hand"
    elif [[ -n $ended || $now != RUNNING ]]; then
        note "Slurm ends this start of the job${now:+ ($now)}: if Slurm does not start it again, $by_hand"
    elif [[ $(job_fact_surely Requeue) != 1 ]]; then
        note "work is left, and the job may not be requeued (--no-requeue): $by_hand"
    else
        trap '' TERM # the requeue ends this start
        if requeue; then
            note "work is left: the job is requeued and goes on when it starts again"
        else
            note "work is left, and Slurm did not requeue the job: $by_hand"
        fi
    fi
}

finish() {
    case $code in
        0) ;;
        "$locked_code") note "another run holds the checkpoint (see above): wait for it; dhatu status $checkpoint shows how far it is" ;;
        2 | 65 | 70 | 74 | 78) note "exit code $code: a restart does not cure it; the message above names the cause" ;;
        *)
            if ((code != left_code)) && has_made_result; then
                note "exit code $code came behind the end: $result is complete"
                exit 0
            fi
            ((code == left_code)) || note "exit code $code: the run died or could not be started"
            if (($(attempt_number) > attempt)); then
                go_on
            else # a requeue might go round for ever
                note "dhatu did not begin: the job is not requeued"
            fi
            ;;
    esac
    exit "$code"
}

dhatu_job() { # dhatu_job cpu|gpu|het ARGUMENTS...
    kind=$1
    shift
    [[ -n ${SLURM_JOB_ID-} ]] || fail $usage_code "no Slurm job: submit this script with sbatch"
    set_traps
    pick_site
    load_modules
    clean_environment
    set_environment
    find_program
    count_ranks
    look_where "$@"
    refuse_endless "$@"
    header "$@"
    if [[ $state == 'done' ]] && ! flag_given f force DHATU_FORCE "$@"; then
        # Another command may have made it, where the job is no part of a chain.
        [[ -n ${SLURM_JOB_DEPENDENCY-}${SLURM_ARRAY_TASK_ID-} || ${SLURM_RESTART_COUNT:-0} != 0 ]] ||
            fail $usage_code "$result exists: choose another --output, or give --force to replace it"
        note "the result is there, nothing is left to do: $result"
        exit 0
    fi
    attempt=$(attempt_number)
    if [[ -n $asked$ended ]]; then
        fail $left_code "signal $asked$ended came before dhatu was started: the job is not requeued." \
            "Is --time longer than what --signal takes off?"
    fi
    arguments=("$@")
    begun=$(date +%s)
    launch "$@"
    wait_for_launcher
    if ! is_said "$code" && [[ -z $asked$ended ]] && (($(attempt_number) == attempt)) && ! has_made_result; then
        note "exit code $code, and dhatu did not begin: the launcher is tried once more"
        launched='' # a signal is kept for the new one
        launch "$@"
        wait_for_launcher
    fi
    finish
}
