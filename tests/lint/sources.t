#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What can be said of the sources without running them.
. tests/tap.sh

mapfile -t tracked < <(git ls-files --cached 2> /dev/null)
if [ ${#tracked[@]} -eq 0 ]; then
	mapfile -t tracked < <(find . -type f -not -path './.output/*' -not -path './.git/*' \
		-not -path './out/*' -printf '%P\n')
fi
existing=()
for file in "${tracked[@]}"; do
	if [ -f "$file" ]; then
		existing+=("$file")
	fi
done

# Golden output is what a user gets to see: it bears no licence; uPlot has its own beside it
bare=()
for file in "${existing[@]}"; do
	case $file in
	LICENSE|tests/data/*.txt|tests/data/*.json|tests/data/*.csv) continue ;;
	reports/page/uplot/*|reports/samples/*.txt|*.png) continue ;;
	esac
	if ! head -n 4 "$file" | grep -q 'SPDX-License-Identifier: GPL-2.0-or-later'; then
		bare+=("$file")
	fi
done
is "each file names its licence in its first lines" "${bare[*]}" ''

shell=()
for file in "${existing[@]}"; do
	case $file in
	*.sh|*.t) shell+=("$file") ;;
	*) if head -n 1 "$file" | grep -Eq '^#! *(/usr)?/bin/(env )?(ba)?sh'; then
		shell+=("$file")
	   fi ;;
	esac
done
if ! command -v shellcheck > /dev/null; then
	skip shellcheck "shellcheck is not installed"
elif out=$(shellcheck -S warning -x -P SCRIPTDIR/../.. "${shell[@]}"); then
	ok "shellcheck: ${#shell[@]} files"
else
	not_ok "shellcheck" "$(head -n 60 <<< "$out")"
fi

# device/ is built within QEMU, whose macros cppcheck does not know
mapfile -t c_files < <(printf '%s\n' "${existing[@]}" | grep -E '^(tracer|reports|tests/unit)/.*\.c$')
if ! command -v cppcheck > /dev/null; then
	skip cppcheck "cppcheck is not installed"
elif out=$(cppcheck -q -j 2 --std=c11 --error-exitcode=1 --inline-suppr \
	--enable=warning,performance,portability --suppress=missingIncludeSystem \
	--suppress=unknownMacro --suppress=preprocessorErrorDirective \
	--suppress=checkersReport "${c_files[@]}" 2>&1); then
	ok "cppcheck: ${#c_files[@]} files"
else
	not_ok "cppcheck" "$(head -n 60 <<< "$out")"
fi

# Kernel style in 100 columns, QEMU style in 80; tabs count as 8
wide() {
	local width=$1

	shift
	for file; do
		expand "$file" | LC_ALL=C.UTF-8 grep -nE "^.{$((width + 1)),}" |
			sed "s|^\([0-9]*\):.*|$file:\1|"
	done
}
mapfile -t kernel_style < <(printf '%s\n' "${existing[@]}" |
	grep -E '^(tracer|reports|bpf|guest|tests)/.*\.[chS]$')
is "no line of C beyond 100 columns" "$(wide 100 "${kernel_style[@]}")" ''
mapfile -t qemu_style < <(printf '%s\n' "${existing[@]}" | grep -E '^device/.*\.c$')
is "no line of device/ beyond 80 columns" "$(wide 80 "${qemu_style[@]}")" ''

mapfile -t texts < <(printf '%s\n' "${existing[@]}" | grep -Ev '\.(png|bin|ivm|patch)$|^LICENSE$|^reports/(page/uplot|samples)/')
is "no trailing blanks" "$(grep -nE '[[:blank:]]+$' "${texts[@]}" | head -n 20)" ''
# Spelt so that this file does not match itself
is "nothing is left to do" "$(grep -nwE 'TO''DO|FIX''ME|X''XX' "${texts[@]}" | head -n 20)" ''

done_testing
