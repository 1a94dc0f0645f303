/*
 * denoise.c: restores raw sound on its way from standard input to standard output.
 *
 *     gcc -o denoise denoise.c -lresound
 *     ffmpeg -i talk.wav -f f32le -ac 1 -ar 48000 - | ./denoise voice.onnx | ffplay -f f32le -ar 48000 -
 *
 * The samples are 32-bit floats of this machine, one channel after the other within a sample, at the model's rate and
 * with its channels.  As many come out as went in, in time with them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resound.h"

/* A stream and room for its frames. */
struct denoiser {
    resound *stream;
    resound_facts facts;
    float *mixed;    /* a frame as it is read and written: samples of all channels in turn */
    float *frame;    /* as the network takes it: channel after channel */
    float *restored; /* as the network gives it */
};

static int fail(const char *what)
{
    fprintf(stderr, "denoise: %s\n", what);
    return EXIT_FAILURE;
}

/* Returns 1, or 0 where there is no memory for the frames. */
static int make_room(struct denoiser *own)
{
    size_t n_in = own->facts.channels_in * own->facts.frame_samples;
    size_t n_out = own->facts.channels_out * own->facts.frame_samples;

    own->mixed = malloc((n_in > n_out ? n_in : n_out) * sizeof(float));
    own->frame = malloc(n_in * sizeof(float));
    own->restored = malloc(n_out * sizeof(float));
    return own->mixed != NULL && own->frame != NULL && own->restored != NULL;
}

/* Reads up to a frame, zeros behind its end, and returns how many samples of each channel were there. */
static size_t read_frame(struct denoiser *own)
{
    size_t n_channels = own->facts.channels_in, size = own->facts.frame_samples, channel, sample;
    size_t n_read = fread(own->mixed, sizeof(float), n_channels * size, stdin);

    memset(own->mixed + n_read, 0, (n_channels * size - n_read) * sizeof(float));
    for (channel = 0; channel < n_channels; channel++)
        for (sample = 0; sample < size; sample++)
            own->frame[channel * size + sample] = own->mixed[sample * n_channels + channel];
    return n_read / n_channels;
}

/* Writes the samples from..to of each channel, and returns 1, or 0 where they cannot be written. */
static int write_frame(struct denoiser *own, size_t from, size_t to)
{
    size_t n_channels = own->facts.channels_out, size = own->facts.frame_samples, channel, sample, n = 0;

    for (sample = from; sample < to; sample++)
        for (channel = 0; channel < n_channels; channel++)
            own->mixed[n++] = own->restored[channel * size + sample];
    return fwrite(own->mixed, sizeof(float), n, stdout) == n;
}

/* Restores all that comes.  The first `latency_samples` that come out are of before the beginning and are left out; at
 * the end, as many zeros bring out what is still inside. */
static int run(struct denoiser *own)
{
    size_t size = own->facts.frame_samples, early = own->facts.latency_samples;
    size_t n_in = 0, n_out = 0, n_read = size, from, to;

    for (;;) {
        if (n_read == size) {
            n_read = read_frame(own);
            n_in += n_read;
        } else
            memset(own->frame, 0, own->facts.channels_in * size * sizeof(float));
        if (n_read < size && n_out == n_in)
            return EXIT_SUCCESS;
        if (resound_process_frame(own->stream, own->frame, own->facts.channels_in * size, own->restored,
                                  own->facts.channels_out * size) != RESOUND_OK)
            return fail(resound_last_error());
        from = early < size ? early : size;
        early -= from;
        to = n_in - n_out < size - from ? from + (n_in - n_out) : size;
        if (!write_frame(own, from, to))
            return fail("standard output cannot be written");
        n_out += to - from;
    }
}

int main(int argc, char **argv)
{
    struct denoiser own = {0};
    int status;

    if (argc != 2)
        return fail("which model? denoise MODEL.onnx < noisy.f32 > restored.f32");
    if (resound_create(argv[1], NULL, &own.stream) != RESOUND_OK)
        return fail(resound_last_error());
    if (resound_get_facts(own.stream, &own.facts) != RESOUND_OK)
        status = fail(resound_last_error());
    else if (!make_room(&own))
        status = fail("there is no memory for a frame");
    else
        status = run(&own);
    if (status == EXIT_SUCCESS && fflush(stdout) != 0)
        status = fail("standard output cannot be written");
    free(own.mixed);
    free(own.frame);
    free(own.restored);
    resound_destroy(own.stream);
    return status;
}
