// SPDX-License-Identifier: LGPL-2.1-only OR MIT
/*
 * ioasidctl: show the processes that use /dev/ioasid, and their objects.
 *
 * It reads /proc/PID/fdinfo only, so it needs no access to the contexts, and
 * does not disturb their users.  The tree leaves out lines and fields that this
 * program does not know; JSON includes them.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <locale.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Far more levels of IOASIDs than the kernel has. */
#define MAX_DEPTH 16

/* A line "key:\tvalue" of an fdinfo file. */
struct line {
	char *key;
	char *value;
	unsigned int id;	/* of an attachment, that of the device */
	unsigned int link;	/* parent of an IOASID, IOASID of a device */
};

/* An open file of /dev/ioasid. */
struct context {
	unsigned int pid;
	unsigned int fd;
	char comm[32];
	struct line *lines;
	size_t nr_lines;
};

/* The characters that draw a branch of the tree: in UTF-8 or in ASCII. */
struct art {
	const char *branch, *last, *pass, *blank;
};

static const struct art utf8 = { "├─ ", "└─ ", "│  ", "   " };
static const struct art ascii = { "|- ", "`- ", "|  ", "   " };

static const char *proc = "/proc";
static const struct art *art = &ascii;
static unsigned int nr_hidden;

static void *check_alloc(void *p)
{
	if (!p) {
		fputs("ioasidctl: out of memory\n", stderr);
		exit(1);
	}
	return p;
}

/* Find the value of "name=": a pointer into the line, and the length. */
static const char *find_field(const char *value, const char *name, int *len)
{
	size_t n = strlen(name);

	while (*value) {
		if (!strncmp(value, name, n) && value[n] == '=') {
			*len = strcspn(value + n + 1, " ");
			return value + n + 1;
		}
		value += strcspn(value, " ");
		value += strspn(value, " ");
	}
	*len = 1;
	return "?";
}

static unsigned long long number(const char *value, const char *name)
{
	int len;

	return strtoull(find_field(value, name, &len), NULL, 0);
}

static const char *find_value(const struct context *ctx, const char *key)
{
	size_t i;

	for (i = 0; i < ctx->nr_lines; i++)
		if (!strcmp(ctx->lines[i].key, key))
			return ctx->lines[i].value;
	return NULL;
}

/* Reading */

static bool is_ioasid(const struct line *line)
{
	return !strcmp(line->key, "ioasid");
}

static bool is_device(const struct line *line)
{
	return !strcmp(line->key, "device");
}

static bool is_queue(const struct line *line)
{
	return !strcmp(line->key, "fault-queue");
}

/* Of an address space of a vDPA device */
static bool is_attachment(const struct line *line)
{
	return !strcmp(line->key, "attachment");
}

static void add_line(struct context *ctx, char *text)
{
	char *value = strchr(text, ':');
	struct line *line;

	if (!value)
		return;
	*value++ = '\0';
	value += strspn(value, " \t");
	value[strcspn(value, "\n")] = '\0';
	/* Double the room at each power of two. */
	if (!(ctx->nr_lines & (ctx->nr_lines - 1)))
		ctx->lines = check_alloc(realloc(ctx->lines, (2 * ctx->nr_lines + 1) *
						 sizeof(*ctx->lines)));
	line = &ctx->lines[ctx->nr_lines++];
	line->key = check_alloc(strdup(text));
	line->value = check_alloc(strdup(value));
	line->id = number(value, is_attachment(line) ? "device" : "id");
	line->link = number(value, is_device(line) ? "ioasid" : "parent");
}

static void free_context(struct context *ctx)
{
	size_t i;

	for (i = 0; i < ctx->nr_lines; i++) {
		free(ctx->lines[i].key);
		free(ctx->lines[i].value);
	}
	free(ctx->lines);
}

/* Returns false if it is no file of /dev/ioasid, or is gone. */
static bool read_context(struct context *ctx)
{
	char path[512], *text = NULL;
	size_t size = 0;
	FILE *file;

	ctx->lines = NULL;
	ctx->nr_lines = 0;
	snprintf(path, sizeof(path), "%s/%u/fdinfo/%u", proc, ctx->pid, ctx->fd);
	file = fopen(path, "r");
	if (!file)
		return false;
	while (getline(&text, &size, file) > 0)
		add_line(ctx, text);
	free(text);
	fclose(file);
	if (find_value(ctx, "ioasid-count"))
		return true;
	free_context(ctx);
	return false;
}

static void read_comm(struct context *ctx)
{
	char path[512];
	FILE *file;
	char *c;

	snprintf(ctx->comm, sizeof(ctx->comm), "?");
	snprintf(path, sizeof(path), "%s/%u/comm", proc, ctx->pid);
	file = fopen(path, "r");
	if (!file)
		return;
	if (fgets(ctx->comm, sizeof(ctx->comm), file))
		ctx->comm[strcspn(ctx->comm, "\n")] = '\0';
	fclose(file);
	/*
	 * A process chooses its name: do not pass control characters to
	 * terminals.
	 */
	for (c = ctx->comm; *c; c++)
		if (!isascii(*c) || iscntrl(*c))
			*c = '?';
}

static int is_number(const struct dirent *entry)
{
	const char *name = entry->d_name;

	return *name && !name[strspn(name, "0123456789")];
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	long long d = strtoll((*a)->d_name, NULL, 10) -
		      strtoll((*b)->d_name, NULL, 10);

	return (d > 0) - (d < 0);
}

/* Call @show for each of a process's open files of /dev/ioasid. */
static void scan_process(unsigned int pid, void (*show)(struct context *ctx))
{
	struct context ctx = { .pid = pid };
	struct dirent **fds;
	char path[512];
	int i, nr;

	snprintf(path, sizeof(path), "%s/%u/fdinfo", proc, pid);
	nr = scandir(path, &fds, is_number, by_number);
	if (nr < 0) {
		nr_hidden += errno == EACCES || errno == EPERM;
		return;
	}
	for (i = 0; i < nr; i++) {
		ctx.fd = strtoul(fds[i]->d_name, NULL, 10);
		free(fds[i]);
		if (!read_context(&ctx))
			continue;
		read_comm(&ctx);
		show(&ctx);
		free_context(&ctx);
	}
	free(fds);
}

static void scan(void (*show)(struct context *ctx))
{
	struct dirent **pids;
	int i, nr;

	nr = scandir(proc, &pids, is_number, by_number);
	if (nr < 0) {
		fprintf(stderr, "ioasidctl: %s: %s\n", proc, strerror(errno));
		exit(1);
	}
	for (i = 0; i < nr; i++) {
		scan_process(strtoul(pids[i]->d_name, NULL, 10), show);
		free(pids[i]);
	}
	free(pids);
}

/* The tree */

static void print_bytes(unsigned long long bytes)
{
	static const char * const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = bytes;
	int unit = 0;

	while (value >= 1024 && unit < 5) {
		value /= 1024;
		unit++;
	}
	printf(value == (unsigned long long)value ? "%.0f %s" : "%.1f %s", value,
	       units[unit]);
}

static void print_branch(const char *prefix, bool last)
{
	printf("%s%s", prefix, last ? art->last : art->branch);
}

static char *longer_prefix(const char *prefix, bool last)
{
	char *p;

	if (asprintf(&p, "%s%s", prefix, last ? art->blank : art->pass) < 0)
		p = NULL;
	return check_alloc(p);
}

static bool has_ioasid(const struct context *ctx, unsigned int id)
{
	size_t i;

	for (i = 0; i < ctx->nr_lines; i++)
		if (is_ioasid(&ctx->lines[i]) && ctx->lines[i].id == id)
			return true;
	return false;
}

/*
 * Whether a line belongs below @parent or, with 0, below the context.  Children
 * of an IOASID that the kernel left out of a long list belong there, too.
 */
static bool is_child(const struct context *ctx, const struct line *line,
		     unsigned int parent)
{
	if (!is_ioasid(line) && !is_device(line) && !is_queue(line))
		return false;
	if (parent || !line->link)
		return line->link == parent;
	return !has_ioasid(ctx, line->link);
}

static void print_device(const char *value, bool attached, bool has_asids)
{
	int name_len, cookie_len, group_len;
	const char *name = find_field(value, "name", &name_len);
	const char *cookie = find_field(value, "cookie", &cookie_len);
	const char *group = find_field(value, "group", &group_len);

	printf("%.*s: device %llu, group %.*s, cookie %.*s", name_len, name,
	       number(value, "id"), group_len, group, cookie_len, cookie);
	if (number(value, "pasids") && !has_asids)
		printf(", %llu PASIDs attached", number(value, "pasids"));
	if (number(value, "faults"))
		printf(", %llu faults told", number(value, "faults"));
	if (number(value, "lost"))
		printf(", %llu faults lost", number(value, "lost"));
	puts(attached ? "" : ", blocked: attached to no IOASID");
}

static bool is_attachment_of(const struct line *line, const struct line *device)
{
	return is_attachment(line) && line->id == device->id;
}

/* A device, with the address spaces that it has attached */
static void print_device_tree(const struct context *ctx, const char *prefix,
			      const struct line *device)
{
	const char *name, *value;
	size_t i, last = 0;
	int len;

	for (i = 0; i < ctx->nr_lines; i++)
		if (is_attachment_of(&ctx->lines[i], device))
			last = i;
	print_device(device->value, device->link || last, last);
	name = find_field(device->value, "name", &len);
	for (i = 0; i < ctx->nr_lines; i++) {
		if (!is_attachment_of(&ctx->lines[i], device))
			continue;
		value = ctx->lines[i].value;
		print_branch(prefix, i == last);
		printf("%.*s: asid %llu -> IOASID %llu\n", len, name,
		       number(value, "asid"), number(value, "ioasid"));
	}
}

static void print_ioasid(const char *value)
{
	int kind_len, cookie_len, state_len;
	const char *kind = find_field(value, "kind", &kind_len);
	const char *cookie = find_field(value, "cookie", &cookie_len);
	const char *state = find_field(value, "state", &state_len);
	unsigned long long nr = number(value, "mappings");

	printf("IOASID %llu: %.*s, cookie %.*s, ", number(value, "id"), kind_len,
	       kind, cookie_len, cookie);
	print_bytes(number(value, "mapped"));
	printf(" mapped in %llu mapping%s, ", nr, nr == 1 ? "" : "s");
	print_bytes(number(value, "pinned"));
	printf(" pinned, %.*s\n", state_len, state);
}

static void print_queue(const char *value)
{
	unsigned long long lost = number(value, "lost");
	int cookie_len;
	const char *cookie = find_field(value, "cookie", &cookie_len);

	printf("fault queue %llu: cookie %.*s, %llu of %llu groups of page requests wait",
	       number(value, "id"), cookie_len, cookie, number(value, "groups"),
	       number(value, "depth"));
	if (number(value, "events"))
		printf(", %llu failed accesses to be read", number(value, "events"));
	if (lost)
		printf(", %llu lost", lost);
	putchar('\n');
}

static void print_below(const struct context *ctx, const char *prefix,
			unsigned int parent, bool more, unsigned int depth)
{
	const struct line *line;
	size_t i, last = 0;
	char *longer;

	for (i = 0; i < ctx->nr_lines; i++)
		if (is_child(ctx, &ctx->lines[i], parent))
			last = i;
	for (i = 0; i < ctx->nr_lines; i++) {
		line = &ctx->lines[i];
		if (!is_child(ctx, line, parent))
			continue;
		print_branch(prefix, i == last && !more);
		if (is_device(line)) {
			longer = longer_prefix(prefix, i == last && !more);
			print_device_tree(ctx, longer, line);
			free(longer);
			continue;
		}
		if (is_queue(line)) {
			print_queue(line->value);
			continue;
		}
		print_ioasid(line->value);
		/*
		 * A loop does not come from the kernel, but must not hang the
		 * program.
		 */
		if (depth == MAX_DEPTH)
			continue;
		longer = longer_prefix(prefix, i == last && !more);
		print_below(ctx, longer, line->id, false, depth + 1);
		free(longer);
	}
}

static void print_context(const struct context *ctx)
{
	const char *count = find_value(ctx, "ioasid-count") ?: "?";
	const char *max = find_value(ctx, "ioasid-limit-ioasids");
	const char *pinned = find_value(ctx, "ioasid-pinned");
	const char *limit = find_value(ctx, "ioasid-limit-pinned");
	const char *charge = find_value(ctx, "ioasid-charge");
	const char *mappings = find_value(ctx, "ioasid-mappings");
	const char *most = find_value(ctx, "ioasid-limit-mappings");

	printf("fd %u: %s", ctx->fd, count);
	if (max && strcmp(max, "max"))
		printf(" of %s", max);
	printf(" IOASID%s, ", strcmp(count, "1") ? "s" : "");
	print_bytes(pinned ? strtoull(pinned, NULL, 10) : 0);
	if (limit && strcmp(limit, "max")) {
		printf(" of ");
		print_bytes(strtoull(limit, NULL, 10));
	}
	printf(" pinned, ");
	if (mappings && most && strcmp(most, "max"))
		printf("%s of %s mappings, ", mappings, most);
	printf("charged to the %s\n",
	       !charge || !strcmp(charge, "user") ? "user" :
	       !strcmp(charge, "once") ? "process, once" : "process");
}

/* The files of a process follow each other: find the last one. */
static struct context pending;
static unsigned int shown_pid;

static void show_pending(bool last)
{
	const char *more;
	char *prefix;

	if (!pending.pid)
		return;
	if (pending.pid != shown_pid)
		printf("%s (%u)\n", pending.comm, pending.pid);
	shown_pid = pending.pid;
	print_branch("", last);
	print_context(&pending);
	more = find_value(&pending, "ioasid-more");
	prefix = longer_prefix("", last);
	print_below(&pending, prefix, 0, more, 0);
	if (more) {
		print_branch(prefix, true);
		printf("%s more IOASIDs\n", more);
	}
	free(prefix);
	free_context(&pending);
	pending.pid = 0;
}

static void show_tree(struct context *ctx)
{
	show_pending(pending.pid != ctx->pid);
	pending = *ctx;
	ctx->lines = NULL;
	ctx->nr_lines = 0;
}

/* JSON */

static void print_string(const char *s, int len)
{
	int i;

	putchar('"');
	for (i = 0; i < len; i++) {
		if (s[i] == '"' || s[i] == '\\')
			printf("\\%c", s[i]);
		else if (!isascii(s[i]) || iscntrl(s[i]))
			printf("\\u%04x", (unsigned char)s[i]);
		else
			putchar(s[i]);
	}
	putchar('"');
}

/* Decimal numbers are numbers; "max" is null; cookies do not fit a double. */
static void print_value(const char *s, int len)
{
	int sign = len > 1 && s[0] == '-';

	if (len == 3 && !strncmp(s, "max", 3))
		printf("null");
	else if (len && (int)strspn(s + sign, "0123456789") >= len - sign &&
		 (s[sign] != '0' || len == sign + 1))
		printf("%.*s", len, s);
	else
		print_string(s, len);
}

static void print_fields(const char *value)
{
	const char *comma = "", *equal;
	int len;

	putchar('{');
	while (*value) {
		len = strcspn(value, " ");
		equal = memchr(value, '=', len);
		if (equal) {
			fputs(comma, stdout);
			print_string(value, equal - value);
			putchar(':');
			print_value(equal + 1, len - (equal + 1 - value));
			comma = ",";
		}
		value += len;
		value += strspn(value, " ");
	}
	putchar('}');
}

static void print_list(const struct context *ctx, const char *name,
		       bool (*is)(const struct line *line))
{
	const char *comma = "";
	size_t i;

	printf(",\n  \"%s\":[", name);
	for (i = 0; i < ctx->nr_lines; i++) {
		if (!is(&ctx->lines[i]))
			continue;
		printf("%s\n   ", comma);
		print_fields(ctx->lines[i].value);
		comma = ",";
	}
	putchar(']');
}

static void show_json(struct context *ctx)
{
	static const char prefix[] = "ioasid-";
	static const char *comma = "";
	const struct line *line;
	size_t i;

	printf("%s\n {\"pid\":%u,\"comm\":", comma, ctx->pid);
	print_string(ctx->comm, strlen(ctx->comm));
	printf(",\"fd\":%u", ctx->fd);
	for (i = 0; i < ctx->nr_lines; i++) {
		line = &ctx->lines[i];
		if (strncmp(line->key, prefix, strlen(prefix)))
			continue;
		putchar(',');
		print_string(line->key + strlen(prefix), strlen(line->key) - strlen(prefix));
		putchar(':');
		print_value(line->value, strlen(line->value));
	}
	print_list(ctx, "ioasids", is_ioasid);
	print_list(ctx, "devices", is_device);
	print_list(ctx, "attachments", is_attachment);
	print_list(ctx, "fault-queues", is_queue);
	putchar('}');
	comma = ",";
}

static void print_usage(FILE *to)
{
	fputs("usage: ioasidctl [-j]\n"
	      "Show every open file of /dev/ioasid: the process that has it open, the I/O\n"
	      "address spaces (IOASIDs) in it, and the devices attached to them.\n"
	      "  -j, --json       as JSON; sizes in bytes, null for no limit\n"
	      "      --proc DIR   look there, not in /proc\n", to);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "proc", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ }
	};
	bool json = false;
	int option;

	setlocale(LC_CTYPE, "");
	if (!strcmp(nl_langinfo(CODESET), "UTF-8"))
		art = &utf8;
	while ((option = getopt_long(argc, argv, "jh", options, NULL)) >= 0) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'p':
			proc = optarg;
			break;
		case 'h':
			print_usage(stdout);
			return 0;
		default:
			print_usage(stderr);
			return 2;
		}
	}
	if (optind < argc) {
		print_usage(stderr);
		return 2;
	}

	if (json) {
		putchar('[');
		scan(show_json);
		puts("\n]");
	} else {
		scan(show_tree);
		if (!shown_pid && !pending.pid)
			puts("No process has /dev/ioasid open.");
		show_pending(true);
	}
	if (nr_hidden)
		fprintf(stderr, "ioasidctl: %u processes of others could not be looked at\n",
			nr_hidden);
	return 0;
}
