// SPDX-License-Identifier: GPL-2.0-or-later
/* Groups of journeys: who belongs together, and between which points they are measured */
#include <errno.h>
#include <string.h>

#include "breakdown_local.h"
#include "cursor.h"

/* What of it journeys are told apart by that their class does not say */
#define BY_CELL		((IVM_BY_FROM_VCPU | IVM_BY_TO_VCPU | IVM_BY_PHASE | IVM_BY_PATH | \
			  IVM_BY_BLOCK) & ~IVM_BY_DIRECTION)

#define DIFFERS		(-1)

/* Hashed and compared as bytes */
struct group_key {
	struct key way;			/* what may differ is 0 in it */
	int32_t from_vcpu, to_vcpu;	/* or DIFFERS */
	int32_t phase, state, block;
	int32_t zero;
};

_Static_assert(sizeof(struct group_key) == 40, "no holes");

struct builder {
	struct ivm_group *group;
	struct builder *anchors;	/* whose points are the anchors, usually its own */
	GHashTable *classes;		/* struct class *: in this group */
	point_set common;		/* to all complete journeys; ALL_POINTS without any */
	point_set rung_common;		/* to all journeys; likewise */
	uint64_t complete;
	struct measure *measure;
};

struct grouping {
	struct ivm_breakdown *b;
	unsigned int by;
	GHashTable *builders;		/* struct group_key * -> struct builder * */
	GHashTable *anchors;		/* likewise, without the block */
};

int ivm_by_parse(const char *text, unsigned int *by)
{
	static const struct {
		const char *name;
		unsigned int by;
	} choices[] = {
		{ "mode", IVM_BY_MODE }, { "link", IVM_BY_LINK },
		{ "direction", IVM_BY_DIRECTION }, { "vector", IVM_BY_VECTOR },
		{ "from-vcpu", IVM_BY_FROM_VCPU }, { "to-vcpu", IVM_BY_TO_VCPU },
		{ "phase", IVM_BY_PHASE }, { "path", IVM_BY_PATH },
	};
	g_auto(GStrv) words = g_strsplit(text, ",", -1);
	unsigned int i, k;

	*by = 0;
	for (i = 0; words[i]; i++) {
		for (k = 0; k < G_N_ELEMENTS(choices); k++)
			if (!strcmp(words[i], choices[k].name))
				break;
		if (k == G_N_ELEMENTS(choices))
			return -EINVAL;
		*by |= choices[k].by;
	}
	return i ? 0 : -EINVAL;
}

/* ---- keys ---- */

static guint hash_key(gconstpointer p)
{
	const uint32_t *word = p;
	uint64_t hash = 0;
	unsigned int i;

	for (i = 0; i < sizeof(struct group_key) / sizeof(*word); i++)
		hash = (hash ^ word[i]) * 0x9e3779b97f4a7c15ull;
	return (guint)(hash >> 32);
}

static gboolean equal_keys(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, sizeof(struct group_key));
}

static struct key way_of(const struct key *key, unsigned int by)
{
	struct key k = *key;

	if ((by & IVM_BY_VECTOR) != IVM_BY_VECTOR)
		k.vector = k.irq_vector = 0;
	if (by & IVM_BY_DIRECTION)
		return k;
	if (!(by & IVM_BY_LINK))
		k.from_end = k.to_end = 0;
	if (k.to_end && k.to_end < k.from_end) {
		k.to_end = key->from_end;
		k.from_end = key->to_end;
	}
	return k;
}

static bool has(unsigned int by, unsigned int what)
{
	return (by & what) == what;
}

static struct group_key class_key(const struct class *c, unsigned int by)
{
	struct group_key key = {
		.way = way_of(&c->key, by), .from_vcpu = DIFFERS, .to_vcpu = DIFFERS,
		.phase = DIFFERS, .state = DIFFERS, .block = DIFFERS,
	};

	return key;
}

/* @block: index among all blocks */
static struct group_key cell_key(const struct grouping *g, const struct ivm_shape *shape,
				 unsigned int block)
{
	const struct class *c = g_ptr_array_index(g->b->class_of_shape, shape->number);
	const struct ivm_shape_key *k = &shape->key;
	struct group_key key = class_key(c, g->by);
	const struct ivm_journey j = breakdown_example(shape);

	if (has(g->by, IVM_BY_FROM_VCPU))
		key.from_vcpu = k->from_vcpu;
	if (has(g->by, IVM_BY_TO_VCPU) && (k->points & 1u << IVM_P_ACCEPT))
		key.to_vcpu = k->to_vcpu;
	if (has(g->by, IVM_BY_PHASE))
		key.phase = (int32_t)g_array_index(g->b->blocks, struct ivm_block_info,
						   block).phase;
	if (has(g->by, IVM_BY_PATH) && shape_is_complete(shape))
		key.state = (int32_t)ivm_receiver_state(&j);
	if (has(g->by, IVM_BY_BLOCK))
		key.block = (int32_t)block;
	return key;
}

/* ---- builders ---- */

static struct ivm_group *new_group(const struct group_key *key, unsigned int by)
{
	struct ivm_group *g = g_new0(struct ivm_group, 1);

	g->mode = (enum ivm_mode)key->way.mode;
	g->configured = (enum ivm_mode)key->way.configured;
	g->from_end = key->way.from_end;
	g->to_end = key->way.to_end;
	g->both_ways = g->from_end && !(by & IVM_BY_DIRECTION);
	g->from_vcpu = key->from_vcpu;
	g->to_vcpu = key->to_vcpu;
	g->phase = key->phase;
	g->state = key->state;
	g->block = key->block;
	g->vector_min = g->irq_vector_min = UINT16_MAX;
	g->shares_with = g_array_new(FALSE, FALSE, sizeof(struct ivm_share));
	return g;
}

static struct builder *get_builder(GHashTable *builders, const struct group_key *key,
				   unsigned int by)
{
	struct builder *b = g_hash_table_lookup(builders, key);

	if (b)
		return b;
	b = g_new0(struct builder, 1);
	b->group = new_group(key, by);
	b->anchors = b;
	b->classes = g_hash_table_new(NULL, NULL);
	b->common = b->rung_common = ALL_POINTS;
	g_hash_table_insert(builders, g_memdup2(key, sizeof(*key)), b);
	return b;
}

/* The group is not its own: take_groups() has handed it over */
static void free_builder(gpointer p)
{
	struct builder *b = p;

	g_hash_table_destroy(b->classes);
	g_free(b);
}

static void free_group(gpointer p)
{
	struct ivm_group *g = p;

	measure_clear_group(g);
	if (g->shares_with)
		g_array_free(g->shares_with, TRUE);
	g_free(g);
}

static void free_anchor(gpointer p)
{
	free_group(((struct builder *)p)->group);
	free_builder(p);
}

/* Unknown is the widest of all */
static void note_class(const struct grouping *all, struct builder *b, struct class *c)
{
	struct ivm_group *g = b->group;

	if (!g_hash_table_add(b->classes, c))
		return;
	g->vectors++;
	g->vector_min = MIN(g->vector_min, c->key.vector);
	g->vector_max = MAX(g->vector_max, c->key.vector);
	g->irq_vector_min = MIN(g->irq_vector_min, c->key.irq_vector);
	g->irq_vector_max = MAX(g->irq_vector_max, c->key.irq_vector);
	g->ring_err_ns = MAX(g->ring_err_ns, breakdown_bounds(all->b, c->key.from_end).ring_ns);
	g->isr_err_ns = MAX(g->isr_err_ns, breakdown_bounds(all->b, c->key.to_end).isr_ns);
}

static void note_points(struct builder *b, const struct ivm_shape *shape, uint64_t count)
{
	b->rung_common &= shape->key.points;
	if (!shape_is_complete(shape))
		return;
	b->complete += count;
	b->common &= shape->key.points;
}

static void note_proof(struct ivm_group_proof *p, const struct ivm_shape_key *k, uint64_t count)
{
	const point_set dispatch = 1u << IVM_P_DISPATCH, accept = 1u << IVM_P_ACCEPT;
	/* Not every write(2) of QEMU's is for a doorbell of a guest's */
	const bool up = (k->points & 1u << IVM_P_USER) ||
			((k->points & dispatch) && (k->points & 1u << IVM_P_SEND));
	const bool deferred = k->points & (1u << IVM_P_DEFER | 1u << IVM_P_WORK);
	const bool received = k->points & 1u << IVM_P_RECV;
	const struct {
		uint64_t *what;
		bool holds;
	} terms[] = {
		{ &p->user, up },
		{ &p->kernel, (k->points & dispatch) && (k->points & accept) && !up },
		{ &p->decoded, (k->points & dispatch) && !(k->flags & IVM_J_FASTMMIO) },
		{ &p->fast_mmio, k->flags & IVM_J_FASTMMIO },
		{ &p->deferred, deferred },
		{ &p->served, received && k->mode != IVM_M_QEMU },
		{ &p->atomic, (k->points & accept) && !deferred && !received &&
			      k->mode != IVM_M_QEMU },
		{ &p->posted, k->flags & IVM_J_POSTED },
		{ &p->injected, k->points & (1u << IVM_P_INJECT | 1u << IVM_P_EOI_STANDIN) },
		{ &p->unmasked, k->points & 1u << IVM_P_UNMASK },
	};
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(terms); i++)
		if (terms[i].holds)
			*terms[i].what += count;
}

static void add_cell(struct grouping *g, const struct ivm_shape *shape, unsigned int block,
		     uint64_t count)
{
	struct group_key key = cell_key(g, shape, block);
	struct builder *b = get_builder(g->builders, &key, g->by);

	note_class(g, b, g_ptr_array_index(g->b->class_of_shape, shape->number));
	note_points(b, shape, count);
	note_proof(&b->group->proof, &shape->key, count);
	if (g->by & BY_CELL)
		breakdown_count(&b->group->counts, shape, count);
	if (!has(g->by, IVM_BY_BLOCK))
		return;
	key.block = DIFFERS;
	b->anchors = get_builder(g->anchors, &key, g->by);
	note_points(b->anchors, shape, count);
}

typedef int (*cell_fn)(struct grouping *g, const struct ivm_shape *shape, unsigned int block,
		       const struct ivm_cell *cell);

static int each_cell(struct grouping *g, cell_fn fn)
{
	const GPtrArray *blocks = ivm_summary_blocks(g->b->summary);
	const GPtrArray *shapes = ivm_summary_shapes(g->b->summary);
	unsigned int i, k;
	int err = 0;

	for (i = 0; i < blocks->len; i++) {
		const struct ivm_block *block = g_ptr_array_index(blocks, i);

		for (k = 0; k < block->cells->len && !err; k++) {
			const struct ivm_cell *cell = g_ptr_array_index(block->cells, k);

			if (cell && cell->count)
				err = fn(g, g_ptr_array_index(shapes, k), i, cell);
		}
	}
	return err;
}

static int build_cell(struct grouping *g, const struct ivm_shape *shape, unsigned int block,
		      const struct ivm_cell *cell)
{
	add_cell(g, shape, block, cell->count);
	return 0;
}

/* ---- link vectors that end on one (vCPU, IDT vector) ---- */

static bool same_target(const struct class *a, const struct class *b)
{
	unsigned int i, k;

	if (!a->key.irq_vector || a->key.irq_vector != b->key.irq_vector ||
	    a->key.to_end != b->key.to_end)
		return false;
	if (a->key.from_end == b->key.from_end && a->key.vector == b->key.vector)
		return false;
	for (i = 0; i < a->targets->len; i++)
		for (k = 0; k < b->targets->len; k++)
			if (g_array_index(a->targets, uint32_t, i) ==
			    g_array_index(b->targets, uint32_t, k))
				return true;
	return false;
}

static void find_shares(const struct ivm_breakdown *b, struct ivm_group *g, const struct class *c)
{
	struct ivm_share share;
	struct class *other;
	unsigned int i;

	for (i = 0; i < b->classes->len; i++) {
		other = g_ptr_array_index(b->classes, i);
		if (!same_target(c, other))
			continue;
		share.from_end = other->key.from_end;
		share.vector = other->key.vector;
		g_array_append_val(g->shares_with, share);
	}
}

/* ---- classes ---- */

static int compare_classes(gconstpointer a, gconstpointer b)
{
	const struct class *x = *(struct class *const *)a, *y = *(struct class *const *)b;
	const struct key *k = &x->key, *l = &y->key;

	if (k->from_end != l->from_end)
		return k->from_end < l->from_end ? -1 : 1;
	if (k->vector != l->vector)
		return k->vector < l->vector ? -1 : 1;
	if (k->mode != l->mode)
		return k->mode < l->mode ? -1 : 1;
	return memcmp(k, l, sizeof(*k));
}

/* What was counted without a journey to show for it is in a group, too */
static void add_classes(struct grouping *g)
{
	unsigned int i;

	g_ptr_array_sort(g->b->classes, compare_classes);
	for (i = 0; i < g->b->classes->len; i++) {
		struct class *c = g_ptr_array_index(g->b->classes, i);
		struct group_key key = class_key(c, g->by);
		struct builder *b;

		if (c->folded_into)
			continue;
		b = get_builder(g->builders, &key, g->by);
		note_class(g, b, c);
		ivm_counts_add(&b->group->counts, &c->counts);
		if (has(g->by, IVM_BY_VECTOR))
			find_shares(g->b, b->group, c);
	}
}

static struct grouping make_grouping(struct ivm_breakdown *b, unsigned int by)
{
	struct grouping g = {
		.b = b, .by = by,
		.builders = g_hash_table_new_full(hash_key, equal_keys, g_free, free_builder),
		.anchors = g_hash_table_new_full(hash_key, equal_keys, g_free, free_anchor),
	};

	if (!(by & BY_CELL))
		add_classes(&g);
	each_cell(&g, build_cell);
	return g;
}

static void free_grouping(struct grouping *g)
{
	g_hash_table_destroy(g->builders);
	g_hash_table_destroy(g->anchors);
}

/* ---- anchors ---- */

static int first_point(point_set set, int from)
{
	int i;

	for (i = from; i < IVM_POINTS; i++)
		if (set & 1u << i)
			return i;
	return -1;
}

static int last_point(point_set set)
{
	int i;

	for (i = IVM_POINTS - 1; i >= 0; i--)
		if (set & 1u << i)
			return i;
	return -1;
}

static int end_point(point_set common)
{
	static const enum ivm_point ends[] = { IVM_P_INJECT, IVM_P_EOI_STANDIN, IVM_P_ENTRY };
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(ends); i++)
		if (common & 1u << ends[i])
			return (int)ends[i];
	return last_point(common);
}

static void set_anchors(struct builder *b)
{
	const struct builder *whose = b->anchors;
	struct ivm_group *g = b->group;
	point_set common = whose->complete ? whose->common & ~(1u << IVM_P_EOI) : 0;
	int from = first_point(common, 0), to = last_point(common);

	g->rung_at = whose->rung_common == ALL_POINTS ? -1 :
		     first_point(whose->rung_common, IVM_P_DISPATCH);
	g->delivered_at = end_point(common);
	g->has_total = b->complete && from >= 0 && from < to;
	if (g->has_total) {
		g->from = (enum ivm_point)from;
		g->to = (enum ivm_point)to;
		g->err_ns = measure_err_ns(g, from, to);
	}
}

/* Fastest way last, as the modes are numbered; then as the ends are */
static int compare_groups(gconstpointer a, gconstpointer b)
{
	const struct ivm_group *x = *(struct ivm_group *const *)a;
	const struct ivm_group *y = *(struct ivm_group *const *)b;
	const int64_t differences[] = {
		(int64_t)x->mode - y->mode, (int64_t)x->configured - y->configured,
		(int64_t)x->phase - y->phase, (int64_t)x->from_end - y->from_end,
		(int64_t)x->to_end - y->to_end, (int64_t)x->from_vcpu - y->from_vcpu,
		(int64_t)x->to_vcpu - y->to_vcpu, (int64_t)x->vector_min - y->vector_min,
		(int64_t)x->irq_vector_min - y->irq_vector_min, (int64_t)x->state - y->state,
		(int64_t)x->block - y->block,
	};
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(differences); i++)
		if (differences[i])
			return differences[i] < 0 ? -1 : 1;
	return 0;
}

/* Hands the groups over; the builders keep measuring into them */
static GPtrArray *take_groups(struct grouping *g)
{
	GPtrArray *groups = g_ptr_array_new_with_free_func(free_group);
	struct builder *b;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, g->builders);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		b = value;
		set_anchors(b);
		g_ptr_array_add(groups, b->group);
	}
	g_ptr_array_sort(groups, compare_groups);
	return groups;
}

/* ---- filling ---- */

static struct measure *measure_of(struct grouping *g, const struct ivm_shape *shape,
				  unsigned int block)
{
	struct group_key key = cell_key(g, shape, block);
	struct builder *b = g_hash_table_lookup(g->builders, &key);

	if (!b || !b->group->has_total)
		return NULL;
	if (!b->measure)
		b->measure = measure_new(b->group);
	return b->measure;
}

static int fill_cell(struct grouping *g, const struct ivm_shape *shape, unsigned int block,
		     const struct ivm_cell *cell)
{
	struct measure *m = shape_is_complete(shape) ? measure_of(g, shape, block) : NULL;

	return m ? measure_cell(m, shape, cell) : 0;
}

/* Somebody may write into it meanwhile, or it may be damaged */
static int fill_journey(struct grouping *g, const struct ivm_journey *j)
{
	unsigned int block;
	const struct ivm_shape *shape = ivm_summary_find(g->b->summary, j, &block);
	struct measure *m;

	if (!shape)
		return -EBADMSG;
	m = shape_is_complete(shape) ? measure_of(g, shape, block) : NULL;
	if (m)
		measure_journey(m, j);
	return 0;
}

static uint64_t count_all(const struct ivm_summary *s)
{
	const GPtrArray *shapes = ivm_summary_shapes(s);
	uint64_t count = 0;
	unsigned int i;

	for (i = 0; i < shapes->len; i++)
		count += ((const struct ivm_shape *)g_ptr_array_index(shapes, i))->count;
	return count;
}

static int fill_journeys(struct grouping *g)
{
	struct ivm_cursor *cursor;
	uint64_t left = count_all(g->b->summary);
	struct ivm_journey j;
	int ret, err = ivm_cursor_open(g->b->db, &cursor);

	if (err)
		return err;
	while (!err && (ret = ivm_cursor_next(cursor, &j)) > 0) {
		err = fill_journey(g, &j);
		left--;
	}
	ivm_cursor_close(cursor);
	if (err || ret)
		return err ? err : ret;
	return left ? -EBADMSG : 0;
}

/* Also those without a journey have their (empty) total */
static void finish(struct grouping *g)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, g->builders);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		struct builder *b = value;

		measure_finish(b->measure ? b->measure : measure_new(b->group));
	}
}

/**
 * ivm_breakdown_groups() - the groups, counted but not measured
 * @b: a loaded breakdown
 * @by: what a group is, IVM_BY_*
 *
 * Return: an array of struct ivm_group *; g_ptr_array_free(…, TRUE).
 */
GPtrArray *ivm_breakdown_groups(struct ivm_breakdown *b, unsigned int by)
{
	struct grouping g = make_grouping(b, by);
	GPtrArray *groups = take_groups(&g);

	finish(&g);
	free_grouping(&g);
	return groups;
}

/**
 * ivm_breakdown_fill() - the groups with their hops
 * @b: a loaded breakdown
 * @by: what a group is, IVM_BY_*
 * @groups: set to an array of struct ivm_group *; g_ptr_array_free(…, TRUE)
 *
 * Return: 0, or -EBADMSG if the recording is damaged.
 */
int ivm_breakdown_fill(struct ivm_breakdown *b, unsigned int by, GPtrArray **groups)
{
	struct grouping g = make_grouping(b, by);
	GPtrArray *result = take_groups(&g);
	int err = each_cell(&g, fill_cell);

	if (!err && b->exact)
		err = fill_journeys(&g);
	finish(&g);
	free_grouping(&g);
	if (err) {
		g_ptr_array_free(result, TRUE);
		return err;
	}
	*groups = result;
	return 0;
}
