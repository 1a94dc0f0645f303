/*
 * resound_ladspa.c: one channel restored inside any host of LADSPA plug-ins.
 *
 * RESOUND_MODEL names the file that `resound export` wrote, RESOUND_ONNXRUNTIME the library.  Blocks may have any
 * length.  Without a model the plug-in does not load, and says why on standard error; where the host runs at another
 * rate than the model, it hands the sound through, and says that once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../c/resound.h"
#include "ladspa_abi.h"

#define MOST_REDUCTION_DB 60.0f /* the upper end of the control stands for no limit */

enum { PORT_IN, PORT_OUT, PORT_STRENGTH, PORT_REDUCTION, PORT_LATENCY, N_PORTS };

struct instance {
    resound_live *live; /* NULL: the sound is handed through */
    int is_fresh;       /* nothing was restored since it was activated */
    float *ports[N_PORTS];
};

static void say_other_rate(unsigned long host_rate, const resound_facts *facts)
{
    static int is_said = 0; /* a host makes an instance for each channel */

    if (!is_said)
        fprintf(stderr, "resound: the host runs at %lu Hz, the model %s at %lu Hz; the sound is handed through as it "
                        "is: set the host to %lu Hz\n", host_rate, facts->name, facts->sample_rate, facts->sample_rate);
    is_said = 1;
}

/* Makes what restores, NULL in `live` for another rate.  Returns 0 where it fails; the last error says why. */
static int make_live(resound_live **live, unsigned long sample_rate)
{
    resound *model = NULL;
    resound_facts facts;
    int is_made;

    *live = NULL;
    is_made = resound_create(getenv("RESOUND_MODEL"), NULL, &model) == RESOUND_OK &&
              resound_get_facts(model, &facts) == RESOUND_OK && resound_live_create(model, live) == RESOUND_OK;
    if (is_made && facts.sample_rate != sample_rate) {
        say_other_rate(sample_rate, &facts);
        resound_live_destroy(*live);
        *live = NULL;
    }
    resound_destroy(model);
    return is_made;
}

static void *instantiate(const struct plugin *plugin, unsigned long sample_rate)
{
    struct instance *own = calloc(1, sizeof *own);

    (void)plugin;
    if (own == NULL)
        return NULL;
    if (getenv("RESOUND_MODEL") == NULL)
        fprintf(stderr, "resound: set RESOUND_MODEL to the file that 'resound export' wrote\n");
    else if (make_live(&own->live, sample_rate))
        return own;
    else
        fprintf(stderr, "resound: %s\n", resound_last_error());
    free(own);
    return NULL;
}

static void connect_port(void *instance, unsigned long port, float *place)
{
    struct instance *own = instance;

    if (port < N_PORTS)
        own->ports[port] = place;
}

static void activate(void *instance)
{
    struct instance *own = instance;

    own->is_fresh = 1;
}

static void run(void *instance, unsigned long n_samples)
{
    struct instance *own = instance;
    const float *in = own->ports[PORT_IN], *reduction = own->ports[PORT_REDUCTION];
    float *out = own->ports[PORT_OUT], *latency = own->ports[PORT_LATENCY];

    if (latency != NULL)
        *latency = (float)resound_live_latency(own->live);
    if (in == NULL || out == NULL)
        return;
    if (own->live == NULL) {
        memmove(out, in, n_samples * sizeof *out);
        return;
    }
    resound_live_set(own->live, own->ports[PORT_STRENGTH] ? *own->ports[PORT_STRENGTH] : 1.0f,
                     reduction != NULL && *reduction < MOST_REDUCTION_DB ? *reduction : RESOUND_NO_LIMIT);
    if (own->is_fresh) /* with the controls as they are, not on the way to them */
        resound_live_reset(own->live);
    own->is_fresh = 0;
    resound_live_process(own->live, in, out, n_samples);
}

static void cleanup(void *instance)
{
    struct instance *own = instance;

    resound_live_destroy(own->live);
    free(own);
}

static const int port_kinds[N_PORTS] = {PORT_INPUT | PORT_AUDIO, PORT_OUTPUT | PORT_AUDIO, PORT_INPUT | PORT_CONTROL,
                                        PORT_INPUT | PORT_CONTROL, PORT_OUTPUT | PORT_CONTROL};

static const char *const port_names[N_PORTS] = {"Input", "Output", "Strength", "Maximum reduction (dB)", "latency"};

static const struct port_hint port_hints[N_PORTS] = {
    {0, 0.0f, 0.0f},
    {0, 0.0f, 0.0f},
    {HINT_BOUNDED_BELOW | HINT_BOUNDED_ABOVE | HINT_DEFAULT_MAXIMUM, 0.0f, 1.0f},
    {HINT_BOUNDED_BELOW | HINT_BOUNDED_ABOVE | HINT_DEFAULT_MAXIMUM, 0.0f, MOST_REDUCTION_DB},
    {0, 0.0f, 0.0f}};

static const struct plugin voice = {
    0x526573, /* of our choice: no register has it */
    "resound_voice_mono",
    0,
    "Resound Voice",
    "the resound developers",
    "MIT",
    N_PORTS,
    port_kinds,
    port_names,
    port_hints,
    NULL,
    instantiate,
    connect_port,
    activate,
    run,
    NULL,
    NULL,
    NULL,
    cleanup};

const struct plugin *ladspa_descriptor(unsigned long index)
{
    return index == 0 ? &voice : NULL;
}
