#!/bin/sh
# Print the path of strace. With --install, root on Debian gets it installed; otherwise say what to install.
command -v strace && exit 0
if [ "$1" = --install ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing strace for the power-cut tests." >&2
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq strace >&2
    command -v strace && exit 0
fi
echo "The power-cut tests need strace. Install it (on Debian: apt-get install strace) and run make test again." >&2
exit 1
