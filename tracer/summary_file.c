// SPDX-License-Identifier: GPL-2.0-or-later
/* Summaries in recordings */
#include <errno.h>
#include <string.h>

#include "journey_table.h"
#include "summary_file.h"

const char ivm_summary_schema[] =
	"CREATE TABLE phases (id INTEGER PRIMARY KEY, name TEXT NOT NULL,"
	" start_ns INTEGER NOT NULL);"
	"CREATE TABLE blocks (id INTEGER PRIMARY KEY, phase INTEGER NOT NULL,"
	" start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL);"
	"CREATE TABLE shapes (id INTEGER PRIMARY KEY, mode TEXT NOT NULL,"
	" configured TEXT NOT NULL, outcome TEXT NOT NULL, from_end INTEGER NOT NULL,"
	" to_end INTEGER, vector INTEGER NOT NULL, irq_vector INTEGER,"
	" from_vcpu INTEGER NOT NULL, to_vcpu INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" points TEXT NOT NULL, count INTEGER NOT NULL);"
	"CREATE TABLE cells (block INTEGER NOT NULL, shape INTEGER NOT NULL,"
	" count INTEGER NOT NULL, PRIMARY KEY (block, shape)) WITHOUT ROWID;"
	"CREATE TABLE spans (block INTEGER NOT NULL, shape INTEGER NOT NULL,"
	" from_point TEXT NOT NULL, to_point TEXT NOT NULL, sum_ns INTEGER NOT NULL,"
	" min_ns INTEGER NOT NULL, max_ns INTEGER NOT NULL, buckets TEXT NOT NULL);";

static const char *const modes[] = IVM_MODE_NAMES;
static const char *const outcomes[] = IVM_OUTCOME_NAMES;

/* ---- writing ---- */

struct writer {
	const struct ivm_summary *summary;
	sqlite3_stmt *cell;
	sqlite3_stmt *span;
	int rc;				/* the first one that is not good */
};

static void step(struct writer *w, sqlite3_stmt *stmt)
{
	int rc = w->rc == SQLITE_OK ? sqlite3_step(stmt) : SQLITE_DONE;

	if (rc != SQLITE_DONE)
		w->rc = rc;
	sqlite3_reset(stmt);
}

static void prepare(struct writer *w, sqlite3 *db, const char *sql, sqlite3_stmt **stmt)
{
	if (w->rc == SQLITE_OK)
		w->rc = sqlite3_prepare_v2(db, sql, -1, stmt, NULL);
}

static void bind_u64(sqlite3_stmt *stmt, int column, uint64_t value)
{
	sqlite3_bind_int64(stmt, column, (sqlite3_int64)value);
}

static void bind_optional(sqlite3_stmt *stmt, int column, uint64_t value)
{
	if (value)
		bind_u64(stmt, column, value);
	else
		sqlite3_bind_null(stmt, column);
}

static void bind_name(sqlite3_stmt *stmt, int column, const char *name)
{
	sqlite3_bind_text(stmt, column, name, -1, SQLITE_STATIC);
}

static void write_phases(struct writer *w, sqlite3 *db)
{
	const GArray *phases = ivm_summary_phases(w->summary);
	sqlite3_stmt *stmt = NULL;
	unsigned int i;

	prepare(w, db, "INSERT INTO phases VALUES (?,?,?)", &stmt);
	for (i = 0; i < phases->len && w->rc == SQLITE_OK; i++) {
		const struct ivm_phase *phase = &g_array_index(phases, struct ivm_phase, i);

		bind_u64(stmt, 1, i);
		bind_name(stmt, 2, phase->name);
		bind_u64(stmt, 3, phase->start_ns);
		step(w, stmt);
	}
	sqlite3_finalize(stmt);
}

static char *point_names(uint32_t points)
{
	GString *names = g_string_new(NULL);
	int i;

	for (i = 0; i < IVM_POINTS; i++)
		if (points & 1u << i)
			g_string_append_printf(names, "%s%s", names->len ? " " : "",
					       ivm_point_columns[i]);
	return g_string_free(names, FALSE);
}

static void write_shape(struct writer *w, sqlite3_stmt *stmt, const struct ivm_shape *shape)
{
	const struct ivm_shape_key *k = &shape->key;
	g_autofree char *points = point_names(k->points);

	bind_u64(stmt, 1, shape->number);
	bind_name(stmt, 2, modes[k->mode]);
	bind_name(stmt, 3, modes[k->configured]);
	bind_name(stmt, 4, outcomes[k->outcome]);
	bind_u64(stmt, 5, k->from_end);
	bind_optional(stmt, 6, k->to_end);
	bind_u64(stmt, 7, k->vector);
	bind_optional(stmt, 8, k->irq_vector);
	bind_u64(stmt, 9, k->from_vcpu);
	bind_u64(stmt, 10, k->to_vcpu);
	bind_u64(stmt, 11, k->flags);
	bind_name(stmt, 12, points);
	bind_u64(stmt, 13, shape->count);
	step(w, stmt);
}

static void write_shapes(struct writer *w, sqlite3 *db)
{
	const GPtrArray *shapes = ivm_summary_shapes(w->summary);
	sqlite3_stmt *stmt = NULL;
	unsigned int i;

	prepare(w, db, "INSERT INTO shapes VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", &stmt);
	for (i = 0; i < shapes->len && w->rc == SQLITE_OK; i++) {
		const struct ivm_shape *shape = g_ptr_array_index(shapes, i);

		/* All of its journeys may have turned out to be of another one */
		if (shape->count)
			write_shape(w, stmt, shape);
	}
	sqlite3_finalize(stmt);
}

static void write_span(struct writer *w, uint64_t block, const struct ivm_shape *shape,
		       const struct ivm_cell *cell, unsigned int i)
{
	const struct ivm_hist *h = &cell->hist[i];
	g_autofree char *live = cell->packed ? NULL : ivm_hist_print(h);

	bind_u64(w->span, 1, block);
	bind_u64(w->span, 2, shape->number);
	bind_name(w->span, 3, ivm_point_columns[shape->span[i].from]);
	bind_name(w->span, 4, ivm_point_columns[shape->span[i].to]);
	bind_u64(w->span, 5, h->sum_ns);
	bind_u64(w->span, 6, h->min_ns);
	bind_u64(w->span, 7, h->max_ns);
	bind_name(w->span, 8, live ? live : cell->packed[i]);
	step(w, w->span);
}

static void write_cells(struct writer *w, uint64_t number, const struct ivm_block *block)
{
	const GPtrArray *shapes = ivm_summary_shapes(w->summary);
	unsigned int i, k;

	for (i = 0; i < block->cells->len && w->rc == SQLITE_OK; i++) {
		const struct ivm_cell *cell = g_ptr_array_index(block->cells, i);
		const struct ivm_shape *shape = g_ptr_array_index(shapes, i);

		if (!cell || !cell->count)
			continue;
		bind_u64(w->cell, 1, number);
		bind_u64(w->cell, 2, i);
		bind_u64(w->cell, 3, cell->count);
		step(w, w->cell);
		for (k = 0; k < shape->spans; k++)
			write_span(w, number, shape, cell, k);
	}
}

static void write_blocks(struct writer *w, sqlite3 *db)
{
	const GPtrArray *blocks = ivm_summary_blocks(w->summary);
	uint64_t start_ns, end_ns;
	sqlite3_stmt *stmt = NULL;
	unsigned int i;

	prepare(w, db, "INSERT INTO blocks VALUES (?,?,?,?)", &stmt);
	for (i = 0; i < blocks->len && w->rc == SQLITE_OK; i++) {
		const struct ivm_block *block = g_ptr_array_index(blocks, i);

		ivm_summary_block_range(w->summary, block, &start_ns, &end_ns);
		bind_u64(stmt, 1, i);
		bind_u64(stmt, 2, block->phase);
		bind_u64(stmt, 3, start_ns);
		bind_u64(stmt, 4, end_ns);
		step(w, stmt);
		write_cells(w, i, block);
	}
	sqlite3_finalize(stmt);
}

int ivm_summary_write(const struct ivm_summary *s, sqlite3 *db)
{
	struct writer w = { .summary = s, .rc = SQLITE_OK };
	sqlite3_stmt *length = NULL;

	prepare(&w, db, "INSERT OR REPLACE INTO meta VALUES ('block_ns', ?)", &length);
	prepare(&w, db, "INSERT INTO cells VALUES (?,?,?)", &w.cell);
	prepare(&w, db, "INSERT INTO spans VALUES (?,?,?,?,?,?,?,?)", &w.span);
	if (w.rc == SQLITE_OK) {
		bind_u64(length, 1, ivm_summary_block_ns(s));
		step(&w, length);
	}
	write_phases(&w, db);
	write_shapes(&w, db);
	write_blocks(&w, db);
	sqlite3_finalize(length);
	sqlite3_finalize(w.cell);
	sqlite3_finalize(w.span);
	return w.rc;
}

/* ---- reading ---- */

/* Far more than any writer makes: what a reader is ready to hold in memory */
#define MAX_SHAPES	(1u << 20)

struct reader {
	sqlite3 *db;
	struct ivm_summary *summary;
	GHashTable *shapes;		/* id in the file -> struct ivm_shape * */
	GHashTable *blocks;		/* id in the file -> struct file_block *, owned */
};

struct file_block {
	unsigned int phase;
	uint64_t index;
};

typedef int (*row_fn)(struct reader *r, sqlite3_stmt *row);

static int each_row(struct reader *r, const char *sql, row_fn fn)
{
	sqlite3_stmt *stmt;
	int rc, err = 0;

	if (sqlite3_prepare_v2(r->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return -EBADMSG;
	while (!err && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		err = fn(r, stmt);
	sqlite3_finalize(stmt);
	return err ? err : rc == SQLITE_DONE ? 0 : -EBADMSG;
}

static const char *text(sqlite3_stmt *row, int column)
{
	return (const char *)sqlite3_column_text(row, column);
}

/* Negative ones are beyond any limit as unsigned numbers */
static uint64_t number(sqlite3_stmt *row, int column)
{
	return (uint64_t)sqlite3_column_int64(row, column);
}

static int index_of(const char *name, const char *const *names, int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (name && !strcmp(name, names[i]))
			return i;
	return -1;
}

static int point_of(const char *name)
{
	return index_of(name, ivm_point_columns, IVM_POINTS);
}

static int read_phase(struct reader *r, sqlite3_stmt *row)
{
	uint64_t id = number(row, 0);
	const char *name = text(row, 1);

	if (id != (id ? ivm_summary_phases(r->summary)->len : 0) || number(row, 2) > INT64_MAX)
		return -EBADMSG;
	if (!id)
		return 0;
	return ivm_summary_mark(r->summary, name ? name : "", number(row, 2)) ? -EBADMSG : 0;
}

static int read_block(struct reader *r, sqlite3_stmt *row)
{
	uint64_t id = number(row, 0), phase = number(row, 1), start_ns = number(row, 2);
	struct file_block *block;
	gint64 key = (gint64)id;

	if (phase >= ivm_summary_phases(r->summary)->len || start_ns > INT64_MAX ||
	    g_hash_table_size(r->blocks) >= 2 * IVM_SUMMARY_BLOCKS)
		return -EBADMSG;
	block = g_new(struct file_block, 1);
	block->phase = (unsigned int)phase;
	block->index = start_ns / ivm_summary_block_ns(r->summary);
	g_hash_table_insert(r->blocks, g_memdup2(&key, sizeof(key)), block);
	return 0;
}

/* Names with a blank between them; false if one is unknown */
static bool read_points(const char *names, uint32_t *points)
{
	g_auto(GStrv) words = g_strsplit(names ? names : "", " ", -1);
	int i, point;

	*points = 0;
	for (i = 0; words[i]; i++) {
		point = point_of(words[i]);
		if (point < 0)
			return false;
		*points |= 1u << point;
	}
	return true;
}

static int read_shape(struct reader *r, sqlite3_stmt *row)
{
	int mode = index_of(text(row, 1), modes, IVM_MODES);
	int configured = index_of(text(row, 2), modes, IVM_MODES);
	int outcome = index_of(text(row, 3), outcomes, IVM_OUTCOMES);
	struct ivm_shape_key key = {
		.mode = (uint8_t)mode, .configured = (uint8_t)configured,
		.outcome = (uint8_t)outcome, .from_end = (uint32_t)number(row, 4),
		.to_end = (uint32_t)number(row, 5), .vector = (uint16_t)number(row, 6),
		.irq_vector = (uint16_t)number(row, 7), .from_vcpu = (uint16_t)number(row, 8),
		.to_vcpu = (uint16_t)number(row, 9), .flags = number(row, 10) & IVM_SHAPE_FLAGS,
	};
	unsigned int had = ivm_summary_shapes(r->summary)->len;
	struct ivm_shape *shape;
	gint64 id = sqlite3_column_int64(row, 0);

	if (mode < 0 || configured < 0 || outcome <= IVM_O_PENDING || had >= MAX_SHAPES ||
	    !read_points(text(row, 11), &key.points))
		return -EBADMSG;
	shape = ivm_summary_shape(r->summary, &key);
	if (ivm_summary_shapes(r->summary)->len == had)
		return -EBADMSG;
	shape->count = number(row, 12);
	g_hash_table_insert(r->shapes, g_memdup2(&id, sizeof(id)), shape);
	return 0;
}

/* The cell that a row of block and shape belongs to; NULL if one of them is not there */
static struct ivm_cell *cell_of(struct reader *r, sqlite3_stmt *row, struct ivm_shape **shape)
{
	gint64 block_id = sqlite3_column_int64(row, 0), shape_id = sqlite3_column_int64(row, 1);
	const struct file_block *block = g_hash_table_lookup(r->blocks, &block_id);

	*shape = g_hash_table_lookup(r->shapes, &shape_id);
	if (!block || !*shape)
		return NULL;
	return ivm_summary_cell(r->summary, block->phase, block->index, *shape);
}

static int read_cell(struct reader *r, sqlite3_stmt *row)
{
	struct ivm_shape *shape;
	struct ivm_cell *cell = cell_of(r, row, &shape);

	if (!cell || cell->count || number(row, 2) - 1 >= INT64_MAX)
		return -EBADMSG;
	cell->count = number(row, 2);
	return 0;
}

/* Durations between the extremes cannot add up to just anything */
static bool is_sane(const struct ivm_hist *h)
{
	return h->min_ns <= h->max_ns && h->max_ns <= INT64_MAX &&
	       (unsigned __int128)h->min_ns * h->count <= h->sum_ns &&
	       (unsigned __int128)h->max_ns * h->count >= h->sum_ns;
}

static int read_span(struct reader *r, sqlite3_stmt *row)
{
	int from = point_of(text(row, 2)), to = point_of(text(row, 3)), at = -1;
	struct ivm_shape *shape;
	struct ivm_cell *cell = cell_of(r, row, &shape);
	const char *buckets = text(row, 7);
	struct ivm_hist *h;

	if (cell && from >= 0 && to >= 0)
		at = ivm_shape_span(shape, (unsigned int)from, (unsigned int)to);
	if (at < 0 || !buckets)
		return -EBADMSG;
	h = &cell->hist[at];
	if (h->count)
		return -EBADMSG;
	h->count = cell->count;
	h->sum_ns = number(row, 4);
	h->min_ns = number(row, 5);
	h->max_ns = number(row, 6);
	if (!cell->packed)
		cell->packed = g_new0(char *, shape->spans);
	cell->packed[at] = g_strdup(buckets);
	return is_sane(h) ? 0 : -EBADMSG;
}

/* A cell of a shape that has spans must have all of them, and shapes are what is in cells */
static int check_cells(const struct ivm_summary *s)
{
	const GPtrArray *shapes = ivm_summary_shapes(s), *blocks = ivm_summary_blocks(s);
	unsigned int i, k, b;

	for (i = 0; i < shapes->len; i++) {
		const struct ivm_shape *shape = g_ptr_array_index(shapes, i);
		uint64_t count = 0;

		for (b = 0; b < blocks->len; b++) {
			const struct ivm_block *block = g_ptr_array_index(blocks, b);
			const struct ivm_cell *cell = i < block->cells->len ?
				g_ptr_array_index(block->cells, i) : NULL;

			for (k = 0; cell && k < shape->spans; k++)
				if (!cell->hist[k].count)
					return -EBADMSG;
			count += cell ? cell->count : 0;
		}
		if (count != shape->count || !count)
			return -EBADMSG;
	}
	return 0;
}

static int read_length(struct reader *r, sqlite3_stmt *row)
{
	if (!number(row, 0) || number(row, 0) > INT64_MAX)
		return -EBADMSG;
	ivm_summary_set_block_ns(r->summary, number(row, 0));
	return 0;
}

static int read_all(struct reader *r)
{
	static const struct {
		const char *sql;
		row_fn fn;
	} tables[] = {
		{ "SELECT value FROM meta WHERE key = 'block_ns'", read_length },
		{ "SELECT id, name, start_ns FROM phases ORDER BY id", read_phase },
		{ "SELECT id, phase, start_ns FROM blocks ORDER BY id", read_block },
		{ "SELECT id, mode, configured, outcome, from_end, to_end, vector, irq_vector,"
		  " from_vcpu, to_vcpu, flags, points, count FROM shapes ORDER BY id",
		  read_shape },
		{ "SELECT block, shape, count FROM cells", read_cell },
		{ "SELECT block, shape, from_point, to_point, sum_ns, min_ns, max_ns, buckets"
		  " FROM spans", read_span },
	};
	unsigned int i;
	int err = 0;

	for (i = 0; i < G_N_ELEMENTS(tables) && !err; i++)
		err = each_row(r, tables[i].sql, tables[i].fn);
	return err ? err : check_cells(r->summary);
}

/* Recordings of older versions and hand-written ones have none */
static bool has_summary(sqlite3 *db)
{
	sqlite3_stmt *stmt;
	bool has;

	if (sqlite3_prepare_v2(db, "SELECT 1 FROM cells LIMIT 1", -1, &stmt, NULL) != SQLITE_OK)
		return false;
	has = sqlite3_step(stmt) == SQLITE_ROW;
	sqlite3_finalize(stmt);
	return has;
}

int ivm_summary_read(sqlite3 *db, struct ivm_summary **summary)
{
	struct reader r = { .db = db };
	int err;

	*summary = NULL;
	if (!has_summary(db))
		return 0;
	r.summary = ivm_summary_new();
	r.shapes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	r.blocks = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
	err = read_all(&r);
	g_hash_table_destroy(r.shapes);
	g_hash_table_destroy(r.blocks);
	if (err)
		ivm_summary_free(r.summary);
	else
		*summary = r.summary;
	return err;
}
