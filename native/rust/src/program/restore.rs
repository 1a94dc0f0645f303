//! A recording through a network, frame by frame: as long, at the same rate, in the same format.

use std::path::Path;
use std::time::Instant;

use resound::{Code, Counts, Error, Facts, Model, Stream};

use crate::arguments::Arguments;
use crate::delayed::Delayed;
use crate::timing;
use crate::wav::{Reader, Writer};
use crate::wav_header::Header;

/// What there is to say afterwards.
pub struct Report {
    pub timing: String,
    pub notes: Vec<String>,
}

/// Restores a file.  Nothing is left of the output where that fails.
pub fn restore(model: &Model, input: &Path, output: &Path, arguments: &Arguments) -> Result<Report, Error> {
    let mut reader = Reader::open(input)?;
    let (facts, header) = (model.facts().clone(), reader.header.clone());
    let n_channels_out = checked(&facts, &header, input)?;
    if input.canonicalize().ok().is_some_and(|path| output.canonicalize().is_ok_and(|other| path == other)) {
        let told = format!("{}: is the input, which is never replaced; give another name", output.display());
        return Err(Error::new(Code::File, told));
    }
    let mut writer = Writer::create(output, header.with_channels(n_channels_out), arguments.may_overwrite)?;
    let mut voices = Voices::new(model, header.n_channels, arguments.strength)?;

    let size = facts.frame_samples;
    let (late, end) = (facts.latency_samples as u64, facts.latency_samples as u64 + header.n_frames);
    let n_frames = if header.n_frames == 0 { 0 } else { end.div_ceil(size as u64) };
    let mut taken = Vec::new();
    for start in (0..n_frames).map(|frame| frame * size as u64) {
        reader.read(&mut voices.heard)?;
        let began = Instant::now();
        voices.step()?;
        taken.push(began.elapsed());
        voices.mix();
        // What comes out belongs to the input from `start - late` on; before the first sample and after the last is none.
        let from = late.saturating_sub(start).min(size as u64) as usize;
        let to = (end - start).min(size as u64) as usize;
        writer.write(&voices.made, from, to)?;
    }
    let notes = notes(&header, input, output, writer.n_clipped, voices.counts());
    writer.finish()?;
    let frame_ms = 1000.0 * size as f64 / f64::from(facts.sample_rate);
    Ok(Report { timing: timing::told(&taken, frame_ms), notes })
}

/// Returns how many channels come out.
fn checked(facts: &Facts, header: &Header, input: &Path) -> Result<usize, Error> {
    let wrong = |what: String| Err(Error::new(Code::Argument, format!("{}: {what}", input.display())));
    if header.sample_rate != facts.sample_rate {
        let (rate, wanted) = (header.sample_rate, facts.sample_rate);
        return wrong(format!("has {rate} Hz, the model {:?} {wanted} Hz; resample it to {wanted} Hz", facts.name));
    }
    if facts.n_sources > facts.n_channels {
        let n_voices = facts.n_sources;
        return wrong(format!("the model {:?} separates into {n_voices} voices; give one that restores", facts.name));
    }
    if facts.n_channels == 1 {
        return Ok(header.n_channels);
    }
    if facts.n_channels != header.n_channels {
        let (n, wanted) = (header.n_channels, facts.n_channels);
        return wrong(format!("has {n} channels, the model {:?} takes {wanted}; give a file of {wanted}", facts.name));
    }
    Ok(facts.n_sources)
}

/// A stream for each channel, or one for all, and frames in and out, channel after channel.
struct Voices {
    streams: Vec<Stream>,
    heard: Vec<f32>,
    made: Vec<f32>,
    delays: Vec<Delayed>, // of the channels that come out
    strength: f32,
}

impl Voices {
    fn new(model: &Model, n_channels: usize, strength: f32) -> Result<Voices, Error> {
        let facts = model.facts();
        let n_streams = n_channels / facts.n_channels;
        let n_out = n_streams * facts.n_sources;
        Ok(Voices {
            streams: (0..n_streams).map(|_| Stream::new(model)).collect::<Result<_, _>>()?,
            heard: vec![0.0; n_channels * facts.frame_samples],
            made: vec![0.0; n_out * facts.frame_samples],
            delays: (0..n_out).map(|_| Delayed::new(facts.latency_samples)).collect(),
            strength,
        })
    }

    fn step(&mut self) -> Result<(), Error> {
        let n_streams = self.streams.len();
        let (n_in, n_out) = (self.heard.len() / n_streams, self.made.len() / n_streams);
        let (heard, made) = (self.heard.chunks_exact(n_in), self.made.chunks_exact_mut(n_out));
        for ((stream, heard), made) in self.streams.iter_mut().zip(heard).zip(made) {
            stream.process_frame(heard, made)?;
        }
        Ok(())
    }

    /// Gives back what is not to be removed.
    fn mix(&mut self) {
        if self.strength == 1.0 {
            return;
        }
        let size = self.made.len() / self.delays.len();
        let channels = self.heard.chunks_exact(size).zip(self.made.chunks_exact_mut(size));
        for ((heard, made), delay) in channels.zip(&mut self.delays) {
            for (&heard, made) in heard.iter().zip(made) {
                let heard = delay.next(if heard.is_finite() { heard } else { 0.0 });
                *made = heard - self.strength * (heard - *made);
            }
        }
    }

    fn counts(&self) -> Counts {
        self.streams.iter().map(Stream::counts).fold(Counts::default(), |sum, one| Counts {
            silenced: sum.silenced + one.silenced,
            restarts: sum.restarts + one.restarts,
        })
    }
}

fn notes(header: &Header, input: &Path, output: &Path, n_clipped: u64, counts: Counts) -> Vec<String> {
    let (input, output) = (input.display(), output.display());
    let Counts { silenced, restarts } = counts;
    let all = [
        (
            header.is_cut_off,
            format!("{input}: is cut off; the {} samples that are there were restored", header.n_frames),
        ),
        (silenced > 0, format!("{input}: {silenced} frames held samples that are no sound, and went in as silence")),
        (restarts > 0, format!("{input}: the network lost itself {restarts} times, and began anew")),
        (n_clipped > 0, format!("{output}: {n_clipped} samples were above full scale, and are clipped")),
    ];
    all.into_iter().filter(|(is_so, _)| *is_so).map(|(_, note)| note).collect()
}
