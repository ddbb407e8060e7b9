#!/bin/sh
# Print the path of Chromium. With --install, root on Debian gets it installed; otherwise say what to install.
find_chromium() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" && return 0
    done
    return 1
}
find_chromium && exit 0
if [ "$1" = --install ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the browser tests." >&2
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >&2
    find_chromium && exit 0
fi
echo "The browser tests need Chromium. Install it (on Debian: apt-get install chromium) and run make test again." >&2
exit 1
