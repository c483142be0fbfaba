// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All journeys in numbers.
 */
#include <string.h>

#include "summary.h"

/* What a report's total may begin and end with, see docs/journey.md */
#define FIRST_POINTS	(1u << IVM_P_RING | 1u << IVM_P_EXIT | 1u << IVM_P_DISPATCH)
#define LAST_POINTS	(1u << IVM_P_INJECT | 1u << IVM_P_EOI_STANDIN | 1u << IVM_P_ENTRY | \
			 1u << IVM_P_ISR)

#define EXAMPLES	100	/* of each shape are kept, whatever they took */
#define TAIL_EVERY	256	/* journeys between two looks at where the tail begins */
#define TAIL_PERMILLE	990

_Static_assert(sizeof(struct ivm_shape_key) == 24, "no holes: hashed as bytes");
_Static_assert(IVM_POINTS <= 32, "a shape's points are bits");

struct ivm_summary {
	GHashTable *by_key;		/* struct ivm_shape_key * -> struct ivm_shape * */
	GPtrArray *shapes;		/* owns them */
	struct ivm_shape *last;		/* journeys come in runs */
};

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

struct ivm_shape *ivm_shape_new(const struct ivm_shape_key *key)
{
	struct ivm_shape *shape = g_new0(struct ivm_shape, 1);

	shape->key = *key;
	shape->spans = g_array_new(FALSE, TRUE, sizeof(struct ivm_span));
	shape->whole = -1;
	return shape;
}

void ivm_shape_free(struct ivm_shape *shape)
{
	guint i;

	for (i = 0; i < shape->spans->len; i++)
		ivm_hist_clear(&g_array_index(shape->spans, struct ivm_span, i).hist);
	g_array_free(shape->spans, TRUE);
	g_free(shape);
}

struct ivm_span *ivm_shape_span(const struct ivm_shape *shape, unsigned int from, unsigned int to)
{
	guint i;

	for (i = 0; i < shape->spans->len; i++) {
		struct ivm_span *span = &g_array_index(shape->spans, struct ivm_span, i);

		if (span->from == from && span->to == to)
			return span;
	}
	return NULL;
}

static void free_shape(gpointer shape)
{
	ivm_shape_free(shape);
}

struct ivm_summary *ivm_summary_new(void)
{
	struct ivm_summary *s = g_new0(struct ivm_summary, 1);

	s->by_key = g_hash_table_new(hash_key, equal_keys);
	s->shapes = g_ptr_array_new_with_free_func(free_shape);
	return s;
}

void ivm_summary_free(struct ivm_summary *s)
{
	if (!s)
		return;
	g_hash_table_destroy(s->by_key);
	g_ptr_array_free(s->shapes, TRUE);
	g_free(s);
}

const GPtrArray *ivm_summary_shapes(const struct ivm_summary *s)
{
	return s->shapes;
}

/* ---- a new shape ---- */

static void add_span(struct ivm_shape *shape, int from, int to)
{
	struct ivm_span span = { .from = (uint8_t)from, .to = (uint8_t)to };

	if (!ivm_shape_span(shape, (unsigned int)from, (unsigned int)to))
		g_array_append_val(shape->spans, span);
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
}

static void find_whole(struct ivm_shape *shape)
{
	int first = __builtin_ctz(shape->key.points), last = last_point(shape->key.points);
	guint i;

	for (i = 0; i < shape->spans->len; i++) {
		const struct ivm_span *span = &g_array_index(shape->spans, struct ivm_span, i);

		if (span->from == first && span->to == last)
			shape->whole = (int)i;
	}
}

static struct ivm_shape *new_shape(struct ivm_summary *s, const struct ivm_shape_key *key)
{
	struct ivm_shape *shape = ivm_shape_new(key);

	if (key->points && ivm_is_complete(key->outcome, key->flags)) {
		add_hops(shape);
		add_totals(shape);
		find_whole(shape);
	}
	g_hash_table_insert(s->by_key, &shape->key, shape);
	g_ptr_array_add(s->shapes, shape);
	return shape;
}

/* ---- adding ---- */

static struct ivm_shape_key key_of(const struct ivm_journey *j)
{
	struct ivm_shape_key key = {
		.from_end = j->from_end, .to_end = j->to_end, .vector = j->vector,
		.irq_vector = j->irq_vector, .to_vcpu = j->to_vcpu,
		.flags = j->flags & IVM_SHAPE_FLAGS,
		.mode = j->mode, .configured = j->configured, .outcome = j->outcome,
	};
	int i;

	for (i = 0; i < IVM_POINTS; i++)
		if (ivm_seen(j, i))
			key.points |= 1u << i;
	return key;
}

static struct ivm_shape *find_shape(struct ivm_summary *s, const struct ivm_shape_key *key)
{
	struct ivm_shape *shape = s->last;

	if (!shape || !equal_keys(&shape->key, key))
		shape = g_hash_table_lookup(s->by_key, key);
	return s->last = shape ? shape : new_shape(s, key);
}

static bool is_usual(const struct ivm_shape *shape)
{
	const struct ivm_shape_key *k = &shape->key;

	return (k->outcome == IVM_O_DELIVERED || k->outcome == IVM_O_COALESCED ||
		k->outcome == IVM_O_UNSEEN) && !(k->flags & IVM_J_DISORDERED);
}

static bool is_tail(struct ivm_shape *shape, const struct ivm_journey *j)
{
	const struct ivm_span *whole;

	if (shape->count <= EXAMPLES || !is_usual(shape))
		return true;
	if (shape->whole < 0)
		return false;
	whole = &g_array_index(shape->spans, struct ivm_span, shape->whole);
	if (!shape->tail_ns || shape->count % TAIL_EVERY == 0)
		shape->tail_ns = ivm_hist_percentile(&whole->hist, TAIL_PERMILLE);
	return j->t_ns[whole->to] - j->t_ns[whole->from] >= shape->tail_ns;
}

bool ivm_summary_add(struct ivm_summary *s, const struct ivm_journey *j)
{
	struct ivm_shape_key key = key_of(j);
	struct ivm_shape *shape = find_shape(s, &key);
	guint i;

	shape->count++;
	for (i = 0; i < shape->spans->len; i++) {
		struct ivm_span *span = &g_array_index(shape->spans, struct ivm_span, i);

		ivm_hist_add(&span->hist, j->t_ns[span->to] - j->t_ns[span->from]);
	}
	return is_tail(shape, j);
}
