#!/bin/sh
# Print the folder of PostgreSQL's server programs. With --install, root on Debian gets them installed; otherwise say
# what to install.
find_programs() {
    for folder in $(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -rV) "$(dirname "$(command -v initdb)" 2>/dev/null)"; do
        [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ] && echo "$folder" && return 0
    done
    return 1
}
find_programs && exit 0
if [ "$1" = --install ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing PostgreSQL for the tests of stores on it." >&2
    apt-get update -qq >&2 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >&2
    find_programs && exit 0
fi
echo "The tests need PostgreSQL's server. Install it (on Debian: apt-get install postgresql) and run make test again." >&2
exit 1
