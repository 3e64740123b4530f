# SPDX-License-Identifier: GPL-2.0-only
# Count the outcomes in what run-tests prints: "PASSED FAILED SKIPPED", and
# one line for every failure before it.
function failure(what) {
	failed++
	print "FAIL " what
}

/^# begin / {
	program = $3
	planned = seen = bad = 0
}

/^1\.\.[0-9]+/ {
	planned = substr($1, 4) + 0
	if (/# SKIP/) {
		skipped++
		seen = planned = 0
	}
}

/^ok / {
	seen++
	if (/# SKIP/)
		skipped++
	else
		passed++
}

/^not ok / {
	seen++
	bad++
	failure((program ? program ": " : "") $0)
}

/^# end / {
	if (seen < planned)
		failure(program ": ended after " seen " of " planned " tests, status " $4)
	else if ($4 != 0 && $4 != 4 && !bad)
		failure(program ": exit status " $4)
	program = ""
}

END {
	if (program != "")
		failure(program ": never ended")
	print passed + 0, failed + 0, skipped + 0
}
