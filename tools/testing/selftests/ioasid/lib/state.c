// SPDX-License-Identifier: GPL-2.0-only
#include "state.h"

/* FNV-1a */
static __u64 ia_sum(__u64 sum, const void *data, size_t length)
{
	const __u8 *byte = data;

	while (length--)
		sum = (sum ^ *byte++) * 0x100000001b3ULL;
	return sum;
}

static void ia_state_add_ranges(struct ia_state *state,
				const struct ioasid_iova_range *ranges,
				__u32 nr)
{
	__u32 i;

	state->sum_ranges = ia_sum(state->sum_ranges, ranges,
				   nr * sizeof(*ranges));
	for (i = 0; i < nr && state->nr_ranges < IA_STATE_RANGES; i++)
		state->ranges[state->nr_ranges++] = ranges[i];
}

static int ia_state_read_info(int fd, struct ia_state *state, __u32 i)
{
	struct ioasid_iova_range ranges[64] = {};
	struct ioasid_info *info = &state->infos[i].info;
	int rc;

	info->argsz = sizeof(*info);
	info->ioasid = state->entries[i].id;
	info->nr_ranges = 64;
	info->ranges = IA_PTR(ranges);
	rc = ia_cmd(fd, IOASID_GET_INFO, info);
	info->ranges = 0;
	if (rc)
		return rc;
	ia_state_add_ranges(state, ranges,
			    info->nr_ranges < 64 ? info->nr_ranges : 64);
	return 0;
}

static int ia_state_read_device(int fd, struct ia_state *state, __u32 i)
{
	struct ioasid_device_info *info = &state->infos[i].device;
	struct ioasid_iova_range ranges[64] = {};
	int rc;

	info->argsz = sizeof(*info);
	info->devid = state->entries[i].id;
	info->nr_ranges = 64;
	info->ranges = IA_PTR(ranges);
	rc = ia_cmd(fd, IOASID_DEVICE_GET_INFO, info);
	info->ranges = 0;
	/* unplugged, or behind an IOMMU that fails to make domains */
	if (rc == -ENODEV || rc == -EMEDIUMTYPE)
		return 0;
	if (rc)
		return rc;
	ia_state_add_ranges(state, ranges,
			    info->nr_ranges < 64 ? info->nr_ranges : 64);
	return 0;
}

static int ia_state_read_mappings(int fd, struct ia_state *state, __u32 id)
{
	struct ioasid_query_entry entries[32];
	struct ioasid_query_map query = { .more = 1 };
	__u64 start = 0;
	__u32 i;
	int rc;

	while (query.more) {
		query = (struct ioasid_query_map) {
			.argsz = sizeof(query),
			.ioasid = id,
			.nr = 32,
			.start = start,
			.entries = IA_PTR(entries),
		};
		rc = ia_cmd(fd, IOASID_QUERY_MAP, &query);
		/* an import, or a kind that has no mappings */
		if (rc)
			return rc == -ENOENT || rc == -EOPNOTSUPP ? 0 : rc;
		start = query.next;
		state->sum_mappings = ia_sum(state->sum_mappings, entries,
					     query.nr * sizeof(*entries));
		for (i = 0; i < query.nr; i++) {
			if (state->nr_mappings == IA_STATE_MAPPINGS)
				break;
			state->mappings[state->nr_mappings].id = id;
			state->mappings[state->nr_mappings++].entry = entries[i];
		}
	}
	return 0;
}

static void ia_state_read_text(int fd, struct ia_state *state, size_t *used)
{
	char path[64], buf[4096];
	ssize_t n;
	size_t room;
	int file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	while (file >= 0 && (n = read(file, buf, sizeof(buf))) > 0) {
		state->sum_text = ia_sum(state->sum_text, buf, n);
		room = IA_STATE_TEXT - 1 - *used;
		if ((size_t)n < room)
			room = n;
		memcpy(state->text + *used, buf, room);
		*used += room;
	}
	if (file >= 0)
		close(file);
}

/* fdinfo of the context, and of exports and fault queues of low numbers. */
static void ia_state_read_fdinfo(int fd, struct ia_state *state)
{
	char path[64], target[64];
	size_t used = 0;
	__u32 i;
	ssize_t n;

	ia_state_read_text(fd, state, &used);
	for (i = 0; i < state->next_fd + 32; i++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = 0;
		if (strstr(target, "[ioasid-export]") ||
		    strstr(target, "[ioasid-fault-queue]"))
			ia_state_read_text(i, state, &used);
	}
}

int ia_state_read(int fd, struct ia_state *state)
{
	struct ioasid_list_entry *e;
	__u32 i;
	int rc;

	memset(state, 0, sizeof(*state));
	state->next_fd = dup(fd);
	close(state->next_fd);
	state->vm_pin = ia_status("VmPin");
	state->vm_lck = ia_status("VmLck");
	state->nr = IA_STATE_MAX;
	rc = ia_list(fd, 0, state->entries, &state->nr);
	if (rc)
		return rc;
	if (state->nr > IA_STATE_MAX)
		return -E2BIG;
	for (i = 0; i < IA_STATE_OPTIONS; i++) {
		rc = ia_get_option(fd, IOASID_OPTION_CHARGE + i,
				   &state->option[i], &state->sealed[i]);
		if (rc)
			return rc;
	}
	for (i = 0; i < state->nr; i++) {
		e = &state->entries[i];
		rc = 0;
		if (e->type == IOASID_LIST_IOASID)
			rc = ia_state_read_info(fd, state, i) ?:
			     ia_state_read_mappings(fd, state, e->id);
		else if (e->type == IOASID_LIST_DEVICE)
			rc = ia_state_read_device(fd, state, i);
		if (rc)
			return rc;
	}
	ia_state_read_fdinfo(fd, state);
	return 0;
}

/* Remove the numbers behind "mappings=" from all lines but those of roots. */
static void ia_text_forget_pieces(char *text)
{
	char *from = text, *to = text, *line = text;
	const char *what = "mappings=";

	while (*from) {
		if (from == text || from[-1] == '\n')
			line = from;
		*to++ = *from++;
		if ((size_t)(from - line) < strlen(what) ||
		    strncmp(from - strlen(what), what, strlen(what)))
			continue;
		if (memmem(line, strcspn(line, "\n"), " parent=0 ", 10))
			continue;
		while (*from >= '0' && *from <= '9')
			from++;
	}
	memset(to, 0, from - to);
}

void ia_state_forget_pieces(struct ia_state *state)
{
	struct ioasid_query_entry *last, *m;
	struct ioasid_info *info;
	__u32 i, k, n = 0, root = 0;

	for (i = 0; i < state->nr; i++) {
		info = &state->infos[i].info;
		if (state->entries[i].type != IOASID_LIST_IOASID ||
		    (info->kind == IOASID_KIND_MAP && !info->parent))
			continue;
		info->nr_mappings = 0;
		if (~info->mappings_left)
			info->mappings_left = 0;
	}
	for (i = 0; i < state->nr_mappings; i++) {
		m = &state->mappings[i].entry;
		for (k = 0; k < state->nr; k++)
			if (state->entries[k].type == IOASID_LIST_IOASID &&
			    state->entries[k].id == state->mappings[i].id)
				root = !state->entries[k].parent;
		if (!root)
			m->pgsizes = 0;
		last = n ? &state->mappings[n - 1].entry : NULL;
		if (!root && last &&
		    state->mappings[n - 1].id == state->mappings[i].id &&
		    last->iova + last->length == m->iova &&
		    last->addr + last->length == m->addr &&
		    last->flags == m->flags && last->cut_size == m->cut_size)
			last->length += m->length;
		else
			state->mappings[n++] = state->mappings[i];
	}
	for (i = n; i < state->nr_mappings; i++)
		memset(&state->mappings[i], 0, sizeof(state->mappings[i]));
	state->nr_mappings = n;
	state->sum_mappings = 0;
	state->sum_text = 0;
	ia_text_forget_pieces(state->text);
}

/* Lines of two texts that differ, the first of them. */
static void ia_text_diff(char *to, size_t size, const char *a, const char *b)
{
	size_t i, line = 0;

	for (i = 0; a[i] && a[i] == b[i]; i++)
		if (a[i] == '\n')
			line = i + 1;
	snprintf(to, size, "fdinfo: %.*s, now %.*s",
		 (int)strcspn(a + line, "\n"), a + line,
		 (int)strcspn(b + line, "\n"), b + line);
}

const char *ia_state_diff(const struct ia_state *a, const struct ia_state *b)
{
	static char text[640];
	const struct ioasid_query_entry *m, *n;
	const struct ioasid_info *x, *y;
	__u32 i;

	if (!memcmp(a, b, sizeof(*a)))
		return NULL;
	if (a->vm_pin != b->vm_pin || a->vm_lck != b->vm_lck) {
		snprintf(text, sizeof(text),
			 "VmPin %lld, now %lld; VmLck %lld, now %lld",
			 a->vm_pin, b->vm_pin, a->vm_lck, b->vm_lck);
		return text;
	}
	if (a->next_fd != b->next_fd) {
		snprintf(text, sizeof(text), "next file %u, now %u", a->next_fd,
			 b->next_fd);
		return text;
	}
	if (a->nr != b->nr) {
		snprintf(text, sizeof(text), "%u objects, now %u", a->nr, b->nr);
		return text;
	}
	for (i = 0; i < IA_STATE_OPTIONS; i++) {
		if (a->option[i] == b->option[i] && a->sealed[i] == b->sealed[i])
			continue;
		snprintf(text, sizeof(text),
			 "option %u: %#llx sealed %u, now %#llx sealed %u", i + 1,
			 a->option[i], a->sealed[i], b->option[i], b->sealed[i]);
		return text;
	}
	for (i = 0; i < a->nr; i++) {
		if (memcmp(&a->entries[i], &b->entries[i],
			   sizeof(a->entries[i]))) {
			snprintf(text, sizeof(text), "entry %u: id %u, now %u",
				 i, a->entries[i].id, b->entries[i].id);
			return text;
		}
		if (!memcmp(&a->infos[i], &b->infos[i], sizeof(a->infos[i])))
			continue;
		if (a->entries[i].type != IOASID_LIST_IOASID) {
			snprintf(text, sizeof(text), "device %u",
				 a->entries[i].id);
			return text;
		}
		x = &a->infos[i].info;
		y = &b->infos[i].info;
		snprintf(text, sizeof(text),
			 "id %u: state %#x/%#x domains %u/%u devices %u/%u children %u/%u ranges %u/%u mappings %llu/%llu mapped %llu/%llu pinned %llu/%llu charged %llu/%llu left %llu/%llu",
			 a->entries[i].id, x->state, y->state, x->nr_domains,
			 y->nr_domains, x->nr_devices, y->nr_devices,
			 x->nr_children, y->nr_children, x->nr_ranges,
			 y->nr_ranges, x->nr_mappings, y->nr_mappings,
			 x->bytes_mapped, y->bytes_mapped, x->bytes_pinned,
			 y->bytes_pinned, x->bytes_charged, y->bytes_charged,
			 x->bytes_left, y->bytes_left);
		return text;
	}
	for (i = 0; i < IA_STATE_RANGES; i++) {
		if (!memcmp(&a->ranges[i], &b->ranges[i], sizeof(a->ranges[i])))
			continue;
		snprintf(text, sizeof(text),
			 "range %u: %#llx-%#llx, now %#llx-%#llx", i,
			 a->ranges[i].start, a->ranges[i].last,
			 b->ranges[i].start, b->ranges[i].last);
		return text;
	}
	for (i = 0; i < IA_STATE_MAPPINGS; i++) {
		if (!memcmp(&a->mappings[i], &b->mappings[i],
			    sizeof(a->mappings[i])))
			continue;
		m = &a->mappings[i].entry;
		n = &b->mappings[i].entry;
		snprintf(text, sizeof(text),
			 "mapping %u of %u: %#llx+%#llx addr %#llx cut %#llx pages %#llx flags %#x, now of %u: %#llx+%#llx addr %#llx cut %#llx pages %#llx flags %#x",
			 i, a->mappings[i].id, m->iova, m->length, m->addr,
			 m->cut_size, m->pgsizes, m->flags, b->mappings[i].id,
			 n->iova, n->length, n->addr, n->cut_size, n->pgsizes,
			 n->flags);
		return text;
	}
	if (strcmp(a->text, b->text)) {
		ia_text_diff(text, sizeof(text), a->text, b->text);
		return text;
	}
	return "one of many ranges, mappings or lines of fdinfo";
}

int ia_file_read(int fd, struct ia_file *file)
{
	__u64 at[2] = { 0, 0 };
	struct stat st;
	int seals;

	memset(file, 0, sizeof(*file));
	if (fstat(fd, &st))
		return -errno;
	file->size = st.st_size;
	file->blocks = st.st_blocks;
	seals = fcntl(fd, F_GET_SEALS);
	file->seals = seals < 0 ? 0 : seals;
	for (;;) {
		off_t data = lseek(fd, at[1], SEEK_DATA);

		if (data < 0)
			break;
		at[0] = data;
		at[1] = lseek(fd, data, SEEK_HOLE);
		file->sum = ia_sum(file->sum, at, sizeof(at));
	}
	lseek(fd, 0, SEEK_SET);
	return 0;
}
