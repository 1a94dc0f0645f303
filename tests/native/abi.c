/* Our words for LADSPA's interface against the system's: does not compile where they differ. */
#include <ladspa.h>
#include <stddef.h>

#define ladspa_descriptor our_descriptor
#include "ladspa_abi.h"
#undef ladspa_descriptor

#define SAME(name, claim) extern char name[(claim) ? 1 : -1]
#define SAME_PLACE(ours, theirs) SAME(place_of_##ours, offsetof(struct plugin, ours) == offsetof(LADSPA_Descriptor, theirs))

SAME(size, sizeof(struct plugin) == sizeof(LADSPA_Descriptor));
SAME_PLACE(id, UniqueID);
SAME_PLACE(label, Label);
SAME_PLACE(properties, Properties);
SAME_PLACE(name, Name);
SAME_PLACE(maker, Maker);
SAME_PLACE(copyright, Copyright);
SAME_PLACE(n_ports, PortCount);
SAME_PLACE(port_kinds, PortDescriptors);
SAME_PLACE(port_names, PortNames);
SAME_PLACE(port_hints, PortRangeHints);
SAME_PLACE(data, ImplementationData);
SAME_PLACE(instantiate, instantiate);
SAME_PLACE(connect_port, connect_port);
SAME_PLACE(activate, activate);
SAME_PLACE(run, run);
SAME_PLACE(run_adding, run_adding);
SAME_PLACE(set_run_adding_gain, set_run_adding_gain);
SAME_PLACE(deactivate, deactivate);
SAME_PLACE(cleanup, cleanup);
SAME(hint_size, sizeof(struct port_hint) == sizeof(LADSPA_PortRangeHint));
SAME(hint_highest, offsetof(struct port_hint, highest) == offsetof(LADSPA_PortRangeHint, UpperBound));
SAME(kinds, PORT_INPUT == LADSPA_PORT_INPUT && PORT_OUTPUT == LADSPA_PORT_OUTPUT &&
            PORT_CONTROL == LADSPA_PORT_CONTROL && PORT_AUDIO == LADSPA_PORT_AUDIO);
SAME(hints, HINT_BOUNDED_BELOW == LADSPA_HINT_BOUNDED_BELOW && HINT_BOUNDED_ABOVE == LADSPA_HINT_BOUNDED_ABOVE &&
            HINT_DEFAULT_MAXIMUM == LADSPA_HINT_DEFAULT_MAXIMUM);
