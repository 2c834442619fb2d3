#!/usr/bin/env bash
# Prepare what is at hand of each source, verify it, and write the reports of this folder.
#     reports/data_check/make.sh DATA        from the repository's folder; DATA is the folder of raw data
set -euo pipefail
data=$1 here=reports/data_check
export HARNESS_DATA=$data HARNESS_CACHE
HARNESS_CACHE=$(mktemp -d)
trap 'rm -rf "$HARNESS_CACHE"' EXIT

check() { # REPORT WORDS... [-- OPTIONS OF VERIFY...]
    local report=$1 words=() options=()
    shift
    while (($#)) && [[ $1 != -- ]]; do words+=("$1") && shift; done
    (($#)) && shift && options=("$@")
    harness data prepare "${words[@]}"
    rm -rf "${here:?}/$report"
    harness data verify "${words[@]}" --out "$here/$report" "${options[@]}"
}

meta=gin/metadataset_reuse.gin
check metadataset $meta --set "MISSING_SOURCES = 'skip'" -- --no-sheets
check omniglot $meta --only omniglot
check omniglot_tfds $meta --only omniglot --from "$data/tfds"
check quickdraw_records $meta --only quickdraw
check quickdraw_npy quickdraw --from "$data/quickdraw256_npy.zip"
check quickdraw_bitmap quickdraw --from "$data/quickdraw16_bitmap_npy.zip" -- --no-sheets
check image_folders gin/domains.gin -- --no-sheets
check archives miniimagenet cifar_fs cifar_10 cifar_100 -- --no-sheets
check idx mnist fashion_mnist
check shifted_glyphs gin/shifted_glyphs.gin
