# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts of this folder that take pictures of pages: finds chromium, or BROWSER, and makes $folder, which goes when the script ends.
browser=${BROWSER:-}
for name in chromium chromium-browser google-chrome; do
    [ -n "$browser" ] || browser=$(command -v "$name" || true)
done
[ -n "$browser" ] || { echo "$(basename "$0" .sh): no chromium on PATH: install it or set BROWSER" >&2; exit 1; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM

# screenshot PICTURE WIDTH HEIGHT SCALE: of $folder/page.html.
screenshot() {
    # No sandbox, because containers seldom allow one: the page is ours and fetches nothing.
    "$browser" --headless=new --no-sandbox --disable-gpu --hide-scrollbars --force-device-scale-factor="$4" \
        --user-data-dir="$folder/profile" --window-size="$2,$3" --virtual-time-budget=5000 \
        --screenshot="$folder/page.png" "file://$folder/page.html" 2> "$folder/log" ||
        { cat "$folder/log" >&2; exit 1; }
    [ -s "$folder/page.png" ] || { cat "$folder/log" >&2; exit 1; }
    mv "$folder/page.png" "$1"
    echo "$1"
}
