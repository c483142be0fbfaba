#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Run a command on a KVM host that needs no hardware virtualization: a stock
# distribution kernel under QEMU's TCG, which emulates AMD SVM or, with --arch arm64,
# an arm64's EL2, with KVM, BTF, tracefs, bpffs and debugfs ready.
#
# Directories given with --share appear inside under the same absolute path,
# together with the libraries their programs need; changes to them are thrown
# away.  What the command leaves in $LAB_OUT is brought back into --out DIR.
# Its output streams through as it is written, and its exit status is ours;
# 124 means that it ran into --timeout, and 1 with a line "lab: ..." that the
# lab itself failed.

set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)

kernel=6.1
arch=amd64
timeout_s=300
memory=3G
cpus=2
shell=0
out=
log=
shares=()
tools=(bash)
env_lines=()
command=()

# Grace for the parts that are not the command: boot, and bringing results out.
boot_limit_s=120
end_limit_s=60

work=
sysroot=
qemu_pid=
stream_pids=()

usage()
{
	cat <<-END
	usage: run.sh [OPTIONS] -- COMMAND [ARG...]
	       run.sh [OPTIONS] --shell

	  --kernel SERIES    kernel of the lab host: 6.1 (default) or 6.12
	  --arch ARCH        of the lab host: amd64 (default) or arm64
	  --timeout SECS     kill the command after this long (default 300)
	  --share DIR        make DIR available inside, at the same path (repeatable)
	  --tool PROGRAM     also take this program of the build machine (repeatable)
	  --env NAME=VALUE   set a variable for the command (repeatable)
	  --out DIR          where files left in \$LAB_OUT go
	  --log FILE         keep the console log there (default .output/lab/console-SERIES.log)
	  --memory SIZE      memory of the lab host (default 3G)
	  --cpus N           CPUs of the lab host (default 2)
	  --shell            an interactive shell on this terminal (Ctrl-A X quits)

	environment: IVM_LAB_QEMU  the QEMU to run the lab with (8.1 or newer)
	             IVM_CACHE     where images are kept
	END
}

die()
{
	echo "lab: $*" >&2
	exit 1
}

need_value()
{
	[ "$1" -ge 2 ] || die "$2 needs a value"
}

parse_options()
{
	while [ $# -gt 0 ]; do
		case $1 in
		--help)	usage; exit 0 ;;
		--shell) shell=1; shift; continue ;;
		--)	shift; command=("$@"); break ;;
		--kernel|--arch|--timeout|--share|--tool|--env|--out|--log|--memory|--cpus)
			need_value $# "$1" ;;
		*)	die "unknown option '$1' (the command goes after --)" ;;
		esac
		case $1 in
		--kernel)	kernel=$2 ;;
		--arch)		arch=$2 ;;
		--timeout)	timeout_s=$2 ;;
		--share)	shares+=("$2") ;;
		--tool)		tools+=("$2") ;;
		--env)		env_lines+=("$2") ;;
		--out)		out=$2 ;;
		--log)		log=$2 ;;
		--memory)	memory=$2 ;;
		--cpus)		cpus=$2 ;;
		esac
		shift 2
	done
}

check_options()
{
	local dir pair

	case $arch in
	amd64|arm64)	;;
	*)		die "--arch '$arch': amd64 or arm64" ;;
	esac
	[ ${#command[@]} -gt 0 ] || [ $shell = 1 ] || die "no command given (see --help)"
	[ $shell = 0 ] || [ ${#command[@]} -eq 0 ] || die "--shell takes no command"
	[[ $timeout_s =~ ^[1-9][0-9]{0,5}$ ]] || die "--timeout '$timeout_s' is not a number of seconds"
	for dir in ${shares[@]+"${shares[@]}"}; do
		[ -d "$dir" ] || die "--share '$dir' is not a directory"
	done
	for pair in ${env_lines[@]+"${env_lines[@]}"}; do
		[[ $pair =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || die "--env '$pair' is not NAME=VALUE"
	done
	command -v mke2fs >/dev/null || PATH=$PATH:/usr/sbin:/sbin
	command -v mke2fs >/dev/null || die "mke2fs not found (package e2fsprogs)"
}

find_qemu()
{
	if [ -n "${IVM_LAB_QEMU:-}" ]; then
		qemu=$IVM_LAB_QEMU
		command -v "$qemu" >/dev/null || die "IVM_LAB_QEMU='$qemu': no such program"
	elif [ "$arch" = arm64 ]; then
		qemu=$("$top/device/build-qemu.sh") || die "no QEMU for the lab (IVM_LAB_QEMU names one)"
		qemu+=/qemu-system-aarch64
	else
		qemu=$("$here/build-emulator.sh") || die "no QEMU for the lab (IVM_LAB_QEMU names one)"
	fi
}

# Quote for any POSIX shell.
quote()
{
	local word

	for word in "$@"; do
		printf "'%s' " "${word//\'/\'\\\'\'}"
	done
}

write_command()
{
	local pair

	{
		echo '#!/bin/sh'
		for pair in ${env_lines[@]+"${env_lines[@]}"}; do
			echo "export ${pair%%=*}=$(quote "${pair#*=}")"
		done
		echo "cd $(quote "$PWD") 2>/dev/null || cd /root"
		echo "exec $(quote ${command[@]+"${command[@]}"})"
	} >"$work/root/lab/command"
	chmod 755 "$work/root/lab/command"
}

# Symbolic links are followed: what they point to may not exist inside.  Files
# that vanish or change while being read are tar's status 1, and no error here.
stage_share()
{
	local dir to

	dir=$(cd "$1" && pwd)
	to=$work/root$dir
	mkdir -p "$to"
	tar -C "$dir" --hard-dereference --ignore-failed-read -chf - . 2>"$work/tar.log" |
		tar -C "$to" -xf - || [ "${PIPESTATUS[0]}" = 1 ] ||
		die "cannot copy $dir: $(tail -n1 "$work/tar.log")"
}

# Another architecture's own programs are in its sysroot, those named by a path are built for it
find_tool()
{
	local dir

	case $arch:$1 in
	amd64:*|*:/*)
		path=$(command -v "$1") || die "--tool '$1': no such program on this machine"
		path=$(realpath -s "$path")
		return ;;
	esac
	for dir in /usr/bin /usr/sbin; do
		path=$dir/$1
		[ ! -e "$sysroot$path" ] || return 0
	done
	die "--tool '$1': no such program in $sysroot"
}

stage_tool()
{
	local path from=

	find_tool "$1"
	case $arch:$1 in
	amd64:*|*:/*)	;;
	*)		from=$sysroot ;;
	esac
	mkdir -p "$work/root${path%/*}"
	rm -f "$work/root$path"
	cp -L "$from$path" "$work/root$path"
}

staged_programs()
{
	find "$work/root" -type f -perm -u+x ! -name '*.o' -print0 |
		LC_ALL=C xargs -0r grep -lsa -m1 $'^\x7fELF'
}

# ldd would run them
stage_sysroot_libraries()
{
	local lib=/usr/lib/aarch64-linux-gnu name known=-1 dir

	dir=$work/root$lib
	mkdir -p "$dir"
	cp -L "$sysroot/usr/lib/ld-linux-aarch64.so.1" "$work/root/usr/lib/"
	while [ "$(find "$dir" | wc -l)" != "$known" ]; do
		known=$(find "$dir" | wc -l)
		{ staged_programs; find "$dir" -name '*.so*'; } | tr '\n' '\0' |
			xargs -0r readelf -d 2>/dev/null |
			sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort -u |
		while read -r name; do
			[ -e "$dir/$name" ] || [ ! -e "$sysroot$lib/$name" ] ||
				cp -L "$sysroot$lib/$name" "$dir"
		done
	done
}

# Shared libraries of everything staged, from this machine: programs and
# libraries then fit each other, whatever packages the image was made of.
stage_libraries()
{
	local path

	if [ "$arch" = arm64 ]; then
		stage_sysroot_libraries
		return
	fi
	staged_programs | tr '\n' '\0' | xargs -0r ldd 2>/dev/null |
		sed -nE 's/^[^/]*[ \t](\/[^ ]+) \(0x[0-9a-f]+\)$/\1/p' | sort -u |
	while read -r path; do
		[ -e "$work/root$path" ] && continue
		mkdir -p "$work/root${path%/*}"
		cp -L "$path" "$work/root$path"
	done
}

make_disks()
{
	local used_kib

	used_kib=$(du -sk --apparent-size "$work/root" | cut -f1)
	mke2fs -q -F -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1,root_owner=0:0 \
		-d "$work/root" "$work/root.img" $((used_kib * 5 / 4 + 2 * 1024 * 1024))k \
		>"$work/mke2fs.log" 2>&1 || die "cannot make the disk: $(tail -n1 "$work/mke2fs.log")"
	[ -z "$out" ] || truncate -s 16G "$work/out.img"
}

stage()
{
	local share tool

	cp -a "$image/rootfs" "$work/root"
	cp "$here/guest-init.sh" "$work/root/lab/init"
	chmod 755 "$work/root/lab/init"
	echo "$timeout_s" >"$work/root/lab/timeout"
	for share in ${shares[@]+"${shares[@]}"}; do
		stage_share "$share"
	done
	for tool in "${tools[@]}"; do
		stage_tool "$tool"
	done
	write_command
	stage_libraries
	make_disks
}

port()
{
	args+=(-chardev "file,id=$1,path=$work/$1" -device "virtserialport,chardev=$1,name=lab.$1")
}

# One thread for all CPUs here as well: kernels patch their text
arm64_machine()
{
	append="console=ttyAMA0 $append"
	args=(-M "virt,virtualization=on,gic-version=3" -accel "tcg,thread=single"
	      -cpu "max,pauth-impdef=on")
}

# Without tsc=reliable the kernel finds the TSC unstable and KVM rewrites the TSC
# offsets of guests all the time.  Measuring its frequency goes wrong on a busy
# machine; that of the lab's own emulator is known (tsc-in-ns.patch).
amd64_machine()
{
	append="console=ttyS0 $append tsc=reliable clocksource=tsc"
	[ -n "${IVM_LAB_QEMU:-}" ] || append+=" tsc_early_khz=1000000"
	args=(-accel "tcg,thread=single" -cpu max)
}

qemu_arguments()
{
	local append="panic=-1 oops=panic mitigations=off nowatchdog"

	case $arch in
	amd64)	amd64_machine ;;
	arm64)	arm64_machine ;;
	esac
	args+=(-smp "$cpus" -m "$memory" -nodefaults -no-user-config -display none -no-reboot
	      -kernel "$image/vmlinuz"
	      -initrd "$image/initrd"
	      -drive "file=$work/root.img,if=virtio,format=raw,cache=unsafe")
	[ -z "$out" ] ||
		args+=(-drive "file=$work/out.img,if=virtio,format=raw,cache=unsafe")
	args+=(-device virtio-serial)
	port stdout
	port stderr
	port status
	if [ $shell = 1 ]; then
		append+=" quiet lab.shell"
		args+=(-serial mon:stdio)
	else
		append+=" loglevel=5"
		args+=(-serial "file:$work/console")
	fi
	args+=(-append "$append")
}

stop_qemu()
{
	[ -n "$qemu_pid" ] || return 0
	kill -KILL "$qemu_pid" 2>/dev/null
	wait "$qemu_pid" 2>/dev/null
	qemu_pid=
}

# shellcheck disable=SC2317 # called by the EXIT trap
cleanup()
{
	stop_qemu
	[ ${#stream_pids[@]} -eq 0 ] || kill "${stream_pids[@]}" 2>/dev/null
	[ -z "$work" ] || rm -rf "$work"
}

# Should this script be killed, the kernel kills QEMU with it.
start_qemu()
{
	touch "$work/console" "$work/stdout" "$work/stderr" "$work/status"
	setpriv --pdeathsig KILL "$qemu" "${args[@]}" </dev/null >"$work/qemu.log" 2>&1 &
	qemu_pid=$!
	tail -q -s 0.1 -c +1 --pid="$qemu_pid" -f "$work/stdout" &
	stream_pids+=($!)
	tail -q -s 0.1 -c +1 --pid="$qemu_pid" -f "$work/stderr" >&2 &
	stream_pids+=($!)
}

# Wait for QEMU to end by itself: 0, or 1 if it did not in time.
wait_qemu()
{
	local begin=$SECONDS limit=$boot_limit_s

	while kill -0 "$qemu_pid" 2>/dev/null; do
		sleep 0.1
		if [ "$limit" = "$boot_limit_s" ] && [ -s "$work/status" ]; then
			limit=$((SECONDS - begin + timeout_s + end_limit_s))
		fi
		[ $((SECONDS - begin)) -lt "$limit" ] || return 1
	done
	wait "$qemu_pid"
	qemu_pid=
}

keep_log()
{
	[ -n "$log" ] || log=${O:-$top/.output}/lab/console-$kernel${arch#amd64}.log
	mkdir -p "$(dirname "$log")" && cp "$work/console" "$log"
}

# One line for each way the lab itself can fail; $1 says whether QEMU ended.
explain_failure()
{
	local why

	if why=$(grep -aom1 'Kernel panic.*' "$work/console"); then
		die "the lab's kernel stopped: ${why%$'\r'} (see $log)"
	elif why=$(grep -aom1 'lab-init: .*' "$work/console"); then
		die "${why%$'\r'} (see $log)"
	elif [ "$1" != 0 ] && [ ! -s "$work/status" ]; then
		die "no boot within $boot_limit_s s (see $log)"
	elif [ "$1" != 0 ]; then
		die "hung: no end $end_limit_s s after the command's limit of $timeout_s s (see $log)"
	elif [ -s "$work/qemu.log" ]; then
		die "QEMU: $(tail -n1 "$work/qemu.log")"
	fi
	die "ended without a result (see $log)"
}

bring_out()
{
	[ -n "$out" ] || return 0
	mkdir -p "$out" || die "cannot create $out"
	tar -C "$out" --no-same-owner -xf "$work/out.img" || die "cannot unpack the results into $out"
}

finish()
{
	local ended=$1 result

	wait ${stream_pids[@]+"${stream_pids[@]}"}
	stream_pids=()
	keep_log
	result=$(sed -n 's/^result //p' "$work/status")
	case $result in
	exit\ [0-9]*)	bring_out; exit "${result#exit }" ;;
	timeout)	bring_out
			echo "lab: the command was killed after $timeout_s s" >&2
			exit 124 ;;
	"")		explain_failure "$ended" ;;
	*)		die "$result (see $log)" ;;
	esac
}

main()
{
	local ended=0

	parse_options "$@"
	check_options
	find_qemu
	[ "$arch" = amd64 ] || sysroot=$("$here/sysroot.sh") || die "no programs for $arch"
	image=$("$here/build-image.sh" "$kernel" "$arch") || die "no image for kernel $kernel"
	work=$(mktemp -d "${TMPDIR:-/tmp}/ivm-lab.XXXXXX") || die "cannot make a directory in /tmp"
	trap cleanup EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	stage
	qemu_arguments
	if [ $shell = 1 ]; then
		"$qemu" "${args[@]}"
		exit
	fi
	start_qemu
	wait_qemu || ended=1
	stop_qemu
	finish $ended
}

main "$@"
