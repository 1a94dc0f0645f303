//! Blocks of any length, as a host gives them, mixed from what was heard and what was restored.

use crate::error::{Code, Error};
use crate::model::Model;
use crate::stream::{Counts, Stream, LOUDEST};

/// The largest limit of the reduction, in dB.
pub const MOST_REDUCTION_DB: f32 = 60.0;
/// In which a gain goes from 0 to 1: no click.
const RAMP_SECONDS: f32 = 0.02;

/// One channel restored while it arrives: as many samples out as in, [`Live::latency_samples`] late.
///
/// ```text
/// in ──┬─ frames ─ network ─┐
///      └─ delay ── heard ───┴─ heard − gain × (heard − restored) ── out
/// ```
pub struct Live {
    stream: Stream,
    gathered: Vec<f32>, // the frame that is being gathered ...
    made: Vec<f32>,     // ... and the one that is being given out, of which as many samples are gone
    n_gathered: usize,
    heard: Vec<f32>, // as late as the network's output; the next frame's first sample lies at `n_heard`
    n_heard: usize,
    gain: f32,
    wanted: f32,
    silenced: u64,
    failures: u64,
}

impl Live {
    /// Returns one before its first sample, at strength 1 without a limit.
    pub fn new(model: &Model) -> Result<Live, Error> {
        let facts = model.facts();
        if (facts.n_channels, facts.n_sources) != (1, 1) {
            let (n, m) = (facts.n_channels, facts.n_sources);
            let told =
                format!("model {:?} takes {n} channels and gives {m}; give one that takes and gives 1", facts.name);
            return Err(Error::new(Code::Model, told));
        }
        Ok(Live {
            stream: Stream::new(model)?,
            gathered: vec![0.0; facts.frame_samples],
            made: vec![0.0; facts.frame_samples],
            n_gathered: 0,
            heard: vec![0.0; facts.latency_samples + facts.frame_samples],
            n_heard: 0,
            gain: 1.0,
            wanted: 1.0,
            silenced: 0,
            failures: 0,
        })
    }

    /// By how many samples what comes out is late: the network's own delay, and what a frame waits for.
    pub fn latency_samples(&self) -> usize {
        let facts = self.stream.facts();
        facts.latency_samples + facts.frame_samples - 1
    }

    /// Sets how much of what the network removes is removed, 0 to 1, and by how many dB anything may fall at most, None
    /// for no limit.  Values outside are taken as the nearest, NaN as no change.  May be called while sound arrives.
    pub fn set(&mut self, strength: f32, max_reduction_db: Option<f32>) {
        let kept = max_reduction_db.map_or(0.0, |limit| 10f32.powf(-limit.clamp(0.0, MOST_REDUCTION_DB) / 20.0));
        let wanted = strength.clamp(0.0, 1.0) * (1.0 - kept);
        if !wanted.is_nan() {
            self.wanted = wanted;
        }
    }

    /// Begins anew, as before the first sample; strength and limit stay.
    pub fn reset(&mut self) {
        self.stream.reset();
        self.made.fill(0.0);
        self.heard.fill(0.0);
        (self.n_gathered, self.n_heard, self.gain) = (0, 0, self.wanted);
    }

    /// Restores a block of any length in its place.  Nothing is allocated here.
    ///
    /// Where the network fails in a frame, that is counted, and the frame comes out as it was heard.
    pub fn process(&mut self, mut block: &mut [f32]) {
        while !block.is_empty() {
            let size = self.gathered.len();
            let n = block.len().min(size - self.n_gathered);
            let (now, later) = block.split_at_mut(n);
            let gathered = &mut self.gathered[self.n_gathered..self.n_gathered + n];
            for (kept, &sample) in gathered.iter_mut().zip(now.iter()) {
                let is_sound = sample.abs() < LOUDEST; // NaN is not
                self.silenced += u64::from(!is_sound);
                *kept = if is_sound { sample } else { 0.0 };
            }
            // The sample that completes a frame is the one at which the first of the next comes out.
            let is_complete = self.n_gathered + n == size;
            let n_old = if is_complete { n - 1 } else { n };
            now[..n_old].copy_from_slice(&self.made[self.n_gathered + 1..self.n_gathered + 1 + n_old]);
            self.n_gathered += n;
            if is_complete {
                self.make_frame();
                now[n - 1] = self.made[0];
                self.n_gathered = 0;
            }
            block = later;
        }
    }

    /// What had to be put right: samples, not frames, that were no sound.
    pub fn counts(&self) -> Counts {
        Counts { silenced: self.silenced, restarts: self.stream.counts().restarts }
    }

    /// Frames in which onnxruntime failed.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Turns what was gathered into what is given out next.
    fn make_frame(&mut self) {
        let n_restarts = self.stream.counts().restarts;
        let step = 1.0 / (RAMP_SECONDS * self.stream.facts().sample_rate as f32);
        let n_held = self.heard.len();
        // The ring holds the delay and one frame: writing behind what is read next leaves that whole.
        let end = self.n_heard + self.stream.facts().latency_samples;
        for (index, &sample) in self.gathered.iter().enumerate() {
            self.heard[(end + index) % n_held] = sample;
        }
        let is_restored = self.stream.process_frame(&self.gathered, &mut self.made).is_ok();
        self.failures += u64::from(!is_restored);
        let is_known = is_restored && self.stream.counts().restarts == n_restarts;
        for (index, made) in self.made.iter_mut().enumerate() {
            let heard = self.heard[(self.n_heard + index) % n_held];
            self.gain += (self.wanted - self.gain).clamp(-step, step);
            *made = if is_known { heard - self.gain * (heard - *made) } else { heard };
        }
        self.n_heard = (self.n_heard + self.gathered.len()) % n_held;
    }
}
