// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All journeys in numbers.
 */
#include <errno.h>
#include <string.h>

#include "summary.h"

/* What a report's total may begin and end with, see docs/journey.md */
#define FIRST_POINTS	(1u << IVM_P_RING | 1u << IVM_P_EXIT | 1u << IVM_P_DISPATCH)
#define LAST_POINTS	(1u << IVM_P_INJECT | 1u << IVM_P_EOI_STANDIN | 1u << IVM_P_ENTRY | \
			 1u << IVM_P_ISR)

#define EXAMPLES	100	/* of each shape are kept, whatever they took */
#define TAIL_EVERY	256	/* journeys between two looks at where the tail begins */
#define TAIL_PERMILLE	990

#define FIRST_BLOCK_NS	100000000ull	/* a recording of some seconds has some dozens */
#define LATE_NS		500000000ull	/* hardly anything comes later than that */
#define PACKED_BYTES	(16u << 20)	/* of all blocks together, at the most */
#define LIVE_BYTES	(256u << 20)	/* of buckets that may be added to */

_Static_assert(sizeof(struct ivm_shape_key) == 28, "no holes: hashed as bytes");
_Static_assert(IVM_POINTS <= 32, "a shape's points are bits");

/* Journeys coalesced into one that is still under way */
struct follower {
	uint64_t id;
	unsigned int shape;
	unsigned int phase;
	uint64_t t_ns;
};

struct ivm_summary {
	GHashTable *by_key;		/* struct ivm_shape_key * -> struct ivm_shape * */
	GPtrArray *shapes;		/* owns them */
	struct ivm_shape *last;		/* journeys come in runs */
	GPtrArray *blocks;		/* owned; by phase, then by index */
	struct ivm_block *last_block;
	uint64_t block_ns;
	GArray *phases;			/* struct ivm_phase */
	GHashTable *followers;		/* id -> GArray of struct follower, owned */
	uint64_t packed_upto_ns;	/* blocks that end before were packed */
	size_t packed_bytes, live_bytes;
};

/* ---- shapes ---- */

static guint hash_key(gconstpointer p)
{
	const uint32_t *word = p;
	uint64_t hash = 0;
	unsigned int i;

	for (i = 0; i < sizeof(struct ivm_shape_key) / sizeof(*word); i++)
		hash = (hash ^ word[i]) * 0x9e3779b97f4a7c15ull;
	return (guint)(hash >> 32);
}

static gboolean equal_keys(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, sizeof(struct ivm_shape_key));
}

static void free_shape(gpointer p)
{
	struct ivm_shape *shape = p;

	ivm_hist_clear(&shape->whole_hist);
	g_free(shape->span);
	g_free(shape);
}

int ivm_shape_span(const struct ivm_shape *shape, unsigned int from, unsigned int to)
{
	unsigned int i;

	for (i = 0; i < shape->spans; i++)
		if (shape->span[i].from == from && shape->span[i].to == to)
			return (int)i;
	return -1;
}

static void add_span(struct ivm_shape *shape, int from, int to)
{
	if (ivm_shape_span(shape, (unsigned int)from, (unsigned int)to) >= 0)
		return;
	shape->span = g_renew(struct ivm_span, shape->span, shape->spans + 1);
	shape->span[shape->spans++] = (struct ivm_span){ (uint8_t)from, (uint8_t)to };
}

static void add_hops(struct ivm_shape *shape)
{
	int i, last = -1;

	for (i = 0; i < IVM_POINTS; i++) {
		if (!(shape->key.points & 1u << i))
			continue;
		if (last >= 0)
			add_span(shape, last, i);
		last = i;
	}
}

/* The guest's acknowledgement ends no total */
static int last_point(uint32_t points)
{
	points &= ~(1u << IVM_P_EOI);
	return points ? 31 - __builtin_clz(points) : -1;
}

static void add_totals(struct ivm_shape *shape)
{
	uint32_t points = shape->key.points;
	int first = __builtin_ctz(points), last = last_point(points), from, to;

	for (from = 0; from < IVM_POINTS; from++)
		for (to = from + 1; to < IVM_POINTS; to++)
			if ((points & FIRST_POINTS & 1u << from || from == first) &&
			    (points & LAST_POINTS & 1u << to || to == last))
				add_span(shape, from, to);
	if (last > first)
		shape->whole = ivm_shape_span(shape, (unsigned int)first, (unsigned int)last);
}

static struct ivm_shape *new_shape(struct ivm_summary *s, const struct ivm_shape_key *key)
{
	struct ivm_shape *shape = g_new0(struct ivm_shape, 1);

	shape->key = *key;
	shape->number = s->shapes->len;
	shape->whole = -1;
	if (key->points && ivm_is_complete(key->outcome, key->flags)) {
		add_hops(shape);
		add_totals(shape);
	}
	g_hash_table_insert(s->by_key, &shape->key, shape);
	g_ptr_array_add(s->shapes, shape);
	return shape;
}

struct ivm_shape *ivm_summary_shape(struct ivm_summary *s, const struct ivm_shape_key *key)
{
	struct ivm_shape *shape = s->last;

	if (!shape || !equal_keys(&shape->key, key))
		shape = g_hash_table_lookup(s->by_key, key);
	return s->last = shape ? shape : new_shape(s, key);
}

/* Whoever recorded it: a hop below zero is no duration */
static struct ivm_shape_key key_of(const struct ivm_journey *j)
{
	struct ivm_shape_key key = {
		.from_end = j->from_end, .to_end = j->to_end, .vector = j->vector,
		.irq_vector = j->irq_vector, .from_vcpu = j->from_vcpu, .to_vcpu = j->to_vcpu,
		.flags = j->flags & IVM_SHAPE_FLAGS,
		.mode = j->mode, .configured = j->configured, .outcome = j->outcome,
	};
	uint64_t last_ns = 0;
	int i;

	for (i = 0; i < IVM_POINTS; i++) {
		if (!ivm_seen(j, i))
			continue;
		key.points |= 1u << i;
		if (j->t_ns[i] < last_ns)
			key.flags |= IVM_J_DISORDERED;
		last_ns = j->t_ns[i];
	}
	return key;
}

/* ---- cells ---- */

static struct ivm_cell *new_cell(struct ivm_summary *s, const struct ivm_shape *shape)
{
	struct ivm_cell *cell = g_new0(struct ivm_cell, 1);

	cell->hist = g_new0(struct ivm_hist, shape->spans);
	s->packed_bytes += sizeof(*cell) + shape->spans * sizeof(*cell->hist);
	return cell;
}

static size_t live_bytes(const struct ivm_cell *cell, unsigned int spans)
{
	size_t bytes = 0;
	unsigned int i;

	for (i = 0; i < spans; i++)
		bytes += ivm_hist_bytes(&cell->hist[i]);
	return bytes;
}

static size_t text_bytes(char **packed, unsigned int spans)
{
	size_t bytes = spans * sizeof(*packed);
	unsigned int i;

	for (i = 0; i < spans; i++)
		bytes += packed[i] ? strlen(packed[i]) + 1 : 0;
	return bytes;
}

static void free_packed(char **packed, unsigned int spans)
{
	unsigned int i;

	for (i = 0; packed && i < spans; i++)
		g_free(packed[i]);
	g_free(packed);
}

static void free_cell(struct ivm_summary *s, struct ivm_cell *cell, const struct ivm_shape *shape)
{
	unsigned int i;

	if (cell->packed)
		s->packed_bytes -= text_bytes(cell->packed, shape->spans);
	s->live_bytes -= live_bytes(cell, shape->spans);
	s->packed_bytes -= sizeof(*cell) + shape->spans * sizeof(*cell->hist);
	free_packed(cell->packed, shape->spans);
	for (i = 0; i < shape->spans; i++)
		ivm_hist_clear(&cell->hist[i]);
	g_free(cell->hist);
	g_free(cell);
}

static void pack_cell(struct ivm_summary *s, struct ivm_cell *cell, const struct ivm_shape *shape)
{
	unsigned int i;

	if (cell->packed || !shape->spans)
		return;
	s->live_bytes -= live_bytes(cell, shape->spans);
	cell->packed = g_new0(char *, shape->spans);
	for (i = 0; i < shape->spans; i++) {
		struct ivm_hist *h = &cell->hist[i];

		cell->packed[i] = ivm_hist_print(h);
		g_clear_pointer(&h->buckets, g_free);
		h->octaves = 0;
	}
	s->packed_bytes += text_bytes(cell->packed, shape->spans);
}

/* What this process packed itself is what it printed */
static void unpack_cell(struct ivm_summary *s, struct ivm_cell *cell,
			const struct ivm_shape *shape)
{
	uint64_t count;
	unsigned int i;

	if (!cell->packed)
		return;
	s->packed_bytes -= text_bytes(cell->packed, shape->spans);
	for (i = 0; i < shape->spans; i++)
		ivm_hist_scan(&cell->hist[i], cell->packed[i], &count);
	free_packed(cell->packed, shape->spans);
	cell->packed = NULL;
	s->live_bytes += live_bytes(cell, shape->spans);
}

int ivm_cell_merge(const struct ivm_cell *cell, unsigned int span, struct ivm_hist *h)
{
	const struct ivm_hist *own = &cell->hist[span];
	uint64_t count;

	if (!cell->packed) {
		ivm_hist_merge(h, own);
		return 0;
	}
	if (ivm_hist_scan(h, cell->packed[span], &count) || count != own->count)
		return -EBADMSG;
	ivm_hist_merge_exact(h, own);
	return 0;
}

/* ---- blocks ---- */

static void free_block(struct ivm_summary *s, struct ivm_block *block)
{
	unsigned int i;

	for (i = 0; i < block->cells->len; i++) {
		struct ivm_cell *cell = g_ptr_array_index(block->cells, i);

		if (cell)
			free_cell(s, cell, g_ptr_array_index(s->shapes, i));
	}
	g_ptr_array_free(block->cells, TRUE);
	g_free(block);
}

static void free_blocks(struct ivm_summary *s)
{
	unsigned int i;

	for (i = 0; i < s->blocks->len; i++)
		free_block(s, g_ptr_array_index(s->blocks, i));
	g_ptr_array_set_size(s->blocks, 0);
	s->last_block = NULL;
}

static void pack_block(struct ivm_summary *s, struct ivm_block *block)
{
	unsigned int i;

	for (i = 0; i < block->cells->len; i++) {
		struct ivm_cell *cell = g_ptr_array_index(block->cells, i);

		if (cell)
			pack_cell(s, cell, g_ptr_array_index(s->shapes, i));
	}
}

void ivm_summary_block_range(const struct ivm_summary *s, const struct ivm_block *block,
			     uint64_t *start_ns, uint64_t *end_ns)
{
	const struct ivm_phase *phase = &g_array_index(s->phases, struct ivm_phase, block->phase);

	*start_ns = block->index * s->block_ns;
	*end_ns = MAX(*start_ns + s->block_ns, *start_ns);
	if (phase->start_ns > *start_ns && phase->start_ns < *end_ns)
		*start_ns = phase->start_ns;
	if (block->phase + 1 < s->phases->len && phase[1].start_ns > *start_ns &&
	    phase[1].start_ns < *end_ns)
		*end_ns = phase[1].start_ns;
}

/* Blocks come nearly in order of time: the place is at or close to the end */
static struct ivm_block *find_block(struct ivm_summary *s, unsigned int phase, uint64_t index)
{
	struct ivm_block *block;
	unsigned int at;

	for (at = s->blocks->len; at; at--) {
		block = g_ptr_array_index(s->blocks, at - 1);
		if (block->phase == phase && block->index == index)
			return block;
		if (block->phase < phase || (block->phase == phase && block->index < index))
			break;
	}
	block = g_new0(struct ivm_block, 1);
	block->phase = phase;
	block->index = index;
	block->cells = g_ptr_array_new();
	g_ptr_array_insert(s->blocks, (gint)at, block);
	return block;
}

static struct ivm_cell *get_cell(struct ivm_summary *s, struct ivm_block *block,
				 const struct ivm_shape *shape)
{
	struct ivm_cell *cell;

	if (block->cells->len <= shape->number)
		g_ptr_array_set_size(block->cells, (gint)shape->number + 1);
	cell = g_ptr_array_index(block->cells, shape->number);
	if (!cell)
		block->cells->pdata[shape->number] = cell = new_cell(s, shape);
	return cell;
}

struct ivm_cell *ivm_summary_cell(struct ivm_summary *s, unsigned int phase, uint64_t index,
				  const struct ivm_shape *shape)
{
	struct ivm_block *block = s->last_block;

	if (!block || block->index != index || block->phase != phase)
		block = s->last_block = find_block(s, phase, index);
	return get_cell(s, block, shape);
}

static int merge_cell(struct ivm_summary *s, struct ivm_cell *sum, const struct ivm_shape *shape,
		      const struct ivm_cell *cell)
{
	unsigned int i;
	int err = 0;

	unpack_cell(s, sum, shape);
	s->live_bytes -= live_bytes(sum, shape->spans);
	for (i = 0; i < shape->spans && !err; i++)
		err = ivm_cell_merge(cell, i, &sum->hist[i]);
	s->live_bytes += live_bytes(sum, shape->spans);
	sum->count += cell->count;
	pack_cell(s, sum, shape);
	return err;
}

static void move_cells(struct ivm_summary *s, struct ivm_block *to, struct ivm_block *from)
{
	unsigned int i;

	for (i = 0; i < from->cells->len; i++) {
		const struct ivm_shape *shape = g_ptr_array_index(s->shapes, i);
		const struct ivm_cell *cell = g_ptr_array_index(from->cells, i);

		if (cell)
			merge_cell(s, get_cell(s, to, shape), shape, cell);
	}
	free_block(s, from);
}

/* All blocks become twice as long */
static void join_blocks(struct ivm_summary *s)
{
	struct ivm_block *last = NULL, *block;
	unsigned int i, kept = 0;

	s->block_ns *= 2;
	for (i = 0; i < s->blocks->len; i++) {
		block = g_ptr_array_index(s->blocks, i);
		block->index /= 2;
		if (last && last->phase == block->phase && last->index == block->index) {
			move_cells(s, last, block);
			continue;
		}
		last = block;
		s->blocks->pdata[kept++] = block;
	}
	g_ptr_array_set_size(s->blocks, (gint)kept);
	s->last_block = NULL;
}

static bool is_joinable(const struct ivm_summary *s)
{
	return s->blocks->len > s->phases->len && s->block_ns < UINT64_MAX / 4;
}

static void limit_blocks(struct ivm_summary *s)
{
	while (is_joinable(s) &&
	       (s->blocks->len > IVM_SUMMARY_BLOCKS || s->packed_bytes > PACKED_BYTES))
		join_blocks(s);
}

/* A new block begins: what is over is packed, and the blocks stay few */
static void tidy(struct ivm_summary *s, uint64_t now_ns)
{
	uint64_t upto_ns = now_ns > LATE_NS ? now_ns - LATE_NS : 0, start_ns, end_ns;
	bool all = s->live_bytes > LIVE_BYTES;
	unsigned int i;

	for (i = 0; i < s->blocks->len; i++) {
		struct ivm_block *block = g_ptr_array_index(s->blocks, i);

		ivm_summary_block_range(s, block, &start_ns, &end_ns);
		if (all || (end_ns <= upto_ns && end_ns > s->packed_upto_ns))
			pack_block(s, block);
	}
	s->packed_upto_ns = MAX(s->packed_upto_ns, upto_ns);
	limit_blocks(s);
}

/* ---- phases ---- */

static void free_phase(gpointer phase)
{
	g_free(((struct ivm_phase *)phase)->name);
}

int ivm_summary_mark(struct ivm_summary *s, const char *name, uint64_t t_ns)
{
	const struct ivm_phase *last = &g_array_index(s->phases, struct ivm_phase,
						      s->phases->len - 1);
	struct ivm_phase phase = { .start_ns = t_ns };

	if (s->phases->len > 1 && t_ns < last->start_ns)
		return -EINVAL;
	if (s->phases->len >= IVM_SUMMARY_PHASES)
		return -ENOSPC;
	phase.name = g_strdup(name);
	g_array_append_val(s->phases, phase);
	return 0;
}

static unsigned int phase_at(const struct ivm_summary *s, uint64_t t_ns)
{
	unsigned int i = s->phases->len - 1;

	while (i && g_array_index(s->phases, struct ivm_phase, i).start_ns > t_ns)
		i--;
	return i;
}

/* ---- merging ---- */

struct merge {
	struct ivm_summary *to;
	const struct ivm_summary *from;
	const struct ivm_summary_map *map;
	GPtrArray *shapes;		/* of @to, by number in @from */
};

static void map_shapes(struct merge *m)
{
	unsigned int i;

	for (i = 0; i < m->from->shapes->len; i++) {
		const struct ivm_shape *shape = g_ptr_array_index(m->from->shapes, i);
		struct ivm_shape_key key = shape->key;

		key.from_end = m->map->end_of(m->map->arg, key.from_end);
		key.to_end = key.to_end ? m->map->end_of(m->map->arg, key.to_end) : 0;
		g_ptr_array_add(m->shapes, ivm_summary_shape(m->to, &key));
	}
}

/* Blocks are joined in pairs only: where one begins tells in which of @to all of it is */
static int merge_block(struct merge *m, const struct ivm_block *block)
{
	uint64_t start_ns = block->index * m->from->block_ns + (uint64_t)m->map->shift_ns;
	unsigned int phase = m->map->phase_of[block->phase], i;
	int err = 0;

	for (i = 0; i < block->cells->len && !err; i++) {
		const struct ivm_cell *cell = g_ptr_array_index(block->cells, i);
		struct ivm_shape *shape = g_ptr_array_index(m->shapes, i);

		if (!cell || !cell->count)
			continue;
		shape->count += cell->count;
		err = merge_cell(m->to, ivm_summary_cell(m->to, phase, start_ns / m->to->block_ns,
							 shape), shape, cell);
	}
	limit_blocks(m->to);
	return err;
}

int ivm_summary_merge(struct ivm_summary *s, const struct ivm_summary *from,
		      const struct ivm_summary_map *map)
{
	struct merge m = { .to = s, .from = from, .map = map, .shapes = g_ptr_array_new() };
	unsigned int i;
	int err = 0;

	map_shapes(&m);
	while (s->block_ns < from->block_ns && s->block_ns < UINT64_MAX / 4)
		join_blocks(s);
	for (i = 0; i < from->blocks->len && !err; i++)
		err = merge_block(&m, g_ptr_array_index(from->blocks, i));
	g_ptr_array_free(m.shapes, TRUE);
	return err;
}

/* ---- adding ---- */

static bool is_usual(const struct ivm_shape *shape)
{
	const struct ivm_shape_key *k = &shape->key;

	return (k->outcome == IVM_O_DELIVERED || k->outcome == IVM_O_COALESCED ||
		k->outcome == IVM_O_UNSEEN) && !(k->flags & IVM_J_DISORDERED);
}

static uint64_t span_ns(const struct ivm_journey *j, const struct ivm_span *span)
{
	return j->t_ns[span->to] - j->t_ns[span->from];
}

static bool is_tail(struct ivm_shape *shape, const struct ivm_journey *j)
{
	if (shape->count <= EXAMPLES || !is_usual(shape))
		return true;
	if (shape->whole < 0)
		return false;
	if (!shape->tail_ns || shape->count % TAIL_EVERY == 0)
		shape->tail_ns = ivm_hist_percentile(&shape->whole_hist, TAIL_PERMILLE);
	return span_ns(j, &shape->span[shape->whole]) >= shape->tail_ns;
}

/* When it was rung; whatever is known of it if that is not */
static uint64_t time_of(const struct ivm_journey *j)
{
	int i;

	if (ivm_seen(j, IVM_P_DISPATCH))
		return j->t_ns[IVM_P_DISPATCH];
	for (i = 0; i < IVM_POINTS; i++)
		if (ivm_seen(j, i))
			return j->t_ns[i];
	return 0;
}

static void follow(struct ivm_summary *s, const struct ivm_journey *j,
		   const struct ivm_shape *shape, unsigned int phase)
{
	const struct follower follower = { j->id, shape->number, phase, time_of(j) };
	gint64 into = (gint64)j->into;
	GArray *all = g_hash_table_lookup(s->followers, &into);

	if (!all) {
		all = g_array_new(FALSE, FALSE, sizeof(follower));
		g_hash_table_insert(s->followers, g_memdup2(&into, sizeof(into)), all);
	}
	g_array_append_val(all, follower);
}

static void add_spans(struct ivm_summary *s, const struct ivm_journey *j,
		      const struct ivm_shape *shape, struct ivm_cell *cell)
{
	unsigned int i;

	for (i = 0; i < shape->spans; i++) {
		struct ivm_hist *h = &cell->hist[i];

		s->live_bytes -= ivm_hist_bytes(h);
		ivm_hist_add(h, span_ns(j, &shape->span[i]));
		s->live_bytes += ivm_hist_bytes(h);
	}
}

bool ivm_summary_add(struct ivm_summary *s, const struct ivm_journey *j)
{
	struct ivm_shape_key key = key_of(j);
	struct ivm_shape *shape = ivm_summary_shape(s, &key);
	uint64_t t_ns = time_of(j);
	unsigned int phase = phase_at(s, t_ns), had = s->blocks->len;
	struct ivm_cell *cell = ivm_summary_cell(s, phase, t_ns / s->block_ns, shape);
	gint64 id = (gint64)j->id;

	unpack_cell(s, cell, shape);
	shape->count++;
	cell->count++;
	add_spans(s, j, shape, cell);
	if (shape->whole >= 0)
		ivm_hist_add(&shape->whole_hist, span_ns(j, &shape->span[shape->whole]));
	if (j->outcome == IVM_O_COALESCED && (j->flags & IVM_J_EARLY))
		follow(s, j, shape, phase);
	else if (j->outcome == IVM_O_DELIVERED)
		g_hash_table_remove(s->followers, &id);
	if (s->blocks->len != had || s->live_bytes > LIVE_BYTES)
		tidy(s, t_ns);
	return is_tail(shape, j);
}

const struct ivm_shape *ivm_summary_find(struct ivm_summary *s, const struct ivm_journey *j,
					 unsigned int *block)
{
	struct ivm_shape_key key = key_of(j);
	const struct ivm_shape *shape = g_hash_table_lookup(s->by_key, &key);
	uint64_t t_ns = time_of(j), index = t_ns / s->block_ns;
	unsigned int phase = phase_at(s, t_ns), i;

	for (i = s->blocks->len; i && shape; i--) {
		const struct ivm_block *b = g_ptr_array_index(s->blocks, i - 1);

		if (b->index != index || b->phase != phase)
			continue;
		*block = i - 1;
		return shape->number < b->cells->len && b->cells->pdata[shape->number] ?
		       shape : NULL;
	}
	return NULL;
}

static void mend(struct ivm_summary *s, const struct follower *f, enum ivm_outcome outcome)
{
	struct ivm_shape *was = g_ptr_array_index(s->shapes, f->shape), *is;
	uint64_t index = f->t_ns / s->block_ns;
	struct ivm_shape_key key = was->key;

	key.outcome = (uint8_t)outcome;
	is = ivm_summary_shape(s, &key);
	was->count--;
	is->count++;
	ivm_summary_cell(s, f->phase, index, was)->count--;
	ivm_summary_cell(s, f->phase, index, is)->count++;
}

/* Only delivered ones have durations, so that nothing but counts has to move */
GArray *ivm_summary_mend(struct ivm_summary *s, uint64_t into, enum ivm_outcome outcome)
{
	gint64 key = (gint64)into;
	GArray *all = g_hash_table_lookup(s->followers, &key);
	GArray *ids = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	unsigned int i;

	for (i = 0; all && i < all->len; i++) {
		const struct follower *f = &g_array_index(all, struct follower, i);

		mend(s, f, outcome);
		g_array_append_val(ids, f->id);
	}
	g_hash_table_remove(s->followers, &key);
	return ids;
}

/* ---- life ---- */

static void free_followers(gpointer followers)
{
	g_array_free(followers, TRUE);
}

struct ivm_summary *ivm_summary_new(void)
{
	const struct ivm_phase first = { .name = g_strdup("") };
	struct ivm_summary *s = g_new0(struct ivm_summary, 1);

	s->by_key = g_hash_table_new(hash_key, equal_keys);
	s->shapes = g_ptr_array_new_with_free_func(free_shape);
	s->blocks = g_ptr_array_new();
	s->block_ns = FIRST_BLOCK_NS;
	s->phases = g_array_new(FALSE, FALSE, sizeof(struct ivm_phase));
	g_array_set_clear_func(s->phases, free_phase);
	g_array_append_val(s->phases, first);
	s->followers = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, free_followers);
	return s;
}

void ivm_summary_restart(struct ivm_summary *s)
{
	free_blocks(s);
	g_hash_table_remove_all(s->by_key);
	g_hash_table_remove_all(s->followers);
	g_ptr_array_set_size(s->shapes, 0);
	s->last = NULL;
	s->block_ns = FIRST_BLOCK_NS;
	s->packed_upto_ns = 0;
}

void ivm_summary_free(struct ivm_summary *s)
{
	if (!s)
		return;
	free_blocks(s);
	g_ptr_array_free(s->blocks, TRUE);
	g_hash_table_destroy(s->by_key);
	g_hash_table_destroy(s->followers);
	g_ptr_array_free(s->shapes, TRUE);
	g_array_free(s->phases, TRUE);
	g_free(s);
}

const GPtrArray *ivm_summary_shapes(const struct ivm_summary *s)
{
	return s->shapes;
}

const GPtrArray *ivm_summary_blocks(const struct ivm_summary *s)
{
	return s->blocks;
}

const GArray *ivm_summary_phases(const struct ivm_summary *s)
{
	return s->phases;
}

uint64_t ivm_summary_block_ns(const struct ivm_summary *s)
{
	return s->block_ns;
}

void ivm_summary_set_block_ns(struct ivm_summary *s, uint64_t block_ns)
{
	s->block_ns = block_ns;
}
