// SPDX-License-Identifier: GPL-2.0-or-later
/* Counts of journeys, and whether they are those that the assembler counted */
#include <errno.h>
#include <inttypes.h>

#include "breakdown_local.h"

void breakdown_count(struct ivm_counts *c, const struct ivm_shape *shape, uint64_t times)
{
	const struct ivm_shape_key *k = &shape->key;
	uint64_t *outcome = ivm_counts_outcome(c, k->outcome);

	c->rung += times;
	if (outcome)
		*outcome += times;
	if (k->points & 1u << IVM_P_ACCEPT)
		c->accepted += times;
	if (k->flags & IVM_J_POSTED)
		c->posted += times;
	if (k->outcome == IVM_O_DELIVERED && (k->flags & IVM_J_DISORDERED))
		c->disordered += times;
}

/* ---- the table counts ---- */

struct count_sum {
	struct ivm_counts counts;
	struct class *class;		/* the only one, or NULL */
	unsigned int classes;
};

static struct count_sum sum_journeys(const struct ivm_breakdown *b, uint32_t from_end,
				     uint16_t vector)
{
	struct count_sum sum = { 0 };
	struct class *c;
	unsigned int i;

	for (i = 0; i < b->classes->len; i++) {
		c = g_ptr_array_index(b->classes, i);
		if (c->folded_into || c->key.from_end != from_end || c->key.vector != vector)
			continue;
		ivm_counts_add(&sum.counts, &c->counts);
		sum.class = c;
		sum.classes++;
	}
	return sum;
}

static void mismatch(struct ivm_breakdown *b, uint32_t from_end, uint16_t vector,
		     const char *what, uint64_t counted, uint64_t journeys)
{
	g_ptr_array_add(b->mismatches,
			g_strdup_printf("end %" PRIu32 " vector %u: %s counted %" PRIu64
					", journeys %" PRIu64, from_end, vector, what, counted,
					journeys));
}

static void compare_counts(struct ivm_breakdown *b, uint32_t from_end, uint16_t vector,
			   const struct ivm_counts *table, const struct ivm_counts *sum)
{
	const struct {
		const char *what;
		uint64_t counted, journeys;
	} terms[] = {
		{ "rung", table->rung, sum->rung },
		{ "delivered", table->delivered, sum->delivered },
		{ "coalesced", table->coalesced, sum->coalesced },
		{ "masked", table->masked, sum->masked },
		{ "dropped", table->dropped, sum->dropped },
		{ "unfinished", table->unfinished, sum->unfinished },
		{ "accepted", table->accepted, sum->accepted },
		{ "posted", table->posted, sum->posted },
	};
	uint64_t ends = table->delivered + table->coalesced + table->masked + table->dropped +
			table->unfinished + sum->unseen;
	unsigned int i;

	for (i = 0; i < G_N_ELEMENTS(terms); i++)
		if (terms[i].counted != terms[i].journeys)
			mismatch(b, from_end, vector, terms[i].what, terms[i].counted,
				 terms[i].journeys);
	if (table->rung != ends)
		mismatch(b, from_end, vector, "rung against the sum of all ends", table->rung,
			 ends);
}

enum counts_column {
	COUNT_FROM_END,
	COUNT_TO_END,
	COUNT_VECTOR,
	COUNT_IRQ_VECTOR,
	COUNT_RUNG,
	COUNT_ACCEPTED,
	COUNT_POSTED,
	COUNT_DELIVERED,
	COUNT_COALESCED,
	COUNT_MASKED,
	COUNT_DROPPED,
	COUNT_UNFINISHED,
};

static uint64_t column(sqlite3_stmt *stmt, int i)
{
	return (uint64_t)sqlite3_column_int64(stmt, i);
}

static struct ivm_counts read_counts(sqlite3_stmt *stmt)
{
	struct ivm_counts c = {
		.rung = column(stmt, COUNT_RUNG),
		.accepted = column(stmt, COUNT_ACCEPTED),
		.posted = column(stmt, COUNT_POSTED),
		.delivered = column(stmt, COUNT_DELIVERED),
		.coalesced = column(stmt, COUNT_COALESCED),
		.masked = column(stmt, COUNT_MASKED),
		.dropped = column(stmt, COUNT_DROPPED),
		.unfinished = column(stmt, COUNT_UNFINISHED),
	};

	return c;
}

static bool is_zero(const struct ivm_counts *c)
{
	return !(c->rung || c->accepted || c->posted || c->delivered || c->coalesced ||
		 c->masked || c->dropped || c->unfinished);
}

static gpointer direction_key(uint32_t from_end, uint16_t vector)
{
	return (gpointer)((uintptr_t)from_end << 16 | vector);
}

/* What was counted is what is shown; the journeys must agree with it */
static void take_counts(struct ivm_breakdown *b, sqlite3_stmt *stmt, GHashTable *counted)
{
	uint32_t from_end = (uint32_t)column(stmt, COUNT_FROM_END);
	uint16_t vector = (uint16_t)column(stmt, COUNT_VECTOR);
	struct ivm_counts table = read_counts(stmt);
	struct count_sum sum = sum_journeys(b, from_end, vector);
	struct key key = { .from_end = from_end, .vector = vector };
	struct class *c = sum.class;

	g_hash_table_add(counted, direction_key(from_end, vector));
	compare_counts(b, from_end, vector, &table, &sum.counts);
	if (sum.classes > 1 || is_zero(&table))
		return;
	if (!c) {
		key.to_end = (uint32_t)column(stmt, COUNT_TO_END);
		key.irq_vector = (uint16_t)column(stmt, COUNT_IRQ_VECTOR);
		c = breakdown_class(b, &key);
	}
	table.unseen = c->counts.unseen;
	table.disordered = c->counts.disordered;
	c->counts = table;
}

/* Journeys that nobody counted */
static void check_uncounted(struct ivm_breakdown *b, GHashTable *counted)
{
	struct class *c;
	unsigned int i;

	for (i = 0; i < b->classes->len; i++) {
		c = g_ptr_array_index(b->classes, i);
		if (c->folded_into || g_hash_table_contains(counted, direction_key(
						c->key.from_end, c->key.vector)))
			continue;
		mismatch(b, c->key.from_end, c->key.vector, "rung", 0, c->counts.rung);
	}
}

int breakdown_compare_counts(struct ivm_breakdown *b)
{
	static const char sql[] = "SELECT from_end, to_end, vector, irq_vector, rung, accepted,"
		" posted, delivered, coalesced, masked, dropped, unfinished FROM counts"
		" ORDER BY from_end, vector";
	GHashTable *counted;
	sqlite3_stmt *stmt;
	int rc;

	if (sqlite3_prepare_v2(b->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return -EBADMSG;
	counted = g_hash_table_new(NULL, NULL);
	while ((rc = sqlite3_step(stmt)) == SQLITE_ROW)
		take_counts(b, stmt, counted);
	check_uncounted(b, counted);
	g_hash_table_destroy(counted);
	sqlite3_finalize(stmt);
	return rc == SQLITE_DONE ? 0 : -EBADMSG;
}

/* Of one direction and vector, in whatever modes */
struct ivm_counts ivm_breakdown_counts(const struct ivm_breakdown *b, uint32_t from_end,
				       uint16_t vector)
{
	return sum_journeys(b, from_end, vector).counts;
}
