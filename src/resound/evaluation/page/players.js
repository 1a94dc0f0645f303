// Players whose versions all run at once, one of them heard: switching keeps the position to the sample.
"use strict";
let context = null;
let playing = null;

function decoded(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return context.decodeAudioData(bytes.buffer);
}

function difference(one, other) {
  const made = context.createBuffer(one.numberOfChannels, Math.min(one.length, other.length), one.sampleRate);
  for (let channel = 0; channel < one.numberOfChannels; channel++) {
    const out = made.getChannelData(channel), taken = other.getChannelData(channel);
    one.getChannelData(channel).subarray(0, out.length).forEach((value, index) => { out[index] = value - taken[index]; });
  }
  return made;
}

class Player {
  constructor(take) {
    this.take = take;
    this.version = take.versions[0].key;
    this.offset = 0;
    this.matched = true;
    this.sources = [];
    this.onchange = () => {};
  }
  async load() {
    context = context || new AudioContext();
    await context.resume();
    if (!this.buffers) this.buffers = await this.soundOf(this.take.versions);
    this.seconds = this.buffers[0].duration;
  }
  async soundOf(versions) {
    const made = await Promise.all(versions.map((version) => version.audio && decoded(version.audio)));
    const of = (key) => made[versions.findIndex((version) => version.key === key)];
    return versions.map((version, index) => made[index] || difference(...version.difference_of.map(of)));
  }
  gainOf(version) {
    return this.matched ? Math.pow(10, version.gain_db / 20) : 1;
  }
  position() {
    if (!this.sources.length) return this.offset;
    return Math.min(this.seconds, Math.max(0, this.offset + context.currentTime - this.began));
  }
  async play() {
    await this.load();
    if (playing && playing !== this) playing.pause();
    this.stop();
    playing = this;
    if (this.offset >= this.seconds - 0.01) this.offset = 0;
    this.began = context.currentTime + 0.03;
    this.sources = this.buffers.map((buffer, index) => {
      const source = context.createBufferSource(), gain = context.createGain(), version = this.take.versions[index];
      source.buffer = buffer;
      gain.gain.value = version.key === this.version ? this.gainOf(version) : 0;
      source.connect(gain).connect(context.destination);
      source.start(this.began, this.offset);
      return { source, gain, version };
    });
    this.sources[0].source.onended = () => { if (this.position() >= this.seconds - 0.05) { this.pause(); this.offset = 0; this.onchange(); } };
    this.onchange();
  }
  stop() {
    for (const each of this.sources) { each.source.onended = null; each.source.stop(); each.gain.disconnect(); }
    this.sources = [];
  }
  pause() {
    this.offset = this.position();
    this.stop();
    if (playing === this) playing = null;
    this.onchange();
  }
  toggle() { return this.sources.length ? this.pause() : this.play(); }
  choose(key) {
    this.version = key;
    for (const { gain, version } of this.sources) {  // 8 ms: no click, and no gap
      gain.gain.setTargetAtTime(version.key === key ? this.gainOf(version) : 0, context.currentTime, 0.008);
    }
    this.onchange();
  }
  seek(seconds) {
    const was = this.sources.length > 0;
    this.stop();
    this.offset = seconds;
    if (was) this.play(); else this.onchange();
  }
}

function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
}

function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(options)) {
    if (key.startsWith("on")) made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function addPlayer(place, take) {
  const player = new Player(take);
  const play = element("button", { class: "play", type: "button", onclick: () => player.toggle() }, "Play");
  const buttons = take.versions.map((version) => element(
    "button", { type: "button", title: version.title || "", "data-version": version.key, onclick: () => player.choose(version.key) }, version.label));
  const bar = element("input", { type: "range", min: 0, max: take.seconds, step: 0.01, value: 0, "aria-label": "position", oninput: () => player.seek(Number(bar.value)) });
  const time = element("span", { class: "clock" }, `0:00.0 / ${clock(take.seconds)}`);
  player.onchange = () => {
    play.textContent = player.sources.length ? "Pause" : "Play";
    for (const button of buttons) button.setAttribute("aria-pressed", button.dataset.version === player.version);
    place.dataset.version = player.version;
    place.dataset.state = player.sources.length ? "playing" : "paused";
    show();
  };
  function show() {
    const at = player.position();
    if (document.activeElement !== bar || player.sources.length) bar.value = at;
    time.textContent = `${clock(at)} / ${clock(take.seconds)}`;
    place.dataset.position = at.toFixed(3);
    if (player.sources.length) requestAnimationFrame(show);
  }
  place.append(play, ...buttons, bar, time);
  place.addEventListener("keydown", (event) => {
    const number = Number(event.key) - 1;
    if (take.versions[number]) player.choose(take.versions[number].key);
  });
  place.player = player;
  player.onchange();
  return player;
}
