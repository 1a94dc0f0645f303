// The worker: runs an exported network frame by frame, with the state that each frame hands to the next.

import * as ort from "./ort/ort.wasm.min.mjs";
import { factsOf } from "./facts.js";

ort.env.logLevel = "error";
ort.env.wasm.numThreads = 1; // more need headers that not every server sends
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

const ARRAYS = { float32: Float32Array, float64: Float64Array, int64: BigInt64Array };
const LOUDEST = 1e4; // 80 dB above full scale is no sound, and enough to poison a state
let network = null; // the session, and the facts of its file

onmessage = async ({ data }) => {
  try {
    if (data.kind === "model") await load(data.bytes);
    if (data.kind === "sound") await restore(data.channels);
  } catch (error) {
    postMessage({ kind: "wrong", why: String(error.message ?? error).split("\n")[0] });
  }
};

async function load(bytes) {
  network = null;
  const facts = factsOf(new Uint8Array(bytes));
  const session = await ort.InferenceSession.create(new Uint8Array(bytes), { executionProviders: ["wasm"], logSeverityLevel: 4 });
  network = { session, facts };
  postMessage({ kind: "facts", facts: { ...facts, states: facts.states.length } });
}

async function restore(channels) {
  if (!network) throw new Error("there is no network yet; choose one first");
  const used = network; // another may be loaded before this is done
  const { facts } = used;
  if (facts.nChannels !== 1) throw new Error(`${facts.name} takes ${facts.nChannels} channels; this page runs networks of one`);
  const began = performance.now();
  const restored = [];
  let silenced = 0;
  for (const [index, channel] of channels.entries()) {
    const tell = (share) => postMessage({ kind: "progress", share: (index + share) / channels.length });
    const made = await restoreOne(used, channel, tell);
    restored.push(made.sound);
    silenced += made.silenced;
  }
  const seconds = (performance.now() - began) / 1000;
  postMessage({ kind: "done", channels: restored, sampleRate: facts.sampleRate, seconds, silenced }, restored.map((sound) => sound.buffer));
}

// As long as what went in, the delay taken out: zeros follow the end until the last sample is there.
async function restoreOne({ session, facts }, channel, tell) {
  const { frameSamples: size, latencySamples: late } = facts;
  const nFrames = Math.ceil((channel.length + late) / size);
  const sound = new Float32Array(channel.length);
  let state = Object.fromEntries(facts.states.map((each) => [each.name, initial(each)]));
  let silenced = 0;
  for (let index = 0; index < nFrames; index += 1) {
    const frame = new Float32Array(size);
    frame.set(channel.subarray(index * size, (index + 1) * size));
    frame.forEach((value, at) => {
      if (Math.abs(value) < LOUDEST) return; // NaN is not
      frame[at] = 0;
      silenced += 1;
    });
    const made = await session.run({ frame: new ort.Tensor("float32", frame, [1, 1, size]), ...state });
    state = Object.fromEntries(facts.states.map((each) => [each.name, made[each.nextName]]));
    const first = index * size - late; // where what comes out belongs
    const from = Math.max(0, -first);
    const until = Math.min(size, sound.length - first);
    if (until > from) sound.set(made.sound.data.subarray(from, until), first + from);
    if (index % 50 === 0) tell(index / nFrames);
  }
  return { sound, silenced };
}

function initial({ type, fill, shape }) {
  const values = new ARRAYS[type](shape.reduce((product, size) => product * size, 1));
  values.fill(type === "int64" ? BigInt(fill) : fill);
  return new ort.Tensor(type, values, shape);
}
