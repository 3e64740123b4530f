# SPDX-License-Identifier: GPL-2.0-only
# Print why a test failed: from its log, each TAP line that is "not ok" with lines
# since the one before, programs that ended early, then complaints of the kernel or
# scripts/vm.
BEGIN { room = 40 }

function keep(line) {
	buffer[n++] = line
}

function forget() {
	n = 0
}

function show(last,   i) {
	if (n > room)
		print "... (" n - room " lines)"
	for (i = n > room ? n - room : 0; i < n; i++)
		print buffer[i]
	if (last != "")
		print last
	shown++
	forget()
}

/^---- kernel log ----$/ { log_lines = 1; next }
/^--------------------$/ { log_lines = 0; next }
log_lines {
	if (!complained && $0 ~ bad)
		complained = 1
	if (complained && complained++ <= 50)
		complaint[c++] = $0
	last_of_log[l++ % 20] = $0
	next
}

/^# begin / {
	program = $3
	forget()
	next
}
/^# end / {
	if ($4 != 0 && $4 != 4 && !failed_in[program])
		show($0)
	program = ""
	forget()
	next
}
/^ok / { forget(); next }
/^not ok / {
	failed_in[program] = 1
	show((program ? program ": " : "") $0)
	next
}
/^(vm|kernel|selftests|overlay|test[-a-z]*): / { said[s++] = $0 }
{ keep($0) }

END {
	# The VM ended before the program did.
	if (program != "" || !shown)
		show("")
	for (i = 0; i < s; i++)
		print said[i]
	if (c) {
		for (i = 0; i < c; i++)
			print complaint[i]
	} else if (l) {
		for (i = l > 20 ? l - 20 : 0; i < l; i++)
			print last_of_log[i % 20]
	}
}
