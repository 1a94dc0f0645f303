/*
 * live_native.c: how long frames of a model take through the C interface, for live_native.py.
 *
 * Prints median, 95 % and 99 % in milliseconds over ten seconds of frames of noise, after fifty that warm up.
 */
#define _POSIX_C_SOURCE 199309L
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "resound.h"

#define WARM_UP_FRAMES 50
#define SECONDS 10

static double now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

static int by_size(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;

    return (difference > 0) - (difference < 0);
}

/* Fills `taken` with the milliseconds of frames, those that warm up first. */
static int time_frames(resound *stream, size_t n_in, size_t n_out, double *taken, size_t n_frames)
{
    float *frame = malloc(n_in * sizeof *frame), *restored = malloc(n_out * sizeof *restored);
    int code = frame != NULL && restored != NULL ? RESOUND_OK : RESOUND_ERROR_INTERNAL;
    size_t i;
    double start;

    for (i = 0; code == RESOUND_OK && i < n_in; i++)
        frame[i] = 0.2f * (float)rand() / (float)RAND_MAX - 0.1f;
    for (i = 0; code == RESOUND_OK && i < n_frames; i++) {
        start = now_ms();
        code = resound_process_frame(stream, frame, n_in, restored, n_out);
        taken[i] = now_ms() - start;
    }
    free(frame);
    free(restored);
    return code;
}

int main(int argc, char **argv)
{
    resound *stream = NULL;
    resound_facts facts;
    size_t n_frames, n_counted;
    double *taken;

    if (argc != 2 || resound_create(argv[1], NULL, &stream) != RESOUND_OK ||
        resound_get_facts(stream, &facts) != RESOUND_OK) {
        fprintf(stderr, "%s\n", resound_last_error());
        return 1;
    }
    n_counted = SECONDS * facts.sample_rate / facts.frame_samples;
    n_frames = n_counted + WARM_UP_FRAMES;
    taken = malloc(n_frames * sizeof *taken);
    if (taken == NULL || time_frames(stream, facts.channels_in * facts.frame_samples,
                                     facts.channels_out * facts.frame_samples, taken, n_frames) != RESOUND_OK)
        return 1;
    qsort(taken + WARM_UP_FRAMES, n_counted, sizeof *taken, by_size);
    printf("%.4f %.4f %.4f\n", taken[WARM_UP_FRAMES + n_counted / 2], taken[WARM_UP_FRAMES + n_counted * 95 / 100],
           taken[WARM_UP_FRAMES + n_counted * 99 / 100]);
    free(taken);
    resound_destroy(stream);
    return 0;
}
