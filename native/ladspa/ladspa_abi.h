/*
 * ladspa_abi.h: what a plug-in and a host of LADSPA 1.1 agree upon, as far as this plug-in needs it.
 *
 * Our own words for a binary interface; tests/native compares it with the ladspa.h of the system.
 */
#ifndef RESOUND_LADSPA_ABI_H
#define RESOUND_LADSPA_ABI_H

/* A port is one of each pair. */
enum { PORT_INPUT = 1, PORT_OUTPUT = 2, PORT_CONTROL = 4, PORT_AUDIO = 8 };

/* What a host is told of a control's values. */
enum { HINT_BOUNDED_BELOW = 1, HINT_BOUNDED_ABOVE = 2, HINT_DEFAULT_MAXIMUM = 0x140 };

struct port_hint {
    int hints;
    float lowest;
    float highest;
};

struct plugin {
    unsigned long id;
    const char *label; /* by which hosts find it */
    int properties;
    const char *name;
    const char *maker;
    const char *copyright;
    unsigned long n_ports;
    const int *port_kinds;
    const char *const *port_names;
    const struct port_hint *port_hints;
    void *data;
    void *(*instantiate)(const struct plugin *plugin, unsigned long sample_rate); /* NULL: it cannot run */
    void (*connect_port)(void *instance, unsigned long port, float *place);
    void (*activate)(void *instance);
    void (*run)(void *instance, unsigned long n_samples);
    void (*run_adding)(void *instance, unsigned long n_samples);
    void (*set_run_adding_gain)(void *instance, float gain);
    void (*deactivate)(void *instance);
    void (*cleanup)(void *instance);
};

/* The only name that a host looks for: the plug-ins of a file, from 0 on, and NULL behind the last. */
const struct plugin *ladspa_descriptor(unsigned long index);

#endif
