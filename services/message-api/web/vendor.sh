#!/bin/sh
# Puts what the web client uses of others into vendor/, as their own packages have it built. Does
# nothing when that is there already.
set -eu
cd "$(dirname "$0")"

# Written last, so that it is there once all is; made anew when the versions or this file change.
if cat package-lock.json vendor.sh | cmp -s - vendor/made-from; then
    exit 0
fi
if ! command -v npm >/dev/null 2>&1; then
    echo "make web: please install Node.js 20 or newer with npm; the web client needs it" >&2
    exit 1
fi
echo "make web: fetching what the web client uses"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
rm -rf vendor
mkdir vendor
for file in \
    socket.io-client/dist/socket.io.esm.min.js \
    socket.io-client/dist/socket.io.min.js \
    marked/lib/marked.esm.js \
    dompurify/dist/purify.es.mjs; do
    # Their source maps are not served.
    sed '/^\/\/# sourceMappingURL=/d' "node_modules/$file" >"vendor/${file##*/}"
done
cat package-lock.json vendor.sh >vendor/made-from
