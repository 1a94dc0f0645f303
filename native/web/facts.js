// What an exported file says of itself.  onnxruntime-web does not give it, so it is read from the file: of the
// protobuf, field 14 (metadata_props) of the model is a list of entries with a key (1) and a value (2).

const METADATA = 14;
const LENGTH_DELIMITED = 2;

export function factsOf(bytes) {
  const said = metadataOf(bytes);
  if (said.resound_onnx !== "1") throw new Error("this file is none that 'resound export' made");
  if (said.form !== "streaming") throw new Error("this file is for whole recordings; export the network with --streaming");
  const states = said.states.split("\n").map((line) => {
    const [name, nextName, type, fill, size] = line.split(" ");
    return { name, nextName, type, fill: Number(fill), shape: size === "scalar" ? [] : size.split("x").map(Number) };
  });
  return {
    name: said.name,
    licence: said.licence,
    sampleRate: Number(said.sample_rate),
    nChannels: Number(said.n_channels),
    frameSamples: Number(said.frame_samples),
    latencySamples: Number(said.latency_samples),
    states,
  };
}

function metadataOf(bytes) {
  const said = {};
  try {
    for (const [field, value] of fieldsOf(bytes))
      if (field === METADATA) {
        const entry = Object.fromEntries([...fieldsOf(value)].map(([number, text]) => [number, new TextDecoder().decode(text)]));
        said[entry[1]] = entry[2] ?? "";
      }
  } catch {
    throw new Error("this file is no ONNX model, or is cut short");
  }
  return said;
}

// Yields the number and the bytes of each field that has a length; the others are passed over.
function* fieldsOf(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      if (at >= bytes.length) throw new RangeError("the end");
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === LENGTH_DELIMITED) {
      const length = varint();
      if (at + length > bytes.length) throw new RangeError("the end");
      yield [Math.floor(tag / 8), bytes.subarray(at, (at += length))];
    } else throw new RangeError("no such kind of field");
  }
}
