// The page: reads files, hands them to the worker, and plays what comes back.

const $ = (id) => document.getElementById(id);
const worker = new Worker("worker.js", { type: "module" });
let facts = null;
let recording = null;

worker.onmessage = ({ data }) => {
  if (data.kind === "facts") showFacts(data.facts);
  if (data.kind === "progress") $("progress").value = data.share;
  if (data.kind === "done") showResult(data);
  if (data.kind === "wrong") tell(data.why, true);
};
worker.onerror = (event) => tell(`the worker could not start (${event.message || "is ort/ beside this page?"})`, true);

$("model").onchange = async ({ target }) => {
  if (!target.files.length) return;
  facts = null;
  tell("loading the network");
  worker.postMessage({ kind: "model", bytes: await target.files[0].arrayBuffer() });
};

$("sound").onchange = ({ target }) => {
  recording = target.files[0] ?? null;
  restore();
};

function showFacts(loaded) {
  facts = loaded;
  const ms = (samples) => ((1000 * samples) / facts.sampleRate).toFixed(0);
  $("facts").textContent =
    `${facts.name}: ${facts.sampleRate} Hz, frames of ${ms(facts.frameSamples)} ms, ` +
    `${ms(facts.latencySamples)} ms late, licence: ${facts.licence}`;
  tell("");
  restore();
}

async function restore() {
  if (!facts || !recording) return;
  $("results").hidden = true;
  let heard;
  try {
    // Decoded at the network's own rate.
    heard = await new OfflineAudioContext(1, 1, facts.sampleRate).decodeAudioData(await recording.arrayBuffer());
  } catch {
    return tell(`${recording.name}: this browser cannot decode it`, true);
  }
  const channels = Array.from({ length: heard.numberOfChannels }, (_, index) => heard.getChannelData(index).slice());
  URL.revokeObjectURL($("before").src);
  $("before").src = URL.createObjectURL(recording);
  $("progress").hidden = false;
  tell("restoring");
  worker.postMessage({ kind: "sound", channels });
}

function showResult({ channels, sampleRate, seconds, silenced }) {
  const wav = wavOf(channels, sampleRate);
  URL.revokeObjectURL($("after").src); // or each result would stay in memory
  const url = URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
  $("after").src = url;
  $("save").href = url;
  $("results").hidden = false;
  $("progress").hidden = true;
  const length = channels[0].length / sampleRate;
  tell(
    `${length.toFixed(1)} s restored in ${seconds.toFixed(1)} s (${(seconds / length / channels.length).toFixed(3)} × real time a channel)` +
      (silenced ? `; ${silenced} samples were no sound and are silent` : ""),
  );
  window.restored = channels; // for those who look from outside
}

function tell(text, isWrong = false) {
  $("told").textContent = text;
  $("told").classList.toggle("wrong", isWrong);
  if (isWrong) $("progress").hidden = true;
}

// 32-bit floats: nothing is rounded, nothing clips.
function wavOf(channels, sampleRate) {
  const bytesPerFrame = 4 * channels.length;
  const nBytes = channels[0].length * bytesPerFrame;
  const view = new DataView(new ArrayBuffer(44 + nBytes));
  const text = (at, word) => [...word].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, 36 + nBytes, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 3, true);
  view.setUint16(22, channels.length, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, sampleRate * bytesPerFrame, true);
  view.setUint16(32, bytesPerFrame, true);
  view.setUint16(34, 32, true);
  text(36, "data");
  view.setUint32(40, nBytes, true);
  let at = 44;
  for (let frame = 0; frame < channels[0].length; frame += 1)
    for (const channel of channels) {
      view.setFloat32(at, channel[frame], true);
      at += 4;
    }
  return view.buffer;
}
