/*
 * A host of one LADSPA plug-in: host PLUGIN.so RATE STRENGTH REDUCTION LONGEST_BLOCK < in.f32 > out.f32
 *
 * Blocks are of 1 to LONGEST_BLOCK samples, a new length each; every other one is restored in its own place.  Standard
 * error tells the latency at the end, and how many pages of memory the process held after a quarter, and at the end.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ladspa_abi.h"

typedef const struct plugin *(*descriptor)(unsigned long);

static long pages_held(void)
{
    long all = 0, held = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%ld %ld", &all, &held) != 2)
        held = 0;
    if (file != NULL)
        fclose(file);
    return held;
}

static float *read_all(size_t *n_samples)
{
    size_t room = 1 << 20, n = 0, n_read;
    float *samples = malloc(room * sizeof *samples);

    while (samples != NULL && (n_read = fread(samples + n, sizeof *samples, room - n, stdin)) > 0) {
        n += n_read;
        if (n == room)
            samples = realloc(samples, (room *= 2) * sizeof *samples);
    }
    *n_samples = n;
    return samples;
}

static const struct plugin *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW);
    descriptor get = NULL;

    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return NULL;
    }
    *(void **)&get = dlsym(library, "ladspa_descriptor");
    return get != NULL && get(1) == NULL ? get(0) : NULL;
}

int main(int argc, char **argv)
{
    const struct plugin *plugin = argc == 6 ? load(argv[1]) : NULL;
    size_t n_samples = 0, start, n, n_blocks = 0;
    float *samples = read_all(&n_samples), *out = malloc((n_samples + 1) * sizeof *out), controls[3] = {0};
    unsigned long seed = 1, longest, port;
    long early = 0;
    void *instance;

    if (plugin == NULL || samples == NULL || out == NULL)
        return 2;
    memset(out, 0, n_samples * sizeof *out); /* so that its pages are held from the beginning */
    instance = plugin->instantiate(plugin, strtoul(argv[2], NULL, 10));
    if (instance == NULL)
        return 3;
    controls[0] = (float)atof(argv[3]);
    controls[1] = (float)atof(argv[4]);
    longest = strtoul(argv[5], NULL, 10);
    for (port = 2; port < plugin->n_ports; port++)
        plugin->connect_port(instance, port, &controls[port - 2]);
    plugin->activate(instance);
    for (start = 0; start < n_samples; start += n, n_blocks++) {
        seed = (seed * 1103515245UL + 12345UL) & 0x7fffffffUL;
        n = 1 + (seed >> 8) % longest;
        n = n < n_samples - start ? n : n_samples - start;
        if (n_blocks % 2)
            memcpy(out + start, samples + start, n * sizeof *out);
        plugin->connect_port(instance, 0, n_blocks % 2 ? out + start : samples + start);
        plugin->connect_port(instance, 1, out + start);
        plugin->run(instance, n);
        if (early == 0 && start > n_samples / 4)
            early = pages_held();
    }
    fprintf(stderr, "latency %g, pages %ld, %ld\n", (double)controls[2], early, pages_held());
    plugin->cleanup(instance);
    return fwrite(out, sizeof *out, n_samples, stdout) == n_samples ? 0 : 4;
}
