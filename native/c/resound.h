/*
 * resound.h: runs the networks that `resound export` writes, frame by frame.
 *
 *     resound *stream;
 *     if (resound_create("voice.onnx", NULL, &stream) != RESOUND_OK)
 *         fprintf(stderr, "%s\n", resound_last_error());
 *     ... resound_process_frame(stream, frame, n_in, restored, n_out) ...
 *     resound_destroy(stream);
 *
 * Link with -lresound.  onnxruntime is loaded while the program runs, and is not needed to build.
 *
 * Samples are 32-bit floats with full scale at 1.  Where there are several channels, a frame holds all samples of the
 * first, then all of the second, and so on.  What comes out is late by `latency_samples`.
 *
 * Every function that returns int returns RESOUND_OK or one of the codes below, and then resound_last_error() says in
 * one line what was wrong.  No function ends the process, and none throws.  A null pointer is an error, not a crash; a
 * handle that was destroyed, or memory that is shorter than it is said to be, is as wrong as anywhere in C.
 *
 * A handle may go from a thread to another, but only one may use it at a time.  Different handles are independent.
 * The functions that process sound allocate nothing themselves; what onnxruntime does within is its own.
 */
#ifndef RESOUND_H
#define RESOUND_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum resound_code {
    RESOUND_OK = 0,
    RESOUND_ERROR_ARGUMENT = 1, /* a null pointer, a frame of another size */
    RESOUND_ERROR_LIBRARY = 2,  /* onnxruntime is not there, or too old */
    RESOUND_ERROR_FILE = 3,     /* the file cannot be read */
    RESOUND_ERROR_MODEL = 4,    /* the file is no model, is damaged, or does not stream */
    RESOUND_ERROR_RUN = 5,      /* onnxruntime failed in a frame; the state is what it was before */
    RESOUND_ERROR_INTERNAL = 6  /* a bug in resound */
};

/* Says in one line what went wrong last in this thread; empty if nothing did.  Valid until the next failure. */
const char *resound_last_error(void);

/* ------------------------------------------------------------------------------------------------------ frames --- */

/* One stream through a model. */
typedef struct resound resound;

typedef struct resound_facts {
    const char *name;              /* of the model; both texts live as long as the handle */
    const char *licence;           /* of its weights */
    unsigned long sample_rate;     /* Hz */
    unsigned long frame_samples;   /* of each channel */
    unsigned long latency_samples; /* by how many samples what comes out is late */
    unsigned long channels_in;     /* of a frame in: channels_in * frame_samples values */
    unsigned long channels_out;    /* of a frame out */
} resound_facts;

typedef struct resound_counts {
    unsigned long silenced; /* frames with NaN, infinity or more than 80 dB above full scale, taken as silence;
                               of a resound_live: samples */
    unsigned long restarts; /* times that the network lost itself and began anew */
    unsigned long failures; /* of a resound_live: frames in which onnxruntime failed, given out as they were heard */
} resound_counts;

/*
 * Opens a model and makes a stream before its first frame.
 *
 * model_path    the file
 * library_path  libonnxruntime.so; NULL: the variable RESOUND_ONNXRUNTIME, else what the system calls so.  It stays
 *               loaded until the process ends.
 * made          receives the handle, or NULL where this fails
 */
int resound_create(const char *model_path, const char *library_path, resound **made);

/* Makes another stream through the model of the first, whose weights they share: one for each channel of a recording,
 * where the model takes one.  The first may be destroyed before it. */
int resound_create_another(const resound *first, resound **made);

int resound_get_facts(const resound *stream, resound_facts *facts);

/*
 * Restores a frame.
 *
 * frame, restored                  may be the same memory
 * frame_values, restored_values    channels_in * frame_samples, channels_out * frame_samples: other values are an
 *                                  error, and change nothing
 */
int resound_process_frame(resound *stream, const float *frame, size_t frame_values, float *restored,
                          size_t restored_values);

/* Says what had to be put right since the stream was made. */
int resound_get_counts(const resound *stream, resound_counts *counts);

/* Begins anew, as before the first frame. */
int resound_reset(resound *stream);

/* Ends a stream.  NULL is nothing to do. */
void resound_destroy(resound *stream);

/* ------------------------------------------------------------------------------------------------------ blocks --- */

/* One channel, in blocks of any length, mixed from what was heard and what was restored. */
typedef struct resound_live resound_live;

#define RESOUND_NO_LIMIT (-1.0f)

/* Makes one before its first sample, for the model of a stream, which must take one channel and give one.  The stream
 * may be destroyed before it. */
int resound_live_create(const resound *model, resound_live **made);

/* Sets how much of what the network removes is removed, 0 to 1 (at first 1), and by how many dB anything may fall at
 * most, 0 to 60 or RESOUND_NO_LIMIT (at first that).  The nearest value is taken for one outside.  What changes while
 * sound arrives takes 20 ms to do so. */
int resound_live_set(resound_live *live, float strength, float max_reduction_db);

/* Restores n_samples.  The two may be the same memory. */
int resound_live_process(resound_live *live, const float *samples, float *restored, size_t n_samples);

/* Returns by how many samples what comes out is late: the network's own delay, and a frame less one.  0 for NULL. */
unsigned long resound_live_latency(const resound_live *live);

int resound_live_get_counts(const resound_live *live, resound_counts *counts);

/* Begins anew, as before the first sample; strength and limit stay. */
int resound_live_reset(resound_live *live);

/* Ends it.  NULL is nothing to do. */
void resound_live_destroy(resound_live *live);

#ifdef __cplusplus
}
#endif

#endif
