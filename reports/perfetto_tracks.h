/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tracks of a Perfetto trace: who was busy with a journey, and when.
 *
 * Slices on one Perfetto track must nest, but interrupts on their way to one
 * vCPU overlap as they like.  So each thread and each direction of a link is a
 * bundle of as many tracks ("lanes") as it takes; the viewer draws those of one
 * name as one.
 */
#ifndef IVM_PERFETTO_TRACKS_H
#define IVM_PERFETTO_TRACKS_H

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

enum ivm_track_kind {
	IVM_TRACK_VM,		/* a process: @a is the VM */
	IVM_TRACK_VCPU,		/* a thread: @a is the VM, @b the vCPU's id */
	IVM_TRACK_MAIN,		/* QEMU's main loop: @a is the VM */
	IVM_TRACK_WORKER,	/* kernel workers, all of them */
	IVM_TRACK_LINK,		/* one direction: @a the end that rings, @b the other */
	IVM_TRACK_RECORDING,	/* what is true of the whole trace */
};

/* Hashed and compared as bytes */
struct ivm_track_key {
	uint32_t kind;
	uint32_t a;
	uint32_t b;
};

/* How a track describes itself */
struct ivm_track_label {
	uint64_t parent;	/* uuid, 0 without */
	int32_t pid;		/* 0 unless a process or a thread */
	int32_t tid;		/* 0 unless a thread */
	char *name;		/* owned by the label's user */
};

struct ivm_track;
struct ivm_tracks;

/* Writes a descriptor of @uuid; called once, before the track is used */
typedef void (*ivm_track_fn)(void *arg, uint64_t uuid, const struct ivm_track_label *label);

struct ivm_tracks *ivm_tracks_new(ivm_track_fn describe, void *arg);
void ivm_tracks_free(struct ivm_tracks *tracks);

/* NULL if there is none yet */
struct ivm_track *ivm_tracks_find(struct ivm_tracks *tracks, const struct ivm_track_key *key);
/* Takes over label->name */
struct ivm_track *ivm_tracks_add(struct ivm_tracks *tracks, const struct ivm_track_key *key,
				 struct ivm_track_label *label);
uint64_t ivm_track_uuid(const struct ivm_track *track);

/**
 * ivm_tracks_lane() - a lane of a track that is free for some time
 * @tracks: all tracks
 * @track: one of them
 * @from_ns: begin of the time
 * @to_ns: its end, not before @from_ns; the lane is taken until then
 *
 * Return: the uuid of the lane.
 */
uint64_t ivm_tracks_lane(struct ivm_tracks *tracks, struct ivm_track *track, uint64_t from_ns,
			 uint64_t to_ns);

#endif /* IVM_PERFETTO_TRACKS_H */
