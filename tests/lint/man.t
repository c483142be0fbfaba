#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Man pages: one for each command, with exactly the options of its --help.
. tests/tap.sh

ivmtrace=${IVMTRACE:-.output/ivmtrace}
export LC_ALL=C

# "-f, --format" and "--strict" of --help, one option a line, long names only
help_options() {
	"$ivmtrace" "$1" --help | sed -n 's/^  \(-[a-zA-Z], \)\?\(--[a-z-]*\).*/\1\2/p' | sort
}

# The same out of .It Fl f , Fl \-format
man_options() {
	sed -n 's/^\.It Fl //p' "$1" | sed -E -e 's/\\-/-/g' -e 's/ Ns = Ns.*//' -e 's/ Ar .*//' \
		-e 's/^(.) , Fl -/-\1, --/' -e '/^-., /!s/^-/--/' | sort
}

commands=$("$ivmtrace" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
for command in $commands; do
	page=docs/man/ivmtrace-$command.1
	if [ ! -f "$page" ]; then
		not_ok "$command has a man page" "$page is missing"
		continue
	fi
	is "$command: options of --help and of its man page" "$(man_options "$page")" \
		"$(help_options "$command")"
	like "ivmtrace(1) names $command" "$(< docs/man/ivmtrace.1)" "^\.It Ic $command\$"
	for section in NAME SYNOPSIS DESCRIPTION OPTIONS 'EXIT STATUS' EXAMPLES 'SEE ALSO'; do
		if ! grep -q "^\.Sh $section\$" "$page"; then
			not_ok "$command: section $section" "$page lacks it"
		fi
	done
done

if command -v mandoc > /dev/null; then
	for page in docs/man/*.1; do
		is "mandoc: $(basename "$page")" "$(mandoc -T lint -W warning "$page" 2>&1 |
			grep -v 'referenced manual not found')" ''
	done
else
	skip mandoc "mandoc is not installed"
fi

done_testing
