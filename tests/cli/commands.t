#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What every command has in common: help, misuse, exit codes.
. tests/tap.sh
. tests/cli/fixture.sh

run
is "no command is misuse" "$code" 1
like "... and shows the usage on stderr" "$err" '^Usage:'
is "... and nothing on stdout" "$out" ''

run help
is "help is not" "$code" 0
is "... and silent on stderr" "$err" ''
commands=$(sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' <<< "$out")
like "... and lists report" "$commands" '^report$'

run --version
is "version: exit code" "$code" 0
like "version: text" "$out" '^ivmtrace [0-9]+\.[0-9]+'

fails "unknown command" 1 "unknown command 'xyzzy'" xyzzy
fails "a typing error is guessed" 1 "did you mean 'report'" rpeort
fails "help for an unknown command" 1 "unknown command 'nothing'" help nothing
fails "a long unknown command" 1 "unknown command" "$(printf 'r%.0s' {1..5000})"

for command in $commands; do
	run "$command" --help
	is "$command --help: exit code" "$code" 0
	like "$command --help: usage" "$out" "^  ivmtrace $command "
	is "$command --help: nothing on stderr" "$err" ''
	help=$out
	run help "$command"
	is "help $command is the same" "$out" "$help"
	fails "$command: unknown option" 1 "Unknown option --nonsense" "$command" --nonsense
	too_wide=$(awk 'length($0) > 100' <<< "$help")
	is "$command --help fits 100 columns" "$too_wide" ''
done

# A report that cannot be written must not look like one that was
recording native
if [ -w /dev/full ]; then
	"$ivmtrace" report "$tmp/native.ivm" > /dev/full 2> "$tmp/err"
	is "full disk: exit code" $? 1
	like "full disk: message" "$(< "$tmp/err")" 'cannot write the output: No space left'
else
	skip "full disk" "no /dev/full here"
fi

done_testing
