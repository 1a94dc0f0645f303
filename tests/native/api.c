/* What resound.h promises beyond what denoise.c needs.  api MODEL BAD_MODEL: status 0, or 1 and what does not hold. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resound.h"

#define N_FRAMES 6

static int n_failed = 0;

static void check(int holds, const char *claim)
{
    if (!holds)
        printf("%s (last error: %s)\n", claim, resound_last_error());
    n_failed += !holds;
}

/* A frame of something that is the same at every call. */
static void fill(float *frame, size_t n, int index)
{
    size_t i;

    for (i = 0; i < n; i++)
        frame[i] = (float)((i * 7919 + (size_t)index * 104729) % 1000) / 5000.0f - 0.1f;
}

/* Restores frames, in their own place, and keeps them all. */
static void restore(resound *stream, size_t n, float *kept)
{
    int index;

    for (index = 0; index < N_FRAMES; index++) {
        fill(kept + (size_t)index * n, n, index);
        check(resound_process_frame(stream, kept + (size_t)index * n, n, kept + (size_t)index * n, n) == RESOUND_OK,
              "a frame is restored in its own place");
    }
}

static void check_streams(resound *first, size_t n)
{
    resound *second = NULL;
    size_t n_bytes = N_FRAMES * n * sizeof(float);
    float *one = malloc(n_bytes), *other = malloc(n_bytes);
    resound_counts counts;

    if (one == NULL || other == NULL)
        exit(2);
    restore(first, n, one);
    check(resound_create_another(first, &second) == RESOUND_OK && second != NULL, "another stream is made");
    restore(second, n, other);
    check(memcmp(one, other, n_bytes) == 0, "another stream begins anew");
    check(resound_process_frame(second, one, n - 1, other, n) == RESOUND_ERROR_ARGUMENT, "a short frame is refused");
    check(strstr(resound_last_error(), "give") != NULL, "the message says what to give");
    check(resound_process_frame(second, one, n, other, n + 1) == RESOUND_ERROR_ARGUMENT, "more room is refused");
    check(resound_process_frame(second, NULL, n, other, n) == RESOUND_ERROR_ARGUMENT, "no frame is refused");
    check(resound_process_frame(NULL, one, n, other, n) == RESOUND_ERROR_ARGUMENT, "no stream is refused");

    resound_destroy(first);
    check(resound_reset(second) == RESOUND_OK, "a stream is reset");
    restore(second, n, other);
    check(memcmp(one, other, n_bytes) == 0, "after a reset all is as before, without the first stream too");

    fill(other, n, 0);
    other[n / 2] = (float)HUGE_VAL;
    check(resound_process_frame(second, other, n, other, n) == RESOUND_OK, "what is no sound is no error");
    check(resound_get_counts(second, &counts) == RESOUND_OK && counts.silenced == 1 && counts.restarts == 0 &&
          counts.failures == 0, "what is no sound is counted");
    resound_destroy(second);
    free(one);
    free(other);
}

int main(int argc, char **argv)
{
    resound *stream = NULL;
    resound_live *live = NULL;
    resound_facts facts;
    float block[3] = {0.5f, 0.25f, 0.125f};

    if (argc != 3)
        return 2;
    check(resound_last_error()[0] == '\0', "at first there is no error");
    check(resound_create(argv[2], NULL, &stream) == RESOUND_ERROR_MODEL && stream == NULL, "a bad model is refused");
    check(strstr(resound_last_error(), argv[2]) != NULL, "the message names the file");
    check(resound_create(argv[1], "/nowhere/lib.so", &stream) == RESOUND_ERROR_LIBRARY, "a missing library is told");
    check(resound_create(argv[1], NULL, &stream) == RESOUND_OK && stream != NULL, "a model is opened");
    if (stream == NULL)
        return 1;
    check(resound_get_facts(stream, &facts) == RESOUND_OK && facts.sample_rate == 8000 && facts.channels_in == 1 &&
          facts.channels_out == 1 && strcmp(facts.name, "band_rnn") == 0, "the facts are those of the model");

    check(resound_live_create(stream, &live) == RESOUND_OK && live != NULL, "blocks can be restored");
    check(resound_live_latency(live) == facts.latency_samples + facts.frame_samples - 1, "blocks are a frame later");
    check(resound_live_set(live, 0.0f, RESOUND_NO_LIMIT) == RESOUND_OK, "strength is set");
    check(resound_live_process(live, block, block, 3) == RESOUND_OK && block[0] == 0.0f, "a block comes out late");
    check(resound_live_process(live, NULL, NULL, 0) == RESOUND_OK, "an empty block is nothing to do");
    check(resound_live_process(live, NULL, block, 3) == RESOUND_ERROR_ARGUMENT, "no block is refused");
    check(resound_live_reset(live) == RESOUND_OK, "blocks begin anew");
    check_streams(stream, facts.frame_samples);
    check(resound_live_process(live, block, block, 3) == RESOUND_OK, "blocks go on without the stream they came from");
    resound_live_destroy(live);
    return n_failed > 0;
}
