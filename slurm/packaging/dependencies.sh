#!/usr/bin/env bash
# Builds those of dhatu's small libraries that a cluster does not have, from their source archives, as static
# libraries in a folder of the user's: nothing of them is needed at run time. Needs a C compiler and make.
# See dependencies.sh --help.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: dependencies.sh [--archives FOLDER] [--download] PREFIX [LIBRARY...]

Builds the libraries (utf8proc, xxhash, zstd, isal) as static libraries in PREFIX. Without names: those of utf8proc,
xxhash and zstd that the compiler and pkg-config do not find. isal is only built when named, and needs nasm; without it
gzip is read at about a third of the speed.

  --archives FOLDER  where the source archives are, and where downloads go (default: PREFIX/archives)
  --download         download missing archives, build nothing: for a machine with a network

A missing archive is downloaded with curl or wget. Without a network it is named with its address: put it into FOLDER
under that name. Each archive is checked against its SHA-256.

Then:  cmake --preset cluster -DCMAKE_PREFIX_PATH=PREFIX
TEXT
}

fail() {
    printf 'dependencies.sh: %s\n' "$1" >&2
    if (($# > 1)); then
        printf '    %s\n' "${@:2}" >&2
    fi
    exit 1
}

# Sets file, address and sha256 of a library's source archive. The archives are those of the projects' own tags.
# The hashes are the same as in the package files of Spack and EasyBuild.
archive_of() {
    case $1 in
        utf8proc)
            file=utf8proc-2.8.0.tar.gz
            address=https://github.com/JuliaStrings/utf8proc/archive/v2.8.0.tar.gz
            sha256=a0a60a79fe6f6d54e7d411facbfcc867a6e198608f2cd992490e46f04b1bcecc
            ;;
        xxhash)
            file=xxHash-0.8.1.tar.gz
            address=https://github.com/Cyan4973/xxHash/archive/refs/tags/v0.8.1.tar.gz
            sha256=3bb6b7d6f30c591dd65aaaff1c8b7a5b94d81687998ca9400082c739a690436c
            ;;
        zstd)
            file=zstd-1.5.5.tar.gz
            address=https://github.com/facebook/zstd/archive/v1.5.5.tar.gz
            sha256=98e9c3d949d1b924e28e01eccb7deed865eefebf25c2f21c702e5cd5b63b85e1
            ;;
        isal)
            file=isa-l-2.30.0.tar.gz
            address=https://github.com/intel/isa-l/archive/v2.30.0.tar.gz
            sha256=bcf592c04fdfa19e723d2adf53d3e0f4efd5b956bb618fed54a1108d76a6eb56
            ;;
        *) fail "$1 is none of utf8proc, xxhash, zstd, isal" ;;
    esac
}

# Is the library there without us?
found() {
    case $1 in
        utf8proc) pkg-config --exists libutf8proc ;;
        zstd) pkg-config --exists libzstd ;;
        xxhash) printf '#include <xxhash.h>\nXXH3_state_t *state;\n' | "$compiler" -fsyntax-only -x c - 2>/dev/null ;;
    esac
}

download() {
    if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --output "$1.partial" "$2"
    elif command -v wget >/dev/null; then
        wget --quiet --output-document "$1.partial" "$2"
    else
        return 1
    fi && mv "$1.partial" "$1"
}

# Makes sure that the library's archive is there, and is the right one.
have_archive() {
    local file address sha256 found_sha256
    archive_of "$1"
    if [[ ! -e "$archives/$file" ]]; then
        mkdir -p "$archives"
        printf '%s: downloading %s\n' "$1" "$address"
        if ! download "$archives/$file" "$address"; then
            rm -f "$archives/$file.partial"
            fail "$file is not in $archives and cannot be downloaded here" "Fetch $address" \
                "elsewhere, and put it there as $archives/$file"
        fi
    fi
    found_sha256=$(sha256sum <"$archives/$file")
    found_sha256=${found_sha256%% *}
    [[ $found_sha256 == "$sha256" ]] ||
        fail "$archives/$file is not what it should be" "SHA-256 wanted $sha256" "SHA-256 found  $found_sha256"
}

# write_pkg_config MODULE VERSION LIBRARY
write_pkg_config() {
    mkdir -p "$prefix/lib/pkgconfig"
    cat >"$prefix/lib/pkgconfig/$1.pc" <<TEXT
prefix=$prefix
Name: $1
Description: $1, built for dhatu
Version: $2
Libs: -L\${prefix}/lib -l$3
Cflags: -I\${prefix}/include
TEXT
}

# The functions build_NAME run in the folder of the unpacked archive.
build_utf8proc() {
    make libutf8proc.a CC="$compiler"
    install -m 644 utf8proc.h "$prefix/include/"
    install -m 644 libutf8proc.a "$prefix/lib/"
    write_pkg_config libutf8proc 2.8.0 utf8proc
}

build_xxhash() { # the header is all that dhatu uses
    install -m 644 xxhash.h "$prefix/include/"
}

build_zstd() {
    CFLAGS='-O3 -fPIC' make -C lib libzstd.a CC="$compiler"
    install -m 644 lib/zstd.h lib/zstd_errors.h "$prefix/include/"
    install -m 644 lib/libzstd.a "$prefix/lib/"
    write_pkg_config libzstd 1.5.5 zstd
}

build_isal() {
    command -v nasm >/dev/null || fail "isal needs nasm 2.13 or newer in PATH"
    make -f Makefile.unx lib CC="$compiler" AS=nasm
    mkdir -p "$prefix/include/isa-l"
    install -m 644 include/*.h "$prefix/include/isa-l/"
    install -m 644 bin/isa-l.a "$prefix/lib/libisal.a"
    write_pkg_config libisal 2.30.0 isal
}

# Quiet unless it fails.
build() {
    local file address sha256 folder log
    archive_of "$1"
    folder=$work/$1
    log=$work/$1.log
    printf '%s: building %s\n' "$1" "$file"
    mkdir -p "$folder" "$prefix/include" "$prefix/lib"
    tar -xzf "$archives/$file" -C "$folder" --strip-components=1
    # In the background, since bash knows no set -e in what stands before ||.
    (cd "$folder" && "build_$1") >"$log" 2>&1 &
    if ! wait "$!"; then
        cat "$log" >&2
        fail "$1 could not be built (see above)"
    fi
}

prefix='' archives='' download_only=false libraries=()
while (($# > 0)); do
    case $1 in
        --archives)
            (($# > 1)) || fail "--archives wants a folder"
            archives=$2
            shift
            ;;
        --download) download_only=true ;;
        -h | --help)
            usage
            exit 0
            ;;
        -*) fail "unknown option $1 (see --help)" ;;
        *) if [[ -z $prefix ]]; then prefix=$1; else libraries+=("$1"); fi ;;
    esac
    shift
done
[[ -n $prefix ]] || fail "where to? Usage: dependencies.sh [--archives FOLDER] [--download] PREFIX [LIBRARY...]"
compiler=${CC:-cc}
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)
archives=${archives:-$prefix/archives}

if ((${#libraries[@]} == 0)); then
    for library in utf8proc xxhash zstd; do
        if found "$library"; then
            printf '%s: found, not built\n' "$library"
        else
            libraries+=("$library")
        fi
    done
fi
for library in "${libraries[@]}"; do
    have_archive "$library"
done
if [[ $download_only == true ]]; then
    printf 'The archives are in %s\n' "$archives"
    exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for library in "${libraries[@]}"; do
    build "$library"
done
printf 'Now: cmake --preset cluster -DCMAKE_PREFIX_PATH=%s\n' "$prefix"
