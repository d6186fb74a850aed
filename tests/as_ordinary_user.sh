#!/bin/sh
# Run a command as a user who owns nothing, as root: tests/as_ordinary_user.sh .venv/bin/python -m pytest tests/attacks
# Where the interpreter lies in a home folder that is closed to others, the command sees it in an open one.
set -e
prefix=$(realpath "$(.venv/bin/python -c 'import sys; print(sys.base_prefix)')")
closed=$(printf %s "$prefix" | cut -d/ -f1-2)
exec unshare --mount sh -c '
    prefix=$1 closed=$2; shift 2
    if ! setpriv --reuid=1234 --clear-groups test -x "$prefix"; then
        mount --bind "$prefix" /mnt
        mount -t tmpfs -o mode=755 none "$closed"
        mkdir -p "$prefix"
        mount --bind /mnt "$prefix"
    fi
    export HOME=/tmp HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis-of-nobody PYTHONDONTWRITEBYTECODE=1
    exec setpriv --reuid=1234 --regid=1234 --clear-groups "$@"' sh "$prefix" "$closed" "$@"
