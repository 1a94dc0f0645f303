//! One stream through a model: a frame in, a frame out.

use crate::error::{Code, Error};
use crate::model::{Facts, Model};
use crate::onnxruntime::Turns;

/// 80 dB above full scale: no sound, and enough to poison a state.
pub(crate) const LOUDEST: f32 = 1e4;

/// What a stream had to put right since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that held NaN, infinity, or more than 80 dB above full scale, and were taken as silence.
    pub silenced: u64,
    /// Times that the network lost itself: its frame was given out as silence, and it began anew.
    pub restarts: u64,
}

/// One stream under way.  It may move to another thread, but only one can use it at a time.
pub struct Stream {
    model: Model,
    turns: Turns,
    counts: Counts,
}

impl Stream {
    /// Returns a stream before its first frame; several of a model may be under way at once.
    pub fn new(model: &Model) -> Result<Stream, Error> {
        Ok(Stream { model: model.clone(), turns: model.turns()?, counts: Counts::default() })
    }

    /// What its model is.
    pub fn facts(&self) -> &Facts {
        self.model.facts()
    }

    /// Its model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Takes a frame, channel after channel, and returns the restored one, `latency_samples` late, until the next call.
    ///
    /// Nothing is allocated here.  A frame with samples that are no sound goes in as silence; a state that is lost all
    /// the same begins anew, and its frame comes out as silence.
    pub fn step(&mut self, frame: &[f32]) -> Result<&[f32], Error> {
        let facts = self.model.facts();
        if frame.len() != facts.samples_in() {
            let (n, size) = (facts.n_channels, facts.frame_samples);
            let told = format!("a frame of {} values; give {} ({n} x {size})", frame.len(), n * size);
            return Err(Error::new(Code::Argument, told));
        }
        if is_sound(frame) {
            self.turns.frame_mut().copy_from_slice(frame);
        } else {
            self.turns.frame_mut().fill(0.0);
            self.counts.silenced += 1;
        }
        self.turns.run()?;
        if !self.turns.sound().iter().all(|value| value.is_finite()) {
            self.turns.sound_mut().fill(0.0);
            self.turns.reset();
            self.counts.restarts += 1;
        }
        Ok(self.turns.sound())
    }

    /// Does what `step` does, and copies the restored frame.
    pub fn process_frame(&mut self, frame: &[f32], restored: &mut [f32]) -> Result<(), Error> {
        let n_out = self.facts().samples_out();
        if restored.len() != n_out {
            let told = format!("room for {} values; give room for {n_out}", restored.len());
            return Err(Error::new(Code::Argument, told));
        }
        restored.copy_from_slice(self.step(frame)?);
        Ok(())
    }

    /// Begins anew, as before the first frame; what was counted stays.
    pub fn reset(&mut self) {
        self.turns.reset();
    }

    /// What had to be put right.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

fn is_sound(frame: &[f32]) -> bool {
    frame.iter().all(|value| value.abs() < LOUDEST) // NaN is not
}
