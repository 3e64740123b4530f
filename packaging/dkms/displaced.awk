# SPDX-License-Identifier: GPL-2.0-only
#
# Of modules.dep: the modules that need one of those of VFIO in the file "list",
# and are not in it themselves.
function base(path) {
	sub(/.*\//, "", path)
	sub(/\.ko.*/, "", path)
	gsub(/-/, "_", path)
	return path
}

BEGIN {
	while ((getline line <list) > 0) {
		split(line, word, " ")
		ours[base(word[1])] = 1
	}
}

{
	sub(/:$/, "", $1)
	if (base($1) in ours)
		next
	for (i = 2; i <= NF; i++)
		if (base($i) in ours && base($i) ~ /^(vfio|mdev)/) {
			lost = lost " " base($1)
			break
		}
}

END {
	if (lost)
		print "ioasid: not rebuilt, and of no use with these modules:" lost
}
