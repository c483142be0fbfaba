// SPDX-License-Identifier: GPL-2.0-or-later
/* Tracks of a Perfetto trace */
#include <string.h>

#include "perfetto_tracks.h"

struct lane {
	uint64_t uuid;
	uint64_t end_ns;
};

struct ivm_track {
	struct ivm_track_key key;
	struct ivm_track_label label;
	uint64_t uuid;
	GArray *lanes;		/* struct lane; the first one that is free is taken */
};

struct ivm_tracks {
	GHashTable *by_key;	/* &track->key -> struct ivm_track *, owned */
	ivm_track_fn describe;
	void *arg;
	uint64_t last_uuid;	/* 0 is Perfetto's own default track */
};

_Static_assert(sizeof(struct ivm_track_key) == 12, "hashed and compared as bytes");

static guint key_hash(gconstpointer p)
{
	const struct ivm_track_key *k = p;

	return (k->a * 31 + k->b) * 31 + k->kind;
}

static gboolean key_equal(gconstpointer a, gconstpointer b)
{
	return !memcmp(a, b, sizeof(struct ivm_track_key));
}

static void track_free(gpointer p)
{
	struct ivm_track *track = p;

	g_array_free(track->lanes, TRUE);
	g_free(track->label.name);
	g_free(track);
}

struct ivm_tracks *ivm_tracks_new(ivm_track_fn describe, void *arg)
{
	struct ivm_tracks *tracks = g_new0(struct ivm_tracks, 1);

	tracks->by_key = g_hash_table_new_full(key_hash, key_equal, NULL, track_free);
	tracks->describe = describe;
	tracks->arg = arg;
	return tracks;
}

void ivm_tracks_free(struct ivm_tracks *tracks)
{
	g_hash_table_destroy(tracks->by_key);
	g_free(tracks);
}

struct ivm_track *ivm_tracks_find(struct ivm_tracks *tracks, const struct ivm_track_key *key)
{
	return g_hash_table_lookup(tracks->by_key, key);
}

uint64_t ivm_track_uuid(const struct ivm_track *track)
{
	return track->uuid;
}

struct ivm_track *ivm_tracks_add(struct ivm_tracks *tracks, const struct ivm_track_key *key,
				 struct ivm_track_label *label)
{
	struct ivm_track *track = g_new0(struct ivm_track, 1);
	struct lane first = { .uuid = ++tracks->last_uuid };

	track->key = *key;
	track->label = *label;
	track->uuid = first.uuid;
	track->lanes = g_array_new(FALSE, FALSE, sizeof(struct lane));
	g_array_append_val(track->lanes, first);
	g_hash_table_insert(tracks->by_key, &track->key, track);
	tracks->describe(tracks->arg, track->uuid, label);
	label->name = NULL;
	return track;
}

/* One more beside the others of the track */
static uint64_t add_lane(struct ivm_tracks *tracks, struct ivm_track *track, uint64_t end_ns)
{
	struct lane lane = { .uuid = ++tracks->last_uuid, .end_ns = end_ns };
	struct ivm_track_label label = { .parent = track->label.parent,
					 .name = track->label.name };

	/* A thread has just one track of its own; the others hang below it */
	if (track->label.tid)
		label.parent = track->uuid;
	tracks->describe(tracks->arg, lane.uuid, &label);
	g_array_append_val(track->lanes, lane);
	return lane.uuid;
}

uint64_t ivm_tracks_lane(struct ivm_tracks *tracks, struct ivm_track *track, uint64_t from_ns,
			 uint64_t to_ns)
{
	struct lane *lane;
	unsigned int i;

	for (i = 0; i < track->lanes->len; i++) {
		lane = &g_array_index(track->lanes, struct lane, i);
		if (lane->end_ns > from_ns)
			continue;
		lane->end_ns = to_ns;
		return lane->uuid;
	}
	return add_lane(tracks, track, to_ns);
}
